"""A recording that a client sends: received on disk without a name, decoded within bounds.

The files have no name, so that nothing of a recording is left behind, however the service ends.
"""

from __future__ import annotations

import math
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from listen_edge.audio.audibility import NARROW_RATE
from listen_edge.audio.ffmpeg import Bounds
from listen_edge.audio.limits import check_duration
from listen_edge.audio.reading import at_16_khz_by_blocks
from listen_edge.audio.recording import Recording
from listen_edge.errors import AudioError
from listen_edge.lines.answer import Answer
from listen_edge.log_mel import SAMPLE_RATE
from listen_edge.runtime.service.service import Service
from listen_edge.runtime.service.web.bounds import Limits
from listen_edge.runtime.service.web.problems import RefusedError

LARGE_BYTES = 4_000_000
_LARGE_S = 60.0
_WAIT_S = 30.0  # for the engine, beyond the recording's own length
_RETRY_S = 2
_BLOCK_FRAMES = 1 << 16
_MAX_CHANNELS = 64  # that an engine takes
_FFMPEG_BYTES = 128 << 20


@dataclass(frozen=True)
class Sound:
    """What a client sent.

    Attributes:
        samples: shape (n_samples, n_channels), float32.
        rate: Hz: 16,000, or the recording's own where that tells of a narrow band.
        is_speech_codec: see Recording.
    """

    samples: NDArray[np.float32]
    rate: int
    is_speech_codec: bool


class Gate:
    """How many uploads are held at once, in all and of those that take much memory."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._all = threading.Semaphore(limits.n_uploads)
        self.large = threading.Semaphore(limits.n_large)
        self.ffmpegs = threading.Semaphore(limits.n_ffmpegs)

    @contextmanager
    def admit(self) -> Iterator[Upload]:
        """Hold a place for one upload; RefusedError if there is none."""
        if not self._all.acquire(blocking=False):
            raise _busy(f"{self.limits.n_uploads} recordings are being answered")
        upload = Upload(self)
        try:
            yield upload
        finally:
            upload.end()
            self._all.release()


class Upload:
    """One upload's place, see Gate."""

    def __init__(self, gate: Gate) -> None:
        self._gate, self._is_large = gate, False

    def grow(self) -> None:
        """Hold one of the places for large ones too; RefusedError if there is none."""
        if not self._is_large and not self._gate.large.acquire(blocking=False):
            raise _busy(f"{self._gate.limits.n_large} recordings of this size are being answered")
        self._is_large = True

    def end(self) -> None:
        if self._is_large:
            self._gate.large.release()
            self._is_large = False

    def bounds(self) -> Bounds:
        """Return those of the ffmpeg that may have to decode it, which waits for its turn."""
        cpu_s = math.ceil(self._gate.limits.decode_s)
        return Bounds(n_bytes=_FFMPEG_BYTES, cpu_s=cpu_s, turn=self._ffmpegs_turn)

    @contextmanager
    def _ffmpegs_turn(self) -> Iterator[None]:
        """Hold a place for an ffmpeg; RefusedError if there is none while one may decode."""
        if not self._gate.ffmpegs.acquire(timeout=self._gate.limits.decode_s):
            raise _busy("other recordings that take long to decode came before")
        try:
            yield
        finally:
            self._gate.ffmpegs.release()


def _busy(why: str) -> RefusedError:
    return RefusedError(
        429,
        f"{why}, and no more are taken; try again in {_RETRY_S} s",
        {"Retry-After": str(_RETRY_S)},
    )


async def receive(stream: AsyncIterator[bytes], limits: Limits) -> IO[bytes]:
    """Return a body as a file without a name; the caller closes it.

    Raises:
        RefusedError: it is larger than an upload may be, or empty.
    """
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the caller's
    try:
        n_bytes = 0
        async for piece in stream:
            n_bytes += len(piece)
            if n_bytes > limits.upload_bytes:
                break
            file.write(piece)
        check_size(n_bytes, limits)
        file.flush()
    except BaseException:
        file.close()
        raise
    return file


