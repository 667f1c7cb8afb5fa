"""Figures by hand: bounds, rates, recall by condition and duration, and what a listener raises."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from listen_edge.event_settings import EventSettings
from listen_edge.lines.event import Event
from listen_edge.runtime.listening.listen_config import ListenConfig
from listen_edge.runtime.listening.listener import Listener
from listen_edge.runtime.listening.trigger import TriggerConfig
from listen_edge.runtime.measure.false_alarms import (
    Operation,
    Outcome,
    operate,
    together,
    tune_thresholds,
    upper_bound,
)
from listen_edge.runtime.measure.hearing import Hearing
from listen_edge.runtime.measure.sweep import manifest_field, own_thresholds, sweep
from listen_edge.runtime.measure.traces import Trace, Traces
from listen_edge.runtime.sources.file import SamplesSource
from listen_edge.runtime.thresholds import Thresholds
from tests.streams import RATE, LevelEngine

AT_ONCE = TriggerConfig(
    Thresholds(), confirm=(1, 1), end_after_s=1.0, cooldown_s=0.0, long_event_s=10.0
)


def trace(*peaks: float, kind: str = "speech", concept: str = "siren") -> Trace:
    """An hour of windows a second apart, with a window of each peak every minute."""
    presence = np.full(3600, 0.1)
    presence[30 : 30 + 60 * len(peaks) : 60] = peaks
    return Trace(kind, np.arange(1.0, 3601.0), {concept: presence})


def event(peak: float, onset_s: float, kind: str = "clear", duration_s: float = 1.0) -> Trace:
    """A minute of windows, one of which, which ends at 31 s, has this presence."""
    presence = np.full(60, 0.1)
    presence[30] = peak
    return Trace(kind, np.arange(1.0, 61.0), {"siren": presence}, onset_s, duration_s)


def traces(*natural: Trace, lookalikes: tuple[Trace, ...] = (), events: tuple[Trace, ...] = ()):  # type: ignore[no-untyped-def]
    return Traces("fake", 1.0, natural, lookalikes, events)


# Garwood's table, one-sided 95 %: half of the chi-squared quantile with 2 n + 2 degrees.
@pytest.mark.parametrize(
    ("n", "bound"),
    [(0, 2.9957), (1, 4.7439), (2, 6.2958), (3, 7.7537), (10, 16.9622), (100, 118.0793)],
)
def test_the_bound_of_a_count_is_poissons(n: int, bound: float) -> None:
    assert upper_bound(n) == pytest.approx(bound, abs=2e-4)


def test_none_in_three_hours_is_below_one_an_hour() -> None:
    one = operate(traces(trace(), trace(), trace()), "siren", Thresholds(), AT_ONCE)
    assert (one.false_alarms, one.hours, one.per_day) == (0, 3.0, 0.0)
    assert one.upper_bound_per_day == pytest.approx(24 * 3.0 / 3, rel=2e-3)
    assert math.isnan(one.per_100_lookalikes) and math.isnan(one.recall())


def test_alarms_are_counted_by_kind_and_by_the_day() -> None:
    found = traces(
        trace(0.9, 0.8),
        trace(0.9, kind="music"),
        trace(0.6, kind="quiet"),
        lookalikes=tuple(trace(peak, kind=kind) for peak, kind in ((0.9, "cat"), (0.1, "hen"))),
    )
    one = operate(found, "siren", Thresholds(0.7, 0.5), AT_ONCE)
    assert one.alarms == {"speech": 2, "music": 1} and one.per_day == pytest.approx(24.0)
    assert one.lookalike_alarms == {"cat": 1} and one.per_100_lookalikes == 50.0


def test_recall_and_latency_count_from_the_onset() -> None:
    found = traces(
        events=(
            event(0.9, 28.5),
            event(0.9, 29.0, "0 dB", 0.3),
            event(0.5, 28.5, "0 dB", 2.0),  # missed
            event(0.9, 40.0, "0 dB", 2.0),  # an event before the sound is none of it
        )
    )
    one = operate(found, "siren", Thresholds(), AT_ONCE)
    assert [outcome.latency_s for outcome in one.outcomes] == [2.5, 2.0, None, None]
    assert (one.recall(), one.recall("clear"), one.recall("0 dB")) == (0.5, 1.0, 1 / 3)
    assert one.recall_by_duration() == {"under 0.5 s": 1.0, "0.5 to 1.5 s": 1.0, "from 1.5 s": 0.0}
    assert (one.latency_s(0.5), one.latency_s(1.0), one.latency_s(1.0, "0 dB")) == (2.25, 2.5, 2.0)


def test_an_alarm_of_any_question_is_one_of_all() -> None:
    outcomes = (Outcome("clear", 1.0, 2.0),), (Outcome("clear", 1.0, None),)
    siren = Operation(2.0, {"speech": 1}, 10, {"cat": 1}, outcomes[0])
    dog = Operation(1.5, {"speech": 2, "music": 1}, 9, {"cat": 1, "hen": 1}, outcomes[1])
    every = together([siren, dog])
    assert (every.hours, every.n_lookalikes) == (2.0, 10)
    assert every.alarms == {"speech": 3, "music": 1} and every.lookalike_alarms == {
        "cat": 2,
        "hen": 1,
    }
    assert every.recall() == 0.5 and every.per_day == 48.0


def test_the_figures_are_json_without_what_was_not_measured() -> None:
    figures = operate(traces(trace(0.9)), "siren", Thresholds(), AT_ONCE).to_json()
    assert figures["false_alarms_per_day"] == 24.0 and figures["hours"] == 1.0
    assert figures["upper_bound_per_day"] == pytest.approx(113.853, abs=0.01)
    assert figures["onset_to_event_p95_s"] is None


def test_the_lowest_thresholds_that_keep_the_rate_are_found() -> None:
    found = traces(trace(0.6, 0.75, 0.9, 0.98))
    for per_hour, lowest in ((4, 0.5), (2, 0.75), (1, 0.9), (0, 0.98)):
        tuned = tune_thresholds(found, "siren", AT_ONCE, per_day=24 * per_hour)
        assert lowest <= tuned.on <= lowest + 0.02
        assert operate(found, "siren", tuned, AT_ONCE).false_alarms == per_hour


def test_one_event_that_never_ends_is_no_low_rate() -> None:
    one = trace(*[0.75] * 20)
    one.presence["siren"][one.presence["siren"] == 0.1] = 0.45  # keeps an event going from 0.5
    assert tune_thresholds(traces(one), "siren", AT_ONCE, per_day=24).on > 0.75


def test_off_stays_as_far_below_on_in_logits() -> None:
    found = tune_thresholds(traces(trace(0.9)), "siren", AT_ONCE, per_day=0)
    gap = np.log(found.on / (1 - found.on)) - np.log(found.off / (1 - found.off))
    assert gap == pytest.approx(np.log(0.7 / 0.3) - np.log(0.55 / 0.45))


@pytest.mark.parametrize("seed", range(4))
def test_a_sweep_counts_what_a_listener_raises(seed: int) -> None:
    """Presence wanders; every choice of the grid is replayed by the listener itself."""
    rng = np.random.default_rng(seed)
    levels = np.clip(0.6 + 0.2 * np.cumsum(rng.normal(size=120)) / 3, 0.02, 0.98)
    samples = np.repeat(levels, RATE // 2).astype(np.float32)
    engine = LevelEngine()
    hearing = Hearing(engine, ["siren"])  # type: ignore[arg-type]
    ends_s, presence = hearing.presence(SamplesSource(samples, RATE), ["siren"])
    found = Traces("fake", engine.hop_s, natural=[Trace("room", ends_s, presence)])
    base = TriggerConfig(end_after_s=1.5, cooldown_s=2.0, long_event_s=10.0)
    choices = list(sweep(found, (0.5, 0.7, 0.9), (0.3, 0.6, 0.8), ((1, 1), (2, 3), (3, 3)), base))
    assert len(choices) == 3 * 6  # no off above on
    counts = []
    for choice in choices:
        config = ListenConfig(trigger=choice.config)
        source = SamplesSource(samples, RATE)
        lines = Listener(engine, source, ["siren"], config)  # type: ignore[arg-type]
        starts = [line for line in lines if isinstance(line, Event) and line.phase == "start"]
        counts.append(len(starts))
        assert choice.operation.false_alarms == len(starts), choice.config
    assert max(counts) > min(counts)


def test_a_question_gets_the_thresholds_that_it_needs() -> None:
    """The siren alarms at the default, the dog nowhere; the horn at a look-alike."""
    horn = {"horn": np.full(3600, 0.1)}
    peak = {**horn, "horn": np.where(np.arange(3600) == 50, 0.65, 0.1)}
    found = traces(
        trace(0.85),
        trace(concept="dog"),
        Trace("speech", np.arange(1.0, 3601.0), horn),
        lookalikes=(Trace("flute", np.arange(1.0, 3601.0), peak),),
    )
    config = TriggerConfig(Thresholds(0.8, 0.4), confirm=(1, 1))
    grid = list(itertools.accumulate([0.5, *[0.1] * 4], lambda a, b: round(a + b, 1)))
    own = own_thresholds(found, grid, config, per_100=1.0)
    assert own == {
        "siren": Thresholds(0.9, 0.45),
        "dog": Thresholds(0.5, 0.25),
        "horn": Thresholds(0.7, 0.35),
    }
    settings = EventSettings.from_json(manifest_field(config, own))
    assert settings.impossible() is None
    assert ListenConfig.of(settings).thresholds == own
    assert ListenConfig.of(settings).trigger == config
