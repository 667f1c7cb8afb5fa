"""A listener that is told otherwise while it listens: other questions, other limits, and mute."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listen_edge.errors import ListenEdgeError, QuestionError
from listen_edge.lines.answer import Answer
from listen_edge.lines.event import Event
from listen_edge.lines.health import Health
from listen_edge.runtime.listening.listen_config import ListenConfig
from listen_edge.runtime.listening.listener import Line, Listener
from listen_edge.runtime.listening.liveness import LivenessConfig
from listen_edge.runtime.listening.question import Question
from listen_edge.runtime.listening.trigger import Trigger, TriggerConfig
from listen_edge.runtime.thresholds import Thresholds
from tests.streams import LevelEngine, ScriptedSource, tone

TRIGGER = TriggerConfig(Thresholds(), confirm=(2, 3), end_after_s=1.0, cooldown_s=2.0)
LIVENESS = LivenessConfig(silent_after_s=30.0, tick_s=0.2, backoffs_s=(0.1,), slow_retry_s=0.3)
CONFIG = ListenConfig(trigger=TRIGGER, liveness=LIVENESS, checks_pace=False)
WAIT_S = 10.0


def listener_on(source: ScriptedSource, *questions: str, **options: Any) -> Listener:
    return Listener(LevelEngine(), source, questions, CONFIG, **options)  # type: ignore[arg-type]


def asked(words: str, on: float = 0.7, off: float = 0.55, *, is_quiet: bool = False) -> Question:
    return Question(words, replace(TRIGGER, thresholds=Thresholds(on, off)), is_quiet)


def until(lines: Iterator[Line], wanted: Callable[[Line], bool], into: list[Line]) -> Line:
    """Take lines up to the first that is wanted."""
    deadline_s = time.monotonic() + WAIT_S
    for line in lines:
        into.append(line)
        if wanted(line):
            return line
        assert time.monotonic() < deadline_s, "it never came"
    raise AssertionError("the lines ended")


def starts(line: Line) -> bool:
    return isinstance(line, Event) and line.phase == "start"


def phases(lines: list[Line]) -> list[tuple[str, str, str | None]]:
    return [(e.concept, e.phase, e.reason) for e in lines if isinstance(e, Event)]


def test_other_questions_between_two_windows_leave_an_event_of_a_kept_one_alone() -> None:
    source = ScriptedSource([tone(0.5, 0.9)] * 8 + [tone(0.5, 0.1)] * 4, is_live=False)
    listener, lines = listener_on(source, "siren?", "dog?"), []
    stream = iter(listener)
    until(stream, starts, lines)
    listener.change_questions(["cat?", asked("is there a siren?", 0.95, 0.6)])
    lines += stream
    assert phases(lines) == [
        ("siren", "start", None),
        ("dog", "start", None),
        ("dog", "end", "stopped"),
        ("cat", "start", None),
        ("cat", "end", "not_heard"),
        ("siren", "end", "not_heard"),
    ]
    assert source.n_opened == 1
    assert listener.questions == ["cat?", "is there a siren?"]
    assert listener.on_thresholds == [0.7, 0.95]


def test_what_cannot_be_asked_changes_nothing() -> None:
    listener = listener_on(ScriptedSource([], is_live=False), "siren?")
    with pytest.raises(QuestionError):
        listener.change_questions(["dog?", "?"])
    with pytest.raises(ListenEdgeError, match="--end-after"):
        listener.change_questions([Question("dog?", replace(TRIGGER, end_after_s=0.2))])
    assert not listener._wanted


@given(st.lists(st.sampled_from([0.1, 0.6, 0.9, None]), max_size=40), st.integers(0, 40))
def test_a_trigger_retuned_to_its_own_settings_does_what_it_would_have_done(
    presences: list[float | None], at: int
) -> None:
    plain, retuned = (Trigger(Thresholds(), TRIGGER, hop_s=1.0) for _ in range(2))
    for k, presence in enumerate(presences):
        if k == at:
            retuned.retune(Thresholds(), TRIGGER)
        assert plain.update(float(k), presence) == retuned.update(float(k), presence)


def test_retuning_keeps_event_and_cooldown_and_forgets_hits_below_the_new_limit() -> None:
    trigger = Trigger(Thresholds(), TRIGGER, hop_s=1.0)
    trigger.update(1.0, 0.8)
    trigger.retune(Thresholds(0.85, 0.5), TRIGGER)
    assert trigger.update(2.0, 0.9) is None  # one hit, not two
    assert trigger.update(3.0, 0.9) is not None
    trigger.retune(Thresholds(0.95, 0.94), replace(TRIGGER, confirm=(1, 1), cooldown_s=60.0))
    change = trigger.update(4.0, 0.9)
    assert change is not None and (change.phase, change.duration_s) == ("end", 2.0)
    trigger.retune(Thresholds(), TRIGGER)  # the cooldown is the one that it began with
    assert all(trigger.update(s, 0.99) is None for s in (5.0, 6.0, 63.0))
    assert trigger.update(64.0, 0.99) is not None


def test_in_quiet_hours_all_is_answered_and_nothing_begins() -> None:
    source = ScriptedSource([tone(0.5, 0.9)] * 12, is_live=False)
    listener, lines = listener_on(source), []
    listener.change_questions([asked("siren?", is_quiet=True)])
    stream = iter(listener)
    until(stream, lambda line: isinstance(line, Answer) and line.window_s[1] >= 3, lines)
    assert phases(lines) == [] and all(a.state == "present" for a in lines)  # type: ignore[union-attr]
    listener.change_questions([asked("siren?")])
    begun = until(stream, starts, lines)
    assert isinstance(begun, Event) and begun.start_s == 3.0  # confirmed anew
    listener.change_questions([asked("siren?", is_quiet=True)])  # an event ends as it would
    lines += stream
    assert phases(lines)[1:] == [("siren", "end", "end_of_stream")]


def is_muted(line: Line) -> bool:
    return isinstance(line, Answer) and line.reason == "muted"


def test_muting_closes_the_source_ends_events_and_answers_unknown_at_every_hop() -> None:
    steps = [tone(1, 0.9), 0.1, tone(0.5, 0.9), *[0.1, tone(0.5, 0.9)] * 3]
    source, lines = ScriptedSource(steps, is_live=True), []
    listener = listener_on(source, "siren?")
    stream = iter(listener)
    until(stream, starts, lines)
    n_read = len(source._steps)
    listener.mute()
    before = len(lines)
    for _ in range(3):
        until(stream, is_muted, lines)
    assert phases(lines[before:]) == [("siren", "end", "muted")]
    assert source.n_closed == source.n_opened + 1 and len(source._steps) >= n_read - 1
    spoken = [line for line in lines[before:] if isinstance(line, Answer)]
    assert all((a.state, a.reason, a.presence) == ("unknown", "muted", None) for a in spoken)
    begins, ends = zip(*(answer.window_s for answer in spoken), strict=True)
    assert begins[1:] == pytest.approx(ends[:-1], abs=0.01)
    assert [h.state for h in lines[before:] if isinstance(h, Health)] == ["muted"]
    listener.unmute()
    again = until(
        stream, lambda line: isinstance(line, Answer) and line.presence is not None, lines
    )
    assert isinstance(again, Answer) and again.window_s[0] >= spoken[-1].window_s[1] - 0.5
    listener.stop()
    lines += stream
    told = [(h.state, h.message) for h in lines if isinstance(h, Health)]
    assert [one for one in told if one[0] != "recovering"][-2:] == [
        ("muted", "muted: the device is closed"),
        ("healthy", "listening again at 16000 Hz, 1 channels"),
    ]


def test_a_source_muted_from_the_start_is_never_opened() -> None:
    source = ScriptedSource([tone(2, 0.9)], is_live=True)
    listener = listener_on(source, "siren?")
    listener.mute()
    stream, lines = iter(listener), []
    until(stream, is_muted, lines)
    assert source.n_opened == 0 and listener.liveness.state == "muted"
    listener.unmute()
    until(stream, lambda line: isinstance(line, Answer) and line.state == "present", lines)
    assert source.n_opened == 1
    stream.close()


def test_after_waiting_for_its_turn_the_newest_window_is_answered() -> None:
    source = ScriptedSource([tone(1, 0.1), 0.01, tone(0.5, 0.1), tone(1, 0.9)], is_live=True)

    @contextmanager
    def turn() -> Iterator[bool]:
        time.sleep(0.02)
        yield True

    lines: list[Line] = []
    until(
        iter(listener_on(source, "siren?", turn=turn)), lambda line: isinstance(line, Answer), lines
    )
    (answer,) = (line for line in lines if isinstance(line, Answer))
    assert (answer.window_s, answer.state) == ((1.5, 2.5), "present")
