"""Anybody's words lead to one concept."""

from __future__ import annotations

import pytest

from listen_edge.errors import QuestionError
from listen_edge.evaluation.esc50 import WORDINGS
from listen_edge.question import parse_concept


@pytest.mark.parametrize(
    ("question", "concept"),
    [
        ("siren?", "siren"),
        ("Is there a siren?", "siren"),
        ("do you hear a siren", "siren"),
        ("Can you hear the sound of glass breaking?", "glass breaking"),
        ("  SIREN ", "siren"),
        ("is a dog barking?", "dog barking"),
        ("are there any birds right now?", "birds"),
        ("Is there a sound of can opening in the audio?", "can opening"),
        ("the sound of the sea", "sea"),
        ("isolated thunder", "isolated thunder"),
        ("café music?", "café music"),
    ],
)
def test_concept_of_a_question(question: str, concept: str) -> None:
    assert parse_concept(question) == concept


@pytest.mark.parametrize("wording", WORDINGS)
def test_the_benchmarks_wordings_are_one_question(wording: str) -> None:
    assert parse_concept(wording.format("vacuum cleaner")) == "vacuum cleaner"


@pytest.mark.parametrize(
    ("question", "match"),
    [
        ("", "the question is empty"),
        (" \t", "the question is empty"),
        ("?!", "names no sound"),
        ("dog " * 500, "has 500 words"),
        ("x" * 500, "500 characters"),
        ("siren\x1b[2J", "cannot be printed"),
    ],
    ids=["empty", "blank", "marks", "words", "characters", "escape"],
)
def test_a_question_that_cannot_be_asked(question: str, match: str) -> None:
    with pytest.raises(QuestionError, match=match):
        parse_concept(question)
