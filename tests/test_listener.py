"""The listener on scripted sources: what is heard, what is lost, and what is said about it."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import listen_edge
from listen_edge.audio import read_audio
from listen_edge.errors import AudioError, ListenEdgeError, QuestionError
from listen_edge.lines.answer import Answer, Reason
from listen_edge.lines.event import Event
from listen_edge.lines.health import Health
from listen_edge.runtime.engine import Engine
from listen_edge.runtime.listening.listen_config import ListenConfig
from listen_edge.runtime.listening.listener import Line, Listener, listen
from listen_edge.runtime.listening.liveness import LivenessConfig
from listen_edge.runtime.listening.trigger import TriggerConfig
from listen_edge.runtime.sources import Block
from listen_edge.runtime.sources.file import FileSource
from listen_edge.runtime.thresholds import Thresholds
from tests.streams import RATE, LevelEngine, ScriptedSource, tone

TRIGGER = TriggerConfig(
    Thresholds(), confirm=(2, 3), end_after_s=1.0, cooldown_s=2.0, long_event_s=10.0
)
# Quick enough for a test; the tick must stay below the timeout.
LIVENESS = LivenessConfig(silent_after_s=1.0, tick_s=0.2, backoffs_s=(0.1, 0.1), slow_retry_s=0.3)
CONFIG = ListenConfig(trigger=TRIGGER, liveness=LIVENESS)


def lines_of(
    source: ScriptedSource,
    *,
    engine: Any = None,
    config: ListenConfig = CONFIG,
    seconds: float = 0.0,
    questions: tuple[str, ...] = ("siren?",),
) -> list[Line]:
    """Listen until the source ends or, if live, for some seconds."""
    listener = Listener(engine or LevelEngine(), source, questions, config)
    if seconds:
        threading.Timer(seconds, listener.stop).start()
    return list(listener)


def answers_of(lines: list[Line]) -> list[Answer]:
    return [line for line in lines if isinstance(line, Answer)]


def events_of(lines: list[Line]) -> list[Event]:
    return [line for line in lines if isinstance(line, Event)]


def health_of(lines: list[Line]) -> list[Health]:
    return [line for line in lines if isinstance(line, Health)]


def test_a_recording_gives_an_event_with_its_begin_and_end() -> None:
    source = ScriptedSource([tone(3, 0.1), tone(2, 0.9), tone(4, 0.1)], is_live=False)
    lines = lines_of(source)
    windows = [a.window_s for a in answers_of(lines)]
    assert windows == [(k / 2, k / 2 + 1) for k in range(17)]
    start, end = events_of(lines)
    assert (start.phase, start.start_s, start.peak_presence) == ("start", 3.0, pytest.approx(0.9))
    assert (end.phase, end.start_s, end.duration_s) == ("end", 3.0, 2.0)
    assert end.reason == "not_heard" and (start.clip, end.clip) == (None, None)
    assert lines.index(start) == lines.index(answers_of(lines)[6]) + 1  # follows its answer
    assert source.n_closed >= 1


def test_an_event_that_goes_on_at_the_end_of_a_recording_is_closed() -> None:
    *_, end = events_of(lines_of(ScriptedSource([tone(3, 0.9)], is_live=False)))
    assert (end.phase, end.reason) == ("end", "end_of_stream")


def test_thresholds_of_one_question_are_not_the_others() -> None:
    config = ListenConfig(trigger=TRIGGER, thresholds={"dog": Thresholds(0.95, 0.9)})
    source = ScriptedSource([tone(3, 0.9)], is_live=False)
    lines = lines_of(source, config=config, questions=("siren?", "dog?"))
    assert {event.question for event in events_of(lines)} == {"siren?"}


def test_two_wordings_of_a_question_are_asked_once() -> None:
    listener = Listener(
        LevelEngine(),  # type: ignore[arg-type]
        ScriptedSource([], is_live=False),
        ["siren?", "is there a siren?", "dog?"],
    )
    assert listener.questions == ["siren?", "dog?"]


def test_an_empty_recording_is_an_error() -> None:
    with pytest.raises(AudioError, match=r"scripted: holds less than 0\.1 s"):
        lines_of(ScriptedSource([], is_live=False))


def test_a_recording_that_stalls_is_an_error_after_its_events_are_closed() -> None:
    source = ScriptedSource([tone(3, 0.9), 60.0], is_live=False)
    lines: list[Line] = []
    with pytest.raises(AudioError, match="no audio for 1 s"):
        lines.extend(iter_into(lines, source))
    assert events_of(lines)[-1].reason == "no_audio"


def iter_into(lines: list[Line], source: ScriptedSource) -> list[Line]:
    for line in Listener(LevelEngine(), source, ["siren?"], CONFIG):  # type: ignore[arg-type]
        lines.append(line)
    return []


def test_nothing_is_absent_before_a_whole_window_was_heard() -> None:
    blocks = [tone(0.25, 0.1), 0.25] * 8
    answers = answers_of(lines_of(ScriptedSource(blocks, is_live=True), seconds=1.6))
    reasons = [answer.reason for answer in answers]
    assert reasons[0] == "warming_up" and None in reasons
    assert all(a.state == "unknown" for a in answers if a.reason == "warming_up")


def test_a_lost_source_is_unknown_until_it_is_back() -> None:
    gone = [AudioError("unplugged"), AudioError("no such device")]
    source = ScriptedSource([tone(1, 0.1), 0.3, *gone, tone(1, 0.1)], is_live=True)
    lines = lines_of(source, seconds=1.8)
    states = [health.state for health in health_of(lines)]
    assert states[0] == "healthy"
    back = states.index("healthy", 1)
    assert states[1:back] == ["alarmed", "recovering", "recovering", "recovering"]
    assert [h.message for h in health_of(lines)][1 : back + 1] == [
        "unplugged",
        "opening the source again, attempt 1",
        "no such device",
        "opening the source again, attempt 2",
        "listening again at 16000 Hz, 1 channels",
    ]
    alarm, recovery = health_of(lines)[1], health_of(lines)[back]
    between = answers_of(lines[lines.index(alarm) : lines.index(recovery)])
    assert between[0].reason == "no_audio"  # and the last is the first window again
    assert all(a.state == "unknown" for a in between[:-1])


def test_a_source_that_stops_delivering_is_stale_then_alarmed_then_opened_again() -> None:
    config = ListenConfig(
        trigger=TRIGGER,
        liveness=LivenessConfig(silent_after_s=2.0, tick_s=0.5, backoffs_s=(0.1,)),
    )
    source = ScriptedSource([tone(1, 0.1)], is_live=True)
    lines = lines_of(source, config=config, seconds=4.0)
    reasons = [a.reason for a in answers_of(lines)]
    assert reasons[0] is None
    assert "stale" in reasons and reasons.index("stale") < reasons.index("no_audio")
    assert all(a.state == "unknown" for a in answers_of(lines)[1:])
    assert [h.state for h in health_of(lines)][:3] == ["healthy", "alarmed", "recovering"]
    assert source.n_opened == 2


def test_no_window_spans_a_gap() -> None:
    """What was said before a stall and after it must not be heard as one sound."""
    steps = [tone(1, 0.9), 2.0, tone(0.75, 0.9), 0.3, tone(0.25, 0.1)]
    lines = lines_of(ScriptedSource(steps, is_live=True), seconds=2.8)
    heard = [a for a in answers_of(lines) if a.presence is not None]
    assert [round(a.presence or 0, 2) for a in heard] == [0.9, 0.1]
    assert heard[1].window_s[0] > heard[0].window_s[1]


def test_an_event_does_not_outlive_its_source() -> None:
    steps = [tone(1, 0.9), 0.1, tone(0.5, 0.9), AudioError("unplugged")]
    events = events_of(lines_of(ScriptedSource(steps, is_live=True), seconds=2.6))
    assert [event.phase for event in events] == ["start", "end"]
    assert events[1].reason == "no_audio"


def test_a_source_that_is_not_there_is_an_error_unless_it_is_waited_for() -> None:
    steps = [*[AudioError("no such device")] * 3, tone(1, 0.1)]
    with pytest.raises(AudioError, match="no such device"):
        lines_of(ScriptedSource(steps, is_live=True))
    config = ListenConfig(trigger=TRIGGER, liveness=LIVENESS, waits_for_device=True)
    lines = lines_of(ScriptedSource(steps, is_live=True), config=config, seconds=2.0)
    assert "healthy" in [h.state for h in health_of(lines)]
    assert answers_of(lines)[0].reason == "no_audio"


def test_overload_skips_to_the_newest_window_and_says_so() -> None:
    steps = [tone(0.5, 0.1), tone(0.5, 0.1), *[tone(0.5, 0.1)] * 6]
    engine = LevelEngine()
    lines = lines_of(ScriptedSource(steps, is_live=True), engine=engine, seconds=0.8)
    (answer,) = (a for a in answers_of(lines) if a.presence is not None)
    assert answer.window_s == (3.0, 4.0)  # the newest of seven
    assert (answer.state, answer.reason) == ("unknown", "overloaded")
    last = health_of(lines)[-1]
    assert last.n_dropped == 6 and "6 windows skipped" in (last.message or "")


def test_overload_does_not_hide_what_is_there() -> None:
    lines = lines_of(ScriptedSource([tone(0.5, 0.9)] * 8, is_live=True), seconds=0.5)
    assert answers_of(lines)[0].state == "present"


def test_a_machine_that_is_too_slow_proposes_a_hop_it_can_keep() -> None:
    engine = LevelEngine(seconds_per_window=0.4)
    source = ScriptedSource([], is_live=True)
    lines = lines_of(source, engine=engine, config=ListenConfig(hop_s=0.5), seconds=2.0)
    (proposal,) = [h.message for h in health_of(lines) if h.message]
    assert "use --hop 1, or ask fewer questions" in proposal and "0.40 s" in proposal


def test_overflow_and_damage_forbid_an_absence() -> None:
    quiet = tone(0.5, 0.1)
    damaged = quiet.copy()
    damaged[100] = np.nan
    blocks = [Block(quiet, RATE, 0.0, has_overflowed=True), damaged, quiet, quiet, quiet, quiet]
    answers = answers_of(lines_of(ScriptedSource(blocks, is_live=False)))
    assert [a.reason for a in answers] == ["not_finite", "not_finite", None, None, None]


def test_the_gate_spares_the_llm_and_is_visible() -> None:
    engine = LevelEngine()
    config = ListenConfig(trigger=TRIGGER, gate_dbfs=-40.0)
    quiet = np.random.default_rng(0).normal(0, 0.002, (3 * RATE, 1)).astype(np.float32)
    source = ScriptedSource([quiet, tone(1, 0.9)], is_live=False)
    answers = answers_of(lines_of(source, engine=engine, config=config))
    assert [a.reason for a in answers] == ["below_gate"] * 5 + [None] * 2
    assert all(a.state == "absent" and a.presence is None for a in answers[:5])
    assert engine.n_windows == 2


def test_a_name_that_nothing_vouches_for_raises_no_event(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = LevelEngine()
    answer = engine._answer

    def unfamiliar(question: str, state: str, reason: Reason | None, *rest: Any) -> Answer:
        return answer(question, "unknown", "unfamiliar", *rest)

    source = ScriptedSource([tone(5, 0.9)], is_live=False)
    config = ListenConfig(trigger=TRIGGER)
    assert events_of(lines_of(source, engine=engine, config=config))
    monkeypatch.setattr(engine, "_answer", unfamiliar)
    source = ScriptedSource([tone(5, 0.9)], is_live=False)
    lines = lines_of(source, engine=engine, config=config)
    assert all(a.presence is not None for a in answers_of(lines))
    assert not events_of(lines)


@pytest.mark.parametrize("level", [0.0, 0.25, 1e-5])
def test_a_dead_input_is_not_absent_below_the_gate(level: float) -> None:
    engine = LevelEngine()
    steps = np.random.default_rng(0).integers(0, 2, (RATE, 1)) * level
    for dead in (tone(1, level), steps.astype(np.float32) * 1e-4):
        config = ListenConfig(trigger=TRIGGER, gate_dbfs=-5.0)
        source = ScriptedSource([dead], is_live=False)
        (answer,) = answers_of(lines_of(source, engine=engine, config=config))
        assert answer.reason != "below_gate"  # the engine says why it is deaf


def test_a_short_bang_opens_the_gate() -> None:
    quiet = tone(1, 0.001)
    quiet[4000:4800] = 0.02  # 50 ms: -34 dBFS alone, -47 dBFS over the window
    config = ListenConfig(trigger=TRIGGER, gate_dbfs=-40.0)
    (answer,) = answers_of(lines_of(ScriptedSource([quiet], is_live=False), config=config))
    assert answer.reason is None


def test_stopping_closes_events_at_once() -> None:
    listener = Listener(
        LevelEngine(),  # type: ignore[arg-type]
        ScriptedSource([tone(1, 0.9), 0.01, tone(0.5, 0.9), 0.01, tone(0.5, 0.9)], is_live=True),
        ["siren?"],
        CONFIG,
    )
    lines, stopped_s = [], 0.0
    for line in listener:
        lines.append(line)
        if isinstance(line, Event) and line.phase == "start":
            listener.stop()
            stopped_s = time.monotonic()
    assert time.monotonic() - stopped_s < 0.5
    assert events_of(lines)[-1].reason == "stopped"


@pytest.mark.parametrize("hop_s", [0.0, -1.0, 5.1, float("nan")])
def test_an_impossible_hop_is_refused(hop_s: float) -> None:
    with pytest.raises(ListenEdgeError, match="--hop"):
        lines_of(ScriptedSource([], is_live=False), config=ListenConfig(hop_s=hop_s))


def test_a_question_that_names_no_sound_is_refused() -> None:
    with pytest.raises(QuestionError):
        lines_of(ScriptedSource([], is_live=False), questions=("?",))


def test_replay_gives_the_windows_and_answers_of_ask(engine: Engine, tiny_folder: Path) -> None:
    clip = read_audio(tiny_folder / "clips/siren.ogg")
    samples = np.concatenate([0.1 * clip, clip])[: 16_000 * 8 + 123]
    asked = [row[0] for row in engine.ask_windows(samples, ["siren?"])]
    source = ScriptedSource([samples[:, None]], is_live=False)
    heard = answers_of(lines_of(source, engine=engine, config=ListenConfig()))
    assert [a.window_s for a in heard] == [a.window_s for a in asked]
    assert [a.presence for a in heard] == [a.presence for a in asked]


def test_listen_yields_answers_and_calls_back_events(
    engine: Engine, tiny_folder: Path, tmp_path: Path
) -> None:
    assert listen_edge.listen is listen
    clip = read_audio(tiny_folder / "clips/siren.ogg")
    path = tmp_path / "scene.wav"
    quiet = np.random.default_rng(0).normal(0, 1e-3, 5 * RATE).astype(np.float32)
    soundfile.write(path, np.concatenate([quiet, clip, quiet]), RATE)
    events: list[Event] = []
    answers = list(listen(engine, path, ["siren?"], on_event=events.append))
    assert {type(answer) for answer in answers} == {Answer} and len(answers) == 11
    assert [event.phase for event in events] == ["start", "end"]
    assert answers[0].source == "scene.wav"


def test_a_recording_in_real_time_takes_its_time_and_drops_nothing(tmp_path: Path) -> None:
    path = tmp_path / "tone.wav"
    soundfile.write(path, tone(2.0, 0.1), RATE)
    source = FileSource(path, is_realtime=True)
    started = time.monotonic()
    lines = lines_of(source)  # type: ignore[arg-type]
    assert 1.9 < time.monotonic() - started < 3.5
    assert [a.window_s for a in answers_of(lines) if a.presence] == [(0, 1), (0.5, 1.5), (1, 2)]
    assert all(h.n_dropped == 0 for h in health_of(lines))


class _Flood(ScriptedSource):
    """Delivers faster than anybody listens, for ever."""

    def read(self, timeout_s: float) -> Block:
        return Block(tone(0.1, 0.9), RATE, time.monotonic())


def test_a_writer_faster_than_the_listener_is_answered_and_can_be_stopped() -> None:
    listener = Listener(LevelEngine(), _Flood([], is_live=True), ["siren?"], CONFIG)  # type: ignore[arg-type]
    started_s = time.monotonic()
    lines = []
    for line in listener:
        lines.append(line)
        if isinstance(line, Answer):
            listener.stop()
    assert time.monotonic() - started_s < 10
    assert any(isinstance(line, Answer) for line in lines)
