"""Recordings and arrays -> samples at 16 kHz, with their channels or mixed to mono."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray

from listen_edge.audio.channels import mix
from listen_edge.audio.limits import (
    MAX_DURATION_S,
    check_duration,
    check_rate,
    check_values,
)
from listen_edge.audio.recording import Recording
from listen_edge.errors import AudioError
from listen_edge.log_mel import SAMPLE_RATE

_BLOCK_FRAMES = 1 << 16
_MIXED_S = 5.0  # of a long recording, channels are compared over so much at once


def read_window(path: Path, n_samples: int) -> NDArray[np.float32]:
    """Return the recording's first n_samples, silence after its end; errors as read_audio."""
    window = np.zeros(n_samples, np.float32)
    samples = read_audio(path)[:n_samples]
    window[: len(samples)] = samples
    return window


def read_audio(path: Path) -> NDArray[np.float32]:
    """Return the recording as mono samples at 16 kHz, shape (n_samples,); see mix.

    Raises:
        AudioError: see read_channels; any number of channels may last MAX_DURATION_S.
    """
    step = round(_MIXED_S * SAMPLE_RATE)
    mixed: list[NDArray[np.float32]] = []
    waiting: list[NDArray[np.float32]] = []
    with Recording(path) as recording:
        for block in _bounded_blocks(recording, MAX_DURATION_S):
            waiting.append(block)
            if sum(map(len, waiting)) >= step:
                samples = np.concatenate(waiting)
                n_whole = len(samples) // step * step
                mixed += [mix(samples[at : at + step]) for at in range(0, n_whole, step)]
                waiting = [samples[n_whole:]]
    rest = np.concatenate(waiting)
    return np.concatenate([*mixed, mix(rest)] if len(rest) else mixed)


def read_channels(path: Path) -> NDArray[np.float32]:
    """Return the recording at 16 kHz with its channels, shape (n_samples, n_channels).

    Raises:
        AudioError: the file is missing, empty, truncated, damaged, no audio, shorter than
            MIN_DURATION_S, longer than MAX_DURATION_S shared by its channels, or holds impossible
            values.
    """
    with Recording(path) as recording:
        limit_s = MAX_DURATION_S / recording.n_channels  # a small file can hold hours of silence
        return np.concatenate(list(_bounded_blocks(recording, limit_s)))


def _bounded_blocks(recording: Recording, limit_s: float) -> Iterator[NDArray[np.float32]]:
    """Yield a recording's blocks at 16 kHz; AudioError if they are too short or too long in all."""
    n_samples = 0
    for block in at_16_khz_by_blocks(recording):
        n_samples += len(block)
        if n_samples > limit_s * SAMPLE_RATE:
            raise AudioError(
                f"{recording.name}: longer than {limit_s:.0f} s; use `listen-edge ask` or "
                "`replay`, which take any length"
            )
        yield block
    try:
        check_duration(n_samples, SAMPLE_RATE)
    except AudioError as err:
        raise AudioError(f"{recording.name}: {err}") from err


def at_16_khz_by_blocks(recording: Recording) -> Iterator[NDArray[np.float32]]:
    """Yield a recording's blocks at 16 kHz, shape (n, n_channels); the last one may be empty.

    Raises:
        AudioError: from the recording.
    """
    resampler = Resampler(recording.rate, recording.n_channels)
    while len(block := recording.read(_BLOCK_FRAMES)):
        yield resampler.push(block)
    yield resampler.finish()


def at_16_khz(samples: NDArray[np.generic], sample_rate: int) -> NDArray[np.float32]:
    """Return an array of any rate as samples at 16 kHz, shape (n_samples, n_channels).

    Args:
        samples: shape (n_samples,) or (n_samples, n_channels); floats in [-1, 1], or int8, int16,
            int32 or uint8, whose range is full scale (an int64 does not say what it holds).
        sample_rate: in Hz.

    Raises:
        AudioError: too short, impossible values, or an impossible rate, type or shape.
    """
    check_rate(sample_rate)
    samples = np.asarray(samples)
    if samples.ndim not in (1, 2) or (samples.ndim == 2 and not 1 <= samples.shape[1] <= 64):
        raise AudioError(
            f"samples of shape {samples.shape}, expected (n_samples,) or (n_samples, n_channels)"
        )
    check_duration(len(samples), sample_rate)
    scaled = _as_float(samples).reshape(len(samples), -1)
    check_values(scaled)
    if sample_rate == SAMPLE_RATE:
        return scaled
    first = scaled[:1]
    return np.asarray(soxr.resample(scaled - first, sample_rate, SAMPLE_RATE) + first, np.float32)


def _as_float(samples: NDArray[Any]) -> NDArray[np.float32]:
    kind = samples.dtype.kind
    if kind == "i" and samples.dtype.itemsize <= 4:
        full_scale = -float(np.iinfo(samples.dtype).min)
        return np.asarray(samples / full_scale, np.float32)
    if samples.dtype == np.uint8:  # as 8-bit WAV
        return np.asarray((samples.astype(np.float32) - 128) / 128, np.float32)
    if kind == "f":
        return np.asarray(samples, np.float32)
    raise AudioError(
        f"samples of type {samples.dtype}, expected floats in [-1, 1], or int8, int16, int32 or "
        "uint8, whose range is full scale"
    )


class Resampler:
    """A stream at any rate -> 16 kHz, the same samples whatever the blocks' sizes.

    The first sample is taken off before and added after: an offset would begin and end with a
    click, the ringing of the resampler's filter.

    Args:
        rate: of the stream, in Hz.
        n_channels: of every block.
    """

    def __init__(self, rate: int, n_channels: int) -> None:
        self._empty = np.zeros((0, n_channels), np.float32)
        self._first: NDArray[np.float32] | None = None
        self._stream: soxr.ResampleStream | None = None
        if rate != SAMPLE_RATE:
            self._stream = soxr.ResampleStream(rate, SAMPLE_RATE, n_channels, dtype="float32")

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take a block (n, n_channels) and return what it gives, (m, n_channels)."""
        return samples if self._stream is None else self._resample(samples, is_last=False)

    def finish(self) -> NDArray[np.float32]:
        """Return what is still inside."""
        return self._empty if self._stream is None else self._resample(self._empty, is_last=True)

    def _resample(self, samples: NDArray[np.float32], *, is_last: bool) -> NDArray[np.float32]:
        assert self._stream is not None
        if self._first is None:
            if len(samples) == 0:
                return self._empty
            self._first = samples[:1].copy()
        samples = samples - self._first
        if samples.shape[1] == 1:  # soxr takes one channel as a flat array alone
            samples = samples[:, 0]
        block: NDArray[np.float32] = self._stream.resample_chunk(samples, last=is_last)
        return (block if block.ndim == 2 else block[:, None]) + self._first
