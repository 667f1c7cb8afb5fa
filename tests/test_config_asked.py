"""What is asked of which source: presets, overrides, and what cannot stand beside each other."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from typing import Any

import pytest
from pydantic import ValidationError

from listen_edge.bundle.opening import read_manifest
from listen_edge.event_settings import EventSettings, OwnThresholds
from listen_edge.runtime.service.config.asked import Asked, asked_of, trigger_of
from listen_edge.runtime.service.config.fields import id_of
from listen_edge.runtime.service.config.models import WatchConfig
from listen_edge.runtime.service.config.presets import PRESETS
from listen_edge.runtime.thresholds import Thresholds

BUNDLE = EventSettings(0.95, 0.6, (2, 3), (OwnThresholds("siren", 0.9, 0.5),))
ALL = [(name, question) for name, questions in PRESETS.items() for question in questions]


def _config(**keys: Any) -> WatchConfig:
    sources = [{"id": "kitchen", "device": "default"}, {"id": "hall", "device": "default"}]
    return WatchConfig.model_validate({"sources": sources, **keys})


def _asked(config: WatchConfig) -> dict[tuple[str, str], Asked]:
    return {(one.source, one.id): one for one in asked_of(config)}


def _refusal(**keys: Any) -> str:
    with pytest.raises(ValidationError) as refused:
        _config(**keys)
    return str(refused.value)


@pytest.mark.parametrize(("preset", "question"), ALL, ids=[question.id for _, question in ALL])
def test_the_bundle_knows_the_words_of_a_preset(preset: str, question: Any) -> None:
    head = read_manifest("tiny").head
    assert head is not None
    assert question.id == id_of(question.concept)
    assert {question.concept} <= set(head.vocabulary)
    assert question.concepts <= {*head.vocabulary, *head.asked}
    assert (question.on, question.off) == (None, None)  # the bundle's are measured
    assert (question.priority == "safety") == (preset == "safety")


def test_presets_can_stand_beside_each_other() -> None:
    assert not [
        (one.ask, other.ask)
        for (_, one), (_, other) in combinations(ALL, 2)
        if one.concepts & other.concepts or one.id == other.id
    ]
    assert Counter(one.source for one in asked_of(_config(presets=list(PRESETS)))) == {
        "kitchen": len(ALL),
        "hall": len(ALL),
    }


def test_a_question_of_one_source_is_the_preset_s_said_otherwise() -> None:
    kitchen = {
        "id": "kitchen",
        "device": "default",
        "defaults": {"off": 0.4},
        "questions": [{"ask": "do you hear a smoke detector?", "on": 0.8}],
    }
    hall = {"id": "hall", "device": "default"}
    asked = _asked(_config(presets=["safety"], sources=[kitchen, hall], defaults={"on": 0.97}))
    here, there = asked["kitchen", "smoke-alarm"], asked["hall", "smoke-alarm"]
    assert (here.concept, there.concept) == ("smoke detector", "smoke alarm")
    assert here.priority == there.priority == "safety"
    assert here.thresholds(BUNDLE) == Thresholds(0.8, 0.4)
    assert there.thresholds(BUNDLE) == Thresholds(0.97, 0.6)
    assert here.place == ("sources", 0, "questions", 0)


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ({}, (0.9, 0.5)),
        ({"defaults": {"on": 0.8}}, (0.8, 0.5)),
        ({"defaults": {"on": 0.4}}, (0.4, 0.4)),
        ({"defaults": {"off": 0.99}}, (0.99, 0.99)),
        ({"defaults": {"on": 0.8, "off": 0.7}, "own": {"on": 0.6}}, (0.6, 0.6)),
        ({"defaults": {"on": 0.8}, "own": {"on": 0.95, "off": 0.1}}, (0.95, 0.1)),
    ],
)
def test_thresholds_not_set_are_less_special_ones_and_move_out_of_the_way(
    levels: dict[str, Any], expected: tuple[float, float]
) -> None:
    siren = {"ask": "siren?", **levels.pop("own", {})}
    config = _config(questions=[siren], **levels)
    assert {one.thresholds(BUNDLE) for one in asked_of(config)} == {Thresholds(*expected)}


def test_a_trigger_is_the_source_s_then_everybody_s_then_the_bundle_s() -> None:
    sources = [{"id": "a", "device": "default", "defaults": {"confirm": "3/4", "on": 0.5}}]
    config = _config(sources=sources, defaults={"confirm": "1/1", "cooldown": 3, "off": 0.3})
    trigger = trigger_of(config, config.sources[0], BUNDLE)
    assert (trigger.confirm, trigger.cooldown_s, trigger.end_after_s) == ((3, 4), 3, 5)
    assert trigger.thresholds == Thresholds(0.5, 0.3)
    assert trigger_of(_config(), config.sources[0], None).confirm == (3, 4)
    assert trigger_of(_config(), _config().sources[0], BUNDLE).confirm == (2, 3)


def test_questions_of_all_are_asked_where_they_say() -> None:
    config = _config(
        questions=["siren?", {"ask": "dog barking?", "sources": ["hall"], "priority": "safety"}]
    )
    assert set(_asked(config)) == {("kitchen", "siren"), ("hall", "siren"), ("hall", "dog-barking")}


@pytest.mark.parametrize(
    ("questions", "said"),
    [
        (["siren?", "is there a siren?"], "is asked twice"),
        (["siren?", {"ask": "alarm?", "aliases": ["sirens"]}, "siren"], "is asked twice"),
        ([{"ask": "dog?", "id": "x"}, {"ask": "cat?", "id": "x"}], "is the id of"),
        ([{"ask": "bell?", "aliases": ["siren?", "fire alarm?"]}], "sounds of two questions"),
        ([{"ask": "siren?", "sources": ["garage"]}], "no source"),
        ([{"ask": "siren?", "on": 0.5, "off": 0.6}], "is above on"),
        ([{"ask": "smoke alarm?", "id": "siren"}], "is the id of"),
    ],
)
def test_what_cannot_stand_beside_each_other_is_refused(questions: Any, said: str) -> None:
    assert said in _refusal(questions=questions, presets=["safety"])


def test_two_sources_may_ask_one_sound_in_their_own_way() -> None:
    asked = _asked(
        _config(
            questions=[
                {"ask": "siren?", "sources": ["hall"], "on": 0.7},
                {"ask": "siren?", "sources": ["kitchen"], "on": 0.8},
            ]
        )
    )
    assert asked["hall", "siren"].thresholds(None).on == 0.7
    assert asked["kitchen", "siren"].thresholds(None).on == 0.8


def test_one_id_is_one_sound_at_every_source() -> None:
    rows = [{"id": name, "device": "default", "questions": []} for name in ("a", "b")]
    for row, ask in zip(rows, ("dog?", "cat?"), strict=True):
        row["questions"] = [{"id": "pet", "ask": ask}]
    assert '"pet" is the id of "dog?" too' in _refusal(sources=rows)


@pytest.mark.parametrize(
    ("words", "made"),
    [("Küche, links", "kuche-links"), ("  a+/#b\0c ", "a-b-c"), ("居間", ""), ("x" * 99, "x" * 64)],
)
def test_an_id_is_made_of_words(words: str, made: str) -> None:
    assert id_of(words) == made
