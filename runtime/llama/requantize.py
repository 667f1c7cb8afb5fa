"""What a device makes of a bundle's LLM once and keeps in its cache.

Names hold the GGUF's hash, the type it runs as and llama.cpp's version, on which the last bits
depend; each file's own hash lies beside it and is checked at each start.

Source: llama.cpp has fast CPU kernels for Q8_0 and none for Q4_1; Q8_0 of the same weights keeps
the answers at nearly twice the speed (docs/method.md).
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from listen_edge.bundle.cache import cache_dir
from listen_edge.bundle.manifest import Gguf
from listen_edge.errors import BundleError
from listen_edge.prompt import Prompt
from listen_edge.runtime.llama.gguf_file import Vocabulary, cut_vocabulary, quantize_gguf
from listen_edge.runtime.llama.kept import is_intact, keep

logger = logging.getLogger(__name__)


def runnable_gguf(source_path: Path, gguf: Gguf, n_threads: int) -> Path:
    """Return `source_path`, or its requantised copy, with its whole vocabulary.

    Raises:
        BundleError: the cache cannot be written, or the quantiser failed.
    """
    if gguf.quantization == gguf.source_quantization:
        return source_path
    path = _in_cache(gguf, "gguf")
    _make_once(path, lambda out: quantize_gguf(source_path, out, gguf.quantization, n_threads))
    return path


def answering_gguf(source_path: Path, gguf: Gguf, prompt: Prompt, n_threads: int) -> Path | None:
    """Return the requantised copy whose vocabulary is the prompt's answers, yes before no.

    None where the file runs as it is: no copy is made of it.

    Raises:
        BundleError: as for runnable_gguf, or an answer is not one token.
    """
    if gguf.quantization == gguf.source_quantization:
        return None
    path = _in_cache(gguf, _short_hash(*prompt.yes, "/", *prompt.no), "gguf")
    _make_once(
        path, lambda out: write_answering(source_path, out, prompt, gguf.quantization, n_threads)
    )
    return path


def write_answering(
    source_path: Path, target_path: Path, prompt: Prompt, quantization: str, n_threads: int
) -> None:
    """Write `source_path` requantised, its vocabulary cut to the prompt's answers.

    Raises:
        BundleError: as for answering_gguf; nothing half-written is left.
    """
    with Vocabulary(source_path) as vocabulary:
        tokens = [vocabulary.single_token(text) for text in (*prompt.yes, *prompt.no)]
    cut = target_path.with_name(f"{target_path.name}.cut")
    try:
        cut_vocabulary(source_path, cut, tokens)
        quantize_gguf(cut, target_path, quantization, n_threads)
    finally:
        cut.unlink(missing_ok=True)


def prefix_state(gguf: Gguf, prompt: Prompt, *, on_gpu: bool) -> Path:
    """Return where the KV of this LLM's constant prefix is kept."""
    return _in_cache(gguf, "gpu" if on_gpu else "cpu", _short_hash(prompt.prefix), "prefix")


def _in_cache(gguf: Gguf, *parts: str) -> Path:
    name = (gguf.sha256, gguf.quantization, version("llama-cpp-python"), *parts)
    return cache_dir() / ".".join(name)


def _short_hash(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]


def _make_once(path: Path, write: Callable[[Path], None]) -> None:
    if is_intact(path):
        return
    logger.info("requantising the LLM, once: %s", path.name)
    try:
        keep(path, write)
    except OSError as err:
        raise BundleError(
            f"{path.parent}: the requantised LLM cannot be written ({err.strerror}); free some "
            "space or set XDG_CACHE_HOME"
        ) from err
