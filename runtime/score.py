"""Calibrated presence -> state: present, absent, or an honest unknown."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from listen_edge.audio import level_dbfs
from listen_edge.lines.answer import Reason, State
from listen_edge.runtime.thresholds import Thresholds

CLIPPED_SHARE = 0.05  # of samples at full scale, above which an absence cannot be trusted
_FULL_SCALE = 0.999
_GATE_PIECE = 1600  # samples, 0.1 s


def is_silent(samples: NDArray[np.float32]) -> bool:
    """Tell whether every sample is zero, as from a dead microphone."""
    return not samples.any()


def is_clipped(samples: NDArray[np.float32]) -> bool:
    """Tell whether the input was overdriven for a good part of the window."""
    return float(np.mean(np.abs(samples) >= _FULL_SCALE)) > CLIPPED_SHARE


def is_below(gate_dbfs: float, samples: NDArray[np.float32]) -> bool:
    """Tell whether even the loudest 0.1 s is quieter than the gate: a bang is not averaged."""
    n_pieces = max(1, len(samples) // _GATE_PIECE)
    levels = (level_dbfs(piece) for piece in np.array_split(samples, n_pieces))
    return all(level is None or level < gate_dbfs for level in levels)


def judge(
    presence: float, thresholds: Thresholds, doubt: Reason | None
) -> tuple[State, Reason | None]:
    """Return the state, and the reason if it is unknown.

    Args:
        presence: calibrated, in [0, 1].
        thresholds: of this question.
        doubt: what may have hidden a sound in this window, so that it is never "absent".
    """
    if presence >= thresholds.on:
        return "present", None
    if doubt is not None:
        return "unknown", doubt
    if presence < thresholds.off:
        return "absent", None
    return "unknown", "uncertain"
