"""Events: a sound that began, goes on, or has ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from listen_edge.lines import JsonLine, LineType
from listen_edge.printable import printable

Phase = Literal["start", "update", "end"]
Ending = Literal[
    "not_heard",  # the sound is no longer there
    "no_audio",  # nothing could be heard any more: the sound may go on
    "end_of_stream",  # the recording ended
    "muted",  # the source was closed because somebody wanted that
    "stopped",  # the program was asked to stop, or to listen for it no more
]


@dataclass(frozen=True)
class Event(JsonLine):
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

    TYPE: ClassVar[LineType] = "event"
    DIGITS: ClassVar[Mapping[str, int]] = {"start_s": 3, "duration_s": 3, "peak_presence": 4}

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

    def to_text_line(self) -> str:
        """Return the event for people."""
        source, question = printable(self.source), printable(self.question)
        what = f"{source:<20} EVENT {self.phase:<6} {question:<24}"
        if self.phase == "start":
            return f"{what} at {self.start_s:.1f} s, presence {self.peak_presence:.2f}"
        note = " (long event)" if self.notice else f" ({self.reason})" if self.reason else ""
        return f"{what} {self.duration_s:.1f} s, peak presence {self.peak_presence:.2f}{note}"
