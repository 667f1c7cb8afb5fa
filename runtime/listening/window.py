"""Blocks of any size, rate and channel count -> windows of samples at 16 kHz."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from listen_edge.audio.audibility import NARROW_RATE
from listen_edge.audio.limits import MAX_PEAK, MIN_DURATION_S, check_rate
from listen_edge.audio.reading import Resampler
from listen_edge.errors import AudioError
from listen_edge.lines.answer import Reason
from listen_edge.log_mel import SAMPLE_RATE
from listen_edge.runtime.sources import Block


@dataclass(frozen=True)
class Window:
    """A stretch of the stream.

    Attributes:
        start: its first sample, counted at 16 kHz since its source was opened.
        begin_s: the same in seconds of the whole stream.
        samples: shape (n_samples, n_channels), float32; n_samples is n_window, or less at an early
            end. Channels are mixed where they are heard, see listen_edge/audio/channels.py.
        doubt: what may hide a sound in it.
        received_s: time.monotonic() of the arrival of its newest block.
    """

    start: int
    begin_s: float
    samples: NDArray[np.float32]
    doubt: Reason | None
    received_s: float

    @property
    def end_s(self) -> float:
        return self.begin_s + len(self.samples) / SAMPLE_RATE


class WindowBuffer:
    """The last window's worth of samples; the same windows whatever the blocks' sizes.

    A stream may change its number of channels: fewer are repeated, so that they agree.

    Args:
        n_window: samples of a window.
        n_hop: samples between the ends of two windows.
    """

    def __init__(self, n_window: int, n_hop: int) -> None:
        if not 0 < n_hop <= n_window:
            raise ValueError(f"hop of {n_hop} samples, expected 1 to {n_window}")
        self._n_window, self._n_hop = n_window, n_hop
        self._ring = np.zeros((n_window, 1), np.float32)
        self._next_end = n_window
        self.n_seen = 0

    def push(self, samples: NDArray[np.float32]) -> list[tuple[int, NDArray[np.float32]]]:
        """Take samples (n, n_channels) and return the windows they complete: (start, samples)."""
        n_channels = max(samples.shape[1], self._ring.shape[1])
        samples, self._ring = spread(samples, n_channels), spread(self._ring, n_channels)
        windows = []
        while len(samples):
            piece = samples[: self._next_end - self.n_seen]
            self._write(piece)
            samples = samples[len(piece) :]
            if self.n_seen == self._next_end:
                windows.append((self.n_seen - self._n_window, self._last(self._n_window)))
                self._next_end += self._n_hop
        return windows

    def rest(self) -> tuple[int, NDArray[np.float32]] | None:
        """Return the window that ends where the stream ends, None if it was returned before."""
        is_answered = self.n_seen == self._next_end - self._n_hop and self.n_seen >= self._n_window
        if is_answered or not self.n_seen:
            return None
        n = min(self.n_seen, self._n_window)
        return self.n_seen - n, self._last(n)

    def _write(self, piece: NDArray[np.float32]) -> None:
        for start in range(0, len(piece), self._n_window):
            part = piece[start : start + self._n_window]
            at = self.n_seen % self._n_window
            n_first = min(len(part), self._n_window - at)
            self._ring[at : at + n_first] = part[:n_first]
            self._ring[: len(part) - n_first] = part[n_first:]
            self.n_seen += len(part)

    def _last(self, n: int) -> NDArray[np.float32]:
        at = self.n_seen % self._n_window
        return np.concatenate([self._ring[at:], self._ring[:at]])[self._n_window - n :]


def spread(samples: NDArray[Any], n_channels: int) -> NDArray[Any]:
    """Return samples (n, m) as (n, n_channels), channels repeated where there are fewer."""
    if samples.shape[1] == n_channels:
        return samples
    return samples[:, np.arange(n_channels) % samples.shape[1]]


class Feed:
    """One opening of a source: streaming resampler, windows and what makes them doubtful.

    Args:
        n_window, n_hop: see WindowBuffer.
        begin_s: where the first sample lies in the whole stream.
        tap: is given all samples (n, n_channels) at 16 kHz, as they come.
    """

    def __init__(
        self,
        n_window: int,
        n_hop: int,
        *,
        begin_s: float = 0.0,
        tap: Callable[[NDArray[np.float32]], None] | None = None,
    ) -> None:
        self._windows = WindowBuffer(n_window, n_hop)
        self._begin_s, self._tap = begin_s, tap
        self._resampler: Resampler | None = None
        self._rate: int | None = None
        self._n_channels = 0
        self._doubts: list[tuple[int, Reason]] = []  # (sample, what happened there)
        self._speech_end = 0.0  # sample up to which some of it is from a codec for speech
        self._received_s = 0.0
        self.has_windows = False

    def push(self, block: Block) -> list[Window]:
        """Return the windows that a block completes.

        Raises:
            AudioError: an impossible rate, or one that changes in mid-stream.
        """
        if self._rate is None:
            check_rate(block.rate)
            self._rate = block.rate
        if self._resampler is None or self._n_channels != block.samples.shape[1]:
            self._n_channels = block.samples.shape[1]
            self._resampler = Resampler(block.rate, self._n_channels)
        if block.rate != self._rate:
            raise AudioError(f"the rate changed from {self._rate} to {block.rate} Hz in mid-stream")
        self._received_s = block.received_s
        if block.has_overflowed:
            self._doubt("overflow")
        if block.is_speech_codec:
            self._speech_end = math.inf
        windows = self._push(self._without_damage(block.samples))
        if block.is_speech_codec:
            self._speech_end = self._windows.n_seen
        return windows

    def finish(self) -> list[Window]:
        """Return the windows that the end of the stream completes, none shorter than 0.1 s."""
        windows = [] if self._resampler is None else self._push(None)
        rest = self._windows.rest()
        if rest is not None and len(rest[1]) >= MIN_DURATION_S * SAMPLE_RATE:
            windows.append(self._window(*rest))
        return windows

    def _without_damage(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return samples without values that would stay in the resampler for good."""
        is_whole = np.abs(samples) <= MAX_PEAK  # false for NaN
        if is_whole.all():
            return samples
        self._doubt("damaged" if np.isfinite(samples).all() else "not_finite")
        return np.where(is_whole, samples, np.float32(0))

    def _push(self, block: NDArray[np.float32] | None) -> list[Window]:
        assert self._resampler is not None
        samples = self._resampler.finish() if block is None else self._resampler.push(block)
        if self._tap is not None:
            self._tap(samples)
        return [self._window(start, window) for start, window in self._windows.push(samples)]

    def _window(self, start: int, samples: NDArray[np.float32]) -> Window:
        self._doubts = [(at, reason) for at, reason in self._doubts if at >= start]
        reasons = [reason for at, reason in self._doubts if at < start + len(samples)]
        self.has_windows = True
        begin_s = self._begin_s + start / SAMPLE_RATE
        doubt = self._why_doubtful(start, reasons)
        return Window(start, begin_s, samples, doubt, self._received_s)

    def _why_doubtful(self, start: int, reasons: list[Reason]) -> Reason | None:
        if start < self._speech_end:
            return "speech_codec"
        if reasons:
            return reasons[-1]
        return "narrow_band" if self._rate is not None and self._rate <= NARROW_RATE else None

    def _doubt(self, reason: Reason) -> None:
        at = self._windows.n_seen
        if not self._doubts or self._doubts[-1] != (at, reason):
            self._doubts.append((at, reason))
