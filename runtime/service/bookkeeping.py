"""What is heard at one source -> the store, and the newest answer of each question.

Inside, time is the stream's, which only goes forward; here, where an event or a window is kept, it
becomes UTC. A clock that jumps moves when an event was, and neither how long it took nor when the
next may begin.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from listen_edge.errors import ListenEdgeError
from listen_edge.lines.answer import Answer
from listen_edge.lines.event import Event
from listen_edge.runtime.service.questions import AskedHere
from listen_edge.runtime.service.records.store import Store
from listen_edge.runtime.service.records.types import Sounding

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Open:
    """An event that goes on: its place in the store, its question's id, and how far it was told."""

    event: int
    question: str
    started_at: datetime
    duration_s: float
    peak_presence: float


class Bookkeeper:
    """Keeps what one source's listener says; all methods are for its thread, soundings for any.

    Args:
        source: id.
        store: keeps events and presence; what it cannot keep is told in the log.
        clock: aware UTC.
        on_event: is called when the store owes outputs something more.
    """

    def __init__(
        self,
        source: str,
        store: Store,
        clock: Callable[[], datetime],
        on_event: Callable[[], None],
    ) -> None:
        self._source, self._store, self._clock, self._on_event = source, store, clock, on_event
        self._open: dict[str, _Open] = {}
        self._soundings: dict[str, Sounding] = {}
        self._newest: dict[str, Answer] = {}

    @property
    def soundings(self) -> list[Sounding]:
        """The newest answer of each question."""
        return list(self._soundings.copy().values())

    def ask(self, asked: Sequence[AskedHere]) -> None:
        """Forget the answers of all but these."""
        concepts = {one.concept for one in asked}
        for concept in [c for c in self._newest if c not in concepts]:
            del self._newest[concept]
            self._soundings.pop(concept, None)

    def answer(self, answer: Answer, asked: AskedHere) -> None:
        """Take an answer, of the window that has just ended."""
        now = self._clock()
        presence = None if answer.reason == "unfamiliar" else answer.presence
        self._newest[answer.concept] = answer
        self._soundings[answer.concept] = Sounding(
            source=self._source,
            question=asked.id,
            state=answer.state,
            reason=answer.reason,
            presence=presence,
            is_sounding=answer.concept in self._open,
            at=now,
        )
        self._keep(lambda: self._store.add_presence(self._source, asked.id, now, presence))

    def event(self, event: Event, asked: AskedHere | None, lag_s: float) -> None:
        """Take what an event does; it follows the answer that made it.

        Args:
            asked: the question in force, None where it is no longer asked.
            lag_s: from the end of the window to now.
        """
        if event.phase == "start" and asked is not None:
            self._keep(lambda: self._begin(event, asked, lag_s))
        elif event.phase == "update":
            self._keep(lambda: self._go_on(event))
        elif event.phase == "end" and event.reason is not None:
            self._end(event.concept, event.duration_s, event.peak_presence, event.reason)
        self._show(event.concept)

    def close(self, reason: str) -> None:
        """End all that goes on, where the listener could not: what was heard last counts."""
        for concept, going in list(self._open.items()):
            self._end(concept, going.duration_s, going.peak_presence, reason)

    def hear_nothing(self) -> None:
        """Nothing is listened to any more: no answer of before is shown as if it were so now."""
        now = self._clock()
        for concept, sounding in self._soundings.copy().items():
            self._soundings[concept] = replace(
                sounding,
                state="unknown",
                reason="no_audio",
                presence=None,
                is_sounding=False,
                at=now,
            )

    def _begin(self, event: Event, asked: AskedHere, lag_s: float) -> None:
        newest, limits = self._newest[event.concept], asked.question.trigger.thresholds
        ago_s = newest.window_s[1] - event.start_s + lag_s
        begun = self._store.begin(
            source=self._source,
            question=asked.id,
            ask=event.question,
            concept=event.concept,
            started_at=self._clock() - timedelta(seconds=ago_s),
            peak_presence=event.peak_presence,
            level_dbfs=newest.level_dbfs,
            on=limits.on,
            off=limits.off,
            bundle=event.bundle,
            duration_s=event.duration_s,
            clip=event.clip,
        )
        self._open[event.concept] = _Open(
            begun.id, asked.id, begun.started_at, event.duration_s, event.peak_presence
        )
        self._on_event()

    def _go_on(self, event: Event) -> None:
        if (going := self._open.get(event.concept)) is None:
            return
        duration_s, peak = event.duration_s, event.peak_presence
        self._open[event.concept] = replace(going, duration_s=duration_s, peak_presence=peak)
        self._store.go_on(going.event, duration_s=duration_s, peak_presence=peak)
        self._on_event()

    def _end(self, concept: str, duration_s: float, peak_presence: float, reason: str) -> None:
        if (going := self._open.pop(concept, None)) is None:
            return
        self._keep(
            lambda: self._store.end(
                going.event,
                ended_at=going.started_at + timedelta(seconds=duration_s),
                duration_s=duration_s,
                peak_presence=peak_presence,
                reason=reason,
            )
        )
        self._on_event()

    def _show(self, concept: str) -> None:
        if (sounding := self._soundings.get(concept)) is not None:
            self._soundings[concept] = replace(sounding, is_sounding=concept in self._open)

    def _keep(self, write: Callable[[], object]) -> None:
        try:
            write()
        except ListenEdgeError as err:
            logger.warning("%s: %s", self._source, err)
