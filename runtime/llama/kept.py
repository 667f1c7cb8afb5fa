"""Files that a device makes once and keeps in its cache, each with its hash beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from listen_edge.bundle.hashes import sha256_of
from listen_edge.replacing import replacing


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
