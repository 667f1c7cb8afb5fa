"""A file of lines that is bounded: when it is full it becomes PATH.1, whose lines are lost."""

from __future__ import annotations

import os
import stat
from pathlib import Path

_MODE = 0o600  # what was heard at home is nobody else's


class RotatedFile:
    """Lines that are written whole or not at all; for one thread at a time.

    Nothing is held open between two lines, so that another program may rotate the file as well.

    Args:
        path: a file, or anything else that can be written to; its folder is made.
        most_bytes: of one of the two files.
    """

    def __init__(self, path: Path, most_bytes: int) -> None:
        self._path, self._most_bytes = path, most_bytes

    def append(self, line: str) -> None:
        """Write a line; its newline is added.

        Raises:
            OSError: a full disk, no permission, a pipe without a reader or with a slow one.
        """
        data = line.encode() + b"\n"
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if self._is_full(len(data)):
            self._path.replace(f"{self._path}.1")
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_NOCTTY
        file = os.open(self._path, flags, _MODE)
        try:
            _write_whole(file, data)
        finally:
            os.close(file)

    def _is_full(self, n_bytes: int) -> bool:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return False
        is_too_long = found.st_size + n_bytes > self._most_bytes
        return stat.S_ISREG(found.st_mode) and found.st_size > 0 and is_too_long


def _write_whole(file: int, data: bytes) -> None:
    size = os.fstat(file).st_size
    n_written = os.write(file, data)
    if n_written < len(data):
        if stat.S_ISREG(os.fstat(file).st_mode):
            os.ftruncate(file, size)  # half a line would spoil the next one
        raise OSError(f"only {n_written} of {len(data)} bytes could be written; is the disk full?")
