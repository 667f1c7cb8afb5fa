"""The LLM file as it is run: the bundle's GGUF, requantised once into the user's cache.

Source: llama.cpp repacks Q8_0 for the CPU's vector units, Q4_1 not; Q8_0 of the same weights keeps
the answers at nearly twice the speed (docs/method.md).
"""

from __future__ import annotations

import logging
from importlib.metadata import version
from pathlib import Path

from listen_edge.bundle import cache_dir
from listen_edge.errors import BundleError
from listen_edge.manifest import Gguf
from listen_edge.runtime.gguf import quantize_gguf
from listen_edge.runtime.kept import is_intact, keep

logger = logging.getLogger(__name__)


def runnable_gguf(source_path: Path, gguf: Gguf, n_threads: int) -> Path:
    """Return `source_path`, or its requantised copy in the cache, made on first use.

    The copy's name holds the source's hash, the type and llama.cpp's version, since the last bits
    depend on that; its own hash lies beside it and is checked at each start.

    Raises:
        BundleError: the cache cannot be written, or the quantiser failed.
    """
    if gguf.quantization == gguf.source_quantization:
        return source_path
    name = f"{gguf.sha256}.{gguf.quantization}.{version('llama-cpp-python')}.gguf"
    cached = cache_dir() / name
    if is_intact(cached):
        return cached
    logger.info("requantising %s to %s, once", source_path.name, gguf.quantization)
    try:
        keep(cached, lambda path: quantize_gguf(source_path, path, gguf.quantization, n_threads))
    except OSError as err:
        raise BundleError(
            f"{cached.parent}: the requantised LLM cannot be written ({err.strerror}); free some "
            "space or set XDG_CACHE_HOME"
        ) from err
    return cached
