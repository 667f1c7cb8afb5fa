"""What a GGUF file holds: vocabulary, token embeddings, and the weights that a cut copy takes over.

Only the files of runtime/llama/ touch llama.cpp's low-level API.
"""

from __future__ import annotations

import ctypes
import hashlib
import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from listen_edge.errors import BundleError
from listen_edge.replacing import replacing
from listen_edge.runtime.llama.native import GgmlInitParams, GgufInitParams, be_quiet, ggml

_EMBEDDING_TENSOR = b"token_embd.weight"
_OUTPUT_TENSOR = b"output.weight"  # absent where the embeddings serve for it too


class Vocabulary:
    """llama.cpp's own tokeniser of one GGUF, without its weights.

    transformers' conversion of the same vocabulary drops leading spaces (" Yes" and " No" become
    one token), so training tokenises here as well.
    """

    def __init__(self, gguf_path: Path) -> None:
        with ExitStack() as stack:
            model = load_model(gguf_path, vocab_only=True)
            stack.callback(llama_cpp.llama_model_free, model)
            self._vocab = llama_cpp.llama_model_get_vocab(model)
            self._stack = stack.pop_all()

    def tokenize(self, text: str) -> list[int]:
        """Return the token ids of `text`, without any special token added."""
        return tokenize(self._vocab, text)

    def single_token(self, text: str) -> int:
        """Return the one token that `text` is; errors as for the function of this name."""
        return single_token(self._vocab, text)

    def sha256(self) -> str:
        """Return the hash of all token texts in order: equal means the same vocabulary."""
        return vocab_sha256_of(self._vocab)

    def close(self) -> None:
        self._stack.close()

    def __enter__(self) -> Vocabulary:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()


class TokenEmbeddings:
    """The LLM's input embedding of every token, as llama.cpp itself dequantises it.

    llama.cpp takes a batch of tokens or one of embeddings and gives no token's embedding out; with
    these, audio and text are one batch, whose weights are read once.

    Raises:
        BundleError: the file is no GGUF or has no token embeddings.
    """

    def __init__(self, gguf_path: Path) -> None:
        with _GgufFile(gguf_path) as file:
            index = file.find(_EMBEDDING_TENSOR)
            if index is None:
                raise BundleError(
                    f"{gguf_path.name}: has no token embeddings; expected a LLaMA's GGUF"
                )
            self._n_embd, type_ = file.shape(index)[0], file.type(index)
            self._rows = file.rows(index)
        self._to_float = ggml().ggml_get_type_traits(type_).contents.to_float

    def __call__(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Return the embeddings of token ids, shape (len(tokens), n_embd)."""
        rows = np.ascontiguousarray(self._rows[list(tokens)])
        if not self._to_float:  # float32 is not converted
            return rows.view(np.float32)
        embeddings = np.empty((len(tokens), self._n_embd), np.float32)
        self._to_float(rows.ctypes.data, embeddings.ctypes.data, embeddings.size)
        return embeddings


class _GgufFile:
    """A GGUF's tensors by index, as they lie in the file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.handle = ggml().gguf_init_from_file(
            str(path).encode(), GgufInitParams(no_alloc=True, context=None)
        )
        self.n_tensors = ggml().gguf_get_n_tensors(self.handle) if self.handle else 0

    def find(self, name: bytes) -> int | None:
        """Return a tensor's index, None if there is none of that name or the file is no GGUF."""
        index = ggml().gguf_find_tensor(self.handle, name) if self.n_tensors else -1
        return None if index < 0 else int(index)

    def name(self, index: int) -> bytes:
        return bytes(ggml().gguf_get_tensor_name(self.handle, index))

    def type(self, index: int) -> int:
        return int(ggml().gguf_get_tensor_type(self.handle, index))

    def shape(self, index: int) -> list[int]:
        """Return its four sizes, the length of a row first."""
        return list(ggml().gguf_get_tensor_ne(self.handle, index)[:4])

    def rows(self, index: int) -> NDArray[np.uint8]:
        """Return its rows as stored, shape (n_rows, bytes of a row), mapped from the file."""
        n_columns, *others = self.shape(index)
        offset = ggml().gguf_get_data_offset(self.handle)
        offset += ggml().gguf_get_tensor_offset(self.handle, index)
        n_bytes = ggml().ggml_row_size(self.type(index), n_columns)
        try:
            return np.memmap(self._path, np.uint8, "r", offset, (math.prod(others), n_bytes))
        except ValueError as err:  # beyond the end
            raise BundleError(f"{self._path.name}: cut short; expected a complete GGUF") from err

    def __enter__(self) -> _GgufFile:
        return self

    def __exit__(self, *exc_info: object) -> None:
        ggml().gguf_free(self.handle)


