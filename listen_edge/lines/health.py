"""Health: is the source listening, and does the machine keep up?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from listen_edge.lines import JsonLine, LineType

SourceState = Literal["healthy", "alarmed", "recovering", "failed", "muted"]


@dataclass(frozen=True)
class Health(JsonLine):
    """Is the source listening? Sent on every change, and as a heartbeat.

    Attributes:
        state: healthy; alarmed (nothing arrives); recovering (it is being opened again); failed
            (three restarts were in vain, slower attempts go on); muted (closed on demand).
        message: what happened, in words; None for a heartbeat.
        n_windows: windows answered since the start.
        n_dropped: windows skipped to keep up.
        n_gated: windows below the level gate, answered without the LLM.
        n_overflows: times that samples were lost between device and program.
        n_restarts: times that the source was opened again.
        lag_s: from the newest sample of the last window to its answer.
        level_dbfs: level of the last window, None for digital silence or before the first.
    """

    TYPE: ClassVar[LineType] = "health"
    DIGITS: ClassVar[Mapping[str, int]] = {"lag_s": 3, "level_dbfs": 1}

    source: str
    state: SourceState
    message: str | None
    n_windows: int
    n_dropped: int
    n_gated: int
    n_overflows: int
    n_restarts: int
    lag_s: float
    level_dbfs: float | None

    def to_text_line(self) -> str:
        """Return the report for people."""
        return f"{self.source:<20} HEALTH {self.state}" + (
            f": {self.message}" if self.message else ""
        )
