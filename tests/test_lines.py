"""Lines are a contract: their keys and types do not change within a version."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import datetime, timezone
from importlib import import_module
from pkgutil import iter_modules

import pytest

from listen_edge import lines
from listen_edge.errors import ListenEdgeError
from listen_edge.lines import JsonLine
from listen_edge.lines.answer import Answer
from listen_edge.lines.error import ErrorLine
from listen_edge.lines.event import Event
from listen_edge.lines.health import Health
from listen_edge.lines.heard import HeardLine
from listen_edge.lines.stored_event import StoredEventLine

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
ANSWER = Answer(
    question="siren?",
    concept="siren",
    state="present",
    reason=None,
    presence=0.971234,
    head_logit=None,
    logit_margin=3.41199,
    prior_margin=-1.2,
    calibrated=True,
    window_s=(0.0, 5.00049),
    level_dbfs=-23.11,
    encode_ms=26.12,
    answer_ms=41.0,
    source="siren.flac",
    bundle="tiny@sha256:ab12cd34",
)
EVENT = Event(
    phase="end",
    question="siren?",
    concept="siren",
    start_s=11.00049,
    duration_s=8.0,
    peak_presence=0.99471,
    notice=None,
    reason="not_heard",
    clip="clips/siren.flac",
    source="microphone",
    bundle="tiny@sha256:ab12cd34",
)
STORED_EVENT = StoredEventLine(
    phase="end",
    uid="5f3b1c",
    source="kitchen",
    question="siren",
    ask="siren?",
    concept="siren",
    started_at="2025-12-31T23:59:52.000Z",
    ended_at="2026-01-01T00:00:00.000Z",
    duration_s=8.00049,
    peak_presence=0.99471,
    level_dbfs=-23.11,
    on=0.95,
    off=0.6,
    reason="not_heard",
    clip="5f3b1c.flac",
    bundle="tiny@sha256:ab12cd34",
    is_test=False,
)
HEALTH = Health(
    source="microphone",
    state="recovering",
    message="unplugged",
    n_windows=120,
    n_dropped=3,
    n_gated=0,
    n_overflows=1,
    n_restarts=2,
    lag_s=0.18211,
    level_dbfs=-43.21,
)
HEARD = HeardLine(
    source="siren.flac",
    window_s=(0.0, 5.00049),
    sounds=(("siren", 0.971234), ("wind", 0.5)),
    reason="clipped",
    level_dbfs=-23.11,
    encode_ms=26.12,
    answer_ms=0.1,
    bundle="tiny@sha256:ab12cd34",
)
ERROR = ErrorLine("siren.wav: no such file")

HEAD = '{"v": 1, "type": "%s", "ts": "2026-01-01T00:00:00.000Z", '
CONTRACT = {
    ANSWER: '"question": "siren?", "concept": "siren", "state": "present", "reason": null, '
    '"presence": 0.9712, "head_logit": null, "logit_margin": 3.412, "prior_margin": -1.2, '
    '"calibrated": true, "window_s": [0.0, 5.0], "level_dbfs": -23.1, "source": "siren.flac", '
    '"bundle": "tiny@sha256:ab12cd34", "latency_ms": {"encode": 26.1, "answer": 41.0}}',
    EVENT: '"phase": "end", "question": "siren?", "concept": "siren", "start_s": 11.0, '
    '"duration_s": 8.0, "peak_presence": 0.9947, "notice": null, "reason": "not_heard", '
    '"clip": "clips/siren.flac", "source": "microphone", "bundle": "tiny@sha256:ab12cd34"}',
    STORED_EVENT: '"phase": "end", "uid": "5f3b1c", "source": "kitchen", "question": "siren", '
    '"ask": "siren?", "concept": "siren", "started_at": "2025-12-31T23:59:52.000Z", '
    '"ended_at": "2026-01-01T00:00:00.000Z", "duration_s": 8.0, "peak_presence": 0.9947, '
    '"level_dbfs": -23.1, "on": 0.95, "off": 0.6, "reason": "not_heard", "clip": "5f3b1c.flac", '
    '"bundle": "tiny@sha256:ab12cd34", "is_test": false}',
    HEALTH: '"source": "microphone", "state": "recovering", "message": "unplugged", '
    '"n_windows": 120, "n_dropped": 3, "n_gated": 0, "n_overflows": 1, "n_restarts": 2, '
    '"lag_s": 0.182, "level_dbfs": -43.2}',
    HEARD: '"source": "siren.flac", "window_s": [0.0, 5.0], "sounds": [["siren", 0.9712], '
    '["wind", 0.5]], "reason": "clipped", "level_dbfs": -23.1, "latency_ms": {"encode": 26.1, '
    '"answer": 0.1}, "bundle": "tiny@sha256:ab12cd34"}',
    ERROR: '"message": "siren.wav: no such file"}',
}


def _line_classes() -> Iterator[type[JsonLine]]:
    """Yield every class of a line in the package, whether or not somebody thought of it here."""
    for module in iter_modules(lines.__path__):
        found = import_module(f"{lines.__name__}.{module.name}")
        yield from (
            kind
            for kind in vars(found).values()
            if isinstance(kind, type) and issubclass(kind, JsonLine) and kind is not JsonLine
        )


CLASSES = sorted(_line_classes(), key=lambda kind: kind.TYPE)
each_class = pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)


def _example(kind: type[JsonLine]) -> JsonLine:
    (example,) = (line for line in CONTRACT if type(line) is kind)
    return example


@each_class
def test_the_bytes_of_a_line_are_the_contract(kind: type[JsonLine]) -> None:
    line = _example(kind)
    assert line.to_json_line(NOW) == HEAD % kind.TYPE + CONTRACT[line]


@each_class
def test_a_line_comes_back_from_its_json(kind: type[JsonLine]) -> None:
    written = _example(kind).to_json_line(NOW)
    back = kind.from_json_line(written)
    assert type(back) is kind and back.to_json_line(NOW) == written
    assert kind.from_json_line(back.to_json_line()) == back  # rounded once, it stays as it is


@each_class
def test_a_line_without_figures_comes_back_too(kind: type[JsonLine]) -> None:
    optional = [field.name for field in fields(kind) if "None" in str(field.type)]
    values = {field.name: getattr(_example(kind), field.name) for field in fields(kind)}
    line = kind(**{**values, **dict.fromkeys(optional)})
    back = kind.from_json_line(line.to_json_line())
    assert all(getattr(back, name) is None for name in optional)


@each_class
def test_every_type_is_read_by_its_own_class_alone(kind: type[JsonLine]) -> None:
    written = _example(kind).to_json_line()
    for other in CLASSES:
        if other is not kind:
            with pytest.raises(ListenEdgeError, match=f"of type '{kind.TYPE}'.*{other.TYPE}"):
                other.from_json_line(written)


@each_class
@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"v": 2}, "version 2; expected .*, version 1"),
        ({"v": None}, "version None"),
        ({"type": "rumour"}, "type 'rumour'"),
        ({"mood": "good"}, "mood is missing or unknown"),
    ],
    ids=["a later version", "no version", "an unknown type", "an unknown key"],
)
def test_what_is_not_the_contract_is_refused(
    kind: type[JsonLine], change: dict[str, object], match: str
) -> None:
    keys = json.loads(_example(kind).to_json_line())
    with pytest.raises(ListenEdgeError, match=match):
        kind.from_json_line(json.dumps({**keys, **change}))


@each_class
def test_no_key_may_be_missing(kind: type[JsonLine]) -> None:
    keys = json.loads(_example(kind).to_json_line())
    for key in keys:
        rest = {name: value for name, value in keys.items() if name != key}
        with pytest.raises(ListenEdgeError, match=r"missing|not a line"):
            kind.from_json_line(json.dumps(rest))


@each_class
@pytest.mark.parametrize("value", [{"odd": 1}, [[7]], "odd", True, float("nan"), 10**30])
def test_every_key_has_its_type(kind: type[JsonLine], value: object) -> None:
    """What is read can be written: a figure that is a word would end the next round."""
    keys = json.loads(_example(kind).to_json_line())
    for key, own in keys.items():
        if key != "ts" and type(own) is not type(value):  # the time is not read
            with pytest.raises(ListenEdgeError, match=r"malformed|not a line|of type|missing"):
                kind.from_json_line(json.dumps({**keys, key: value}))


@each_class
def test_an_unknown_key_is_named_on_one_line(kind: type[JsonLine]) -> None:
    keys = json.loads(_example(kind).to_json_line())
    with pytest.raises(ListenEdgeError, match=r"\\x1b\[31m, .* is missing or unknown") as refused:
        kind.from_json_line(
            json.dumps({**keys, "\x1b[31m": 1, **dict.fromkeys(map(str, range(999)))})
        )
    assert str(refused.value).isprintable() and len(str(refused.value)) < 300


@each_class
@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "7",
        "null",
        "{}",
        "siren.flac 0.0-5.0 present",
        "[" * 100_000,
        '{"v":' * 100_000,
    ],
    ids=lambda text: text[:9],
)
def test_what_is_no_line_is_refused(kind: type[JsonLine], text: str) -> None:
    with pytest.raises(ListenEdgeError, match="not a line of listen-edge"):
        kind.from_json_line(text)


@pytest.mark.parametrize("window_s", [None, 1.0, [], [0.0, 1.0, 2.0]])
def test_a_window_has_two_ends(window_s: object) -> None:
    keys = json.loads(ANSWER.to_json_line())
    with pytest.raises(ListenEdgeError, match="malformed"):
        Answer.from_json_line(json.dumps({**keys, "window_s": window_s}))


def test_a_name_or_question_cannot_break_a_text_line() -> None:
    odd = {"source": "new\nline\udcff.wav", "question": "si\tren\x1b[2J"}
    for line in (replace(ANSWER, **odd).to_text_line(), replace(EVENT, **odd).to_text_line()):
        assert line.isprintable()
        assert r"new\nline\xff.wav" in line and r"si\tren\x1b[2J" in line


def test_text_lines_are_for_people() -> None:
    line = ANSWER.to_text_line()
    assert "siren.flac" in line and "0.97" in line and line.endswith("present")
    assert EVENT.to_text_line().endswith("8.0 s, peak presence 0.99 (not_heard)")
    assert HEALTH.to_text_line().endswith("HEALTH recovering: unplugged")
