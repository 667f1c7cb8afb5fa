"""What is asked of which source, and how: presets, questions of all, questions of one.

A question about a sound that a less special one asks about already is the same question, said
otherwise: what it sets holds, the rest is the other's. From the least special: presets, questions
of all sources, questions of one source. Two of the same rank are an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from listen_edge.event_settings import EventSettings
from listen_edge.runtime.listening.trigger import TriggerConfig
from listen_edge.runtime.service.config.fields import Place, id_of
from listen_edge.runtime.service.config.listening import QuestionConfig, SourceConfig
from listen_edge.runtime.service.config.presets import PRESETS
from listen_edge.runtime.service.config.schedule import QuietTime
from listen_edge.runtime.service.records.types import Priority
from listen_edge.runtime.thresholds import Thresholds, chosen_thresholds

if TYPE_CHECKING:
    from listen_edge.runtime.service.config.models import WatchConfig


_TRIGGER = {  # key: what TriggerConfig calls it
    "confirm": "confirm",
    "end_after": "end_after_s",
    "cooldown": "cooldown_s",
    "long_event": "long_event_s",
}


@dataclass(frozen=True)
class Asked:
    """One question at one source.

    Attributes:
        source, id: ids; one id is one sound, wherever it is asked.
        ask: in the user's words.
        concept: see parse_concept.
        concepts: it and its aliases'.
        levels: (on, off) as set, the least special first; None: not set there.
        place: of the words in force; ("presets", NAME) for a preset's.
    """

    source: str
    id: str
    ask: str
    concept: str
    concepts: frozenset[str]
    priority: Priority
    quiet: tuple[QuietTime, ...]
    levels: tuple[tuple[float | None, float | None], ...]
    place: Place

    def thresholds(self, settings: EventSettings | None) -> Thresholds:
        """Return those of its events.

        Args:
            settings: the bundle's, which hold where nothing is set; None: it has none.
        """
        shipped = TriggerConfig.thresholds
        if settings is not None:
            own = {one.concept: (one.on, one.off) for one in settings.by_concept}
            shipped = Thresholds(*own.get(self.concept, (settings.on, settings.off)))
        for on, off in self.levels:
            shipped = chosen_thresholds(on, off, shipped)
        return shipped


def asked_of(config: WatchConfig) -> tuple[Asked, ...]:
    """Return every question at every source, in the order of the sources."""
    return tuple(one for source in config.sources for one in _at(config, source)[0])


def trigger_of(
    config: WatchConfig, source: SourceConfig, settings: EventSettings | None
) -> TriggerConfig:
    """Return when presence becomes an event at a source, see Asked.thresholds for single questions.

    Raises:
        ListenEdgeError: what is set does not go with what the bundle sets.
    """
    shipped = TriggerConfig()
    if settings is not None:
        shipped = TriggerConfig(Thresholds(settings.on, settings.off), settings.confirm)
    thresholds = shipped.thresholds
    own: dict[str, Any] = {}
    for level in (config.defaults, source.defaults):
        thresholds = chosen_thresholds(level.on, level.off, thresholds)
        own |= {
            _TRIGGER[name]: value for name, value in level if value is not None and name in _TRIGGER
        }
    return replace(shipped, thresholds=thresholds, **own)


def asking_problems(config: WatchConfig) -> list[tuple[Place, str]]:
    """Return which questions cannot be asked beside others, each with its place."""
    found: list[tuple[Place, str]] = []
    seen: dict[str, Asked] = {}
    for source in config.sources:
        asked, problems = _at(config, source)
        for one in asked:
            other = seen.setdefault(one.id, one)
            if not one.concepts & other.concepts:
                problems.append(((*one.place, "id"), _id_of_another(other)))
        found += [problem for problem in problems if problem not in found]
    return found


def _at(config: WatchConfig, source: SourceConfig) -> tuple[list[Asked], list[tuple[Place, str]]]:
    """Return what is asked of one source, and what of that cannot be."""
    asked: list[Asked] = []
    problems: list[tuple[Place, str]] = []
    by_concept: dict[str, int] = {}
    for place, question in _ranked(config, source):
        same = sorted({by_concept[name] for name in question.concepts if name in by_concept})
        if not same:
            same = [len(asked)]
            asked.append(_new(config, source, question, place))
        elif why := _why_not([asked[k] for k in same], place):
            problems.append(((*place, "ask"), why))
        else:
            asked[same[0]] = _otherwise(asked[same[0]], question, place)
        by_concept |= dict.fromkeys(question.concepts, same[0])
    first: dict[str, Asked] = {}
    for one in asked:
        if (other := first.setdefault(one.id, one)) is not one:
            problems.append(((*one.place, "id"), _id_of_another(other)))
    return asked, problems


def _why_not(same: Sequence[Asked], place: Place) -> str | None:
    """Return why a question cannot be said otherwise here, of those about its sounds."""
    if len(same) > 1:
        words = " and ".join(f'"{one.ask}"' for one in same)
        return f"is about the sounds of two questions, {words}; leave out an alias"
    if same[0].place[:-1] == place[:-1]:
        return f'is asked twice of one source, see "{same[0].ask}"'
    return None


def _id_of_another(other: Asked) -> str:
    return f'"{other.id}" is the id of "{other.ask}" too; give each its own'


def _ranked(config: WatchConfig, source: SourceConfig) -> Iterator[tuple[Place, QuestionConfig]]:
    """Yield the questions that could be asked of a source, with their places, by rank."""
    for name in dict.fromkeys((*source.presets, *config.presets)):
        for question in PRESETS[name]:
            yield ("presets", name), question
    for k, question in enumerate(config.questions):
        if question.sources is None or source.id in question.sources:
            yield ("questions", k), question
    for k, question in enumerate(source.questions):
        yield ("sources", config.sources.index(source), "questions", k), question


def _new(
    config: WatchConfig, source: SourceConfig, question: QuestionConfig, place: Place
) -> Asked:
    levels = (config.defaults, source.defaults, question)
    return Asked(
        source=source.id,
        id=question.id,
        ask=question.ask,
        concept=question.concept,
        concepts=question.concepts,
        priority=question.priority,
        quiet=question.quiet,
        levels=tuple((level.on, level.off) for level in levels),
        place=place,
    )


def _otherwise(less: Asked, question: QuestionConfig, place: Place) -> Asked:
    """Return a question as a more special one wants it."""
    is_named = question.id != id_of(question.concept)
    is_set = question.model_fields_set
    return replace(
        less,
        id=question.id if is_named else less.id,
        ask=question.ask,
        concept=question.concept,
        concepts=less.concepts | question.concepts,
        priority=question.priority if "priority" in is_set else less.priority,
        quiet=question.quiet if "quiet" in is_set else less.quiet,
        levels=(*less.levels, (question.on, question.off)),
        place=place,
    )
