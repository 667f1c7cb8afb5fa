"""Recordings that libsndfile decodes: WAV and its kin, FLAC, Ogg, MP3, AIFF, AU, CAF and more.

libsndfile is given a header that is true (containers.py, mp3.py), and is silenced while it reads
MPEG audio: libmpg123 writes to stderr itself.

Source: libsndfile 1.2; Ogg's pages, RFC 3533.
"""

from __future__ import annotations

import io
import mmap
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, BinaryIO

import numpy as np
import soundfile
from numpy.typing import NDArray

from listen_edge.audio.containers import MPEG_TAGS, Container
from listen_edge.audio.mp3 import MpegFile, MpegStream, find_frames
from listen_edge.errors import AudioError

_NO_LENGTH = 1 << 62  # frames: libsndfile does not know
_BEGINS, _ENDS = 2, 4  # flags of an Ogg page: first and last of its stream
_SPEECH_CODECS = ("GSM610",)
# Formats that are sought in to the frame, if they hold frames of their own or are lossless.
_SEEK_EXACTLY = ("WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC")
_BY_FRAME = ("PCM_", "FLOAT", "DOUBLE", "ULAW", "ALAW")
_MPEG_SLACK = 3  # frames that a decoder's delay and padding take
_stderr_lock = threading.Lock()


class UnreadableError(Exception):
    """libsndfile does not know the format; another decoder may."""


class _Sequential(soundfile.SoundFile):  # type: ignore[misc]
    """Read from the beginning to the end: seeking fails in a FLAC of unknown length."""

    def seekable(self) -> bool:
        return False


class SndfileRecording:
    """See Recording.

    Args:
        file: open for reading, seekable; may be closed once this object is made.
        container: what its header says, if it has one of that kind.

    Raises:
        UnreadableError: not one of libsndfile's formats.
        AudioError: frames of MPEG audio are missing, or a format that is not read.
    """

    def __init__(self, file: BinaryIO, container: Container | None) -> None:
        self._mapped: mmap.mmap | None = None
        self._may_be_mpeg = False
        self._stream = self._find_mpeg(file, container)
        readable: int | io.RawIOBase
        if self._stream is not None and self._stream.is_something_else:
            raise UnreadableError("a few bytes that look like MPEG frames")
        if self._stream is not None:
            self._stream.check()
            assert self._mapped is not None
            readable = MpegFile(self._mapped, self._stream)
        else:
            _refuse_sample_dump(file)
            readable = descriptor = os.dup(file.fileno())
            os.lseek(descriptor, 0, os.SEEK_SET)
            if container is not None and container.patches:
                readable = _Patched(descriptor, container.patches)
        try:
            with self._silenced():
                self._file = _Sequential(readable, closefd=True)
        except (soundfile.LibsndfileError, OSError, ValueError, TypeError) as err:
            self._free(readable)
            raise UnreadableError(str(err)) from err
        self._readable = readable
        is_mpeg = self._file.format == "MP3" or self._file.subtype.startswith("MPEG_")
        if is_mpeg and self._stream is None:  # found by libsndfile, by us not
            self.close()
            raise UnreadableError("no chain of MPEG frames")
        self.rate: int = self._file.samplerate
        self.n_channels: int = self._file.channels
        self.is_speech_codec: bool = self._file.subtype in _SPEECH_CODECS
        stated = None if container is None else container.n_frames
        self._n_stated: int = self._file.frames if stated is None else stated
        self._has_length = self._n_stated < _NO_LENGTH
        self._n_read = 0

    def read(self, n_frames: int) -> NDArray[np.float32]:
        try:
            with self._silenced():
                block: NDArray[np.float32] = self._file.read(
                    n_frames, dtype="float32", always_2d=True
                )
        except soundfile.LibsndfileError as err:
            of = f" of {self._n_stated / self.rate:.1f}" if self._has_length else ""
            raise AudioError(
                f"truncated or damaged: holds {self._n_read / self.rate:.1f}{of} s; copy or record "
                "it again"
            ) from err
        self._n_read += len(block)
        if len(block) == 0:
            self._check_end()
        return block

    @property
    def n_seekable(self) -> int | None:
        file = self._file
        is_exact = file.format in _SEEK_EXACTLY and file.subtype.startswith(_BY_FRAME)
        is_true = file.format == "FLAC" or file.frames == self._n_stated  # FLAC's is hidden from it
        return self._n_stated if is_exact and is_true and self._has_length else None

    def seek(self, frame: int) -> None:
        try:
            self._file.seek(frame)
        except (soundfile.LibsndfileError, OSError) as err:
            raise AudioError(
                f"truncated or damaged: {frame / self.rate:.1f} s cannot be reached; copy or "
                "record it again"
            ) from err
        self._n_read = frame

    def close(self) -> None:
        self._file.close()
        self._free(self._readable)

    def _check_end(self) -> None:
        """Raise AudioError if the end came early."""
        held_s = self._n_read / self.rate
        expected = self._n_stated
        if self._stream is not None:
            expected -= _MPEG_SLACK * round(self._stream.frame_s * self.rate)
        if self._has_length and self._n_read < expected:
            raise AudioError(
                f"truncated: holds {held_s:.1f} of "
                f"{self._n_stated / self.rate:.1f} s; copy or record it again"
            )

    def _find_mpeg(self, file: BinaryIO, container: Container | None) -> MpegStream | None:
        """Return the frames of an MP3, or of a WAV that holds MPEG audio."""
        if container is not None and container.codec not in MPEG_TAGS:
            return None
        start, end = 0, os.fstat(file.fileno()).st_size
        if container is not None:
            start, end = container.offset, container.offset + container.n_sound
        file.seek(start)
        magic = file.read(4)
        if container is None and magic in (b"OggS", b"fLaC"):
            if magic == b"OggS":
                _check_ogg(file)
            return None
        self._may_be_mpeg = True
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        stream = find_frames(mapped, start, end)
        if stream is None:
            mapped.close()
        else:
            self._mapped = mapped
        return stream

    def _silenced(self) -> AbstractContextManager[None]:
        return _quiet_stderr() if self._may_be_mpeg else nullcontext()

    def _free(self, readable: int | io.RawIOBase) -> None:
        if isinstance(readable, io.RawIOBase):
            readable.close()
        if self._mapped is not None:
            self._mapped.close()
            self._mapped = None


