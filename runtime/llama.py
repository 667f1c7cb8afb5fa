"""The LLaMA: text and prefix embeddings in, logit margins out.

The only file that touches llama.cpp's low-level API. It keeps the KV of the constant prefix for
the life of the process, decodes a window's audio once and forks it to one sequence per question.
It knows nothing of audio, calibration or question wording.

Source: llama_batch.embd takes embeddings where the high-level API takes tokens only; fed a text's
token embeddings it gives bit-identical logits.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from listen_edge.errors import BundleError, MissingExtraError
from listen_edge.prompt import Prompt
from listen_edge.replacing import replacing
from listen_edge.runtime.kept import is_intact, keep

# Threads that wait for each other turn in a loop, by default for longer than a scheduler's time
# slice: on two cores, one shared with another process, a window of 0.2 s took 3 to 17 s. After
# 1,000 turns they sleep, which costs nothing measurable alone (docs/performance.md).
os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # libgomp reads it when it is loaded

try:
    import llama_cpp
except ImportError as err:  # pragma: no cover - a base dependency
    raise MissingExtraError("llama-cpp-python", "cpu") from err

logger = logging.getLogger(__name__)

MAX_QUESTIONS = 32  # sequences decoded together; more are asked in several batches
_BATCH_TOKENS = 1024  # longest prefix, and all questions of a batch
_CONTEXT_TOKENS = 2048
_SILENT = llama_cpp.llama_log_callback(lambda level, text, user_data: None)


class Vocabulary:
    """llama.cpp's own tokeniser of one GGUF, without its weights.

    transformers' conversion of the same vocabulary drops leading spaces (" Yes" and " No" become
    one token), so training tokenises here as well.
    """

    def __init__(self, gguf_path: Path) -> None:
        with ExitStack() as stack:
            model = _load_model(gguf_path, vocab_only=True)
            stack.callback(llama_cpp.llama_model_free, model)
            self._vocab = llama_cpp.llama_model_get_vocab(model)
            self._stack = stack.pop_all()

    def tokenize(self, text: str) -> list[int]:
        """Return the token ids of `text`, without any special token added."""
        return _tokenize(self._vocab, text)

    def sha256(self) -> str:
        """Return the hash of all token texts in order: equal means the same vocabulary."""
        return _vocab_sha256(self._vocab)

    def close(self) -> None:
        self._stack.close()

    def __enter__(self) -> Vocabulary:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()


class LlamaSession:
    """One loaded GGUF with the constant prefix's KV in place.

    Args:
        gguf_path: the model file.
        prompt: constant texts; its answers must be single tokens of the model.
        n_threads: threads of this session.
        gpu_layers: layers offloaded to the GPU (-1: all), 0 on the CPU.
        vocab_sha256: of the vocabulary that the adapter was trained with, None for any.
        n_embd: width that the adapter was trained for, None for any.
        prefix_state: file that keeps the constant prefix's KV from one start to the next, made if
            it is missing or damaged; it belongs to this model, prompt and llama.cpp. None: no file.

    Raises:
        BundleError: the file is no GGUF of a LLaMA, its vocabulary or width is another, or an
            answer is not one token.
    """

    def __init__(
        self,
        gguf_path: Path,
        prompt: Prompt,
        *,
        n_threads: int,
        gpu_layers: int = 0,
        vocab_sha256: str | None = None,
        n_embd: int | None = None,
        prefix_state: Path | None = None,
    ) -> None:
        with ExitStack() as stack:
            model = _load_model(gguf_path, gpu_layers=gpu_layers)
            stack.callback(llama_cpp.llama_model_free, model)
            self._vocab = llama_cpp.llama_model_get_vocab(model)
            self.n_embd = int(llama_cpp.llama_model_n_embd(model))
            if n_embd not in (None, self.n_embd):
                raise BundleError(
                    f"{gguf_path.name}: its width {self.n_embd} is not the manifest's {n_embd}; "
                    "adapter and LLM do not belong together"
                )
            found = _vocab_sha256(self._vocab)
            if vocab_sha256 not in (None, found):
                raise BundleError(
                    f"{gguf_path.name}: its vocabulary {found[:8]}... is not the manifest's "
                    f"{vocab_sha256[:8]}...; adapter and LLM do not belong together"
                )
            self._context = _new_context(model, n_threads, on_gpu=gpu_layers != 0)
            stack.callback(llama_cpp.llama_free, self._context)  # before its model
            self._memory = llama_cpp.llama_get_memory(self._context)
            self._tokens = _Batch(_BATCH_TOKENS, 0, MAX_QUESTIONS)
            stack.callback(self._tokens.free)
            self._embeddings = _Batch(_BATCH_TOKENS, self.n_embd, 1)
            stack.callback(self._embeddings.free)
            self._prompt = prompt
            self._bridge = self.tokenize(prompt.bridge)
            self._yes = [self._single_token(text) for text in prompt.yes]
            self._no = [self._single_token(text) for text in prompt.no]
            self._n_prefix = self._prepare_prefix(self.tokenize(prompt.prefix), prefix_state)
            self._stack = stack.pop_all()

    def tokenize(self, text: str) -> list[int]:
        """Return the token ids of `text`, without any special token added."""
        return _tokenize(self._vocab, text)

    def margins(
        self, audio: NDArray[np.float32] | Sequence[int], concepts: Sequence[str]
    ) -> NDArray[np.float32]:
        """Return logit(yes) - logit(no) in nats for each concept.

        Args:
            audio: prefix embeddings, shape (n_query, n_embd), or the token ids of a description in
                its place (to measure what the LLM makes of plain text).
            concepts: what is asked; any number, decoded MAX_QUESTIONS at a time.

        Returns:
            Shape (len(concepts),), float32.

        Raises:
            BundleError: the embeddings have another width than the model's.
        """
        n_audio = self._decode_audio(audio)
        margins = []
        for start in range(0, len(concepts), MAX_QUESTIONS):
            texts = [self._prompt.ask(c) for c in concepts[start : start + MAX_QUESTIONS]]
            margins.append(self._decode_questions(n_audio, [self.tokenize(t) for t in texts]))
        return np.concatenate(margins) if margins else np.zeros(0, np.float32)

    def _prepare_prefix(self, tokens: list[int], state: Path | None) -> int:
        """Put the prefix's KV into sequence 0, from the file or computed; return its length."""
        if state is not None and is_intact(state) and self._read_prefix(tokens, state):
            return len(tokens)
        n_prefix = self._decode_prefix(tokens)
        if state is not None:
            try:
                keep(state, lambda path: self._write_prefix(tokens, path))
            except OSError as err:  # the next start computes it again
                logger.warning("%s: the prefix cannot be kept (%s)", state, err.strerror)
        return n_prefix

    def _read_prefix(self, tokens: list[int], state: Path) -> bool:
        found = (llama_cpp.llama_token * len(tokens))()
        n_found = ctypes.c_size_t(0)
        n_bytes = llama_cpp.llama_state_seq_load_file(
            self._context, str(state).encode(), 0, found, len(tokens), ctypes.byref(n_found)
        )
        if n_bytes and list(found[: n_found.value]) == tokens:
            return True
        llama_cpp.llama_memory_seq_rm(self._memory, 0, 0, -1)
        return False

    def _write_prefix(self, tokens: list[int], path: Path) -> None:
        array = (llama_cpp.llama_token * len(tokens))(*tokens)
        if not llama_cpp.llama_state_seq_save_file(
            self._context, str(path).encode(), 0, array, len(tokens)
        ):
            raise OSError(errno.EIO, "llama.cpp did not write it")

    def _decode_prefix(self, tokens: list[int]) -> int:
        for position, token in enumerate(tokens):
            self._tokens.add(position, [0], token=token)
        self._tokens.decode(self._context)
        return len(tokens)

    def _decode_audio(self, audio: NDArray[np.float32] | Sequence[int]) -> int:
        """Append the window's audio to sequence 0 after the prefix; return its length."""
        llama_cpp.llama_memory_seq_rm(self._memory, 0, self._n_prefix, -1)
        if isinstance(audio, np.ndarray):
            if audio.ndim != 2 or audio.shape[1] != self.n_embd:
                raise BundleError(
                    f"prefix embeddings have shape {audio.shape}, the LLM expects "
                    f"(n_query, {self.n_embd}); adapter and LLM belong to different bundles"
                )
            for k, row in enumerate(audio):
                self._embeddings.add(self._n_prefix + k, [0], embedding=row)
            self._embeddings.decode(self._context)
        else:
            for k, token in enumerate(audio):
                self._tokens.add(self._n_prefix + k, [0], token=token)
            self._tokens.decode(self._context)
        return len(audio)

    def _decode_questions(
        self, n_audio: int, questions: Sequence[Sequence[int]]
    ) -> NDArray[np.float32]:
        """Fork the audio to one sequence per question and decode all of them at once."""
        sequences = list(range(1, len(questions) + 1))
        for sequence in sequences:
            llama_cpp.llama_memory_seq_cp(self._memory, 0, sequence, 0, -1)
        position = self._n_prefix + n_audio
        for offset, token in enumerate(self._bridge):
            self._tokens.add(position + offset, sequences, token=token)
        position += len(self._bridge)
        last_rows = []
        for sequence, question in zip(sequences, questions, strict=True):
            for offset, token in enumerate(question):
                is_last = offset == len(question) - 1
                row = self._tokens.add(position + offset, [sequence], token=token, logits=is_last)
            last_rows.append(row)
        self._tokens.decode(self._context)
        margins = np.array([self._margin(row) for row in last_rows], np.float32)
        for sequence in sequences:
            llama_cpp.llama_memory_seq_rm(self._memory, sequence, 0, -1)
        return margins

    def _margin(self, row: int) -> float:
        logits = llama_cpp.llama_get_logits_ith(self._context, row)
        yes = np.array([logits[token] for token in self._yes], np.float64)
        no = np.array([logits[token] for token in self._no], np.float64)
        return float(np.logaddexp.reduce(yes) - np.logaddexp.reduce(no))

    def _single_token(self, text: str) -> int:
        tokens = self.tokenize(text)
        if len(tokens) != 1:
            raise BundleError(
                f"answer {text!r} is {len(tokens)} tokens of this LLM, expected 1; "
                "choose another answer in the bundle's prompt"
            )
        return tokens[0]

    def close(self) -> None:
        """Free the batches, the context and the model, in this order."""
        self._stack.close()