def cut_vocabulary(source_path: Path, target_path: Path, tokens: Sequence[int]) -> None:
    """Write the same LLM with a vocabulary of these tokens alone, in their order.

    It can be asked for their logits, token k being `tokens[k]`, and takes embeddings, not tokens:
    a product with tens of thousands of rows, and their memory, are saved.

    Raises:
        BundleError: no GGUF of a LLaMA, or no space; nothing half-written is left.
    """
    lib = ggml()
    kept_alive = []
    with _GgufFile(source_path) as source, ExitStack() as stack, replacing(target_path) as path:
        if source.find(_EMBEDDING_TENSOR) is None:
            raise BundleError(f"{source_path.name}: no complete GGUF of a LLaMA")
        target = lib.gguf_init_empty()
        stack.callback(lib.gguf_free, target)
        n_bytes = source.n_tensors * lib.ggml_tensor_overhead()
        context = lib.ggml_init(GgmlInitParams(mem_size=n_bytes, mem_buffer=None, no_alloc=True))
        stack.callback(lib.ggml_free, context)
        lib.gguf_set_kv(target, source.handle)
        for key in [lib.gguf_get_key(target, k) for k in range(lib.gguf_get_n_kv(target))]:
            if key.startswith(b"tokenizer."):
                lib.gguf_remove_key(target, key)
        lib.gguf_set_val_str(target, b"tokenizer.ggml.model", b"none")
        lib.gguf_set_val_u32(target, b"llama.vocab_size", len(tokens))
        for index in range(source.n_tensors):
            name, shape, rows = source.name(index), source.shape(index), source.rows(index)
            if name in (_EMBEDDING_TENSOR, _OUTPUT_TENSOR):
                shape[1], rows = len(tokens), np.ascontiguousarray(rows[list(tokens)])
            tensor = lib.ggml_new_tensor(
                context, source.type(index), 4, (ctypes.c_int64 * 4)(*shape)
            )
            lib.ggml_set_name(tensor, name)
            lib.gguf_add_tensor(target, tensor)
            lib.gguf_set_tensor_data(target, name, rows.ctypes.data)
            kept_alive.append(rows)
        if not lib.gguf_write_to_file(target, str(path).encode(), False):
            raise BundleError(
                f"{target_path.parent}: the LLM cannot be written there; free some space"
            )


def load_model(gguf_path: Path, *, vocab_only: bool = False, gpu_layers: int = 0) -> Any:
    be_quiet()
    params = llama_cpp.llama_model_default_params()
    params.vocab_only = vocab_only
    params.n_gpu_layers = gpu_layers
    model = llama_cpp.llama_model_load_from_file(str(gguf_path).encode(), params)
    if not model:
        raise BundleError(
            f"{gguf_path.name}: llama.cpp cannot load it; expected a complete GGUF of a LLaMA"
        )
    return model


def tokenize(vocab: Any, text: str) -> list[int]:
    encoded = text.encode()
    capacity = len(encoded) + 8
    tokens = (llama_cpp.llama_token * capacity)()
    n_tokens = llama_cpp.llama_tokenize(
        vocab, encoded, len(encoded), tokens, capacity, False, False
    )
    return list(tokens[:n_tokens])


def single_token(vocab: Any, text: str) -> int:
    """Return the one token that an answer is.

    Raises:
        BundleError: it is several.
    """
    tokens = tokenize(vocab, text)
    if len(tokens) != 1:
        raise BundleError(
            f"answer {text!r} is {len(tokens)} tokens of this LLM, expected 1; "
            "choose another answer in the bundle's prompt"
        )
    return tokens[0]


def vocab_sha256_of(vocab: Any) -> str:
    token_text: Callable[[Any, int], bytes] = llama_cpp.llama_vocab_get_text
    digest = hashlib.sha256()
    for token in range(llama_cpp.llama_vocab_n_tokens(vocab)):
        digest.update(token_text(vocab, token) + b"\0")
    return digest.hexdigest()
