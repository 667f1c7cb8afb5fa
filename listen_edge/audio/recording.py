"""A recording on disk as frames: one interface over libsndfile and ffmpeg.

The one place that knows which decoder reads a file. What both give is the same: every frame to the
file's real end, or an AudioError that says where it is cut or damaged. Nothing is downmixed or
resampled here.
"""

from __future__ import annotations

import logging
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from listen_edge.audio.containers import Container, read_container
from listen_edge.audio.ffmpeg import Bounds, FfmpegRecording
from listen_edge.audio.limits import check_rate, check_values
from listen_edge.audio.sndfile import SndfileRecording, UnreadableError
from listen_edge.errors import AudioError
from listen_edge.printable import printable

logger = logging.getLogger(__name__)

STDIN = Path("-")
MAX_PIPED_BYTES = 2 << 30  # of a recording that comes through a pipe


class _Decoder(Protocol):
    """Frames in turn. Errors do not name the file.

    Attributes:
        rate: Hz.
        n_channels: of every block.
        is_speech_codec: see Recording.
    """

    rate: int
    n_channels: int
    is_speech_codec: bool

    @property
    def n_seekable(self) -> int | None:
        """See Recording."""

    def seek(self, frame: int) -> None:
        """See Recording."""

    def read(self, n_frames: int) -> NDArray[np.float32]:
        """Return at most n_frames, shape (n, n_channels), float32; none at the end."""

    def close(self) -> None:
        """Free the decoder. May be called twice."""


class Recording:
    """A recording's frames in turn, every one of them or an error.

    Args:
        path: a file; a pipe, or "-" for standard input, is read to its end first.
        bounds: of ffmpeg, where it decodes; None: those of Bounds.

    Attributes:
        rate: Hz.
        n_channels: of every block.
        is_speech_codec: it was coded as a voice (GSM, AMR, Speex ...): other sounds are not kept.

    Raises:
        AudioError: from any method, and names the file: it is missing, empty, truncated, damaged,
            without sound, nothing that libsndfile or ffmpeg decodes, or holds impossible values.
    """

    def __init__(self, path: Path, bounds: Bounds | None = None) -> None:
        self.name, self._bounds = printable(path), bounds
        with self._naming(), _open_file(path) as file:
            self._decoder = self._choose_decoder(file)
            self.rate, self.n_channels = self._decoder.rate, self._decoder.n_channels
            self.is_speech_codec = self._decoder.is_speech_codec
            try:
                check_rate(self.rate)
            except AudioError:
                self.close()
                raise

    def read(self, n_frames: int) -> NDArray[np.float32]:
        """Return at most n_frames, shape (n, n_channels), float32; none at the end."""
        with self._naming():
            block = self._decoder.read(n_frames)
            check_values(block)
        return block

    @property
    def n_seekable(self) -> int | None:
        """How many frames there are by its header, if it can be read from each exactly."""
        return self._decoder.n_seekable

    def seek(self, frame: int) -> None:
        """Read on from a frame before n_seekable."""
        with self._naming():
            self._decoder.seek(frame)

    def close(self) -> None:
        """Free the decoder. May be called twice."""
        self._decoder.close()

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _choose_decoder(self, file: BinaryIO) -> _Decoder:
        n_bytes = os.fstat(file.fileno()).st_size
        if n_bytes == 0:
            raise AudioError("the file is empty")
        container = read_container(file, n_bytes)
        if container is not None:
            _check_promise(container)
            if container.is_unfinished:
                logger.warning(
                    "%s: its recorder never finished the header; heard to the end of the file",
                    self.name,
                )
        try:
            return SndfileRecording(file, container)
        except UnreadableError:
            return FfmpegRecording(file, bounds=self._bounds)

    @contextmanager
    def _naming(self) -> Iterator[None]:
        try:
            yield
        except AudioError as err:
            raise AudioError(f"{self.name}: {err}") from err
        except OSError as err:
            raise AudioError(f"{self.name}: {(err.strerror or str(err)).lower()}") from err


def _check_promise(container: Container) -> None:
    if not container.is_cut_short:
        return
    assert container.n_promised is not None
    n_held, n_promised, unit = float(container.n_held), float(container.n_promised), "bytes"
    if container.bytes_per_s:
        n_held, n_promised, unit = (
            n_held / container.bytes_per_s,
            n_promised / container.bytes_per_s,
            "s",
        )
    raise AudioError(
        f"truncated: holds {n_held:.1f} of {n_promised:.1f} {unit}; copy or record it again"
    )


def _open_file(path: Path) -> BinaryIO:
    """Open a file; what cannot be sought in is copied into an unnamed one first."""
    descriptor = _descriptor(path)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISDIR(mode):
        os.close(descriptor)
        raise AudioError("not a file but a folder")
    file: BinaryIO = os.fdopen(descriptor, "rb")
    if stat.S_ISREG(mode):
        return file
    with file:
        return _copied(file)


def _descriptor(path: Path) -> int:
    if path != STDIN:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    if sys.stdin is None:
        raise AudioError("standard input is closed; pipe a recording into it")
    descriptor = os.dup(0)
    if os.isatty(descriptor):
        os.close(descriptor)
        raise AudioError("standard input is a terminal; pipe a recording into it")
    return descriptor


def _copied(file: BinaryIO) -> BinaryIO:
    with tempfile.TemporaryFile() as copy:
        while block := file.read(1 << 16):
            if copy.tell() > MAX_PIPED_BYTES:
                raise AudioError(
                    f"more than {MAX_PIPED_BYTES >> 30} GiB came through the pipe; write it to a "
                    "file first"
                )
            copy.write(block)
        copy.flush()
        return os.fdopen(os.dup(copy.fileno()), "rb")
