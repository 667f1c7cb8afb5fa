"""Whose turn it is at the one engine."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from listen_edge.runtime.engine import Engine
from listen_edge.runtime.service.sharing import BusyError, Rank, SharedEngine
from tests.streams import LevelEngine

WAIT_S = 10.0


def wait_for(is_so: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + WAIT_S
    while not is_so():
        assert time.monotonic() < deadline_s, "it never came"
        time.sleep(0.001)


class Queue:
    """Lets some wait for an engine that is held, and says in which order they got it."""

    def __init__(self, shared: SharedEngine) -> None:
        self.shared, self.order = shared, list[str]()
        self._threads: list[threading.Thread] = []

    def join(self, who: str, rank: Rank) -> None:
        n_waiting = self.shared.n_waiting

        def take() -> None:
            with self.shared.turn(who, rank) as has_waited:
                assert has_waited
                self.order.append(who)

        self._threads.append(threading.Thread(target=take))
        self._threads[-1].start()
        wait_for(lambda: self.shared.n_waiting == n_waiting + 1)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the engine; at the end all that wait have had their turn."""
        with self.shared.turn("holder", Rank.NORMAL) as has_waited:
            assert not has_waited
            yield
        for thread in self._threads:
            thread.join(WAIT_S)
        assert self.shared.n_waiting == 0


def shared(**options: Any) -> SharedEngine:
    return SharedEngine(LevelEngine(), **options)  # type: ignore[arg-type]


def test_safety_comes_first_then_sources_then_uploads_and_equals_take_turns() -> None:
    queue = Queue(shared())
    with queue.held():
        for who, rank in (("u", 2), ("b", 1), ("a", 1), ("s", 0), ("v", 2)):
            queue.join(who, Rank(rank))
    assert queue.order == ["s", "b", "a", "u", "v"]
    queue.order.clear()
    with queue.held():  # b was served longer ago than a, c never
        for who in "abc":
            queue.join(who, Rank.NORMAL)
    assert queue.order == ["c", "b", "a"]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=24))
def test_nobody_is_served_twice_while_another_waits(asking: list[str]) -> None:
    queue = Queue(shared())
    with queue.held():
        for who in asking:
            queue.join(who, Rank.NORMAL)
    left = Counter(asking)
    served = dict.fromkeys(left, -1)
    for k, who in enumerate(queue.order):
        assert served[who] == min(served[one] for one in +left)
        served[who] = k
        left[who] -= 1


def test_no_source_starves_beside_safety_questions() -> None:
    queue = Queue(shared())
    with queue.held():
        queue.join("plain", Rank.NORMAL)
        for k in range(12):
            queue.join(f"s{k}", Rank.SAFETY)
    assert queue.order.index("plain") == 8


def test_uploads_beyond_the_queue_are_told_when_to_come_again() -> None:
    one, noise = shared(n_uploads=2), np.ones(16_000, np.float32)
    one._upload_s = 3.2
    threads = [
        threading.Thread(target=one.ask, args=(noise, 16_000, ["siren?"]), kwargs={"timeout_s": 9})
        for _ in range(2)
    ]
    with one.turn("source", Rank.NORMAL):
        for thread in threads:
            thread.start()
        wait_for(lambda: one.n_waiting == 2)
        with pytest.raises(BusyError, match="try again in 7 s") as busy:
            one.ask(noise, 16_000, ["siren?"], timeout_s=9)
    assert busy.value.retry_after_s == 7
    for thread in threads:
        thread.join(WAIT_S)
    assert one._n_uploads == 0 and one._served.keys() == {"source"}


def test_an_upload_whose_turn_does_not_come_gives_up() -> None:
    one = shared()
    with one.turn("source", Rank.NORMAL), pytest.raises(BusyError):
        one.ask(np.ones(16_000, np.float32), 16_000, ["siren?"], timeout_s=0.02)
    assert one.n_waiting == 0
    assert one.ask(np.ones(16_000, np.float32), 16_000, ["siren?"], timeout_s=0)[0].presence


def test_sources_pass_between_the_windows_of_a_long_upload() -> None:
    one, done = shared(), list[str]()
    answer = LevelEngine.answer_window

    class Slow(LevelEngine):
        def answer_window(self, *arguments: Any, **options: Any) -> Any:
            done.append("upload")
            wait_for(lambda: one.n_waiting > 0 or "source" in done)
            return answer(self, *arguments, **options)

    one.engine = Slow()  # type: ignore[assignment]
    upload = threading.Thread(
        target=lambda: one.ask(np.ones(64_000), 16_000, ["siren?"], timeout_s=9)
    )
    upload.start()
    wait_for(lambda: "upload" in done)
    with one.turn("source", Rank.NORMAL):
        done.append("source")
    upload.join(WAIT_S)
    assert done[:3] == ["upload", "source", "upload"]


def test_it_answers_as_the_engine_alone(engine: Engine) -> None:
    rng = np.random.default_rng(0)
    samples = rng.normal(0, 0.1, (7 * 44_100, 2)).astype(np.float32)
    alone = engine.ask(samples, ["siren?", "dog?"], sample_rate=44_100)
    mine = SharedEngine(engine).ask(samples, 44_100, ["siren?", "dog?"], timeout_s=30)
    assert [(a.state, a.presence, a.window_s) for a in mine] == [
        (a.state, a.presence, a.window_s) for a in alone
    ]


def test_the_busy_share_is_that_of_the_last_minute() -> None:
    now_s = 0.0
    one = shared(clock=lambda: now_s)
    for _ in range(300):  # half of each second
        with one.turn("source", Rank.NORMAL):
            now_s += 0.5
        now_s += 0.5
    assert one.busy_share == pytest.approx(0.5, abs=0.02)
    now_s += 180
    assert one.busy_share < 0.03