def _refuse_sample_dump(file: BinaryIO) -> None:
    """Raise AudioError for a MIDI sample dump, whose damage libsndfile prints on stdout."""
    file.seek(0)
    head = file.read(4)
    if head[:2] == b"\xf0\x7e" and head[3:] == b"\1":
        raise AudioError("a MIDI sample dump is not read; convert it to WAV first")


def _check_ogg(file: BinaryIO) -> None:
    """Walk the pages of an Ogg file, which libsndfile would hear in part without a word.

    Raises:
        UnreadableError: another stream follows the first.
        AudioError: no page ends the stream.
    """
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at, flags, has_begun = 0, 0, False
        while at + 27 <= len(data) and data[at : at + 4] == b"OggS":
            n_segments = data[at + 26]
            end = at + 27 + n_segments + sum(data[at + 27 : at + 27 + n_segments])
            if end > len(data):
                break
            flags = data[at + 5]
            if flags & _BEGINS and has_begun:
                raise UnreadableError("several streams in turn")
            has_begun |= not flags & _BEGINS
            at = end
        if not flags & _ENDS:
            raise AudioError("truncated: its last page is missing; copy or record it again")


class _Patched(io.FileIO):
    """A file some bytes of which read otherwise than they are."""

    def __init__(self, descriptor: int, patches: tuple[tuple[int, bytes], ...]) -> None:
        super().__init__(descriptor)
        self._patches = patches

    def readinto(self, buffer: Any) -> int:
        at = self.tell()
        n_read = super().readinto(buffer) or 0
        for start, patch in self._patches:
            first, last = max(start, at), min(start + len(patch), at + n_read)
            if first < last:
                buffer[first - at : last - at] = patch[first - start : last - start]
        return n_read


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Send what C code writes to stderr nowhere; one thread at a time."""
    with _stderr_lock:
        if sys.stderr is not None:
            sys.stderr.flush()
        try:
            kept = os.dup(2)
        except OSError:  # it is closed, and so quiet
            yield
            return
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(nowhere)
