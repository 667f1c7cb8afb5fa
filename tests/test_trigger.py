"""The trigger's state machine, window by window, on a clock of its own."""

from __future__ import annotations

import pytest

from listen_edge.errors import ListenEdgeError
from listen_edge.runtime.listening.trigger import Change, Trigger, TriggerConfig
from listen_edge.runtime.thresholds import Thresholds

LOUD, FAINT, QUIET = 0.9, 0.6, 0.1  # at or above on; between off and on; below off
CONFIG = TriggerConfig(confirm=(2, 3), end_after_s=3.0, cooldown_s=5.0, long_event_s=20.0)


def run(
    presences: list[float | None], config: TriggerConfig = CONFIG
) -> list[tuple[int, str, Change]]:
    """Feed a window a second, ending at 1, 2, ... s; return (second, phase, change)."""
    trigger = Trigger(Thresholds(0.7, 0.55), config, hop_s=1.0)
    changes = [(s, trigger.update(float(s), p)) for s, p in enumerate(presences, start=1)]
    return [(second, change.phase, change) for second, change in changes if change]


def phases(presences: list[float | None], config: TriggerConfig = CONFIG) -> list[tuple[int, str]]:
    return [(second, phase) for second, phase, _ in run(presences, config)]


@pytest.mark.parametrize(
    ("presences", "expected"),
    [
        ([LOUD, QUIET, QUIET, LOUD, QUIET, QUIET], []),
        ([LOUD, LOUD], [(2, "start")]),
        ([LOUD, QUIET, LOUD], [(3, "start")]),
        ([LOUD, QUIET, QUIET, LOUD], []),
        ([FAINT] * 10, []),
        ([LOUD, None, LOUD], [(3, "start")]),
        ([LOUD, None, None, LOUD], []),
    ],
    ids=["single", "two", "2 of 3", "2 of 4", "never on", "unknown counts", "too far apart"],
)
def test_an_event_begins_when_k_of_n_windows_reach_on(
    presences: list[float | None], expected: list[tuple[int, str]]
) -> None:
    assert phases(presences) == expected


def test_confirmation_counts_windows_whatever_the_hop() -> None:
    trigger = Trigger(Thresholds(), CONFIG, hop_s=0.1)
    assert trigger.update(0.1, LOUD) is None
    change = trigger.update(0.2, LOUD)
    assert change is not None and change.start_s == pytest.approx(0.0)


def test_hysteresis_holds_an_event_down_to_off() -> None:
    held = run([LOUD, LOUD, *[FAINT] * 10, *[QUIET] * 3])
    assert [(second, phase) for second, phase, _ in held] == [(2, "start"), (15, "end")]
    end = held[-1][2]
    assert (end.start_s, end.duration_s, end.peak_presence) == (0.0, 12.0, LOUD)
    assert end.ending == "not_heard"


def test_a_pause_shorter_than_end_after_does_not_end_it() -> None:
    assert phases([LOUD, LOUD, QUIET, QUIET, LOUD, QUIET, QUIET]) == [(2, "start")]


def test_cooldown_holds_back_and_then_lets_through_what_goes_on() -> None:
    presences = [LOUD, LOUD, *[QUIET] * 3, LOUD, LOUD, LOUD, LOUD, LOUD]
    # ended at 5 s, in cooldown until 10 s, and still loud then
    assert phases(presences) == [(2, "start"), (5, "end"), (10, "start")]


def test_a_stationary_sound_is_one_alarm_and_notices() -> None:
    hum = run([LOUD] * 70)
    assert [(s, p) for s, p, _ in hum] == [
        (2, "start"), (20, "update"), (40, "update"), (60, "update"),
    ]  # fmt: skip
    assert all(change.is_long for _, phase, change in hum if phase == "update")


def test_a_stationary_sound_that_comes_and_goes_is_one_event() -> None:
    flicker = [*[LOUD] * 25, *[QUIET] * 10] * 4
    changes = phases([*flicker, *[QUIET] * 20])
    assert [p for _, p in changes if p != "update"] == ["start", "end"]
    assert changes[-1] == (130 + 20, "end")  # heard last at 130 s
    short = TriggerConfig(confirm=(2, 3), end_after_s=3.0, cooldown_s=5.0, long_event_s=600.0)
    assert [p for _, p in phases(flicker, short)].count("start") == 4


def test_an_event_that_can_no_longer_be_heard_ends_as_such() -> None:
    *_, (second, phase, change) = run([LOUD, LOUD, None, None, None])
    assert (second, phase, change.ending) == (5, "end", "no_audio")


def test_closing_ends_only_what_goes_on() -> None:
    trigger = Trigger(Thresholds(), CONFIG, hop_s=1.0)
    assert trigger.close("stopped") is None
    trigger.update(1.0, LOUD)
    trigger.update(2.0, LOUD)
    change = trigger.close("stopped")
    assert change is not None and (change.phase, change.ending) == ("end", "stopped")
    assert trigger.close("stopped") is None


def test_presence_that_dances_about_on_does_not_chatter() -> None:
    dance = [0.69, 0.71] * 200
    config = TriggerConfig(confirm=(2, 3), long_event_s=1000.0)
    assert phases(dance, config) == [(4, "start")]


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"confirm": (3, 2)}, "--confirm 3/2"),
        ({"confirm": (0, 2)}, "--confirm 0/2"),
        ({"confirm": (2, 61)}, "--confirm 2/61"),
        ({"end_after_s": 0.0}, "--end-after 0"),
        ({"end_after_s": float("nan")}, "--end-after nan"),
        ({"cooldown_s": -1.0}, "--cooldown -1"),
        ({"long_event_s": 5.0}, "--long-event 5"),
    ],
)
def test_impossible_settings_are_refused_at_the_start(
    fields: dict[str, object], names: str
) -> None:
    with pytest.raises(ListenEdgeError, match=names):
        TriggerConfig(**fields)  # type: ignore[arg-type]


def test_an_event_that_would_end_before_the_next_window_is_refused() -> None:
    with pytest.raises(ListenEdgeError, match="--end-after 2 is shorter than --hop 5"):
        Trigger(Thresholds(), TriggerConfig(end_after_s=2.0), hop_s=5.0)
