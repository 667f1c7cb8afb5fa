"""Alive or not, second by second, on a clock that the test winds."""

from __future__ import annotations

import pytest

from listen_edge.errors import ListenEdgeError
from listen_edge.runtime.listening.liveness import Liveness, LivenessConfig

CONFIG = LivenessConfig(
    silent_after_s=30.0, tick_s=10.0, backoffs_s=(1.0, 5.0, 15.0), slow_retry_s=30.0
)


def restarts(live: Liveness, start_s: int, end_s: int) -> list[int]:
    return [second for second in range(start_s, end_s) if live.tick(float(second))]


def test_a_source_that_delivers_is_left_alone() -> None:
    live = Liveness(CONFIG, 0.0)
    for second in range(200):
        live.heard(float(second))
        assert not live.tick(float(second)) and live.state == "healthy"


def test_silence_alarms_waits_a_tick_and_restarts() -> None:
    live = Liveness(CONFIG, 0.0)
    assert restarts(live, 0, 30) == [] and live.state == "healthy"
    assert restarts(live, 30, 40) == [] and live.state == "alarmed"
    assert live.message == "no audio for 30 s"
    assert restarts(live, 40, 41) == [40] and live.state == "recovering"


def test_frames_that_come_back_by_themselves_need_no_restart() -> None:
    live = Liveness(CONFIG, 0.0)
    live.tick(31.0)
    assert live.state == "alarmed"
    assert live.heard(35.0) and live.state == "healthy"
    assert restarts(live, 36, 60) == [] and live.n_restarts == 0


def test_a_lost_source_is_tried_three_times_and_then_slowly_for_ever() -> None:
    live = Liveness(CONFIG, 0.0)
    live.lost(0.0, "unplugged")
    tried, states = [], []
    for second in range(200):
        if live.tick(float(second)):
            tried.append(second)
            live.lost(float(second), "no such device")
            states.append(live.state)
    assert tried == [1, 6, 21, 51, 81, 111, 141, 171]
    assert states[:2] == ["recovering", "recovering"] and set(states[2:]) == {"failed"}
    assert live.message == "no such device; 8 restarts failed, trying again every 30 s"
    assert live.heard(172.0) and live.state == "healthy" and live.n_restarts == 8


def test_restarts_that_bring_no_frames_count_as_failed() -> None:
    live = Liveness(CONFIG, 0.0)
    tried = restarts(live, 0, 400)
    # alarm at 30, a tick; then 30 s of silence and the back-off after each
    assert tried == [40, 75, 120, 180, 240, 300, 360]
    assert live.state == "failed"


def test_recovery_forgets_earlier_failures() -> None:
    live = Liveness(CONFIG, 0.0)
    live.lost(0.0, "unplugged")
    assert restarts(live, 0, 2) == [1]
    live.heard(2.0)
    live.lost(10.0, "unplugged")
    assert live.state == "alarmed" and restarts(live, 10, 12) == [11]


@pytest.mark.parametrize("timeout_s", [0.0, 0.5, -1.0, 4000.0, float("nan")])
def test_an_impossible_timeout_is_refused(timeout_s: float) -> None:
    with pytest.raises(ListenEdgeError, match="--stall-timeout"):
        LivenessConfig(silent_after_s=timeout_s)
