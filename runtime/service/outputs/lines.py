"""Events as JSON lines, on standard output or in a file that is rotated."""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from listen_edge.printable import printable
from listen_edge.runtime.service.config.telling import LinesConfig
from listen_edge.runtime.service.outputs import OutputError
from listen_edge.runtime.service.outputs.message import delivery_key, stored_event_line
from listen_edge.runtime.service.outputs.rotated_file import RotatedFile
from listen_edge.runtime.service.records.types import (
    Delivery,
    QuestionStatus,
    Sounding,
    SourceStatus,
)

_STDOUT = 1
_TIMEOUT_S = 10.0
_LOOK_S = 0.1
_PIPE_BYTES = 512  # POSIX's least PIPE_BUF: a pipe that can be written to takes so many at once


class Lines:
    """An Output that writes a line for each phase of an event; see LinesConfig."""

    name = "lines"

    def __init__(self, config: LinesConfig) -> None:
        self._path = config.path
        self._file = (
            None
            if config.path == Path("-")
            else RotatedFile(config.path, round(config.rotate_mb * 1e6))
        )
        self._is_over = threading.Event()
        self._unwritten, self._unwritten_of = b"", ""

    def start(self) -> None:
        """Be ready."""
        self._is_over.clear()

    def deliver(self, delivery: Delivery) -> None:
        """Write one line, whole.

        Raises:
            OutputError: a full disk, a closed pipe, or one that nobody reads from.
        """
        line = stored_event_line(delivery)
        if self._file is None:
            self._print(line, delivery_key(delivery))
            return
        try:
            self._file.append(line)
        except OSError as err:
            raise OutputError(f"{printable(self._path)}: {err.strerror or err}") from err

    def show(
        self,
        sources: Sequence[SourceStatus],
        questions: Sequence[QuestionStatus],
        soundings: Sequence[Sounding],
    ) -> None:
        """Only events are written."""

    def stop(self) -> None:
        """End a write to a pipe that nobody reads from."""
        self._is_over.set()

    def _print(self, line: str, key: str) -> None:
        """Write a line, going on where an earlier try of it has stopped.

        Written to the descriptor, a piece at a time when it takes one: a write to a pipe that
        nobody reads from cannot be ended, and would hold up the end of the program.
        """
        if not (self._unwritten and key == self._unwritten_of):
            self._write_on()  # half a line would spoil this one
            self._unwritten, self._unwritten_of = line.encode() + b"\n", key
        self._write_on()

    def _write_on(self) -> None:
        deadline = time.monotonic() + _TIMEOUT_S
        poll = select.poll()
        poll.register(_STDOUT, select.POLLOUT)
        try:
            while self._unwritten:
                if self._is_over.is_set() or time.monotonic() > deadline:
                    raise OutputError("standard output: nobody reads from it")
                if poll.poll(_LOOK_S * 1000):
                    n_written = os.write(_STDOUT, self._unwritten[:_PIPE_BYTES])
                    self._unwritten = self._unwritten[n_written:]
        except OSError as err:
            raise OutputError(f"standard output: {err.strerror}") from err