class _Batch:
    """A llama_batch allocated once and filled row by row."""

    def __init__(self, n_rows: int, n_embd: int, n_sequences: int) -> None:
        self._batch = llama_cpp.llama_batch_init(n_rows, n_embd, n_sequences)
        self._n_rows = n_rows
        self._n_embd = n_embd

    def add(
        self,
        position: int,
        sequences: Sequence[int],
        *,
        token: int | None = None,
        embedding: NDArray[np.float32] | None = None,
        logits: bool = False,
    ) -> int:
        """Append one row, a token or an embedding (n_embd,); return its index."""
        batch, row = self._batch, self._batch.n_tokens
        if row >= self._n_rows:
            self._batch.n_tokens = 0
            raise BundleError(f"the prompt needs more than {self._n_rows} tokens; shorten it")
        if token is not None:
            batch.token[row] = token
        if embedding is not None:
            source = np.ascontiguousarray(embedding, np.float32)
            target = ctypes.addressof(batch.embd.contents) + row * self._n_embd * 4
            ctypes.memmove(target, source.ctypes.data, self._n_embd * 4)
        batch.pos[row] = position
        batch.n_seq_id[row] = len(sequences)
        for k, sequence in enumerate(sequences):
            batch.seq_id[row][k] = sequence
        batch.logits[row] = logits
        batch.n_tokens = row + 1
        return int(row)

    def decode(self, context: Any) -> None:
        status = llama_cpp.llama_decode(context, self._batch)
        self._batch.n_tokens = 0
        if status != 0:
            raise BundleError(f"llama.cpp could not decode the prompt (status {status})")

    def free(self) -> None:
        llama_cpp.llama_batch_free(self._batch)


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


