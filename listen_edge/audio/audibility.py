"""Could a sound be heard in this window at all? What cannot must never be called absent.

Two kinds of reasons: deaf (nothing is heard, so nothing is asked) and doubtful (what is heard is
heard, but what is not may be there). The limits are measured: `benchmarks/impaired.py`, with the
table in docs/listening.md. `doctor` and the answers share them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from listen_edge.audio.level import level_dbfs
from listen_edge.lines.answer import Reason
from listen_edge.log_mel import SAMPLE_RATE

QUIETEST_DBFS = -70.0  # of the loudest 0.1 s: below it lies the noise of 16 bits and of converters
CLIPPED_SHARE = 0.05  # of samples at full scale, above which an absence cannot be trusted
MIN_BAND_HZ = 3_600  # narrower, more than a quarter of all sounds would be called absent
NARROW_BAND_HZ = 4_700  # up to here answers need more certainty, see runtime/score.py: what 8 kHz
# holds, and 0.5 kHz above it that a resampler's slope leaves as a mirror (ffmpeg's)
NARROW_RATE = 8_000  # Hz of a source whose band is narrow
MIN_HEARD_S = 0.2  # less sound than this tells neither presence nor absence
MIN_HEARD_SHARE = 0.5  # of a window: what is shorter, or mostly zeros, cannot be called absent
_FULL_SCALE = 0.999
_PIECE = 1600  # samples, 0.1 s
_FRAME = 160  # samples, 10 ms
_FEW_STEPS = 4  # of the format's smallest: what a converter makes of nothing
_WIDEST_STEP = 1 / 128  # of 8 bits
_SILENT = 2**-16  # from peak to peak, half a step of 16 bits: what a codec leaves of zeros
_N_FFT, _BAND_BINS, _MAX_FRAMES = 1024, 8, 26
_BAND_HZ = SAMPLE_RATE / _N_FFT * _BAND_BINS  # 125 Hz
_MIN_BANDS = 8  # 1 kHz: what ends below is a hum, not a band
_EMPTY = 1e-6  # power beside the loudest band's: -60 dB
_CLIFF = 10**2.5  # between the band's middle and upper end and what lies above it: 25 dB


@dataclass(frozen=True)
class Audibility:
    """What can be told of a window.

    Attributes:
        deaf: why nothing can be told of it, None if something can.
        doubts: what may hide a sound in it.
    """

    deaf: Reason | None
    doubts: tuple[Reason, ...] = ()


def audibility(window: NDArray[np.float32], n_window: int) -> Audibility:
    """Return what can be told of a window.

    Args:
        window: shape (n_samples, n_channels), at 16 kHz.
        n_window: samples of a whole window.
    """
    if not (window != window[0]).any():
        return Audibility("silent_input")  # zeros, or an input without a microphone
    if not _is_audible(window) or _holds_few_steps(window):
        return Audibility("inaudible")
    seconds = heard_s(window)
    if seconds < MIN_HEARD_S:
        return Audibility("too_short")
    band_hz = bandwidth_hz(window)
    if band_hz < MIN_BAND_HZ:
        return Audibility("narrow_band")
    doubts: list[Reason] = []
    if is_clipped(window):
        doubts.append("clipped")
    if seconds < MIN_HEARD_SHARE * n_window / SAMPLE_RATE:
        doubts.append("too_short")
    if band_hz <= NARROW_BAND_HZ:
        doubts.append("narrow_band")
    return Audibility(None, tuple(doubts))


def audible(signals: list[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
    """Return those signals (n_samples,) that hold more than a noise floor, at least the first."""
    return signals[:1] + [s for s in signals[1:] if _is_audible(s[:, None])]


def bandwidth_hz(window: NDArray[np.float32]) -> float:
    """Return where the source's band ends, 8000.0 where no end is seen.

    A source of a lower rate, or a codec, leaves next to nothing above the end of its band, and its
    noise below. A pure tone has nothing above it either, and nothing below: that is no end.
    """
    n_frames = len(window) // _N_FFT
    if n_frames == 0:
        return SAMPLE_RATE / 2
    step = max(1, n_frames // _MAX_FRAMES)
    loudest = window[:, np.argmax(np.square(window).sum(axis=0))]
    frames = loudest[: n_frames * _N_FFT].reshape(n_frames, _N_FFT)[::step]
    spectra = np.fft.rfft(frames * np.hanning(_N_FFT).astype(np.float32))[:, : _N_FFT // 2]
    power = np.square(np.abs(spectra)).mean(axis=0).reshape(-1, _BAND_BINS).mean(axis=1)
    end = int(np.flatnonzero(power > _EMPTY * power.max())[-1]) + 1
    above = power[end + 1 :]  # behind the filter's slope
    edge = power[max(0, end - 4) : end].mean()
    if (
        end < _MIN_BANDS
        or len(above) == 0
        or min(edge, np.median(power[:end])) < _CLIFF * above.max()
    ):
        return SAMPLE_RATE / 2
    return end * _BAND_HZ


def is_louder(limit_dbfs: float, samples: NDArray[np.float32]) -> bool:
    """Tell whether the loudest 0.1 s reaches a level: a bang is not averaged.

    Args:
        samples: shape (n_samples, n_channels) or (n_samples,).
    """
    levels = map(level_dbfs, _pieces(samples))
    return any(level is not None and level >= limit_dbfs for level in levels)


def is_below(gate_dbfs: float, window: NDArray[np.float32]) -> bool:
    """Tell whether a window is quiet enough to be called absent unheard; a dead one is not.

    Args:
        window: shape (n_samples, n_channels), at 16 kHz.
    """
    return not is_louder(gate_dbfs, window) and audibility(window, len(window)).deaf is None


def _is_audible(samples: NDArray[np.float32]) -> bool:
    """Tell whether the loudest 0.1 s lies above the noise floor; an offset or drift is no sound.

    Args:
        samples: shape (n_samples, n_channels).
    """
    levels = (level_dbfs(_without_drift(piece)) for piece in _pieces(samples))
    return any(level is not None and level >= QUIETEST_DBFS for level in levels)


def _without_drift(piece: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return samples (n, n_channels) without the straight line through each channel."""
    time = np.linspace(-1, 1, len(piece), dtype=np.float32)[:, None]
    slope = (piece * time).mean(axis=0) / max(float(np.mean(time**2)), 1e-9)
    level: NDArray[np.float32] = piece - piece.mean(axis=0) - slope * time
    return level


