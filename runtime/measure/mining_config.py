"""What mining keeps. Light, so that the command line can show the defaults."""

from __future__ import annotations

from dataclasses import dataclass

from listen_edge.errors import ListenEdgeError


@dataclass(frozen=True)
class MiningConfig:
    """What is kept.

    Attributes:
        least: presence from which a window is wrongly sure.
        per_question: windows of a question and recording, the surest that do not overlap.
        hop_s: between windows; by default a short sound is wholly in one of two.
    """

    least: float = 0.5
    per_question: int = 3
    hop_s: float = 2.5

    def __post_init__(self) -> None:
        if not 0 < self.least <= 1:
            raise ListenEdgeError(f"--least {self.least:g}: expected a presence from 0 to 1")
        if self.per_question < 1:
            raise ListenEdgeError(f"--per-question {self.per_question}: expected 1 or more")
