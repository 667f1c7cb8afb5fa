"""What is listened for, where, and when an event of it may begin.

The configuration's questions, those that were added while it ran, and thresholds that were moved.
Where the configuration asks about the same sound as an added question, the configuration's holds.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from listen_edge.bundle.manifest import Manifest
from listen_edge.errors import ListenEdgeError, QuestionError
from listen_edge.question import parse_concept
from listen_edge.runtime.listening.question import Question
from listen_edge.runtime.service.config.asked import Asked, asked_of, trigger_of
from listen_edge.runtime.service.config.fields import id_of
from listen_edge.runtime.service.config.models import WatchConfig
from listen_edge.runtime.service.config.schedule import is_quiet, zone_of
from listen_edge.runtime.service.kept import Added, Moved
from listen_edge.runtime.service.records.types import Priority, QuestionStatus
from listen_edge.runtime.thresholds import Thresholds, chosen_thresholds

logger = logging.getLogger(__name__)

MAX_ADDED = 64


class UnknownIdError(ListenEdgeError):
    """No source, question or output has this id."""


def known(kind: str, wanted: str, ids: Sequence[str]) -> str:
    """Return an id that there is; UnknownIdError for any other."""
    if wanted not in ids:
        raise UnknownIdError(f'there is no {kind} "{wanted}"; there are {", ".join(ids) or "none"}')
    return wanted


@dataclass(frozen=True)
class AskedHere:
    """A question at one source.

    Attributes:
        question: its words, and the settings of its events.
    """

    id: str
    concept: str
    priority: Priority
    question: Question


class Questions:
    """What is in force; not for several threads at once.

    Args:
        config: see config/models.py.
        manifest: of the bundle: its settings of events, what its calibration covers.
        added, moved: since the first start. An added one that cannot be asked any more, since
            another version reads questions otherwise, is left out and told in the log.

    Raises:
        ListenEdgeError: settings that cannot go together.
    """

    def __init__(
        self,
        config: WatchConfig,
        manifest: Manifest,
        added: Sequence[Added] = (),
        moved: Sequence[Moved] = (),
    ) -> None:
        self._config, self._manifest = config, manifest
        self._zone = zone_of(config.timezone)
        self._triggers = {
            source.id: trigger_of(config, source, manifest.events) for source in config.sources
        }
        self.added, self.moved = list(added), {one.question: one for one in moved}
        self._unaskable = frozenset(one.id for one in added if not _can_be_asked(one))
        self._resolve()

    def at(self, source: str, now: datetime) -> list[AskedHere]:
        """Return what is asked of a source at a time."""
        return [
            AskedHere(
                asked.id,
                asked.concept,
                asked.priority,
                Question(
                    asked.ask,
                    replace(self._triggers[source], thresholds=self._limits(asked)),
                    is_quiet(asked.quiet, now, self._zone),
                ),
            )
            for asked in self._asked
            if asked.source == source
        ]

    def status(self, now: datetime) -> list[QuestionStatus]:
        """Return each question once, with the settings of the first source that is asked."""
        by_id: dict[str, list[Asked]] = {}
        for asked in self._asked:
            by_id.setdefault(asked.id, []).append(asked)
        return [self._status(there, now) for there in by_id.values()]

    def one(self, question: str, now: datetime) -> QuestionStatus:
        """Return one of them; UnknownIdError: there is none of this id."""
        found = {status.id: status for status in self.status(now)}
        return found[known("question", question, list(found))]

    def add(
        self,
        ask: str,
        sources: Sequence[str] | None,
        on: float | None,
        off: float | None,
        priority: Priority,
    ) -> str:
        """Ask one more, and return its id; arguments and errors as for Service.add_question."""
        concept, there = _check(ask, on, off), [source.id for source in self._config.sources]
        wanted = None if sources is None else tuple(known("source", s, there) for s in sources)
        for asked in self._asked:
            if concept in asked.concepts and asked.source in (there if wanted is None else wanted):
                raise QuestionError(
                    f'"{concept}" is asked of {asked.source} already, as question {asked.id}; '
                    "move its thresholds instead"
                )
        if len(self.added) >= MAX_ADDED:
            raise ListenEdgeError(
                f"{MAX_ADDED} questions were added already; remove one, or write them into the "
                "configuration"
            )
        taken = {one.id for one in self._asked} | {one.id for one in self.added}
        stem = id_of(concept)[:60] or "question"
        names = (stem, *(f"{stem}-{n}" for n in range(2, len(taken) + 3)))
        made = Added(next(n for n in names if n not in taken), ask, wanted, on, off, priority)
        self.added.append(made)
        self._resolve()
        return made.id

    def remove(self, question: str) -> None:
        """Ask it no more.

        Raises:
            UnknownIdError: there is none of this id.
            ListenEdgeError: it is the configuration's.
        """
        ids = [one.id for one in self.added]
        known("question", question, list(dict.fromkeys([*self._ids, *ids])))
        if question not in ids:
            raise ListenEdgeError(
                f"question {question}: stands in the configuration; remove it there, and reload"
            )
        self.added = [one for one in self.added if one.id != question]
        self._unaskable -= {question}
        self.moved.pop(question, None)
        self._resolve()

    def move(self, question: str, on: float, off: float) -> None:
        """Move thresholds; errors as for Service.set_thresholds."""
        known("question", question, self._ids)
        Thresholds(on, off)  # refuses what cannot be
        was = self._configured(question)
        self.moved[question] = Moved(question, on, off, was.on, was.off)

    @property
    def _ids(self) -> list[str]:
        return list(dict.fromkeys(asked.id for asked in self._asked))

    def _resolve(self) -> None:
        """Put together what is asked; thresholds that were moved from others than now are not."""
        self._asked = list(asked_of(self._config))
        self._n_configured = len(self._asked)
        for one in self.added:
            self._asked += self._added_at(one)
        self.moved = {
            one.question: one
            for one in self.moved.values()
            if one.question in self._ids
            and self._configured(one.question) == Thresholds(one.from_on, one.from_off)
        }

    def _added_at(self, added: Added) -> list[Asked]:
        """Return an added question at its sources, but where its sound is asked about already."""
        if added.id in self._unaskable:
            return []
        concept = parse_concept(added.ask)
        return [
            Asked(
                source=source.id,
                id=added.id,
                ask=added.ask,
                concept=concept,
                concepts=frozenset([concept]),
                priority=added.priority,
                quiet=(),
                levels=(
                    (self._config.defaults.on, self._config.defaults.off),
                    (source.defaults.on, source.defaults.off),
                    (added.on, added.off),
                ),
                place=(),
            )
            for source in self._config.sources
            if (added.sources is None or source.id in added.sources)
            and not any(
                asked.source == source.id and (concept in asked.concepts or asked.id == added.id)
                for asked in self._asked
            )
        ]

    def _configured(self, question: str) -> Thresholds:
        """Return a question's thresholds at its first source, as if none had been moved."""
        first = next(asked for asked in self._asked if asked.id == question)
        return first.thresholds(self._manifest.events)

    def _limits(self, asked: Asked) -> Thresholds:
        moved = self.moved.get(asked.id)
        if moved is not None:
            return Thresholds(moved.on, moved.off)
        return asked.thresholds(self._manifest.events)

    def _status(self, there: Sequence[Asked], now: datetime) -> QuestionStatus:
        first = there[0]
        limits = self._limits(first)
        return QuestionStatus(
            id=first.id,
            ask=first.ask,
            concept=first.concept,
            sources=tuple(asked.source for asked in there),
            on=limits.on,
            off=limits.off,
            priority=first.priority,
            is_quiet=is_quiet(first.quiet, now, self._zone),
            calibrated=self._manifest.calibration.covers(first.concept),
            from_config=first in self._asked[: self._n_configured],
        )


def _check(ask: str, on: float | None, off: float | None) -> str:
    """Return the concept of a question to be added; ListenEdgeError: it cannot be asked so."""
    concept = parse_concept(ask)
    chosen_thresholds(on, off, Thresholds())
    return concept


def _can_be_asked(added: Added) -> bool:
    try:
        _check(added.ask, added.on, added.off)
    except ListenEdgeError as err:
        logger.warning(
            "question %s, which was added, is left out: %s; remove it, and add it in other words",
            added.id,
            err,
        )
        return False
    return True
