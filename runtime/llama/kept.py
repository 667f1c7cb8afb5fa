"""Files that a device makes of an LLM once and keeps in its cache, each with its hash beside it.

Names hold the GGUF's hash, the type it runs as and llama.cpp's version, on which the last bits
depend; the file's own hash is checked at each start.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from listen_edge.bundle.cache import cache_dir
from listen_edge.bundle.hashes import sha256_of
from listen_edge.bundle.manifest import Gguf
from listen_edge.replacing import replacing


def kept_path(gguf: Gguf, *parts: str) -> Path:
    """Return where what is made of an LLM lies; `parts` tell it from the others of that LLM."""
    name = (gguf.sha256, gguf.quantization, version("llama-cpp-python"), *parts)
    return cache_dir() / ".".join(name)


def short_hash(*texts: str) -> str:
    """Return 16 characters that stand for some texts in a name."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]


def is_intact(path: Path) -> bool:
    """Tell whether a kept file is there and is what was written."""
    recorded = _hash_file(path)
    return path.is_file() and recorded.is_file() and recorded.read_text() == sha256_of(path)


def keep(path: Path, write: Callable[[Path], None]) -> None:
    """Write a file whole, then its hash.

    Args:
        write: writes the contents to the path that it is given.

    Raises:
        OSError: the cache cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _hash_file(path).unlink(missing_ok=True)
    with replacing(path) as temporary:
        write(temporary)
    _hash_file(path).write_text(sha256_of(path))


def _hash_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")
