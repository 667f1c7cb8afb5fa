"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to; it takes that place when the block ends.

    If the block raises, `path` is as it was and nothing is left beside it.
    """
    temporary = path.with_name(f".{os.getpid()}.{path.name}")  # keeps the suffix, which some read
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
