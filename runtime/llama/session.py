"""The LLaMA: prefix embeddings and questions in, logit margins out.

It keeps the KV of the constant prefix for the life of the process; a window's audio and all
questions about it are one batch, the audio's rows shared by one sequence per question. It knows
nothing of audio, calibration or question wording.

Source: llama_batch.embd takes embeddings where the high-level API takes tokens only; fed a text's
token embeddings it gives bit-identical logits.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from listen_edge.errors import BundleError
from listen_edge.prompt import Prompt
from listen_edge.runtime.llama.batch import EmbeddingBatch, batches
from listen_edge.runtime.llama.gguf_file import (
    TokenEmbeddings,
    load_model,
    single_token,
    tokenize,
    vocab_sha256_of,
)
from listen_edge.runtime.llama.prefix import keep_prefix, read_prefix

logger = logging.getLogger(__name__)

MAX_QUESTIONS = 32  # sequences decoded together at most; more are asked in several batches
MAX_STATES = 64  # tokens whose hidden states are given out together
_MAX_PREFIX = 1024  # tokens
_WINDOW_ROWS = 256  # audio, bridge and the questions decoded together; KV is kept for as many


class LlamaSession:
    """One loaded GGUF with the constant prefix's KV in place.

    Args:
        gguf_path: the model file.
        prompt: constant texts; its answers must be single tokens of the model.
        n_threads: threads of this session.
        gpu_layers: layers offloaded to the GPU (-1: all), 0 on the CPU.
        vocab_sha256: of the vocabulary that the adapter was trained with, None for any.
        n_embd: width that the adapter was trained for, None for any.
        answering: file of the same LLM whose vocabulary is the prompt's answers alone, yes before
            no (see cut_vocabulary); it is run, and `gguf_path` gives the vocabulary and the texts'
            embeddings. None: `gguf_path` is run.
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
        answering: Path | None = None,
        prefix_state: Path | None = None,
    ) -> None:
        with ExitStack() as stack:
            model, self._vocab = _load(stack, gguf_path, answering, gpu_layers)
            self.n_embd = int(llama_cpp.llama_model_n_embd(model))
            self._refuse_other(gguf_path, n_embd, vocab_sha256)
            prefix = self._prefix_tokens(prompt)
            self._context = _new_context(model, len(prefix), n_threads, on_gpu=gpu_layers != 0)
            stack.callback(llama_cpp.llama_free, self._context)  # before its model
            self._memory = llama_cpp.llama_get_memory(self._context)
            self._batch = EmbeddingBatch(
                max(len(prefix), _WINDOW_ROWS), self.n_embd, MAX_QUESTIONS + 1
            )
            stack.callback(self._batch.free)
            self._embed = TokenEmbeddings(gguf_path)
            self._prompt = prompt
            self._bridge = self._embed(self.tokenize(prompt.bridge))
            answers = [single_token(self._vocab, text) for text in (*prompt.yes, *prompt.no)]
            if answering is not None:
                answers = list(range(len(answers)))
            self._yes, self._no = answers[: len(prompt.yes)], answers[len(prompt.yes) :]
            self._n_prefix = self._prepare_prefix(prefix, prefix_state)
            self._stack = stack.pop_all()

    def _refuse_other(self, path: Path, n_embd: int | None, vocab_sha256: str | None) -> None:
        if n_embd not in (None, self.n_embd):
            raise BundleError(
                f"{path.name}: its width {self.n_embd} is not the manifest's {n_embd}; "
                "adapter and LLM do not belong together"
            )
        found = vocab_sha256_of(self._vocab)
        if vocab_sha256 not in (None, found):
            raise BundleError(
                f"{path.name}: its vocabulary {found[:8]}... is not the manifest's "
                f"{vocab_sha256[:8]}...; adapter and LLM do not belong together"
            )

    def _prefix_tokens(self, prompt: Prompt) -> list[int]:
        tokens = self.tokenize(prompt.prefix)
        if len(tokens) > _MAX_PREFIX:
            raise BundleError(
                f"the prompt's constant prefix is {len(tokens)} tokens, expected at most "
                f"{_MAX_PREFIX}; shorten it"
            )
        return tokens

    def tokenize(self, text: str) -> list[int]:
        """Return the token ids of `text`, without any special token added."""
        return tokenize(self._vocab, text)

    def margins(
        self, audio: NDArray[np.float32] | Sequence[int], concepts: Sequence[str]
    ) -> NDArray[np.float32]:
        """Return logit(yes) - logit(no) in nats for each concept.

        Args:
            audio: prefix embeddings, shape (n_query, n_embd), or the token ids of a description in
                its place (to measure what the LLM makes of plain text).
            concepts: what is asked; any number, decoded up to MAX_QUESTIONS at a time.

        Returns:
            Shape (len(concepts),), float32.

        Raises:
            BundleError: the embeddings have another width than the model's.
        """
        shared = self._shared(audio)
        margins: list[float] = []
        n_decoded = 0
        for batch in batches(self._questions(concepts), MAX_QUESTIONS, _WINDOW_ROWS - len(shared)):
            rows = self._decode_questions(shared, n_decoded, batch)
            margins += [self._margin(question[-1]) for question in rows]
            n_decoded = len(shared)
        return np.array(margins, np.float32)

    def question_states(
        self, audio: NDArray[np.float32] | Sequence[int], concepts: Sequence[str]
    ) -> list[NDArray[np.float32]]:
        """Return the hidden states of each question's tokens, after the final norm.

        Args:
            audio: as for margins.
            concepts: what is asked; any number.

        Returns:
            Per concept (n_tokens, n_embd) float32.

        Raises:
            BundleError: as margins, or a question of more than MAX_STATES tokens.
        """
        questions = self._questions(concepts)
        if (longest := max(map(len, questions), default=0)) > MAX_STATES:
            raise BundleError(
                f"a question of {longest} tokens, expected at most {MAX_STATES}; name one sound"
            )
        shared = self._shared(audio)
        self._decode_questions(shared, 0, [])
        states = []
        llama_cpp.llama_set_embeddings(self._context, True)
        try:
            for batch in batches(questions, MAX_QUESTIONS, MAX_STATES):
                rows = self._decode_questions(shared, len(shared), batch, whole=True)
                states += [np.stack([self._state(row) for row in question]) for question in rows]
        finally:
            llama_cpp.llama_set_embeddings(self._context, False)
        return states

    def _shared(self, audio: NDArray[np.float32] | Sequence[int]) -> NDArray[np.float32]:
        """Roll back to the prefix; return the embeddings of audio and bridge."""
        llama_cpp.llama_memory_seq_rm(self._memory, 0, self._n_prefix, -1)
        return np.concatenate([self._prefix_embeddings(audio), self._bridge])

    def _questions(self, concepts: Sequence[str]) -> list[NDArray[np.float32]]:
        return [self._embed(self.tokenize(self._prompt.ask(concept))) for concept in concepts]

    def _prefix_embeddings(self, audio: NDArray[np.float32] | Sequence[int]) -> NDArray[np.float32]:
        if not isinstance(audio, np.ndarray):
            return self._embed(audio)
        if audio.ndim != 2 or audio.shape[1] != self.n_embd:
            raise BundleError(
                f"prefix embeddings have shape {audio.shape}, the LLM expects "
                f"(n_query, {self.n_embd}); adapter and LLM belong to different bundles"
            )
        return np.asarray(audio, np.float32)

    def _prepare_prefix(self, tokens: list[int], state: Path | None) -> int:
        """Put the prefix's KV into sequence 0, from the file or computed; return its length."""
        if state is not None and read_prefix(self._context, tokens, state):
            return len(tokens)
        n_prefix = self._decode_prefix(tokens)
        if state is not None:
            try:
                keep_prefix(self._context, tokens, state)
            except OSError as err:  # the next start computes it again
                logger.warning("%s: the prefix cannot be kept (%s)", state, err.strerror)
        return n_prefix

    def _decode_prefix(self, tokens: list[int]) -> int:
        for position, row in enumerate(self._embed(tokens)):
            self._batch.add(row, position, [0])
        self._batch.decode(self._context)
        return len(tokens)

    def _decode_questions(
        self,
        shared: NDArray[np.float32],
        n_decoded: int,
        questions: Sequence[NDArray[np.float32]],
        *,
        whole: bool = False,
    ) -> list[list[int]]:
        """Decode all questions at once, each in a sequence of its own; return their output rows.

        Args:
            shared: audio and bridge, (n_shared, n_embd).
            n_decoded: how many of them sequence 0 already holds, behind the prefix.
            questions: embeddings of each one's tokens.
            whole: give out all tokens of a question instead of its last.
        """
        sequences = list(range(1, len(questions) + 1))
        for sequence in sequences:
            llama_cpp.llama_memory_seq_cp(self._memory, 0, sequence, 0, -1)
        for offset, row in enumerate(shared[n_decoded:], start=n_decoded):
            self._batch.add(row, self._n_prefix + offset, [0, *sequences])
        start = self._n_prefix + len(shared)
        rows: list[list[int]] = []
        for sequence, question in zip(sequences, questions, strict=True):
            rows.append([])
            for offset, row in enumerate(question):
                given = whole or offset == len(question) - 1
                index = self._batch.add(row, start + offset, [sequence], logits=given)
                rows[-1] += [index] * given
        self._batch.decode(self._context)
        for sequence in sequences:
            llama_cpp.llama_memory_seq_rm(self._memory, sequence, 0, -1)
        return rows

    def _state(self, row: int) -> NDArray[np.float32]:
        state = llama_cpp.llama_get_embeddings_ith(self._context, row)
        return np.array(np.ctypeslib.as_array(state, (self.n_embd,)), np.float32)

    def _margin(self, row: int) -> float:
        logits = llama_cpp.llama_get_logits_ith(self._context, row)
        yes = np.array([logits[token] for token in self._yes], np.float64)
        no = np.array([logits[token] for token in self._no], np.float64)
        return float(np.logaddexp.reduce(yes) - np.logaddexp.reduce(no))

    def close(self) -> None:
        """Free the batch, the context and the model, in this order."""
        self._stack.close()


