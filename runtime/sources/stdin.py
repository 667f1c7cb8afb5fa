"""Raw PCM on standard input, as from `arecord -t raw` or a program's own recorder."""

from __future__ import annotations

import os
import sys

from listen_edge.errors import AudioError
from listen_edge.runtime.sources import Block
from listen_edge.runtime.sources.reader import BackgroundReader, PcmPipe


class StdinSource:
    """Interleaved PCM from a pipe until it is closed.

    Args:
        rate, n_channels: of the stream, which does not say itself.
        dtype: "s16le" or "f32le".
        is_live: skip windows to keep up, rather than hold the writer up.
        fd: read from this file descriptor.

    Raises:
        AudioError: stdin is closed.
    """

    def __init__(
        self, rate: int, n_channels: int, dtype: str, *, is_live: bool, fd: int | None = None
    ) -> None:
        self.name, self.is_live = "stdin", is_live
        if fd is None and sys.stdin is None:
            raise AudioError("stdin is closed; pipe raw PCM into it, as from `arecord -t raw`")
        self._fd = sys.stdin.fileno() if fd is None else fd
        self._pcm = PcmPipe(self._fd, rate, n_channels, dtype)
        self._reader: BackgroundReader | None = None

    def open(self) -> None:
        if os.isatty(self._fd):
            raise AudioError("stdin is a terminal; pipe raw PCM into it, as from `arecord -t raw`")
        if self._reader is None:  # a pipe is opened once: a writer that stalls may come back
            self._reader = BackgroundReader(self._pcm.read_block, drops_oldest=self.is_live)

    def read(self, timeout_s: float) -> Block | None:
        assert self._reader is not None
        return self._reader.read(timeout_s)

    def close(self) -> None:
        """Leave the pipe to its reader: a daemon thread, for it may wait for the writer."""
