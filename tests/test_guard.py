"""What the guard lets pass, and what it refuses and why."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from listen_edge.chat import Completion
from listen_edge.ontology import Ontology
from listen_edge.train.datasets import Row
from listen_edge.train.texts.assignments import KINDS, Assignment, SynthesisConfig, plan
from listen_edge.train.texts.guard import (
    CLAIMS_ABSENT,
    DENIES_PRESENT,
    EMPTY,
    FORM,
    OFF_TOPIC,
    REPETITIVE,
    TRUNCATED,
    clauses,
    refusal,
)
from listen_edge.train.texts.knowledge import Knowledge, stem
from listen_edge.train.texts.wording import messages, template_text
from tests.small_ontology import write_ontology

LABELS = ("dog", "train", "violin", "crying baby", "siren", "rain", "church bells", "mouse click")
DOG = Assignment("esc50", "audio/1.wav", 1, ("dog",), None, ("dog",), seed=1)


@pytest.fixture(scope="module")
def knowledge(tmp_path_factory: pytest.TempPathFactory) -> Knowledge:
    path = write_ontology(tmp_path_factory.mktemp("ontology") / "ontology.json")
    return Knowledge(Ontology.read(path), LABELS)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("A dog is barking, an animal that people keep.", None),
        ("A dog barks. Its barking is short and loud.", None),
        ("", EMPTY),
        (" ... ", EMPTY),
        ("A dog is barking and", TRUNCATED),
        ("A dog barks. A dog barks. A dog barks.", REPETITIVE),
        ("The dog the dog the dog the dog barks.", REPETITIVE),
        ("Sure! A dog is barking.", FORM),
        ("Tags: dog.", FORM),
        ("- a dog\n- that barks.", FORM),
        ("[Begin of audio] dog [End of audio].", FORM),
        ("A dog is barking. It is not a puppy.", DENIES_PRESENT),
        ("A dog is barking. There is nothing else.", FORM),
        ("A lovely evening by the lake.", OFF_TOPIC),
        ("A dog is barking at a passing train.", CLAIMS_ABSENT),
        ("A dog howls like a siren.", CLAIMS_ABSENT),
        ("A dog barks like a coyote.", CLAIMS_ABSENT),
    ],
)
def test_positive_text(knowledge: Knowledge, text: str, reason: str | None) -> None:
    positive = replace(DOG, kind="positive")
    assert refusal(Completion(text), positive, knowledge) == reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("There is no siren and no violin.", None),
        ("A fiddle cannot be heard. The siren isn't there either.", None),
        ("There is no dog.", DENIES_PRESENT),
        ("There is no siren and no barking.", DENIES_PRESENT),
        ("There is no siren and no animal.", DENIES_PRESENT),
        ("Neither a siren nor a pet can be heard.", DENIES_PRESENT),
        ("No siren, only a dog that barks.", FORM),
        ("There is no piano.", OFF_TOPIC),
        ("A siren and a violin.", CLAIMS_ABSENT),
        ("The audio holds a siren, which is not a bird.", CLAIMS_ABSENT),
        ("There is no siren. A train passes.", CLAIMS_ABSENT),
        ("Nothing to hear.", OFF_TOPIC),
    ],
)
def test_negative_text(knowledge: Knowledge, text: str, reason: str | None) -> None:
    negative = replace(DOG, kind="negative", absent=("siren", "violin"))
    assert refusal(Completion(text), negative, knowledge) == reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("A dog is barking. There is no siren.", None),
        ("A dog is barking, but there is no siren.", None),
        ("A dog is barking and there is no violin.", None),
        ("There is no siren.", OFF_TOPIC),
        ("A dog is barking.", OFF_TOPIC),
        ("A siren wails. There is no dog.", DENIES_PRESENT),
    ],
)
def test_combined_text(knowledge: Knowledge, text: str, reason: str | None) -> None:
    combined = replace(DOG, kind="combined", absent=("siren", "violin"))
    assert refusal(Completion(text), combined, knowledge) == reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Can you hear a siren?", None),
        ("Are there sirens in this recording?", None),
        ("Yes, there is a siren.", FORM),
        ("What is a siren?", FORM),
        ("Is anyone eating this siren?", FORM),
        ("Can you hear a siren playing with a toy in the garden of a house?", FORM),
        ("Is there no siren?", FORM),
        ("Is there a siren or a train?", FORM),
        ("Is the dog louder than the siren?", FORM),
        ("Is there any sound other than a siren?", FORM),
        ("Is there a violin?", OFF_TOPIC),
        ("Is there a siren", TRUNCATED),
    ],
)
def test_question(knowledge: Knowledge, text: str, reason: str | None) -> None:
    question = replace(DOG, kind="yes_no", concept="siren", answer="no")
    assert refusal(Completion(text), question, knowledge) == reason


def test_text_cut_at_max_tokens_is_truncated_even_after_a_full_stop(knowledge: Knowledge) -> None:
    completion = Completion("A dog is barking.", is_cut=True)
    assert refusal(completion, replace(DOG, kind="positive"), knowledge) == TRUNCATED


def test_words_of_a_tag_may_not_be_denied_even_if_they_name_no_sound(knowledge: Knowledge) -> None:
    popping = replace(DOG, heard=("balloon popping",), kind="negative", absent=("violin",))
    text = "There is no balloon and no violin."
    assert refusal(Completion(text), popping, knowledge) == DENIES_PRESENT


def test_absent_sounds_may_not_be_confused_with_present_ones(knowledge: Knowledge) -> None:
    assert knowledge.holds("rain", "water drops")  # by listen_edge.concepts
    assert knowledge.holds("dog", "wolf")  # by the ontology: canidae
    assert knowledge.holds("dog", "pet")  # by the tables
    assert not knowledge.holds("dog", "train")


def test_everyday_words_are_no_sounds(knowledge: Knowledge) -> None:
    assert knowledge.mentions("It runs and rolls with a clang") == []


def test_longest_name_is_mentioned_alone(knowledge: Knowledge) -> None:
    assert knowledge.mentions("Church bells ring over the crying babies") == [
        "church bells",
        "crying baby",
    ]


def test_clauses_end_where_the_polarity_may_turn() -> None:
    assert clauses("No siren, but a dog; it isn't far.") == [
        ("No siren", True),
        ("a dog", False),
        ("it isn't far", True),
    ]


@pytest.mark.parametrize(
    ("word", "root"),
    [
        ("barking", "bark"),
        ("humming", "hum"),
        ("hissing", "hiss"),
        ("dogs", "dog"),
        ("ring", "ring"),
    ],
)
def test_stem_drops_endings(word: str, root: str) -> None:
    assert stem(word) == root


def test_templates_pass_the_guard(knowledge: Knowledge) -> None:
    rows = [(Row(Path(f"{label}.wav"), (label,)), f"{label}.wav") for label in LABELS]
    rows.append((Row(Path("two.wav"), ("dog", "train")), "two.wav"))
    assignments = plan(rows, SynthesisConfig(n_per_row=3), knowledge)
    assert {one.kind for one in assignments} == {*KINDS}
    for one in assignments:
        text, source = template_text(one, knowledge, one.seed)
        assert refusal(Completion(text), one, knowledge) is None, text
        assert source in ("template", "ontology")


def test_llm_is_told_the_absent_sounds_and_not_asked_to_choose(knowledge: Knowledge) -> None:
    negative = replace(DOG, kind="negative", absent=("siren", "violin"))
    request = messages(negative, knowledge)[-1]["content"]
    assert request == (
        "[Begin of audio] dog [End of audio]\nAbsent: siren, violin\n"
        "Name sounds that are not in the audio."
    )