def _load(
    stack: ExitStack, gguf_path: Path, answering: Path | None, gpu_layers: int
) -> tuple[Any, Any]:
    """Return the model that is run and the whole vocabulary; the stack frees both."""
    model = spoken = load_model(answering or gguf_path, gpu_layers=gpu_layers)
    stack.callback(llama_cpp.llama_model_free, model)
    if answering is not None:
        spoken = load_model(gguf_path, vocab_only=True)
        stack.callback(llama_cpp.llama_model_free, spoken)
    return model, llama_cpp.llama_model_get_vocab(spoken)


def gpu_is_supported() -> bool:
    """Tell whether this build of llama.cpp can offload layers to a GPU."""
    return bool(llama_cpp.llama_supports_gpu_offload())


def _new_context(model: Any, n_prefix: int, n_threads: int, *, on_gpu: bool) -> Any:
    params = llama_cpp.llama_context_default_params()
    params.n_ctx = n_prefix + _WINDOW_ROWS  # llama.cpp touches the KV of all of them
    params.n_batch = params.n_ubatch = max(n_prefix, _WINDOW_ROWS)
    params.n_seq_max = MAX_QUESTIONS + 1
    params.n_outputs_max = MAX_STATES  # more than the questions' last tokens, see margins
    params.kv_unified = True  # forks share the cells of prefix and audio
    params.n_threads = params.n_threads_batch = n_threads
    params.no_perf = True
    if not on_gpu:  # llama.cpp's own choice takes a fifth longer on the CPU
        params.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
    context = llama_cpp.llama_init_from_model(model, params)
    if not context:
        raise BundleError("llama.cpp could not make a context: out of memory?")
    return context
