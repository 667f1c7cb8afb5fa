"""Answers -> events: one trigger per question, and the sound of its events where it is kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from listen_edge.lines.answer import Answer
from listen_edge.lines.event import Ending, Event
from listen_edge.runtime.listening.clips import ClipRecorder
from listen_edge.runtime.listening.trigger import Change, Trigger


class Events:
    """The events of one source.

    Args:
        triggers: of each question, by concept, in the order of the questions.
        questions: as they were asked, by concept.
        source: name to put into the events.
        clips: keeps their sound; None: it is not kept.
    """

    def __init__(
        self,
        triggers: Mapping[str, Trigger],
        questions: Mapping[str, str],
        source: str,
        clips: ClipRecorder | None,
    ) -> None:
        self._triggers, self._questions = triggers, questions
        self._source, self._clips = source, clips
        self._clip_paths: dict[str, str] = {}

    def of(self, answers: Sequence[Answer]) -> Iterator[Event]:
        """Yield what the answers about a window begin, continue or end."""
        for answer in answers:
            presence = 0.0 if answer.reason == "below_gate" else answer.presence
            if answer.reason == "unfamiliar":
                presence = None  # nothing vouches for it
            change = self._triggers[answer.concept].update(answer.window_s[1], presence)
            if change is not None:
                ago_s = answer.window_s[1] - change.start_s
                yield self._event(answer.concept, change, ago_s, answer.bundle)

    def close(self, ending: Ending, bundle: str) -> Iterator[Event]:
        """End what still goes on; `bundle` is the name to put into the events."""
        for concept, trigger in self._triggers.items():
            change = trigger.close(ending)
            if change is not None:
                yield self._event(concept, change, 0.0, bundle)

    def _event(self, concept: str, change: Change, ago_s: float, bundle: str) -> Event:
        if self._clips is not None and change.phase == "start":
            self._clip_paths[concept] = self._clips.begin(concept, ago_s)
        if self._clips is not None and change.phase == "end":
            self._clips.end(concept)
        return Event(
            phase=change.phase,
            question=self._questions[concept],
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
