"""Recordings as streams: a file of any length, all files of a folder, or samples in memory."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from listen_edge.audio.folder import recordings_below
from listen_edge.audio.reading import at_16_khz_by_blocks
from listen_edge.audio.recording import Recording
from listen_edge.errors import AudioError
from listen_edge.log_mel import SAMPLE_RATE
from listen_edge.printable import printable
from listen_edge.runtime.sources import Block, EndOfStream

logger = logging.getLogger(__name__)

_BLOCK_S = 0.1


class FileSource:
    """A recording, block by block: hours of it need no memory.

    Args:
        path: the recording.
        is_realtime: blocks come when their time has come, as from a microphone.
    """

    def __init__(self, path: Path, *, is_realtime: bool = False) -> None:
        self.name, self.is_live = printable(path.name), is_realtime
        self._path = path
        self._recording: Recording | None = None
        self._n_read = 0
        self.started_s = 0.0

    def open(self) -> None:
        self._recording = Recording(self._path)
        self._n_read, self.started_s = 0, time.monotonic()

    def read(self, timeout_s: float) -> Block | None:
        assert self._recording is not None
        rate = self._recording.rate
        now = received_s = time.monotonic()
        if self.is_live:
            received_s = self.started_s + self._n_read / rate + _BLOCK_S
            if received_s > now:
                time.sleep(min(timeout_s, received_s - now))
                if received_s > now + timeout_s:
                    return None
        samples = self._recording.read(round(_BLOCK_S * rate))
        if not len(samples):
            raise EndOfStream
        self._n_read += len(samples)
        return Block(samples, rate, received_s, is_speech_codec=self._recording.is_speech_codec)

    def close(self) -> None:
        if self._recording is not None:
            self._recording.close()


class SamplesSource:
    """Samples in memory, shape (n_frames,) or (n_frames, n_channels), as a recording."""

    def __init__(self, samples: NDArray[np.float32], rate: int, *, name: str = "samples") -> None:
        self.name, self.is_live = name, False
        self._samples = samples.reshape(len(samples), -1)
        self._rate, self._n_read = rate, 0

    def open(self) -> None:
        self._n_read = 0

    def read(self, timeout_s: float) -> Block | None:
        piece = self._samples[self._n_read : self._n_read + self._rate]
        if not len(piece):
            raise EndOfStream
        self._n_read += len(piece)
        return Block(piece, self._rate, time.monotonic())

    def close(self) -> None:
        pass


class FolderSource:
    """All recordings below a folder in the order of their paths, as one stream without gaps.

    One that cannot be heard is told in the log and left out: hours may lie behind it.

    Args:
        paths: these recordings of the folder alone, in this order; None: all.

    Attributes:
        parts: (begin in seconds of the stream, path) of each recording played so far.
        failed: recordings that were left out, or end early.
    """

    def __init__(self, folder: Path, paths: Sequence[Path] | None = None) -> None:
        self.name, self.is_live = printable(folder.name or folder.resolve().name), False
        self.parts: list[tuple[float, Path]] = []
        self.failed: list[Path] = []
        self._folder, self._paths = folder, paths
        self._pieces: Iterator[Block] = iter(())

    def open(self) -> None:
        self._pieces = self._play(self._paths or recordings_below(self._folder))

    def read(self, timeout_s: float) -> Block | None:
        block = next(self._pieces, None)
        if block is None:
            raise EndOfStream
        return block

    def close(self) -> None:
        self._pieces = iter(())

    def _play(self, paths: Sequence[Path]) -> Iterator[Block]:
        n_played = 0
        for path in paths:
            n_before, begin_s = n_played, n_played / SAMPLE_RATE
            try:
                with Recording(path) as recording:
                    self.parts.append((begin_s, path))
                    for samples in at_16_khz_by_blocks(recording):
                        n_played += len(samples)
                        for start in range(0, len(samples), SAMPLE_RATE):
                            yield Block(
                                samples[start : start + SAMPLE_RATE],
                                SAMPLE_RATE,
                                time.monotonic(),
                                is_speech_codec=recording.is_speech_codec,
                            )
                    if n_played == n_before:
                        raise AudioError(f"{recording.name}: holds no sound")
            except AudioError as err:
                self.failed.append(path)
                logger.warning("%s", err)
        if paths and not n_played:
            raise AudioError(f"{printable(self._folder)}: none of {len(paths)} recordings is whole")
