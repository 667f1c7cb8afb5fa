"""Answers -> events: one trigger per question, and the sound of its events where it is kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from listen_edge.lines.answer import Answer
from listen_edge.lines.event import Ending, Event
from listen_edge.runtime.listening.clips import ClipRecorder
from listen_edge.runtime.listening.question import Question
from listen_edge.runtime.listening.trigger import Change, Trigger


class Events:
    """The events of one source.

    Args:
        asked: by concept.
        hop_s: between windows.
        source: name to put into the events.
        clips: keeps their sound; None: it is not kept.
    """

    def __init__(
        self, asked: Mapping[str, Question], hop_s: float, source: str, clips: ClipRecorder | None
    ) -> None:
        self._hop_s, self._source, self._clips = hop_s, source, clips
        self._asked: Mapping[str, Question] = {}
        self._triggers: dict[str, Trigger] = {}
        self._clip_paths: dict[str, str] = {}
        self._ask(asked)

    def ask(self, asked: Mapping[str, Question], bundle: str) -> Iterator[Event]:
        """Ask these from the next window on, and yield the ends of what is no longer asked.

        Args:
            asked: by concept; those that were asked before keep their state.
            bundle: name to put into the events.
        """
        for concept in [c for c in self._triggers if c not in asked]:
            yield from self._close_one(concept, "stopped", bundle)
            del self._triggers[concept]
        self._ask(asked)

    def _ask(self, asked: Mapping[str, Question]) -> None:
        self._asked = asked
        for concept, one in asked.items():
            if concept in self._triggers:
                self._triggers[concept].retune(one.trigger.thresholds, one.trigger)
            else:
                self._triggers[concept] = Trigger(one.trigger.thresholds, one.trigger, self._hop_s)

    def of(self, answers: Sequence[Answer]) -> Iterator[Event]:
        """Yield what the answers about a window begin, continue or end."""
        for answer in answers:
            presence = 0.0 if answer.reason == "below_gate" else answer.presence
            if answer.reason == "unfamiliar":
                presence = None  # nothing vouches for it
            trigger = self._triggers[answer.concept]
            if self._asked[answer.concept].is_quiet and trigger.state != "active":
                presence = None
            change = trigger.update(answer.window_s[1], presence)
            if change is not None:
                ago_s = answer.window_s[1] - change.start_s
                yield self._event(answer.concept, change, ago_s, answer.bundle)

    def close(self, ending: Ending, bundle: str) -> Iterator[Event]:
        """End what still goes on; `bundle` is the name to put into the events."""
        for concept in self._triggers:
            yield from self._close_one(concept, ending, bundle)

    def _close_one(self, concept: str, ending: Ending, bundle: str) -> Iterator[Event]:
        change = self._triggers[concept].close(ending)
        if change is not None:
            yield self._event(concept, change, 0.0, bundle)

    def _event(self, concept: str, change: Change, ago_s: float, bundle: str) -> Event:
        if self._clips is not None and change.phase == "start":
            self._clip_paths[concept] = self._clips.begin(concept, ago_s)
        if self._clips is not None and change.phase == "end":
            self._clips.end(concept)
        return Event(
            phase=change.phase,
            question=self._asked[concept].words,
            concept=concept,
            start_s=max(0.0, change.start_s),
            duration_s=change.duration_s,
            peak_presence=change.peak_presence,
            notice="long_event" if change.is_long else None,
            reason=change.ending,
            clip=self._clip_paths.get(concept),
            source=self._source,
            bundle=bundle,
        )
