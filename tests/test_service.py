"""A service on rooms that a test makes loud: what is kept of events, whatever happens meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from listen_edge.errors import BackendError
from listen_edge.lines.answer import Answer
from listen_edge.lines.event import Event
from listen_edge.lines.health import Health
from listen_edge.runtime.listening.liveness import LivenessConfig
from listen_edge.runtime.service import machine as machine_module
from listen_edge.runtime.service import station as station_module
from listen_edge.runtime.service.opening import listen_config
from listen_edge.runtime.service.outputs import Output
from listen_edge.runtime.service.questions import UnknownIdError
from listen_edge.runtime.service.records.types import Delivery
from tests.rooms import House, gone, house, service_threads, wait_for

HOUR = timedelta(hours=1)


@pytest.fixture()
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    return lambda **config: house(tmp_path, monkeypatch, **config)


def make_event(at: House, source: str = "kitchen") -> Any:
    """Let a room be loud for a moment; return the event that is over."""
    n_before = len(at.events())
    at.rooms[source].level = 0.9
    wait_for(lambda: len(at.events()) > n_before, "an event")
    at.rooms[source].level = 0.1
    return wait_for(lambda: (e := at.events()[-1]).ended_at and e, "its end")


def test_an_event_is_kept_with_all_that_is_known_of_it(built: Any) -> None:
    with built() as at, at.service.subscribe((Event,)) as lines:
        began = at.wall()
        event = make_event(at)
        assert (event.source, event.question, event.concept) == ("kitchen", "siren", "siren")
        assert (event.ask, event.on, event.off, event.reason) == ("siren?", 0.7, 0.5, "not_heard")
        assert event.peak_presence == pytest.approx(0.9) and event.bundle == at.engine.bundle.id
        assert event.ended_at == event.started_at + timedelta(seconds=event.duration_s)
        assert began - timedelta(seconds=0.5) < event.started_at < at.wall()
        assert event.level_dbfs == -20.0
        assert [lines.get(5).phase, lines.get(5).phase] == ["start", "end"]  # type: ignore[union-attr]
        assert at.rooms["kitchen"].told == ["siren"]
        (status,) = at.service.sources()
        assert (status.state, status.name, status.n_dropped) == ("healthy", "kitchen", 0)
        assert at.service.is_ready() == (True, "") and at.service.late() == []
        (asked,) = at.service.questions()
        assert (asked.id, asked.sources, asked.calibrated) == ("siren", ("kitchen",), True)
        times, presence = at.service.store.presence("kitchen", "siren", began - HOUR, began + HOUR)
        assert len(times) > 3 and np.nanmax(presence) == pytest.approx(0.9, abs=1e-3)


def test_a_reload_in_the_middle_of_an_event_keeps_it_and_closes_no_source(built: Any) -> None:
    with built(sources=[{"id": "kitchen", "device": "a"}, {"id": "hall", "device": "b"}]) as at:
        for room in at.rooms.values():
            room.level = 0.9
        wait_for(lambda: len(at.events()) == 2, "two events")
        kitchen, hall = at.rooms["kitchen"], at.rooms["hall"]
        at.service.reload(
            at.configured(
                sources=[
                    {"id": "kitchen", "name": "The kitchen", "device": "a"},
                    {"id": "hall", "device": "c"},
                    {"id": "attic", "device": "d"},
                ],
                questions=[{"ask": "siren?", "on": 0.8}, "dog barking?"],
            )
        )
        wait_for(lambda: len(at.events(question="dog-barking")) == 2, "the other question's events")
        assert (kitchen.n_opened, kitchen.is_open, hall.is_open) == (1, True, False)
        assert at.rooms["kitchen"] is kitchen and at.rooms["hall"] is not hall
        # whose began first is nobody's promise
        ended, kept = sorted(at.events(question="siren")[:2], key=lambda one: one.source)
        assert (kept.source, kept.ended_at) == ("kitchen", None) and ended.reason == "stopped"
        assert [s.name for s in at.service.sources()] == ["The kitchen", "hall", "attic"]
        at.service.reload(at.configured(questions=["dog barking?"]))
        assert not at.rooms["attic"].is_open
        wait_for(lambda: at.service.store.event(kept.id).ended_at, "the end of the removed one")
        assert at.service.store.event(kept.id).reason == "stopped"


def test_a_configuration_that_cannot_be_changes_nothing(
    built: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with built() as at:
        with pytest.raises(Exception, match="end-after"):
            at.service.reload(at.configured(defaults={"end_after": 0.05}))
        assert at.service.config == at.config and at.rooms["kitchen"].n_opened == 1
        assert make_event(at).reason == "not_heard"


def test_a_muted_source_is_closed_answers_unknown_and_stays_so_over_a_restart(built: Any) -> None:
    with built() as at:
        at.rooms["kitchen"].level = 0.9
        wait_for(lambda: at.events(), "an event")
        at.service.mute("kitchen")
        wait_for(lambda: at.reasons() == {"muted"}, "a muted answer")
        assert not at.rooms["kitchen"].is_open and at.state() == "muted"
        assert at.events()[-1].reason == "muted" and at.service.is_ready() == (True, "")
        (sounding,) = at.service.soundings()
        assert (sounding.state, sounding.presence, sounding.is_sounding) == ("unknown", None, False)
        with pytest.raises(UnknownIdError, match='there is no source "attic"; there are kitchen'):
            at.service.mute("attic")
        at.service.stop()
        with at.open():
            wait_for(lambda: at.reasons() == {"muted"}, "a muted answer")
            assert at.rooms["kitchen"].n_opened == 0
            at.service.unmute("kitchen")
            wait_for(lambda: at.state() == "healthy", "the room")
            at.service.mute("kitchen", at.wall() + HOUR)
            wait_for(lambda: at.state() == "muted", "mute")
            at.wall.ahead = HOUR
            wait_for(lambda: at.state() == "healthy", "the end of the hour")


@pytest.mark.parametrize("jump", [HOUR, -HOUR], ids=["forward", "back"])
def test_a_clock_that_jumps_changes_no_duration_and_no_cooldown(built: Any, jump: Any) -> None:
    with built(defaults={"cooldown": 1.0}) as at:
        at.rooms["kitchen"].level = 0.9
        wait_for(lambda: at.events(), "an event")
        began_s = time.monotonic()
        at.wall.ahead = jump
        time.sleep(0.3)
        at.rooms["kitchen"].level = 0.1
        event = wait_for(lambda: (e := at.events()[-1]).ended_at and e, "its end")
        ended_s = time.monotonic()
        assert 0.2 < event.duration_s < ended_s - began_s + 0.4
        at.rooms["kitchen"].level = 0.9
        second = wait_for(lambda: (e := at.events())[1:] and e[1], "another event")
        assert time.monotonic() - ended_s > 0.8  # the cooldown, less what it had begun before
        assert abs(second.started_at - event.started_at - jump) < timedelta(seconds=10)


def test_a_source_that_flaps_for_an_hour_ends_nothing_and_leaks_nothing(
    built: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = LivenessConfig(backoffs_s=(0.01,) * 1000)
    monkeypatch.setattr(
        "listen_edge.runtime.service.stations.listen_config",
        lambda *arguments: replace(listen_config(*arguments), liveness=quick),
    )
    with built() as at:
        room, threads = at.rooms["kitchen"], service_threads()
        for n_opened in range(1, 21):
            room.fault = gone()
            wait_for(lambda: not room.is_open, "a loss")
            room.fault = None
            wait_for(lambda n=n_opened: room.n_opened > n and at.state() == "healthy", "the room")
        assert make_event(at).reason == "not_heard" and service_threads() == threads
        assert at.service.sources()[0].n_restarts >= 20


def test_what_opening_again_does_not_mend_is_failed_and_tried_for_ever(
    built: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(station_module, "RETRY_S", 0.05)
    with built() as at, at.service.subscribe((Health,)) as lines:
        room = at.rooms["kitchen"]
        room.level = 0.9
        wait_for(lambda: at.events(), "an event")
        room.fault = BackendError("PortAudio is not installed")
        failed = wait_for(lambda: (h := lines.get(1)) and h.state == "failed" and h, "a failure")
        assert failed.message == "PortAudio is not installed; trying again every 0.05 s"
        assert at.reasons() == {"no_audio"} and at.events()[-1].reason == "no_audio"
        assert at.service.is_ready() == (False, f"kitchen: {failed.message}")
        assert at.service.late() == []  # not what a restart would mend
        room.fault = None
        wait_for(lambda: at.state() == "healthy", "the room")


def test_a_fault_of_ours_is_logged_and_listening_goes_on(
    built: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(station_module, "RETRY_S", 0.05)
    with built() as at:
        at.rooms["kitchen"].fault = ZeroDivisionError()
        wait_for(lambda: at.state() == "failed", "a failure")
        at.rooms["kitchen"].fault = None
        wait_for(lambda: at.state() == "healthy", "the room")
    assert "kitchen: a fault of listen-edge, please report it" in caplog.text


def test_in_quiet_hours_it_answers_and_makes_no_event(built: Any) -> None:
    quiet = {"ask": "siren?", "quiet": ["00:00-24:00"]}
    with built(questions=[quiet, "dog barking?"]) as at:
        at.rooms["kitchen"].level = 0.9
        wait_for(lambda: at.events(question="dog-barking"), "the other question's event")
        wanted = {"siren": ("present", False), "dog-barking": ("present", True)}
        wait_for(
            lambda: (
                {s.question: (s.state, s.is_sounding) for s in at.service.soundings()} == wanted
            ),
            "both answers",
        )
        assert [q.is_quiet for q in at.service.questions()] == [True, False]
        assert at.events(question="siren") == []


def test_when_it_stops_events_are_ended_even_where_the_engine_hangs(
    built: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with built(sources=[{"id": "kitchen", "device": "a"}, {"id": "hall", "device": "b"}]) as at:
        for room in at.rooms.values():
            room.level = 0.9
        wait_for(lambda: len(at.events()) == 2, "two events")
        listen, is_over = at.engine.listen_window, []

        def hang(*arguments: Any, **options: Any) -> Any:
            wait_for(lambda: is_over)
            return listen(*arguments, **options)

        monkeypatch.setattr(at.engine, "listen_window", hang)
        time.sleep(0.3)
        store, close = at.service.store, at.service.store.close
        seen: list[Any] = []
        monkeypatch.setattr(store, "close", lambda: (seen.extend(store.events()), close()))
        began_s = time.monotonic()
        at.service.stop(2.0)
        assert time.monotonic() - began_s < 2.5
        assert [event.reason for event in seen] == ["stopped", "stopped"]
        is_over.append(True)


class Told:
    """An output that keeps what it is told."""

    def __init__(self, name: str) -> None:
        self.name, self.got, self.shown = name, list[Delivery](), list[Any]()

    def start(self) -> None:
        pass

    def deliver(self, delivery: Delivery) -> None:
        self.got.append(delivery)

    def show(self, *state: Any) -> None:
        self.shown.append(state)

    def stop(self) -> None:
        pass


def test_outputs_are_told_of_events_and_states_and_can_be_tried(
    built: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [Told("one"), Told("two")]

    def make(config: Any, **options: Any) -> list[Output]:
        return list(made)

    monkeypatch.setattr(machine_module, "make_outputs", make)
    with built() as at:
        event = make_event(at)
        for output in made:
            wait_for(lambda o=output: len(o.got) == 2, "deliveries")
            assert [(d.phase, d.event.uid) for d in output.got] == [
                ("start", event.uid),
                ("end", event.uid),
            ]
        assert at.service.test_fire(None, "siren", "kitchen") == [("one", None), ("two", None)]
        trial = made[1].got[-1].event
        assert trial.is_test and (trial.question, trial.source) == ("siren", "kitchen")
        assert len(at.events()) == 1
        with pytest.raises(UnknownIdError, match='no output "three"; there are one, two'):
            at.service.test_fire("three", "siren", "kitchen")
        sources, questions, soundings = wait_for(lambda: made[0].shown, "a state")[-1]
        assert [sources[0].id, questions[0].id, soundings[0].question] == [
            "kitchen",
            "siren",
            "siren",
        ]
        (one, _) = at.service.outputs()
        assert (one["name"], one["n_delivered"], one["n_pending"]) == ("one", 2, 0)


def test_whoever_looks_on_too_slowly_loses_lines_and_listening_nothing(built: Any) -> None:
    with built() as at, at.service.subscribe((Answer,)) as lines:
        lines._lines = type(lines._lines)(maxlen=3)
        wait_for(lambda: lines.n_dropped > 3, "a loss")
        assert isinstance(lines.get(0), Answer)
        at.service.stop()
        assert lines.is_closed and lines.get(1) is None
        assert at.service.subscribe((Answer,)).is_closed
