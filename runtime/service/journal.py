"""Logs for journald: each line with its priority, and none of them hundreds of times.

Source: sd-daemon(3), the prefixes; systemd.exec(5), $JOURNAL_STREAM.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import time
from collections.abc import Callable
from typing import TextIO

_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
_DEBUG = 7
_BURST, _SPAN_S = 5, 60.0  # of one message, before it is held back; until it may be told again
_MAX_MESSAGES = 256  # that are counted at a time
_FIGURES = re.compile(r"\d+")


def log_to_journal() -> bool:
    """Let the root logger write for journald, where stderr leads there; return whether it does."""
    if not leads_to_journal(sys.stderr):
        return False
    root = logging.getLogger()
    handler = JournalHandler(sys.stderr)
    for other in root.handlers[:]:
        handler.setFormatter(other.formatter)  # the command line's hides secrets
        root.removeHandler(other)
    root.addHandler(handler)
    return True


def leads_to_journal(stream: TextIO) -> bool:
    """Tell whether what is written to a stream is read by journald itself."""
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):  # closed, or none of the system's
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


class JournalHandler(logging.StreamHandler[TextIO]):
    """Writes `<4>message`; of one message at most five a minute, and later how many there were.

    Messages are one if they differ in their figures alone. What was held back is told with the
    first line after that minute, or at the end.

    Args:
        stream: where to.
        clock: seconds that never go back.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(stream)
        self._clock = clock
        self._counts: dict[tuple[str, int, str], _Count] = {}  # the oldest first

    def emit(self, record: logging.LogRecord) -> None:
        now_s = self._clock()
        self._forget(now_s - _SPAN_S, _MAX_MESSAGES - 1)
        key = record.name, record.levelno, _FIGURES.sub("0", record.getMessage())
        count = self._counts.setdefault(key, _Count(now_s))
        count.n += 1
        count.last = record
        if count.n <= _BURST:
            super().emit(record)

    def format(self, record: logging.LogRecord) -> str:
        """Return the message, its priority before each of its lines."""
        prefix = _prefix(record.levelno)
        return "\n".join(f"{prefix}{line}" for line in super().format(record).split("\n"))

    def close(self) -> None:
        """Tell what was held back so far."""
        self.acquire()
        try:
            self._forget(float("inf"), 0)
        finally:
            self.release()
        super().close()

    def _forget(self, until_s: float, n_kept: int) -> None:
        """Start to count anew what began by a time, and the oldest beyond so many messages."""
        for key, count in list(self._counts.items()):
            if count.since_s > until_s and len(self._counts) <= n_kept:
                return
            del self._counts[key]
            if count.n > _BURST and count.last is not None:
                words = f"{count.last.getMessage()} (and {count.n - _BURST} more like it)"
                name, level = count.last.name, count.last.levelno
                super().emit(logging.LogRecord(name, level, "", 0, words, None, None))


class _Count:
    """How often a message came since a time."""

    def __init__(self, since_s: float) -> None:
        self.since_s, self.n = since_s, 0
        self.last: logging.LogRecord | None = None


def _prefix(level: int) -> str:
    return f"<{next((p for least, p in _PRIORITIES if level >= least), _DEBUG)}>"