def _pieces(samples: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    return np.array_split(samples, max(1, len(samples) // _PIECE))


def is_clipped(samples: NDArray[np.float32]) -> bool:
    """Tell whether the input was overdriven for a good part, in any of its channels."""
    share = np.mean(np.abs(samples) >= _FULL_SCALE, axis=0)
    return float(np.max(share)) > CLIPPED_SHARE


def heard_s(window: NDArray[np.float32]) -> float:
    """Return how many seconds of a window are more than zeros or a constant, in steps of 10 ms."""
    n_samples, n_channels = window.shape
    n_frames = -(-n_samples // _FRAME)
    padded = np.pad(window.T, ((0, 0), (0, n_frames * _FRAME - n_samples)), "edge")
    frames = padded.reshape(n_channels, n_frames, _FRAME)
    moving = frames.max(axis=2) - frames.min(axis=2) > _SILENT
    return float(moving.any(axis=0).sum()) * _FRAME / SAMPLE_RATE


def _holds_few_steps(window: NDArray[np.float32]) -> bool:
    """Tell whether a window holds but a few of its format's smallest steps, as a muted input."""
    loudest = np.abs(window).max()
    if loudest > _FEW_STEPS * _WIDEST_STEP:
        return False
    values = np.unique(window)
    return len(values) <= 2 * _FEW_STEPS + 1
