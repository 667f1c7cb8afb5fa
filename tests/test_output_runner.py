"""A runner hands over what the store owes: in order, at least once, whatever the output does."""

from __future__ import annotations

import json
import logging
import threading
import time
from datetime import datetime, timezone
from pathlib import Path

import pytest

from listen_edge.errors import ListenEdgeError
from listen_edge.runtime.service.outputs import OutputError
from listen_edge.runtime.service.outputs.runner import OutputRunner, Patience, stop_all
from listen_edge.runtime.service.records.store import Store
from listen_edge.runtime.service.records.types import Delivery, StoredEvent
from tests.outputs import QUICK, ListedOutbox, ToldOutput, owed, running, wait_for


def _seqs(output: ToldOutput) -> list[int]:
    return [delivery.seq for delivery in output.taken]


def test_all_that_is_owed_comes_in_order_once() -> None:
    store, output = ListedOutbox(250), ToldOutput("told")
    with running(output, store) as runner:
        wait_for(lambda: len(output.taken) == 250)
        store.deliveries += [owed(250)]
        runner.wake()
        wait_for(lambda: store.done["told"] == list(range(251)))
    assert _seqs(output) == list(range(251))
    assert runner.status().n_delivered == 251 and runner.status().message is None
    assert output.n_starts == 1 and output.is_stopped.is_set()


def test_an_output_that_fails_keeps_the_order_and_loses_nothing() -> None:
    def fail(n: int, delivery: Delivery) -> None:
        if n % 3:
            raise OutputError("it is away")

    store, output = ListedOutbox(7), ToldOutput("told", fail)
    with running(output, store) as runner:
        wait_for(lambda: len(output.taken) == 7)
        status = runner.status()
    assert _seqs(output) == list(range(7))
    assert status.n_failed == output.n_tries - 7 > 5


@pytest.mark.parametrize(
    ("n_failures", "asked_s", "low_s", "high_s"),
    [(1, None, 0.75, 1.25), (2, None, 1.5, 2.5), (9, None, 192, 320), (10, None, 225, 375),
     (10**6, None, 225, 375), (1, 20.0, 20, 25), (1, 1e9, 300, 375), (5, 1.0, 12, 20)],
)  # fmt: skip
def test_waits_double_up_to_five_minutes_with_jitter(
    n_failures: int, asked_s: float | None, low_s: float, high_s: float
) -> None:
    waits = [Patience().wait_s(n_failures, asked_s) for _ in range(200)]
    assert low_s <= min(waits) <= max(waits) <= high_s
    assert len(set(waits)) > 100


def test_a_wait_that_the_peer_asks_for_is_kept() -> None:
    def busy(n: int, delivery: Delivery) -> None:
        if n == 0:
            raise OutputError("busy", retry_after_s=0.4)

    output = ToldOutput("told", busy)
    patience = Patience(first_s=0.01, longest_s=5.0, poll_s=0.02)
    with running(output, ListedOutbox(1), patience) as runner:
        wait_for(lambda: output.n_tries == 1)
        began = time.monotonic()
        wait_for(lambda: runner.status().n_failed == 1)
        runner.wake()  # more is owed: no reason to come earlier
        wait_for(lambda: output.taken)
    assert time.monotonic() - began >= 0.35


def test_what_was_in_the_way_and_is_gone_is_waited_for_no_longer() -> None:
    gone = threading.Event()

    def away(n: int, delivery: Delivery) -> None:
        if not gone.is_set():
            raise OutputError("it is away", is_over=gone.is_set)

    output = ToldOutput("told", away)
    with running(output, ListedOutbox(2), Patience(first_s=300.0, poll_s=0.02)) as runner:
        wait_for(lambda: runner.status().n_failed == 1)
        gone.set()
        wait_for(lambda: len(output.taken) == 2)
        assert (output.n_tries, runner.status().retry_in_s) == (3, None)


