"""How much is told of what is heard. Light, so that the command line can show the defaults."""

from __future__ import annotations

from dataclasses import dataclass

from listen_edge.errors import ListenEdgeError


@dataclass(frozen=True)
class HearConfig:
    """What to tell of a window.

    Attributes:
        top: sounds, at most.
        least: presence from which a sound is told.
    """

    top: int = 3
    least: float = 0.5

    def __post_init__(self) -> None:
        if self.top < 1:
            raise ListenEdgeError(f"--top {self.top}: expected 1 or more sounds")
        if not 0 < self.least <= 1:
            raise ListenEdgeError(f"--least {self.least:g}: expected a presence from 0 to 1")
