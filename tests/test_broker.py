"""The MQTT output on a real Mosquitto that is killed, cut off or deaf, and what it obeys."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from listen_edge.runtime.service.config.models import MqttConfig
from listen_edge.runtime.service.outputs import OutputError, broker
from listen_edge.runtime.service.outputs.broker import MqttOutput
from listen_edge.runtime.service.outputs.message import stored_event_line
from listen_edge.runtime.service.outputs.runner import Outbox, OutputRunner, Patience
from listen_edge.runtime.service.outputs.timing import Timing
from listen_edge.runtime.service.records.store import Store
from listen_edge.runtime.service.records.types import Delivery
from tests.mosquitto import Mosquitto, Witness, needs_mosquitto, retained, running, wait_until
from tests.outputs import QUICK, ListedOutbox, owed
from tests.relay import Relay
from tests.test_discovery import DOG, HALL, KITCHEN, SIREN, _heard

pytestmark = needs_mosquitto

TIMING = Timing(answer_s=5.0, first_s=0.02, longest_s=0.1, will_delay_s=0)
NODE = "listen-edge/house"
EVENTS = f"{NODE}/kitchen/siren/event"
CONFIG = "homeassistant/device/listen-edge_house/config"


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker, "ANNOUNCE_WITHIN_S", 0.0)
    monkeypatch.setattr(broker, "_COMMAND_PAUSE_S", 0.05)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with running(tmp_path_factory.mktemp("broker")) as one:
        yield one


@contextlib.contextmanager
def output_to(
    port: int, mute: Callable[[str, bool], None] = lambda *_: None, **settings: Any
) -> Iterator[MqttOutput]:
    is_trial = settings.pop("is_trial", False)
    timing = settings.pop("timing", TIMING)
    settings = {"host": "127.0.0.1", "port": port, "node": "house", **settings}
    one = MqttOutput(
        MqttConfig(**settings), bundle="tiny@x", mute=mute, is_trial=is_trial, timing=timing
    )
    before = set(threading.enumerate())
    one.start()
    own = set(threading.enumerate()) - before
    try:
        yield one
    finally:
        one.stop()
        wait_until(lambda: not any(thread.is_alive() for thread in own if "mqtt" in thread.name))


def outcome_of(one: MqttOutput, delivery: Delivery) -> str | None:
    try:
        one.deliver(delivery)
    except OutputError as err:
        return str(err)
    return None


@contextlib.contextmanager
def _runner(port: int, outbox: Outbox, patience: Patience) -> Iterator[OutputRunner]:
    config = MqttConfig(host="127.0.0.1", port=port, node="house")
    one = MqttOutput(config, bundle="tiny@x", mute=lambda *_: None, timing=TIMING)
    runner = OutputRunner(one, outbox, patience=patience)
    runner.start()
    try:
        yield runner
    finally:
        runner.stop()


@contextlib.contextmanager
def _witness(port: int, **names: Any) -> Iterator[Witness]:
    one = Witness(port, **names)
    try:
        yield one
    finally:
        one.close()


def _wait_until_shown(one: MqttOutput, is_so: Callable[[], object], *state: Any) -> None:
    def look() -> object:
        one.show(*state)
        return is_so()

    wait_until(look)


def test_events_do_not_wait_once_the_broker_is_there_again(tmp_path: Path) -> None:
    outbox, mosquitto = ListedOutbox(3), Mosquitto(tmp_path)
    with _runner(mosquitto.port, outbox, Patience(first_s=300.0, poll_s=0.05)) as runner:
        wait_until(lambda: runner.status().n_failed == 1)
        mosquitto.start()
        try:
            wait_until(lambda: outbox.done.get("mqtt") == [0, 1, 2])
        finally:
            mosquitto.stop()


def test_what_was_promised_outlives_a_broker_that_is_killed(tmp_path: Path) -> None:
    outbox = ListedOutbox(400)
    with running(tmp_path) as mosquitto, _witness(mosquitto.port) as witness:
        relay = Relay(mosquitto.port)
        with _runner(relay.port, outbox, QUICK) as runner:
            for n_kills, n_heard in enumerate((50, 150, 250), start=1):
                wait_until(lambda n=n_heard: len(witness.payloads(EVENTS)) >= n)
                runner.show([KITCHEN], [SIREN], [_heard("present", is_sounding=True)])
                relay.is_shut = True  # until somebody listens again
                mosquitto.kill()
                mosquitto.start()
                wait_until(lambda n=n_kills: witness.n_comings > n)
                relay.is_shut = False
            wait_until(lambda: len(outbox.done.get("mqtt", [])) == 400)
            state = f"{NODE}/kitchen/siren/state"

            def is_told() -> bool:
                runner.show([KITCHEN], [SIREN], [_heard("absent")])
                return retained(mosquitto.port).get(state) == "OFF"

            wait_until(is_told)
        wait_until(lambda: len(set(witness.payloads(EVENTS))) == 400)
        heard = [json.loads(payload)["uid"] for payload in witness.payloads(EVENTS)]
        kept = retained(mosquitto.port)
        relay.close()
    assert list(dict.fromkeys(heard)) == [f"e{seq}" for seq in range(400)]
    assert len(heard) <= 400 + 3  # what was in flight when it was killed, once more
    assert outbox.done["mqtt"] == list(range(400))
    assert kept[f"{NODE}/status"] == "offline"  # the runner has ended
    assert EVENTS not in kept


def test_a_delivery_is_what_the_other_outputs_say_and_is_not_kept(shared: Mosquitto) -> None:
    with _witness(shared.port, name="other") as witness, output_to(shared.port) as one:
        for phase in ("start", "update", "end"):
            one.deliver(owed(1, phase))
        wait_until(lambda: len(witness.payloads(EVENTS)) == 3)
        expected = [stored_event_line(owed(1, phase)) for phase in ("start", "update", "end")]
        assert witness.payloads(EVENTS) == expected
    assert EVENTS not in retained(shared.port)


def test_a_broker_that_is_away_for_ten_minutes_costs_what_is_too_old_alone(tmp_path: Path) -> None:
    mosquitto, now = Mosquitto(tmp_path), [KITCHEN.since]
    words = {"source": "kitchen", "question": "siren", "ask": "siren?", "concept": "siren"}
    figures = {"peak_presence": 0.97, "level_dbfs": -20.0, "on": 0.95, "off": 0.6}
    with Store(tmp_path / "events.db", None, clock=lambda: now[0]) as store:
        assert store.pending("mqtt") == []  # from now on it is owed everything

        def begin(n: int) -> list[str]:
            return [
                store.begin(**words, **figures, started_at=now[0], bundle="tiny@x").uid
                for _ in range(n)
            ]

        with _runner(mosquitto.port, store, replace(QUICK, keep_s=300.0)) as runner:
            begin(30)
            wait_until(lambda: runner.status().message)
            place = f"127.0.0.1:{mosquitto.port}"
            assert runner.status().message == f"{place} cannot be reached: Connection refused"
            now[0] += timedelta(minutes=10)
            expected = begin(20)
            wait_until(lambda: runner.status().n_given_up == 30)
            mosquitto.start()
            relayed = Witness(mosquitto.port)
            wait_until(lambda: not store.pending("mqtt"))
            assert (runner.status().n_delivered, runner.status().n_given_up) == (20, 30)
        relayed.close()
    heard = [json.loads(payload)["uid"] for payload in relayed.payloads(EVENTS)]
    assert heard == expected[len(expected) - len(heard) :]  # those before it came are not kept
    mosquitto.stop()


def test_states_follow_what_is_so_and_what_is_no_longer_asked_vanishes(shared: Mosquitto) -> None:
    both, one_question = ([KITCHEN, HALL], [SIREN, DOG]), ([KITCHEN], [SIREN])
    with output_to(shared.port) as one:
        _wait_until_shown(one, lambda: CONFIG in retained(shared.port), *both, [])
    with _witness(shared.port, name="home") as home, output_to(shared.port) as one:  # a new process
        heard = _heard("present", is_sounding=True)
        last = f"{NODE}/status"
        _wait_until_shown(one, lambda: home.last(last) == "online", *one_question, [heard])
        kept = retained(shared.port)
        below = {topic.removeprefix(f"{NODE}/") for topic in kept if topic.startswith(NODE)}
        assert below == {
            *("status", "birth", "kitchen/health", "kitchen/available", "kitchen/mute"),
            *("kitchen/siren/state", "kitchen/siren/presence"),
        }
        assert kept[f"{NODE}/kitchen/siren/state"] == "ON"
        going, final = (json.loads(text)["cmps"] for text in home.payloads(CONFIG)[-2:])
        assert going["hall-2.dog.heard"] == {"p": "event"}
        assert final == json.loads(kept[CONFIG])["cmps"] and "hall-2.dog.heard" not in final
        dead = replace(KITCHEN, state="failed", message="unplugged")
        available = f"{NODE}/kitchen/available"
        _wait_until_shown(one, lambda: home.last(available) == "offline", [dead], [SIREN], [heard])
        assert home.last(f"{NODE}/kitchen/siren/state") == "None"
        n_said = len(home.payloads(CONFIG))
        home.say("homeassistant/status", "online")
        _wait_until_shown(one, lambda: len(home.payloads(CONFIG)) > n_said, [dead], [SIREN], [])
    with output_to(shared.port, discovery=False) as one:
        _wait_until_shown(one, lambda: CONFIG not in retained(shared.port), [KITCHEN], [], [])


def test_a_lost_node_is_offline_until_its_states_are_true_again(shared: Mosquitto) -> None:
    relay = Relay(shared.port)
    status = f"{NODE}/status"
    with _witness(shared.port, name="will") as witness, output_to(relay.port) as one:
        _wait_until_shown(one, lambda: witness.last(status) == "online", [KITCHEN], [SIREN], [])
        relay.cut()
        wait_until(lambda: witness.last(status) == "offline")
        n_before = len(witness.payloads(status))
        heard = _heard("present", is_sounding=True)
        _wait_until_shown(
            one, lambda: len(witness.payloads(status)) > n_before, [KITCHEN], [SIREN], [heard]
        )
        assert witness.last(status) == "online"
        assert witness.last(f"{NODE}/kitchen/siren/state") == "ON"
    relay.close()


def test_presence_alone_waits_for_no_answer_and_is_said_again_when_it_was_lost(
    shared: Mosquitto,
) -> None:
    relay = Relay(shared.port)
    state, presence = (f"{NODE}/kitchen/siren/{leaf}" for leaf in ("state", "presence"))

    def show(one: MqttOutput, value: float, is_so: Callable[[], object]) -> None:
        heard = _heard("present", is_sounding=True, presence=value)
        _wait_until_shown(one, is_so, [KITCHEN], [SIREN], [heard])

    with _witness(shared.port, name="figures") as witness, output_to(relay.port) as one:
        show(one, 0.5, lambda: witness.last(f"{NODE}/status") == "online")
        one.deliver(owed(1))
        wait_until(lambda: EVENTS in witness.qos)
        assert (witness.qos[presence], witness.qos[state], witness.qos[EVENTS]) == (0, 1, 1)
        relay.is_deaf = True
        show(one, 0.9, lambda: one._held and one._held[presence] == b"0.9")  # as far as it knows
        relay.is_deaf = False
        relay.cut()
        show(one, 0.9, lambda: witness.last(presence) == "0.9")
    relay.close()


def test_a_try_does_not_say_again_what_the_session_still_holds(shared: Mosquitto) -> None:
    relay = Relay(shared.port)
    hasty = replace(TIMING, answer_s=0.3)
    with (
        _witness(shared.port, name="deaf") as witness,
        output_to(relay.port, timing=hasty) as one,
    ):
        one.deliver(owed(1))
        relay.is_deaf = True
        for _ in range(3):
            with pytest.raises(OutputError, match="has not acknowledged") as late:
                one.deliver(owed(2))
        assert late.value.is_over is not None and not late.value.is_over()
        relay.is_deaf = False
        relay.cut()
        wait_until(late.value.is_over)
        for delivery in (owed(2), owed(3)):
            wait_until(lambda d=delivery: outcome_of(one, d) is None)
        wait_until(lambda: len(witness.payloads(EVENTS)) >= 3)
        assert [json.loads(text)["uid"] for text in witness.payloads(EVENTS)] == ["e1", "e2", "e3"]
    relay.close()


def test_only_on_and_off_of_known_sources_are_obeyed_however_often(shared: Mosquitto) -> None:
    told: list[tuple[str, bool]] = []
    command = f"{NODE}/kitchen/mute/set"
    with (
        _witness(shared.port, name="hand") as hand,
        output_to(shared.port, lambda *order: told.append(order)) as one,
    ):
        hand.say(command, "ON", retain=True)
        _wait_until_shown(
            one, lambda: hand.last(f"{NODE}/status") == "online", [KITCHEN], [SIREN], []
        )
        told.clear()  # said while it came up, or not; kept commands are none
        for n in range(600):
            hand.client.publish(command, ("OFF", "ON", "on", "")[n % 4], 1)
        for place, payload in (
            (command, b"ON" * 500_000),
            (command, b"\xff\0"),
            (f"{NODE}/cellar/mute/set", b"ON"),
            (f"{NODE}/Kitchen%20/mute/set", b"ON"),
            (f"{NODE}/kitchen/siren/mute/set", b"ON"),
            ("listen-edge/other/kitchen/mute/set", b"OFF"),
            (command, b"ON"),
        ):
            hand.say(place, payload)
        one.deliver(owed(1))
        wait_until(lambda: hand.payloads(EVENTS) and told[-1:] == [("kitchen", True)])
        assert {source for source, _ in told} == {"kitchen"}
        assert len(told) < 100
        hand.say(command, "", retain=True)


def test_a_trial_leaves_the_service_its_place(shared: Mosquitto) -> None:
    status = f"{NODE}/status"
    with _witness(shared.port, name="both") as witness, output_to(shared.port) as service:
        _wait_until_shown(service, lambda: witness.last(status) == "online", [KITCHEN], [SIREN], [])
        n_said = len(witness.payloads(status))
        with output_to(shared.port, is_trial=True) as trial:
            trial.deliver(owed(7, is_test=True))
            trial.show([], [], [])
        service.deliver(owed(8))
        wait_until(lambda: len(witness.payloads(EVENTS)) == 2)
        assert len(witness.payloads(status)) == n_said
