"""What the stream commands say besides answers: events, and the health of the source.

Lines of the contract, as answers are.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Literal

from listen_edge.lines import json_line, rounded

Phase = Literal["start", "update", "end"]
SourceState = Literal["healthy", "alarmed", "recovering", "failed"]
Ending = Literal[
    "not_heard",  # the sound is no longer there
    "no_audio",  # nothing could be heard any more: the sound may go on
    "end_of_stream",  # the recording ended
    "stopped",  # the program was asked to stop
]


@dataclass(frozen=True)
class Event:
    """A sound that began, goes on, or has ended.

    Attributes:
        phase: start, update (see `notice`) or end.
        question, concept: as in the answers.
        start_s: when it was first heard, in seconds like an answer's window_s: the begin of the
            newest hop in the first window that heard it.
        duration_s: from there to the end of the last window that heard it.
        peak_presence: highest presence so far.
        notice: "long_event" on updates: the sound is stationary, it goes on without new alarms.
        reason: why it ended; None for start and update.
        clip: file that will hold the sound once the event is over; None when no clips are kept.
        source, bundle: as in the answers.
    """

    phase: Phase
    question: str
    concept: str
    start_s: float
    duration_s: float
    peak_presence: float
    notice: Literal["long_event"] | None
    reason: Ending | None
    clip: str | None
    source: str
    bundle: str

    def to_json_line(self, now: datetime | None = None) -> str:
        """Return the event as one JSON line; `now` is the time of the line, in UTC."""
        fields = replace(
            self,
            start_s=round(self.start_s, 3),
            duration_s=round(self.duration_s, 3),
            peak_presence=round(self.peak_presence, 4),
        )
        return json_line("event", asdict(fields), now)

    def to_text_line(self) -> str:
        """Return the event for people."""
        what = f"{self.source:<20} EVENT {self.phase:<6} {self.question:<24}"
        if self.phase == "start":
            return f"{what} at {self.start_s:.1f} s, presence {self.peak_presence:.2f}"
        note = " (long event)" if self.notice else f" ({self.reason})" if self.reason else ""
        return f"{what} {self.duration_s:.1f} s, peak presence {self.peak_presence:.2f}{note}"


@dataclass(frozen=True)
class Health:
    """Is the source listening? Sent on every change, and as a heartbeat.

    Attributes:
        state: healthy; alarmed (nothing arrives); recovering (it is being opened again); failed
            (three restarts were in vain, slower attempts go on).
        message: what happened, in words; None for a heartbeat.
        n_windows: windows answered since the start.
        n_dropped: windows skipped to keep up.
        n_gated: windows below the level gate, answered without the LLM.
        n_overflows: times that samples were lost between device and program.
        n_restarts: times that the source was opened again.
        lag_s: from the newest sample of the last window to its answer.
        level_dbfs: level of the last window, None for digital silence or before the first.
    """

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

    def to_json_line(self, now: datetime | None = None) -> str:
        """Return the report as one JSON line; `now` is the time of the line, in UTC."""
        fields = replace(self, lag_s=round(self.lag_s, 3), level_dbfs=rounded(self.level_dbfs, 1))
        return json_line("health", asdict(fields), now)

    def to_text_line(self) -> str:
        """Return the report for people."""
        return f"{self.source:<20} HEALTH {self.state}" + (
            f": {self.message}" if self.message else ""
        )