def test_what_is_refused_for_good_goes_to_the_dead_letters(tmp_path: Path) -> None:
    def refuse(n: int, delivery: Delivery) -> None:
        if delivery.seq == 1:
            raise OutputError("HTTP 422", is_lasting=True)

    store, output = ListedOutbox(3), ToldOutput("webhook:phone", refuse)
    with running(output, store, dead_letters=tmp_path / "dead") as runner:
        wait_for(lambda: len(store.done.get("webhook:phone", [])) == 3)
    assert _seqs(output) == [0, 2] and runner.status().n_refused == 1
    (letter,) = (tmp_path / "dead/webhook-phone.jsonl").read_text().splitlines()
    told = json.loads(letter)
    assert (told["output"], told["error"], told["event"]["uid"]) == (
        "webhook:phone", "HTTP 422", "e1",
    )  # fmt: skip


def test_a_delivery_that_nobody_can_make_sense_of_does_not_block_the_rest(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def stumble(n: int, delivery: Delivery) -> None:
        if delivery.seq == 0:
            raise ValueError("token=hunter2")

    output = ToldOutput("told", stumble)
    with caplog.at_level(logging.INFO), running(output, ListedOutbox(2)):
        wait_for(lambda: output.taken)
    assert _seqs(output) == [1]
    assert "ValueError at test_output_runner.py" in caplog.text
    assert "hunter2" not in caplog.text


def test_a_store_that_cannot_note_it_makes_nothing_come_twice() -> None:
    class FullDisk(ListedOutbox):
        is_full = True

        def delivered(self, output: str, seq: int) -> None:
            if self.is_full:
                raise ListenEdgeError("events.db: the disk is full")
            super().delivered(output, seq)

    store, output = FullDisk(150), ToldOutput("told")
    with running(output, store):
        wait_for(lambda: len(output.taken) == 150)
        store.is_full = False
        wait_for(lambda: sorted(store.done.get("told", [])) == list(range(150)))
    assert _seqs(output) == list(range(150))


def test_what_is_owed_stays_bounded_while_an_output_is_down() -> None:
    is_down = threading.Event()
    is_down.set()

    def fail(n: int, delivery: Delivery) -> None:
        if is_down.is_set():
            raise OutputError("it is away")

    store, output = ListedOutbox(50), ToldOutput("told", fail)
    patience = Patience(first_s=0.01, longest_s=0.05, poll_s=0.05, keep_n=10)
    with running(output, store, patience) as runner:
        wait_for(lambda: runner.status().n_given_up == 40)
        is_down.clear()
        wait_for(lambda: len(output.taken) == 10)
    assert _seqs(output) == list(range(40, 50))


def test_a_dead_output_costs_a_live_one_nothing() -> None:
    hangs = threading.Event()
    store = ListedOutbox(100)
    dead = ToldOutput("dead", lambda n, delivery: hangs.wait(30) and None)
    alive = ToldOutput("alive")
    try:
        began = time.monotonic()
        with running(alive, store):
            runner = OutputRunner(dead, store, patience=QUICK)
            runner.start()
            wait_for(lambda: len(alive.taken) == 100)
            assert time.monotonic() - began < 5.0 and dead.n_tries == 1
            began = time.monotonic()
            stop_all([runner], timeout_s=0.5)
            assert time.monotonic() - began < 1.0
        assert store.done.get("dead", []) == []  # still owed
    finally:
        hangs.set()


def test_the_newest_state_is_shown_while_the_peer_is_away() -> None:
    def fail(n: int, delivery: Delivery) -> None:
        raise OutputError("it is away")

    output = ToldOutput("told", fail)
    with running(output, ListedOutbox(1), Patience(poll_s=0.02)) as runner:
        for k in range(3):
            runner.show([], [], [])
            wait_for(lambda k=k: output.shown > k)
    assert output.n_tries <= 2


def test_what_is_owed_at_the_end_is_still_delivered() -> None:
    store, output = ListedOutbox(), ToldOutput("told")
    with running(output, store, Patience(poll_s=60.0)):
        wait_for(lambda: output.n_starts)
        store.deliveries += [owed(0, "end"), owed(1, "end")]
    assert _seqs(output) == [0, 1] and store.done["told"] == [0, 1]


def test_a_test_event_goes_through_at_once_and_ends_the_waiting() -> None:
    is_away = threading.Event()
    is_away.set()

    def behave(n: int, delivery: Delivery) -> None:
        if is_away.is_set():
            raise OutputError("it is away")

    output = ToldOutput("told", behave)
    with running(output, ListedOutbox(1), Patience(first_s=200.0)) as runner:
        wait_for(lambda: runner.status().n_failed == 1)
        assert runner.status().retry_in_s and runner.status().retry_in_s > 100
        assert runner.test(owed(-1, is_test=True)) == "it is away"
        is_away.clear()
        assert runner.test(owed(-1, is_test=True)) is None
        wait_for(lambda: len(output.taken) == 2)
        status = runner.status()
    assert _seqs(output) == [-1, 0]
    assert (status.n_delivered, status.n_failed, status.message) == (1, 1, None)


def test_an_output_that_cannot_start_yet_is_started_again() -> None:
    class Late(ToldOutput):
        def start(self) -> None:
            super().start()
            if self.n_starts < 3:
                raise OutputError("ca.pem: no such file")

    output = Late("late")
    with running(output, ListedOutbox(1)) as runner:
        wait_for(lambda: output.taken)
        assert runner.status().n_failed == 2
    assert output.n_starts == 3


def test_an_hour_away_says_so_in_few_lines(caplog: pytest.LogCaptureFixture) -> None:
    def fail(n: int, delivery: Delivery) -> None:
        if n < 9:
            raise OutputError("it is away")

    output = ToldOutput("told", fail)
    patience = Patience(first_s=0.001, longest_s=60.0, poll_s=0.01)
    with running(output, ListedOutbox(1), patience):
        wait_for(lambda: output.taken, timeout_s=20.0)
    told = [record.getMessage() for record in caplog.records]
    assert told == ["told: it is away; next try in 0 s", "told: delivers again after 10 tries"]


def _begin(store: Store) -> StoredEvent:
    return store.begin(
        source="kitchen", question="siren", ask="siren?", concept="siren",
        started_at=datetime.now(timezone.utc), peak_presence=0.99, level_dbfs=-23.1,
        on=0.95, off=0.6, bundle="tiny@sha256:ab12cd34",
    )  # fmt: skip


def _end(store: Store, event: StoredEvent) -> None:
    store.end(
        event.id, ended_at=datetime.now(timezone.utc), duration_s=8.0, peak_presence=0.99,
        reason="not_heard",
    )  # fmt: skip


def test_a_new_output_is_owed_what_comes_while_it_is_still_starting(tmp_path: Path) -> None:
    class Slow(ToldOutput):
        def start(self) -> None:
            may_start.wait(10)
            super().start()

    may_start, output = threading.Event(), Slow("slow")
    with Store(tmp_path / "events.db", None) as store:
        _begin(store)  # before its time
        with running(output, store):
            event = _begin(store)
            may_start.set()
            wait_for(lambda: output.taken)
    assert [delivery.event.uid for delivery in output.taken] == [event.uid]


def test_a_restart_goes_on_where_the_output_was(tmp_path: Path) -> None:
    """The real store: what was taken is not told again, what was in flight at a stop is."""

    def behave(n: int, delivery: Delivery) -> None:
        if n == 2:
            stopping.wait(10)
            raise OutputError("the service ends")

    stopping = threading.Event()
    first, second = ToldOutput("told", behave), ToldOutput("told")
    first.stop = stopping.set  # type: ignore[method-assign]
    with Store(tmp_path / "events.db", None) as store:
        with running(first, store) as runner:
            for _ in range(3):
                _end(store, _begin(store))
            wait_for(lambda: first.n_tries == 3)
            runner.stop(0.5)
        assert len(first.taken) == 2
    with Store(tmp_path / "events.db", None) as store, running(second, store):
        wait_for(lambda: len(second.taken) == 4)
        wait_for(lambda: not store.pending("told"))
    told = [*first.taken, *second.taken]
    assert [delivery.phase for delivery in told] == ["start", "end"] * 3
    assert len({delivery.event.uid for delivery in told}) == 3
