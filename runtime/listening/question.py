"""A question to a source, and when its presence becomes an event."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from listen_edge.question import parse_concept
from listen_edge.runtime.listening.trigger import TriggerConfig


@dataclass(frozen=True)
class Question:
    """A question as it is asked of one source.

    Attributes:
        words: see parse_concept.
        trigger: of its events.
        is_quiet: no event begins; it is answered all the same, and an event that goes on ends as
            it would.
    """

    words: str
    trigger: TriggerConfig
    is_quiet: bool = False


def by_concept(questions: Sequence[Question]) -> dict[str, Question]:
    """Return questions by concept; of two wordings of one question the first is asked.

    Raises:
        QuestionError: a question that names no sound.
    """
    found: dict[str, Question] = {}
    for question in questions:
        found.setdefault(parse_concept(question.words), question)
    return found
