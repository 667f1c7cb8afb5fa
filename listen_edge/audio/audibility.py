"""Could a sound be heard in this window at all? What cannot must never be called absent.

Two kinds of reasons: deaf (nothing is heard, so nothing is asked) and doubtful (what is heard is
heard, but what is not may be there). The limits are measured: `benchmarks/impaired.py`, with the
table in docs/listening.md. `doctor` and the answers share them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from listen_edge.audio.level import level_dbfs
from listen_edge.lines.answer import Reason
from listen_edge.log_mel import SAMPLE_RATE

QUIETEST_DBFS = -70.0  # of the loudest 0.1 s: below it lies the noise of 16 bits and of converters
CLIPPED_SHARE = 0.05  # of samples at full scale, above which an absence cannot be trusted
MIN_RATE_ABSENT = 8_000  # Hz of the source, from which an absence is worth something
MIN_RATE_PRESENT = 8_000
MIN_HEARD_S = 0.25  # less sound than this tells nothing, neither presence nor absence
MIN_HEARD_SHARE = 0.5  # of a window: what is shorter, or mostly zeros, cannot be called absent
_FULL_SCALE = 0.999
_PIECE = 1600  # samples, 0.1 s
_FRAME = 160  # samples, 10 ms
_FEW_STEPS = 4  # of the format's smallest: what a converter makes of nothing
_WIDEST_STEP = 1 / 128  # of 8 bits


def why_deaf(
    window: NDArray[np.float32],
    n_window: int,  # noqa: ARG001 - asked beside why_doubtful, with the same
) -> Reason | None:
    """Return why nothing can be heard in a window, None if something can.

    Args:
        window: shape (n_samples, n_channels), at 16 kHz.
        n_window: samples of a whole window.
    """
    sound = window - window.mean(axis=0, dtype=np.float64).astype(np.float32)
    if not (window != window[0]).any():
        return "silent_input"  # zeros, or an input without a microphone
    if not is_louder(QUIETEST_DBFS, sound) or _holds_few_steps(window):
        return "inaudible"
    if heard_s(window) < MIN_HEARD_S:
        return "too_short"
    return None


def why_doubtful(window: NDArray[np.float32], n_window: int) -> Reason | None:
    """Return what may hide a sound in a window; arguments as why_deaf."""
    if is_clipped(window):
        return "clipped"
    if heard_s(window) < MIN_HEARD_SHARE * n_window / SAMPLE_RATE:
        return "too_short"
    return None


def is_louder(limit_dbfs: float, samples: NDArray[np.float32]) -> bool:
    """Tell whether the loudest 0.1 s reaches a level: a bang is not averaged.

    Args:
        samples: shape (n_samples, n_channels) or (n_samples,).
    """
    pieces = np.array_split(samples, max(1, len(samples) // _PIECE))
    levels = (level_dbfs(piece) for piece in pieces)
    return any(level is not None and level >= limit_dbfs for level in levels)


def is_clipped(samples: NDArray[np.float32]) -> bool:
    """Tell whether the input was overdriven for a good part, in any of its channels."""
    share = np.mean(np.abs(samples) >= _FULL_SCALE, axis=0)
    return float(np.max(share)) > CLIPPED_SHARE


def heard_s(window: NDArray[np.float32]) -> float:
    """Return how many seconds of a window are not digital silence, in steps of 10 ms."""
    n_frames = -(-len(window) // _FRAME)
    is_sound = np.zeros(n_frames * _FRAME, bool)
    is_sound[: len(window)] = window.any(axis=1)
    return float(is_sound.reshape(n_frames, _FRAME).any(axis=1).sum()) * _FRAME / SAMPLE_RATE


def _holds_few_steps(window: NDArray[np.float32]) -> bool:
    """Tell whether a window holds but a few of its format's smallest steps, as a muted input."""
    loudest = np.abs(window).max()
    if loudest > _FEW_STEPS * _WIDEST_STEP:
        return False
    values = np.unique(window)
    return len(values) <= 2 * _FEW_STEPS + 1
