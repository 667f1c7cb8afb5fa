"""Presence of the last days, small and as it was; what other thresholds would have made of it."""

from __future__ import annotations

import math
import tracemalloc
import zlib
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from listen_edge.errors import ListenEdgeError
from listen_edge.runtime.listening.trigger import Trigger, TriggerConfig
from listen_edge.runtime.service.records.history import CURVE_S
from listen_edge.runtime.service.records.store import Store
from listen_edge.runtime.service.records.what_if import WouldBe, reach, what_if
from listen_edge.runtime.thresholds import Thresholds
from tests.stored import BEGAN

STEP = 1 / 65534
DAY = timedelta(days=1)


def _add(store: Store, ends_s: list[float], presence: list[float | None]) -> None:
    for end_s, heard in zip(ends_s, presence, strict=True):
        store.add_presence("kitchen", "siren", BEGAN + timedelta(seconds=end_s), heard)


def test_presence_comes_back_written_or_not_after_a_restart_or_a_jump_of_the_clock(
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(0)
    ends_s = np.cumsum(rng.uniform(0.5, 3.0, 500))
    ends_s[250:] -= 3600  # the clock is set back
    presence = [None if k % 7 == 0 else float(p) for k, p in enumerate(rng.random(500))]
    order = np.argsort(np.round(BEGAN.timestamp() + ends_s - 5e-4, 3), kind="stable")
    wanted = np.array(presence, np.float64)[order]
    path, since, until = tmp_path / "events.db", BEGAN - DAY, BEGAN + DAY
    with Store(path, None) as store:
        _add(store, ends_s.tolist(), presence)
        store.add_presence("kitchen", "dog", BEGAN, 0.25)
        before = store.presence("kitchen", "siren", since, until)
        assert len(store._database.read("SELECT 1 FROM presence")) >= 2
    with Store(path, None) as store:
        after = store.presence("kitchen", "siren", since, until)
        _, dog = store.presence("kitchen", "dog", BEGAN, BEGAN)
        nothing, _ = store.presence("hall", "siren", since, until)
    assert len(dog) == 1 and len(nothing) == 0
    for times, heard in (before, after):
        assert np.all(np.diff(times) >= 0)
        np.testing.assert_allclose(times, np.sort(BEGAN.timestamp() + ends_s), atol=1.1e-3)
        np.testing.assert_allclose(heard, wanted, atol=STEP)  # NaN where it is unknown


def test_a_span_takes_what_ends_in_it(tmp_path: Path) -> None:
    with Store(tmp_path / "events.db", None) as store:
        _add(store, [2.0 * k for k in range(400)], [k / 400 for k in range(400)])
        first, last = BEGAN + timedelta(seconds=100), BEGAN + timedelta(seconds=700)
        times, heard = store.presence("kitchen", "siren", first, last)
    assert len(times) == 301 and heard[0] == pytest.approx(50 / 400, abs=STEP)


def test_a_clock_that_starts_in_1970_is_kept(tmp_path: Path) -> None:
    boot = datetime(1970, 1, 1, 0, 1, tzinfo=timezone.utc)
    with Store(tmp_path / "events.db", None) as store:
        for ends_at in (boot, BEGAN, BEGAN + timedelta(seconds=2)):
            store.add_presence("kitchen", "siren", ends_at, 0.5)
    with Store(tmp_path / "events.db", None) as store:
        times, _ = store.presence("kitchen", "siren", boot, BEGAN + DAY)
    assert list(times) == pytest.approx([60, BEGAN.timestamp(), BEGAN.timestamp() + 2], abs=1e-3)


@pytest.mark.parametrize(
    "curve",
    [b"", b"no zlib", zlib.compress(bytes(20))[:-6], zlib.compress(bytes(13)), b"bomb"],
    ids=["empty", "foreign", "cut off", "half a window", "bomb"],
)
def test_a_damaged_curve_says_nothing_and_takes_no_memory(tmp_path: Path, curve: bytes) -> None:
    curve = zlib.compress(bytes(50_000_000)) if curve == b"bomb" else curve
    with Store(tmp_path / "events.db", None) as store:
        _add(store, [0.0], [0.5])
    with Store(tmp_path / "events.db", None) as store:
        store._database.change(
            "INSERT INTO presence SELECT 9, series, since, until, ? FROM presence", (curve,)
        )
        tracemalloc.start()
        times, heard = store.presence("kitchen", "siren", BEGAN - DAY, BEGAN + DAY)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert times == pytest.approx([BEGAN.timestamp()], abs=1e-3)
    assert heard == pytest.approx([0.5], abs=STEP)
    assert peak < 2_000_000


def test_a_day_of_four_sources_and_eight_questions_is_under_10_mb(tmp_path: Path) -> None:
    """The worst case: presence is noise, and windows end up to 50 ms late. A 32nd is measured."""
    rng = np.random.default_rng(0)
    n = 43_200
    with Store(tmp_path / "events.db", None) as store:
        empty = _used_bytes(store)
        ends_s = (2.0 * np.arange(n) + rng.uniform(0, 0.05, n)).tolist()
        _add(store, ends_s, rng.random(n).tolist())
        store.tidy()
        n_curves = store._database.read("SELECT count(*) FROM presence")[0][0]
        assert n_curves == pytest.approx(2 * n / CURVE_S, abs=3)
        assert 32 * (_used_bytes(store) - empty) < 10e6


def _used_bytes(store: Store) -> int:
    names = ("page_count", "freelist_count", "page_size")
    pages, free, size = (store._database.read(f"PRAGMA {name}")[0][0] for name in names)
    return int((pages - free) * size)


CONFIG = TriggerConfig(confirm=(2, 3), end_after_s=5.0, cooldown_s=15.0)
_EXAMPLE = [0.1, 0.9, 0.8, 0.95, 0.7, None, 0.2, 0.1, *[0.0] * 10, 0.9, 0.97, 0.9]


def test_lower_thresholds_would_have_made_these_events() -> None:
    """By hand: 0.9 and 0.8 begin at the 2nd window; 0.7 is the last above off."""
    times = BEGAN.timestamp() + 2.0 * np.arange(len(_EXAMPLE))
    presence = np.array(_EXAMPLE, np.float64)
    start_s = BEGAN.timestamp()
    assert what_if(times, presence, Thresholds(0.8, 0.6), CONFIG, 2.0) == [
        WouldBe(start_s, 8.0, 0.95, True),
        WouldBe(start_s + 34.0, 6.0, 0.97, False),
    ]
    (only,) = what_if(times, presence, Thresholds(0.9, 0.6), CONFIG, 2.0)[:1]
    assert (only.started_s, only.duration_s) == (start_s, 8.0)
    assert what_if(times, presence, Thresholds(0.98, 0.6), CONFIG, 2.0) == []
    with pytest.raises(ListenEdgeError, match="--end-after 5 is shorter than --hop 6"):
        what_if(times, presence, Thresholds(0.9, 0.6), CONFIG, 6.0)


def test_an_event_ends_where_windows_are_missing() -> None:
    times = np.array([0.0, 2, 4, 100, 102, 104])
    found = what_if(times, np.full(6, 0.9), Thresholds(0.8, 0.6), CONFIG, 2.0)
    assert [(one.started_s, one.duration_s, one.has_ended) for one in found] == [
        (-2.0, 6.0, True),
        (98.0, 6.0, False),
    ]
    assert what_if(np.zeros(0), np.zeros(0), Thresholds(0.8, 0.6), CONFIG, 2.0) == []


_presences = st.lists(st.none() | st.integers(0, 20).map(lambda n: n / 20), max_size=30)


@given(_presences, st.integers(1, 4).flatmap(lambda n: st.tuples(st.integers(1, n), st.just(n))))
def test_an_event_begins_up_to_its_reach_and_not_above(
    heard: list[float | None], confirm: tuple[int, int]
) -> None:
    config = TriggerConfig(confirm=confirm)

    def begins(on: float) -> bool:
        trigger = Trigger(Thresholds(on, min(on, 0.01)), config, 2.0)
        changes = [trigger.update(2.0 * k, presence) for k, presence in enumerate(heard)]
        return any(change is not None for change in changes)

    height = reach(np.array(heard, np.float64), confirm)
    if math.isnan(height) or height == 0.0:
        assert not begins(0.02)
    else:
        assert height == 1.0 or not begins(height + 0.01)
        assert begins(min(height, 0.999))
