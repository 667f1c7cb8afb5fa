"""Blocks of any size, rate and channel count -> windows of mono samples at 16 kHz."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from listen_edge.audio.limits import MIN_DURATION_S, check_rate
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
        samples: shape (n_samples,), float32; n_samples is n_window, or less at an early end.
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

    Args:
        n_window: samples of a window.
        n_hop: samples between the ends of two windows.
    """

    def __init__(self, n_window: int, n_hop: int) -> None:
        if not 0 < n_hop <= n_window:
            raise ValueError(f"hop of {n_hop} samples, expected 1 to {n_window}")
        self._n_window, self._n_hop = n_window, n_hop
        self._ring = np.zeros(n_window, np.float32)
        self._next_end = n_window
        self.n_seen = 0

    def push(self, samples: NDArray[np.float32]) -> list[tuple[int, NDArray[np.float32]]]:
        """Take samples (n,) and return the windows they complete, as (start, samples)."""
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


class Feed:
    """One opening of a source: downmix, streaming resampler, windows and what makes them doubtful.

    Args:
        n_window, n_hop: see WindowBuffer.
        begin_s: where the first sample lies in the whole stream.
        tap: is given all samples, mono at 16 kHz, as they come.
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
        self._doubts: list[tuple[int, Reason]] = []  # (sample, what happened there)
        self._received_s = 0.0
        self.has_windows = False

    def push(self, block: Block) -> list[Window]:
        """Return the windows that a block completes.

        Raises:
            AudioError: an impossible rate, or one that changes in mid-stream.
        """
        if self._rate is None:
            self._begin(block.rate)
        if block.rate != self._rate:
            raise AudioError(f"the rate changed from {self._rate} to {block.rate} Hz in mid-stream")
        self._received_s = block.received_s
        if block.has_overflowed:
            self._doubt("overflow")
        mono = block.samples.mean(axis=1, dtype=np.float32)
        is_finite = np.isfinite(mono)
        if not is_finite.all():  # would stay in the resampler for good
            self._doubt("not_finite")
            mono = np.where(is_finite, mono, np.float32(0))
        return self._push(mono, is_last=False)

    def finish(self) -> list[Window]:
        """Return the windows that the end of the stream completes, none shorter than 0.1 s."""
        windows = self._push(np.zeros(0, np.float32), is_last=True)
        rest = self._windows.rest()
        if rest is not None and len(rest[1]) >= MIN_DURATION_S * SAMPLE_RATE:
            windows.append(self._window(*rest))
        return windows

    def _begin(self, rate: int) -> None:
        check_rate(rate)
        self._rate = rate
        self._resampler = Resampler(rate, 1)

    def _push(self, mono: NDArray[np.float32], *, is_last: bool) -> list[Window]:
        if self._resampler is not None:
            resampler = self._resampler
            mono = (resampler.finish() if is_last else resampler.push(mono[:, None]))[:, 0]
        if self._tap is not None:
            self._tap(mono)
        return [self._window(start, samples) for start, samples in self._windows.push(mono)]

    def _window(self, start: int, samples: NDArray[np.float32]) -> Window:
        self._doubts = [(at, reason) for at, reason in self._doubts if at >= start]
        reasons = [reason for at, reason in self._doubts if at < start + len(samples)]
        self.has_windows = True
        begin_s = self._begin_s + start / SAMPLE_RATE
        return Window(start, begin_s, samples, reasons[-1] if reasons else None, self._received_s)

    def _doubt(self, reason: Reason) -> None:
        at = self._windows.n_seen
        if not self._doubts or self._doubts[-1] != (at, reason):
            self._doubts.append((at, reason))
