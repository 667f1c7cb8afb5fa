"""The two thresholds of presence, and what they may be."""

from __future__ import annotations

from dataclasses import dataclass, replace

from listen_edge.errors import ListenEdgeError


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


def chosen_thresholds(on: float | None, off: float | None, default: Thresholds) -> Thresholds:
    """Return the thresholds that were set; one that was not (None) moves out of the other's way.

    Raises:
        ListenEdgeError: impossible ones.
    """
    if off is None:
        off = default.off if on is None else min(default.off, on)
    return replace(default, on=max(default.on, off) if on is None else on, off=off)
