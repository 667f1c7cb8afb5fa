"""What the parts of the service tell each other: events as stored, and how things stand."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from listen_edge.lines.answer import Reason, State
from listen_edge.lines.event import Phase

Verdict = Literal["right", "false_alarm"]
Priority = Literal["safety", "normal"]
StationState = Literal["starting", "healthy", "alarmed", "recovering", "failed", "muted"]


@dataclass(frozen=True)
class StoredEvent:
    """An event as it is kept. Times are UTC.

    Attributes:
        id: place in the store, growing.
        uid: the same for outputs, unique among all devices.
        source, question: ids.
        ask: the question in the user's words.
        concept: see parse_concept.
        ended_at: None while it goes on.
        level_dbfs: of the window in which it began, None for digital silence.
        on, off: thresholds that it was made with.
        clip: file name inside the folder of clips, None where none is kept.
        reason: why it ended, see listen_edge.lines.event.Ending, or "interrupted" by a crash.
        verdict: what a person said of it.
        is_test: made by hand to try the outputs.
    """

    id: int
    uid: str
    source: str
    question: str
    ask: str
    concept: str
    started_at: datetime
    ended_at: datetime | None
    duration_s: float
    peak_presence: float
    level_dbfs: float | None
    on: float
    off: float
    bundle: str
    clip: str | None = None
    reason: str | None = None
    acknowledged_at: datetime | None = None
    verdict: Verdict | None = None
    note: str = ""
    is_test: bool = False


@dataclass(frozen=True)
class Delivery:
    """One phase of an event, as every output is owed it, in order of `seq`."""

    seq: int
    phase: Phase
    event: StoredEvent


@dataclass(frozen=True)
class SourceStatus:
    """How a source does; figures as in listen_edge.lines.health.

    Attributes:
        name: in words.
        since: when it came into this state.
        heard_at: end of the last window that was answered, None before the first.
    """

    id: str
    name: str
    state: StationState
    message: str | None
    since: datetime
    level_dbfs: float | None
    lag_s: float
    n_windows: int
    n_dropped: int
    n_overflows: int
    n_restarts: int
    heard_at: datetime | None


@dataclass(frozen=True)
class QuestionStatus:
    """What is listened for.

    Attributes:
        sources: ids of where it is asked.
        is_quiet: whether its schedule silences its events now.
        from_config: False for one added while running.
    """

    id: str
    ask: str
    concept: str
    sources: tuple[str, ...]
    on: float
    off: float
    priority: Priority
    is_quiet: bool
    calibrated: bool
    from_config: bool


@dataclass(frozen=True)
class Sounding:
    """The newest answer of one question at one source.

    Attributes:
        is_sounding: whether an event goes on.
        at: end of the window.
    """

    source: str
    question: str
    state: State
    reason: Reason | None
    presence: float | None
    is_sounding: bool
    at: datetime