def gpu_is_supported() -> bool:
    """Tell whether this build of llama.cpp can offload layers to a GPU."""
    return bool(llama_cpp.llama_supports_gpu_offload())


def _be_quiet() -> None:
    llama_cpp.llama_log_set(_SILENT, ctypes.c_void_p(0))


def _load_model(gguf_path: Path, *, vocab_only: bool = False, gpu_layers: int = 0) -> Any:
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


def _new_context(model: Any, n_threads: int, *, on_gpu: bool) -> Any:
    params = llama_cpp.llama_context_default_params()
    params.n_ctx = _CONTEXT_TOKENS
    params.n_batch = params.n_ubatch = _BATCH_TOKENS
    params.n_seq_max = MAX_QUESTIONS + 1
    params.n_outputs_max = params.n_seq_max  # logits of the questions' last tokens, no others
    params.kv_unified = True  # forks share the cells of prefix and audio
    params.n_threads = params.n_threads_batch = n_threads
    params.no_perf = True
    if not on_gpu:  # llama.cpp's own choice takes a fifth longer on the CPU
        params.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
    context = llama_cpp.llama_init_from_model(model, params)
    if not context:
        raise BundleError("llama.cpp could not make a context: out of memory?")
    return context


def _tokenize(vocab: Any, text: str) -> list[int]:
    encoded = text.encode()
    capacity = len(encoded) + 8
    tokens = (llama_cpp.llama_token * capacity)()
    n_tokens = llama_cpp.llama_tokenize(
        vocab, encoded, len(encoded), tokens, capacity, False, False
    )
    return list(tokens[:n_tokens])


def _vocab_sha256(vocab: Any) -> str:
    token_text: Callable[[Any, int], bytes] = llama_cpp.llama_vocab_get_text
    digest = hashlib.sha256()
    for token in range(llama_cpp.llama_vocab_n_tokens(vocab)):
        digest.update(token_text(vocab, token) + b"\0")
    return digest.hexdigest()
