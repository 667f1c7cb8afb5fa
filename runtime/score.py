"""Calibrated presence -> state: present, absent, or an honest unknown."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from listen_edge.answer import Reason, State
from listen_edge.errors import ListenEdgeError

CLIPPED_SHARE = 0.05  # of samples at full scale, above which an absence cannot be trusted
_FULL_SCALE = 0.999


@dataclass(frozen=True)
class Thresholds:
    """Presence from which a sound is present (on), and below which it is absent (off)."""

    on: float = 0.7
    off: float = 0.55

    def __post_init__(self) -> None:
        if not 0 < self.off <= self.on < 1:
            raise ListenEdgeError(
                f"thresholds on {self.on}, off {self.off}: expected 0 < off <= on < 1"
            )


def is_silent(samples: NDArray[np.float32]) -> bool:
    """Tell whether every sample is zero, as from a dead microphone."""
    return not samples.any()


def is_clipped(samples: NDArray[np.float32]) -> bool:
    """Tell whether the input was overdriven for a good part of the window."""
    return float(np.mean(np.abs(samples) >= _FULL_SCALE)) > CLIPPED_SHARE


def judge(presence: float, thresholds: Thresholds, *, clipped: bool) -> tuple[State, Reason | None]:
    """Return the state, and the reason if it is unknown. Overdriven audio is never "absent"."""
    if presence >= thresholds.on:
        return "present", None
    if clipped:
        return "unknown", "clipped"
    if presence < thresholds.off:
        return "absent", None
    return "unknown", "uncertain"
