"""Events as the service tells of them: to webhooks, commands, files and brokers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from listen_edge.lines import JsonLine, LineType
from listen_edge.lines.event import Phase


@dataclass(frozen=True)
class StoredEventLine(JsonLine):
    """One phase of an event of the service. The line's `ts` is when the phase was, in UTC.

    Times are text such as "2026-01-01T00:00:00.000Z".

    Attributes:
        phase: start, update (it goes on for long) or end.
        uid: of the event, the same in all its phases, unique among all devices.
        source, question: ids, see listen.yaml.
        ask: the question in the user's words.
        concept: what was asked about, see parse_concept.
        ended_at: None before the end.
        duration_s: so far.
        peak_presence: highest so far.
        level_dbfs: of the window in which it began, None for digital silence.
        on, off: thresholds that it was made with.
        reason: why it ended, see listen_edge.lines.event.Ending, or "interrupted" by a crash;
            None before the end.
        clip: file name of its sound, None where none is kept.
        bundle: name and hash of the bundle.
        is_test: nothing was heard: somebody tries the outputs.
    """

    TYPE: ClassVar[LineType] = "stored_event"
    DIGITS: ClassVar[Mapping[str, int]] = {
        "duration_s": 3,
        "peak_presence": 4,
        "level_dbfs": 1,
        "on": 4,
        "off": 4,
    }

    phase: Phase
    uid: str
    source: str
    question: str
    ask: str
    concept: str
    started_at: str
    ended_at: str | None
    duration_s: float
    peak_presence: float
    level_dbfs: float | None
    on: float
    off: float
    reason: str | None
    clip: str | None
    bundle: str
    is_test: bool
