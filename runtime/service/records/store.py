"""Events, and what each output is still owed of them, in one SQLite file.

- An event and what it owes to outputs are written in one transaction, when they happen.
- What happens while the disk is full or held by another process goes on in memory (see unwritten)
  and is written when that is over; outputs are told all the same.
- Delivery is at least once: a process that is killed between an output's success and `delivered`
  delivers that one again, with the same uid and phase. Nothing else comes twice, nothing is lost.
- Whoever listens never waits for the disk: the threads of outputs sync it before they deliver.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

from listen_edge.lines.event import Phase
from listen_edge.runtime.service.records import clip_files
from listen_edge.runtime.service.records.database import Database
from listen_edge.runtime.service.records.event_log import MAX_ID, Condition, EventLog
from listen_edge.runtime.service.records.history import History, Presence, Times
from listen_edge.runtime.service.records.outbox import Outbox
from listen_edge.runtime.service.records.retention import (
    Removed,
    Retention,
    remove_what_is_too_much,
)
from listen_edge.runtime.service.records.schema import StoreError
from listen_edge.runtime.service.records.types import Delivery, StoredEvent, Verdict
from listen_edge.runtime.service.records.unwritten import storable

INTERRUPTED = "interrupted"  # reason of events that a killed process left open


def _now() -> datetime:
    return datetime.now(timezone.utc)


class Store:
    """The events of a service; every method from any thread.

    Args:
        path: of the database, made if it is not there.
        clips: folder that holds the sound of events, None where none is kept.
        retention: how much is kept, see tidy.
        is_reader: only look, beside a service that writes.
        clock: current time, aware.

    Raises:
        StoreError: not a database of ours, a newer one, one that another service writes, or it
            cannot be opened. Later a disk that is full or fails is no error, see take_problem;
            a file that cannot be read is.
    """

    def __init__(
        self,
        path: Path,
        clips: Path | None,
        retention: Retention | None = None,
        *,
        is_reader: bool = False,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self.path, self.clips = path, clips
        self.retention = retention or Retention()
        self._clock = clock
        self._database = Database(path, is_reader=is_reader)
        self._events, self._history = EventLog(self._database), History(self._database)
        self._outbox = Outbox(self._database, clock)

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Write what is left, and close; a second time does nothing."""
        self._history.keep()
        self._database.close()

    # Events as they happen

    def begin(
        self,
        *,
        source: str,
        question: str,
        ask: str,
        concept: str,
        started_at: datetime,
        peak_presence: float,
        level_dbfs: float | None,
        on: float,
        off: float,
        bundle: str,
        duration_s: float = 0.0,
        clip: str | None = None,
        is_test: bool = False,
    ) -> StoredEvent:
        """Keep an event that began, and owe its start to every output.

        Args:
            source, question: ids.
            clip: where its sound will be; its file name is kept.
        """
        with self._database.writing:
            self._database.last_id += 1
            event = StoredEvent(
                id=self._database.last_id,
                uid=uuid.uuid4().hex,
                source=source,
                question=question,
                ask=ask,
                concept=concept,
                started_at=started_at.astimezone(timezone.utc),
                ended_at=None,
                duration_s=duration_s,
                peak_presence=peak_presence,
                level_dbfs=level_dbfs,
                on=on,
                off=off,
                bundle=bundle,
                clip=None if clip is None else Path(clip).name,
                is_test=is_test,
            )
            return self._put(event, "start")

    def go_on(self, event_id: int, *, duration_s: float, peak_presence: float) -> StoredEvent:
        """Keep how an event goes on, and owe that; of one that has ended nothing.

        Raises:
            StoreError: there is no such event.
        """
        with self._database.writing:
            event = self._known(event_id)
            if event.ended_at is not None:
                return event
            event = replace(event, duration_s=duration_s, peak_presence=peak_presence)
            return self._put(event, "update")

    def end(
        self,
        event_id: int,
        *,
        ended_at: datetime,
        duration_s: float,
        peak_presence: float,
        reason: str,
    ) -> StoredEvent:
        """Keep how an event ended, and owe that, once.

        Raises:
            StoreError: there is no such event.
        """
        with self._database.writing:
            event = self._known(event_id)
            return self._end(event, ended_at, duration_s, peak_presence, reason)

    def close_open(self, reason: str = INTERRUPTED) -> list[StoredEvent]:
        """End what a killed process left open, and owe that; at a start, before anything begins.

        They end where they were last known to go on.
        """
        with self._database.writing:
            found = self._events.newest([("ended_at", "IS", None)], limit=MAX_ID)
            return [
                self._end(
                    event,
                    event.started_at + timedelta(seconds=event.duration_s),
                    event.duration_s,
                    event.peak_presence,
                    reason,
                )
                for event in reversed(found)
            ]

    # Events as they are looked at

    def event(self, event_id: int) -> StoredEvent | None:
        """Return an event, None if there is none of this id."""
        return self._events.get(event_id)

    def events(
        self,
        *,
        before: int | None = None,
        limit: int = 50,
        source: str | None = None,
        question: str | None = None,
        verdict: Verdict | None = None,
        since: datetime | None = None,
        with_tests: bool = False,
    ) -> list[StoredEvent]:
        """Return events, newest first.

        Args:
            before: below this id: the last one of the page before.
            source, question: ids.
            since: that began then or later.
            with_tests: also those that were made to try the outputs.
        """
        wanted: list[Condition] = [
            ("id", "<", None if before is None else min(before, MAX_ID)),
            ("source", "=", source),
            ("question", "=", question),
            ("verdict", "=", verdict),
            ("started_at", ">=", since),
            ("is_test", "=", None if with_tests else False),
        ]
        return self._events.newest([one for one in wanted if one[2] is not None], limit)

    def acknowledge(self, event_id: int) -> StoredEvent | None:
        """Note that somebody has seen an event, the first time; None if there is none."""
        with self._database.writing:
            event = self.event(event_id)
            if event is None or event.acknowledged_at is not None:
                return event
            return self._put(replace(event, acknowledged_at=self._clock()))

    def judge(self, event_id: int, verdict: Verdict | None, note: str = "") -> StoredEvent | None:
        """Note what a person says of an event, None takes it back; None if there is none."""
        with self._database.writing:
            event = self.event(event_id)
            return event and self._put(replace(event, verdict=verdict, note=note))

    def clip_path(self, event: StoredEvent) -> Path | None:
        """Return where an event's sound is, None where none is kept or not in our folder."""
        return clip_files.clip_path(self.clips, event.clip)

    # What outputs are owed

    def pending(self, output: str, limit: int = 100) -> list[Delivery]:
        """Return what an output is owed, in order; a new output is owed what comes from now on.

        It survives a power cut, unless the disk is full or fails.
        """
        return self._outbox.pending(output, limit)

    def n_pending(self, output: str) -> int:
        """Return how many deliveries an output is owed."""
        return self._outbox.n_pending(output)

    def delivered(self, output: str, seq: int) -> None:
        """Note that an output has this delivery and all before it."""
        self._outbox.delivered(output, seq)

    def skip_older(self, output: str, age_s: float, n: int) -> int:
        """Give up what an output is owed for longer than age_s, and all but the n newest.

        Returns:
            How many deliveries that were.
        """
        return self._outbox.skip_older(output, age_s, n)

    # Presence of the last days

    def add_presence(
        self, source: str, question: str, ends_at: datetime, presence: float | None
    ) -> None:
        """Keep what a window said; None: unknown, it was not listened to.

        It is written every few minutes (history.CURVE_S), which is what a killed process loses.
        """
        self._history.add(source, question, ends_at, presence)

    def presence(
        self, source: str, question: str, since: datetime, until: datetime
    ) -> tuple[Times, Presence]:
        """Return what was heard from one time to another, in order of time.

        Returns:
            Ends of windows in seconds of Unix time (n_windows,), and presence (n_windows,), NaN
            where it is unknown.
        """
        return self._history.presence(source, question, since, until)

    # Upkeep

    def tidy(self) -> Removed:
        """Write what is unwritten, and remove what retention says, every few minutes.

        What cannot be written or removed is tried again the next time, see take_problem.
        """
        self._history.keep()
        self._outbox.forget()
        return self._database.upkeep(
            lambda: remove_what_is_too_much(
                self._database, self.clips, self.retention, self._clock()
            ),
            Removed(),
        )

    @property
    def problem(self) -> StoreError | None:
        """Why nothing can be written now, None: all is written."""
        return self._database.problem

    def take_problem(self) -> StoreError | None:
        """Return the problem, for health, at most once a minute."""
        return self._database.take_problem()

    # Of all of these

    def _put(self, event: StoredEvent, phase: Phase | None = None) -> StoredEvent:
        """Keep an event as it is now and owe this phase, in one transaction; `writing` is held."""
        assert not self._database.is_reader, "opened to look"
        event = storable(event)
        self._database.unwritten.events[event.id] = event
        if phase is not None:
            self._outbox.owe(event, phase)
        self._database.write()
        if phase is None:
            self._outbox.forget()
        return event

    def _end(
        self,
        event: StoredEvent,
        ended_at: datetime,
        duration_s: float,
        peak_presence: float,
        reason: str,
    ) -> StoredEvent:
        if event.ended_at is not None:
            return event
        ended = replace(
            event,
            ended_at=ended_at.astimezone(timezone.utc),
            duration_s=duration_s,
            peak_presence=peak_presence,
            reason=reason,
        )
        return self._put(ended, "end")

    def _known(self, event_id: int) -> StoredEvent:
        event = self.event(event_id)
        if event is None:
            raise StoreError(f"{self.path}: there is no event {event_id}")
        return event
