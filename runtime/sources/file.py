"""Recordings as streams: a file of any length, all files of a folder, or samples in memory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from listen_edge.audio import is_cut_short, read_audio
from listen_edge.errors import AudioError
from listen_edge.log_mel import SAMPLE_RATE
from listen_edge.runtime.sources import Block, EndOfStream

_BLOCK_S = 0.1
_SUFFIXES = {
    ".wav",
    ".flac",
    ".ogg",
    ".oga",
    ".opus",
    ".mp3",
    ".aif",
    ".aiff",
    ".au",
    ".caf",
    ".w64",
}


class FileSource:
    """A recording that libsndfile reads, block by block: hours of it need no memory.

    Args:
        path: the recording.
        is_realtime: blocks come when their time has come, as from a microphone.
    """

    def __init__(self, path: Path, *, is_realtime: bool = False) -> None:
        self.name, self.is_live = path.name, is_realtime
        self._path = path
        self._file: soundfile.SoundFile | None = None
        self._n_read = 0
        self.started_s = 0.0

    def open(self) -> None:
        try:
            self._file = soundfile.SoundFile(self._path)
        except (soundfile.LibsndfileError, OSError) as err:
            raise AudioError(
                f"{self._path}: cannot be decoded ({str(err).splitlines()[0]}); expected a "
                "recording that libsndfile reads, such as WAV, FLAC, Ogg or MP3"
            ) from err
        self._n_read, self.started_s = 0, time.monotonic()

    def read(self, timeout_s: float) -> Block | None:
        assert self._file is not None
        rate: int = self._file.samplerate
        now = received_s = time.monotonic()
        if self.is_live:
            received_s = self.started_s + self._n_read / rate + _BLOCK_S
            if received_s > now:
                time.sleep(min(timeout_s, received_s - now))
                if received_s > now + timeout_s:
                    return None
        try:
            samples = self._file.read(round(_BLOCK_S * rate), dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as err:
            raise AudioError(f"{self._path}: damaged after {self._n_read / rate:.1f} s") from err
        if not len(samples):
            if self._n_read < self._file.frames or is_cut_short(self._file):
                raise AudioError(f"{self._path}: truncated, it ends at {self._n_read / rate:.1f} s")
            raise EndOfStream
        self._n_read += len(samples)
        return Block(samples, rate, received_s)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


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

    Attributes:
        parts: (begin in seconds of the stream, path) of each recording played so far.
    """

    def __init__(self, folder: Path) -> None:
        self.name, self.is_live = folder.name, False
        self.parts: list[tuple[float, Path]] = []
        self._folder = folder
        self._pieces: Iterator[NDArray[np.float32]] = iter(())

    def open(self) -> None:
        self._pieces = self._play(recordings_below(self._folder))

    def read(self, timeout_s: float) -> Block | None:
        samples = next(self._pieces, None)
        if samples is None:
            raise EndOfStream
        return Block(samples[:, None], SAMPLE_RATE, time.monotonic())

    def close(self) -> None:
        self._pieces = iter(())

    def _play(self, paths: list[Path]) -> Iterator[NDArray[np.float32]]:
        n_played = 0
        for path in paths:
            self.parts.append((n_played / SAMPLE_RATE, path))
            samples = read_audio(path)
            n_played += len(samples)
            for start in range(0, len(samples), SAMPLE_RATE):
                yield samples[start : start + SAMPLE_RATE]


def recordings_below(folder: Path) -> list[Path]:
    """Return the paths of all recordings in a folder and its sub-folders, sorted.

    Raises:
        AudioError: there are none.
    """
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in _SUFFIXES and p.is_file())
    if not paths:
        raise AudioError(f"{folder}: no recordings there; expected WAV, FLAC, Ogg or MP3 files")
    return paths
