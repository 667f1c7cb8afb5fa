"""The constant prefix's KV: decoded once per device, kept from one start to the next."""

from __future__ import annotations

import ctypes
import errno
from pathlib import Path
from typing import Any

import llama_cpp

from listen_edge.bundle.manifest import Gguf
from listen_edge.prompt import Prompt
from listen_edge.runtime.llama.kept import is_intact, keep, kept_path, short_hash


def prefix_state(gguf: Gguf, prompt: Prompt, *, on_gpu: bool) -> Path:
    """Return where the KV of this LLM's constant prefix is kept."""
    return kept_path(gguf, "gpu" if on_gpu else "cpu", short_hash(prompt.prefix), "prefix")


def read_prefix(context: Any, tokens: list[int], path: Path) -> bool:
    """Put the kept KV into sequence 0 of a context; tell whether it is there and these tokens'."""
    if not is_intact(path):
        return False
    found = (llama_cpp.llama_token * len(tokens))()
    n_found = ctypes.c_size_t(0)
    n_bytes = llama_cpp.llama_state_seq_load_file(
        context, str(path).encode(), 0, found, len(tokens), ctypes.byref(n_found)
    )
    if n_bytes and list(found[: n_found.value]) == tokens:
        return True
    llama_cpp.llama_memory_seq_rm(llama_cpp.llama_get_memory(context), 0, 0, -1)
    return False


def keep_prefix(context: Any, tokens: list[int], path: Path) -> None:
    """Write the KV of sequence 0, which is these tokens'.

    Raises:
        OSError: it cannot be written.
    """
    array = (llama_cpp.llama_token * len(tokens))(*tokens)

    def write(path: Path) -> None:
        if not llama_cpp.llama_state_seq_save_file(
            context, str(path).encode(), 0, array, len(tokens)
        ):
            raise OSError(errno.EIO, "llama.cpp did not write it")

    keep(path, write)
