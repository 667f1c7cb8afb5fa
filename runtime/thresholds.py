"""The two thresholds of presence, and what they may be."""

from __future__ import annotations

from dataclasses import dataclass

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