def as_file(recording: bytes, limits: Limits) -> IO[bytes]:
    """Return bytes as a file without a name; errors as for receive."""
    check_size(len(recording), limits)
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the caller's
    file.write(recording)
    file.flush()
    return file


def check_size(n_bytes: int, limits: Limits) -> None:
    """Refuse a recording that is empty, or larger than an upload may be."""
    if n_bytes == 0:
        raise RefusedError(422, "there is no recording in the request; send one")
    if n_bytes > limits.upload_bytes:
        raise RefusedError(
            413, f"a recording of more than {limits.upload_bytes / 1e6:g} MB; send less"
        )


def answer(
    service: Service,
    file: IO[bytes],
    questions: list[str],
    name: str,
    upload: Upload,
    limits: Limits,
) -> list[Answer]:
    """Answer questions about an uploaded recording as `listen-edge ask` does of a file.

    Args:
        file: without a name, written and flushed.
        questions: that can be asked, see parse_concept.
        name: for the answers and errors.

    Raises:
        AudioError: see Recording, or it takes too long to decode.
        RefusedError: it lasts too long, or too many others are decoded.
        BusyError: see Service.ask.
    """
    sound = decode(file, name, upload, limits)
    timeout_s = _WAIT_S + len(sound.samples) / sound.rate
    answers = service.ask(sound.samples, sound.rate, questions, timeout_s=timeout_s)
    return [_of(given, name, sound) for given in answers]


def decode(file: IO[bytes], name: str, upload: Upload, limits: Limits) -> Sound:
    """Return what a file without a name holds; errors as for answer."""
    path = Path(f"/proc/self/fd/{file.fileno()}")
    try:
        with Recording(path, upload.bounds()) as recording:
            if recording.n_channels > _MAX_CHANNELS:
                raise AudioError(
                    f"has {recording.n_channels} channels, expected at most {_MAX_CHANNELS}"
                )
            is_narrow = recording.rate <= NARROW_RATE
            rate = recording.rate if is_narrow else SAMPLE_RATE
            blocks = _as_it_is(recording) if is_narrow else at_16_khz_by_blocks(recording)
            kept = list(_bounded(blocks, rate, upload, limits))
            samples = np.concatenate(kept)
            check_duration(len(samples), rate)
            return Sound(samples, rate, recording.is_speech_codec)
    except AudioError as err:
        raise AudioError(f"{name}: {str(err).removeprefix(f'{path}: ')}") from err


def _as_it_is(recording: Recording) -> Iterator[NDArray[np.float32]]:
    while len(block := recording.read(_BLOCK_FRAMES)):
        yield block
    yield np.zeros((0, recording.n_channels), np.float32)


def _bounded(
    blocks: Iterator[NDArray[np.float32]], rate: int, upload: Upload, limits: Limits
) -> Iterator[NDArray[np.float32]]:
    """Yield blocks until they are too many, or have taken too long."""
    n_values, n_frames, until_s = 0, 0, time.monotonic() + limits.decode_s
    for block in blocks:
        n_frames += len(block)
        n_values += block.size
        if n_frames > limits.audio_s * rate or n_values > 2 * limits.audio_s * rate:
            raise RefusedError(
                413,
                f"a recording of more than {limits.audio_s / 60:g} minutes, or of that in many "
                "channels; send a part of it, or use `listen-edge ask`, which takes any length",
            )
        if n_values > _LARGE_S * rate:
            upload.grow()
        if time.monotonic() > until_s:
            raise AudioError(f"took more than {limits.decode_s:g} s to decode; send it as FLAC")
        yield block


def _of(given: Answer, name: str, sound: Sound) -> Answer:
    """Return an answer under the recording's name; through a codec for voices nothing is heard."""
    if not sound.is_speech_codec:
        return replace(given, source=name)
    return replace(
        given,
        source=name,
        state="unknown",
        reason="speech_codec",
        presence=None,
        head_logit=None,
        logit_margin=None,
        prior_margin=None,
    )
