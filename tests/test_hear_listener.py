"""The listener tells what is heard of each window, and of what was not heard why."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from listen_edge.errors import BundleError
from listen_edge.lines.answer import Answer
from listen_edge.lines.health import Health
from listen_edge.lines.heard import HeardLine
from listen_edge.runtime.hear_config import HearConfig
from listen_edge.runtime.listening.listen_config import ListenConfig
from listen_edge.runtime.listening.listener import Line, Listener, listen
from tests.streams import RATE, LevelEngine, ScriptedSource, sweep, tone
from tests.test_listener import CONFIG, answers_of, lines_of

HEARS = replace(CONFIG, hearing=HearConfig())


def heard_of(lines: list[Line]) -> list[HeardLine]:
    return [line for line in lines if isinstance(line, HeardLine)]


def test_each_window_is_told_before_its_answers() -> None:
    source = ScriptedSource([tone(3, 0.9)], is_live=False)
    lines = [line for line in lines_of(source, config=HEARS) if not isinstance(line, Answer)]
    both = lines_of(ScriptedSource([tone(3, 0.9)], is_live=False), config=HEARS)
    told = [line for line in both if isinstance(line, (Answer, HeardLine))]
    assert [type(line) for line in told] == [HeardLine, Answer] * 5
    assert [h.window_s for h in heard_of(lines)] == [a.window_s for a in answers_of(both)]


def test_without_questions_sounds_alone_are_told() -> None:
    source = ScriptedSource([tone(2, 0.9)], is_live=False)
    lines = lines_of(source, config=HEARS, questions=())
    assert {type(line) for line in lines} == {HeardLine}
    assert [line.sounds for line in heard_of(lines)] == [(("level", pytest.approx(0.9)),)] * 3


def test_what_was_not_heard_is_told_with_its_reason() -> None:
    source = ScriptedSource([tone(1, 0.9)], is_live=True)  # and then nothing
    lines = lines_of(source, config=HEARS, seconds=2.5, questions=())
    first, *others = heard_of(lines)
    assert first.sounds and {line.reason for line in others} <= {"stale", "no_audio"}
    assert others and all(line.sounds is None for line in others)


def test_below_the_gate_nothing_is_told() -> None:
    quiet = sweep(2) * 1e-2
    source = ScriptedSource([quiet], is_live=False)
    for line in heard_of(lines_of(source, config=replace(HEARS, gate_dbfs=-20.0))):
        assert (line.sounds, line.reason) == (None, "below_gate")


def test_unless_it_is_wanted_nothing_is_told() -> None:
    assert heard_of(lines_of(ScriptedSource([tone(2, 0.9)], is_live=False))) == []
    engine: Any = LevelEngine()
    answers = list(listen(engine, ScriptedSource([tone(2, 0.9)], is_live=False), ["x"], HEARS))
    assert {type(line) for line in answers} == {Answer}


def test_a_bundle_that_cannot_tell_is_refused_before_anything_is_opened() -> None:
    def refuse() -> None:
        raise BundleError("fake: has no question head")

    engine: Any = LevelEngine()
    engine.bundle = SimpleNamespace(id="fake@0", require_head=refuse)
    source = ScriptedSource([tone(1, 0.9, RATE)], is_live=False)
    with pytest.raises(BundleError, match="no question head"):
        Listener(engine, source, [], ListenConfig(hearing=HearConfig()))
    assert source.n_opened == 0


def test_a_machine_too_slow_to_hear_is_told_without_questions() -> None:
    source = ScriptedSource([tone(1, 0.9)], is_live=True)
    engine = LevelEngine(seconds_per_window=0.5)
    lines = lines_of(source, engine=engine, config=HEARS, seconds=0.1, questions=())
    said = next(line.message for line in lines if isinstance(line, Health) and line.message)
    assert said.startswith("a window takes 0.5") and "let less run beside it" in said
