"""What Home Assistant is told, against its published schema, and what topics are made of.

Source of the schema: see the comment in home_assistant_schema.json.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, get_args

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from listen_edge.runtime.service.outputs import OutputError
from listen_edge.runtime.service.outputs.discovery import (
    config_json,
    config_topic,
    device_config,
    removals,
)
from listen_edge.runtime.service.outputs.topics import Topics, birth, health, state_of, states
from listen_edge.runtime.service.records.types import (
    QuestionStatus,
    Sounding,
    SourceStatus,
    StationState,
)

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
TOPICS = Topics("listen-edge", "house")
KITCHEN = SourceStatus("kitchen", "Kitchen", "healthy", None, NOW, -30.0, 0.1, 5, 0, 0, 0, NOW)
SIREN = QuestionStatus(
    "siren", "siren?", "siren", ("kitchen", "hall-2"), 0.95, 0.6, "safety", False, True, True
)
DOG = replace(SIREN, id="dog", ask="dog barking?", concept="dog barking", priority="normal")
HALL = replace(KITCHEN, id="hall-2", name="Hall {{ 1 / 0 }} </script>")
SCHEMA = jsonschema_rs.validator_for(
    json.loads((Path(__file__).parent / "home_assistant_schema.json").read_text())
)


def _config(*questions: QuestionStatus, sources: tuple[SourceStatus, ...]) -> dict[str, Any]:
    return device_config(
        TOPICS, version="0.1.0", bundle="tiny@sha256:ab", sources=sources, questions=questions
    )


def _heard(state: str, *, is_sounding: bool = False, presence: float | None = 0.5) -> Sounding:
    is_unknown = state == "unknown"
    reason = "uncertain" if is_unknown else None
    return Sounding("kitchen", "siren", state, reason, presence, is_sounding, NOW)  # type: ignore[arg-type]


def test_the_config_is_as_home_assistant_has_published() -> None:
    config = _config(SIREN, DOG, sources=(KITCHEN, HALL))
    SCHEMA.validate(json.loads(config_json(config)))
    entities = config["cmps"].values()
    assert len(config["cmps"]) == 2 * (2 + 2 * 3)
    assert len({entity["unique_id"] for entity in entities}) == len(entities)
    assert all(entity["default_entity_id"].startswith(f"{entity['p']}.") for entity in entities)
    assert config_topic(TOPICS, "homeassistant") == (
        "homeassistant/device/listen-edge_house/config"
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"o": None},
        {"cmps": {"a": {"p": "sensor", "state_topic": "a"}}},
        {"cmps": {"a": {"p": "sensor", "state_topic": "a/#", "unique_id": "a"}}},
        {"cmps": {"a": {"p": "switch", "command_topic": "a", "unique_id": "a", "object_id": "a"}}},
        {"cmps": {"a": {"p": "lamp"}}},
    ],
    ids=["no origin", "no unique_id", "wildcard", "deprecated key", "no platform of that name"],
)
def test_the_schema_refuses_what_home_assistant_would(wrong: dict[str, Any]) -> None:
    assert not SCHEMA.is_valid(_config(SIREN, sources=(KITCHEN,)) | wrong)


def test_an_alarm_that_is_heard_is_a_sound_or_a_matter_of_safety_and_never_smoke() -> None:
    smoke = replace(SIREN, id="smoke", ask="smoke alarm?", concept="smoke alarm")
    components = _config(smoke, DOG, sources=(KITCHEN,))["cmps"]
    classes = {key: one.get("device_class") for key, one in components.items()}
    assert classes["kitchen.smoke.sounding"] == "safety"
    assert classes["kitchen.dog.sounding"] == "sound"
    assert "smoke" not in classes.values()


def test_what_a_source_hears_is_available_only_while_node_and_source_are() -> None:
    components = _config(SIREN, sources=(KITCHEN,))["cmps"]
    for part in ("sounding", "heard", "presence"):
        entity = components[f"kitchen.siren.{part}"]
        assert entity["availability_mode"] == "all"
        assert [one["topic"] for one in entity["availability"]] == [
            "listen-edge/house/status",
            "listen-edge/house/kitchen/available",
        ]
    for part in ("mute", "microphone"):  # or a muted source could not be unmuted
        entity = components[f"kitchen.{part}"]
        assert entity["availability"] == [{"topic": "listen-edge/house/status"}]


def test_what_is_no_longer_asked_goes_first_and_by_its_platform_alone() -> None:
    before, after = _config(SIREN, DOG, sources=(KITCHEN, HALL)), _config(SIREN, sources=(KITCHEN,))
    going = removals(config_json(before).encode(), after)
    assert going is not None
    SCHEMA.validate(going)
    gone = [key for key in before["cmps"] if key not in after["cmps"]]
    assert list(going["cmps"])[: len(gone)] == gone
    assert all(going["cmps"][key] == {"p": before["cmps"][key]["p"]} for key in gone)
    assert {key: going["cmps"][key] for key in after["cmps"]} == after["cmps"]
    assert removals(config_json(after).encode(), before) is None


@pytest.mark.parametrize(
    "held",
    [
        b"",
        b"\xff",
        b"[]",
        b'{"cmps": []}',
        b'{"cmps": {"a": 1}}',
        b'{"cmps": {"a": {"p": "lamp"}}}',
        b'{"cmps": {"a": {"p": ["sensor"]}}}',
        b"[" * 100_000,
        b'{"cmps": {"a": {"p": "sensor"}}}',
        b'{"cmps": {"a": {"p": "sensor", "unique_id": "listen-edge_other.a"}}}',
        '{"cmps": {"ü": {"p": "sensor", "unique_id": "listen-edge_house.ü"}}}'.encode(),
    ],
    ids=repr,
)
def test_an_earlier_config_that_is_none_takes_nothing_away(held: bytes) -> None:
    assert removals(held, _config(SIREN, sources=(KITCHEN,))) is None


@given(st.text() | st.from_regex(r"[a-z0-9_/+#\0$-]{1,70}", fullmatch=True))
def test_no_words_become_a_level_of_a_topic(words: str) -> None:
    try:
        topic = TOPICS.of_question("kitchen", words, "event")
    except OutputError as err:
        assert err.is_lasting and str(err).isprintable()
        return
    assert topic.split("/") == ["listen-edge", "house", "kitchen", words, "event"]
    assert words.isascii() and not set("+#$\0 ") & set(topic)


@given(words=st.text(), message=st.none() | st.text(), concept=st.text())
def test_words_stand_in_payloads_alone(words: str, message: str | None, concept: str) -> None:
    source = replace(KITCHEN, name=words, message=message)
    question = replace(SIREN, ask=words, concept=concept)
    config = _config(question, sources=(source,))
    SCHEMA.validate(json.loads(config_json(config)))
    plain = _config(SIREN, sources=(KITCHEN,))
    for key, entity in config["cmps"].items():
        assert {**entity, "name": ""} == {**plain["cmps"][key], "name": ""}
    told = json.loads(health(source))
    assert told["name"] == words and told["message"] == message
    assert set(states(TOPICS, [source], [question], [])) == set(
        states(TOPICS, [KITCHEN], [SIREN], [])
    )


@pytest.mark.parametrize(
    ("sounding", "is_quiet", "expected"),
    [
        (_heard("present", is_sounding=True), False, "ON"),
        (_heard("absent", is_sounding=True), False, "ON"),  # until the event has ended
        (_heard("present"), False, "OFF"),  # not confirmed
        (_heard("absent"), False, "OFF"),
        (_heard("absent"), True, "OFF"),
        (_heard("present"), True, "None"),  # it is there, and nobody is to be told
        (_heard("unknown"), False, "None"),
        (None, False, "None"),
    ],
)
def test_off_is_said_of_what_was_listened_for_alone(
    sounding: Sounding | None, is_quiet: bool, expected: str
) -> None:
    assert state_of(sounding, replace(SIREN, is_quiet=is_quiet)) == expected


@pytest.mark.parametrize("state", get_args(StationState))
@pytest.mark.parametrize("heard", [_heard("absent", presence=0.02), _heard("present"), None])
def test_a_source_that_does_not_listen_is_never_off(
    state: StationState, heard: Sounding | None
) -> None:
    source = replace(KITCHEN, state=state)
    said = states(TOPICS, [source], [SIREN, DOG], [heard] if heard else [])
    below = "listen-edge/house/kitchen"
    is_listening = state == "healthy"
    assert said[f"{below}/available"] == ("online" if is_listening else "offline")
    assert said[f"{below}/mute"] == ("ON" if state == "muted" else "OFF")
    if not (is_listening and heard):
        assert said[f"{below}/siren/state"] == said[f"{below}/siren/presence"] == "None"
    assert said[f"{below}/dog/state"] == "None"


def test_presence_moves_in_steps_of_a_twentieth() -> None:
    def said(presence: float | None) -> str:
        heard = _heard("absent", presence=presence)
        return states(TOPICS, [KITCHEN], [SIREN], [heard])[
            "listen-edge/house/kitchen/siren/presence"
        ]

    assert [said(value) for value in (0.0, 0.024, 0.026, 0.5, 0.974, 1.0, None)] == [
        *("0", "0", "0.05", "0.5", "0.95", "1", "None"),
    ]


def test_the_birth_message_says_what_runs_where() -> None:
    told = birth(
        TOPICS, version="0.1.0", bundle="tiny@x", started_at=NOW, sources=[KITCHEN], questions=[DOG]
    )
    assert json.loads(told) == {
        "v": 1,
        "node": "house",
        "version": "0.1.0",
        "bundle": "tiny@x",
        "started_at": "2026-01-01T00:00:00Z",
        "sources": ["kitchen"],
        "questions": ["dog"],
    }
