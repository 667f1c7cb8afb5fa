"""The two backends that write: a GGUF in this process, or any OpenAI-compatible server.

Both are one function: messages and a seed -> what was written.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from listen_edge.chat import ChatEndpoint, Completion
from listen_edge.errors import BundleError
from listen_edge.train.texts.assignments import SynthesisConfig

Writer = Callable[[list[dict[str, Any]], int], Completion]

_CONTEXT = 2048  # tokens, prompt and text; further back nothing here reaches


@contextmanager
def gguf_writer(path: Path, config: SynthesisConfig, n_threads: int = 2) -> Iterator[Writer]:
    """Yield a writer that runs a GGUF on this machine, one text at a time.

    The same messages and seed give the same text whatever was written before: the context is
    emptied each time, because a reused part of the KV cache is rounded otherwise.

    Raises:
        BundleError: no such file, or no LLM in it.
    """
    import llama_cpp

    if not path.is_file():
        raise BundleError(f"{path}: no such file; expected the GGUF of an LLM")
    try:
        llm = llama_cpp.Llama(
            str(path), n_ctx=_CONTEXT, n_threads=n_threads, n_threads_batch=n_threads, verbose=False
        )
    except (ValueError, RuntimeError) as err:
        raise BundleError(f"{path}: llama.cpp cannot load it; expected the GGUF of an LLM") from err
    lock = threading.Lock()

    def write(messages: list[dict[str, Any]], seed: int) -> Completion:
        with lock:
            llm.reset()
            reply = llm.create_chat_completion(
                messages,
                max_tokens=config.max_tokens,
                temperature=config.temperature,
                seed=seed,
            )
        choice = reply["choices"][0]
        text = (choice["message"]["content"] or "").strip()
        return Completion(text, choice["finish_reason"] == "length")

    try:
        yield write
    finally:
        llm.close()


@contextmanager
def server_writer(endpoint: ChatEndpoint, config: SynthesisConfig) -> Iterator[Writer]:
    """Yield a writer that asks a server; threads may share it, errors as for ChatEndpoint."""

    def write(messages: list[dict[str, Any]], seed: int) -> Completion:
        return endpoint.completion(
            messages, max_tokens=config.max_tokens, temperature=config.temperature, seed=seed
        )

    try:
        yield write
    finally:
        endpoint.close()
