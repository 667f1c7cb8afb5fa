"""What a GGUF file holds: vocabulary, token embeddings, and the same weights in another type.

With runtime/llama.py the only file that touches llama.cpp's low-level API.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from listen_edge.errors import BundleError, MissingExtraError
from listen_edge.replacing import replacing

# Threads that wait for each other turn in a loop, by default for longer than a scheduler's time
# slice: on two cores, one shared with another process, a window of 0.2 s took 3 to 17 s. After
# 1,000 turns they sleep, which costs nothing measurable alone (docs/performance.md).
os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # libgomp reads it when it is loaded

try:
    import llama_cpp
    from llama_cpp._ctypes_extensions import load_shared_library
except ImportError as err:  # pragma: no cover - a base dependency
    raise MissingExtraError("llama-cpp-python", "cpu") from err

_SILENT = llama_cpp.llama_log_callback(lambda level, text, user_data: None)
_EMBEDDING_TENSOR = b"token_embd.weight"


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
        ggml = _ggml()
        no_data = _InitParams(no_alloc=True, context=None)
        gguf = ggml.gguf_init_from_file(str(gguf_path).encode(), no_data)
        tensor = ggml.gguf_find_tensor(gguf, _EMBEDDING_TENSOR) if gguf else -1
        if tensor < 0:
            raise BundleError(f"{gguf_path.name}: has no token embeddings; expected a LLaMA's GGUF")
        n_embd, n_tokens = ggml.gguf_get_tensor_ne(gguf, tensor)[:2]
        type_ = ggml.gguf_get_tensor_type(gguf, tensor)
        offset = ggml.gguf_get_data_offset(gguf) + ggml.gguf_get_tensor_offset(gguf, tensor)
        ggml.gguf_free(gguf)
        shape = (n_tokens, ggml.ggml_row_size(type_, n_embd))
        self._rows = np.memmap(gguf_path, np.uint8, "r", offset, shape)
        self._to_float = ggml.ggml_get_type_traits(type_).contents.to_float
        self._n_embd = n_embd

    def __call__(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Return the embeddings of token ids, shape (len(tokens), n_embd)."""
        rows = np.ascontiguousarray(self._rows[list(tokens)])
        if not self._to_float:  # float32 is not converted
            return rows.view(np.float32)
        embeddings = np.empty((len(tokens), self._n_embd), np.float32)
        self._to_float(rows.ctypes.data, embeddings.ctypes.data, embeddings.size)
        return embeddings


_ToFloat = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)


class _InitParams(ctypes.Structure):
    """gguf.h's gguf_init_params."""

    _fields_ = (("no_alloc", ctypes.c_bool), ("context", ctypes.c_void_p))


class _TypeTraits(ctypes.Structure):
    """The beginning of ggml.h's ggml_type_traits."""

    _fields_ = (
        ("type_name", ctypes.c_char_p),
        ("blck_size", ctypes.c_int64),
        ("blck_size_interleave", ctypes.c_int64),
        ("type_size", ctypes.c_size_t),
        ("is_quantized", ctypes.c_bool),
        ("to_float", _ToFloat),
    )


@functools.cache
def _ggml() -> ctypes.CDLL:
    """Return llama.cpp's tensor library, whose functions llama_cpp does not declare."""
    folder = Path(llama_cpp.__file__).parent / "lib"
    library: ctypes.CDLL = load_shared_library("ggml-base", folder)
    pointer, size, index = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int64
    for name, result, arguments in (
        ("gguf_init_from_file", pointer, (ctypes.c_char_p, _InitParams)),
        ("gguf_find_tensor", index, (pointer, ctypes.c_char_p)),
        ("gguf_get_tensor_ne", ctypes.POINTER(ctypes.c_int64), (pointer, index)),
        ("gguf_get_tensor_type", ctypes.c_int, (pointer, index)),
        ("gguf_get_tensor_offset", size, (pointer, index)),
        ("gguf_get_data_offset", size, (pointer,)),
        ("gguf_free", None, (pointer,)),
        ("ggml_row_size", size, (ctypes.c_int, ctypes.c_int64)),
        ("ggml_get_type_traits", ctypes.POINTER(_TypeTraits), (ctypes.c_int,)),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def quantize_gguf(
    source_path: Path,
    target_path: Path,
    quantization: str,
    n_threads: int,
    importance: Mapping[str, NDArray[np.float32]] | None = None,
) -> None:
    """Write `source_path` requantised, e.g. to "q8_0", by llama.cpp's own quantiser.

    Args:
        importance: of each matrix' inputs, see export/importance.py; None weighs them alike.

    Raises:
        BundleError: unknown type, or the quantiser failed; nothing half-written is left.
    """
    file_type = getattr(llama_cpp, f"LLAMA_FTYPE_MOSTLY_{quantization.upper()}", None)
    if file_type is None:
        raise BundleError(f"unknown GGUF type {quantization!r}; expected e.g. q8_0")
    _be_quiet()
    params = llama_cpp.llama_model_quantize_default_params()
    params.nthread = n_threads
    params.ftype = file_type
    params.allow_requantize = True
    entries, _kept = _importance_entries(importance or {})
    if importance:
        params.imatrix = entries
    with replacing(target_path) as temporary:
        status = llama_cpp.llama_model_quantize(
            str(source_path).encode(), str(temporary).encode(), ctypes.byref(params)
        )
        if status != 0:
            raise BundleError(
                f"{target_path}: llama.cpp could not quantise {source_path} to {quantization}; "
                "expected a complete GGUF and space for the result"
            )


def _importance_entries(
    importance: Mapping[str, NDArray[np.float32]],
) -> tuple[ctypes.Array[llama_cpp.llama_model_imatrix_data], list[NDArray[np.float32]]]:
    """Return llama.cpp's list, ended by an entry without name, and the memory it points to."""
    kept = [np.ascontiguousarray(values, np.float32) for values in importance.values()]
    entries = (llama_cpp.llama_model_imatrix_data * (len(kept) + 1))()
    for entry, name, values in zip(entries, importance, kept, strict=False):
        entry.name = name.encode()
        entry.data = values.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        entry.size = values.size
    return entries, kept


def _be_quiet() -> None:
    llama_cpp.llama_log_set(_SILENT, ctypes.c_void_p(0))


def load_model(gguf_path: Path, *, vocab_only: bool = False, gpu_layers: int = 0) -> Any:
    _be_quiet()
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


def vocab_sha256_of(vocab: Any) -> str:
    token_text: Callable[[Any, int], bytes] = llama_cpp.llama_vocab_get_text
    digest = hashlib.sha256()
    for token in range(llama_cpp.llama_vocab_n_tokens(vocab)):
        digest.update(token_text(vocab, token) + b"\0")
    return digest.hexdigest()
