"""What a report counts and picks of a scan: by hand, and against another way."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest

from listen_edge.runtime.archive import parts
from listen_edge.runtime.archive.review.report.clock import QUARTER_S, Clock
from listen_edge.runtime.archive.review.report.days import MAX_COLUMNS, columns_of
from listen_edge.runtime.archive.review.report.places import Places
from listen_edge.runtime.archive.review.report.seen import Seen, see
from listen_edge.runtime.archive.review.report.sheet import APART_S, Pick
from tests.scan_jobs import HOP_S, OFF, ON, Scanned, write_job

SITE = pa.field("site", pa.string())


BERLIN, UTC = ZoneInfo("Europe/Berlin"), ZoneInfo("UTC")


def _at(hour: int, minute: int = 0, second: int = 0) -> datetime:
    return datetime(2026, 7, 1, hour, minute, second, tzinfo=timezone.utc)


def test_windows_are_counted_where_a_clock_shows_them(tmp_path: Path) -> None:
    """Across an hour of Berlin, which is a day ahead by then; of two sites; one without a time."""
    heard = [0.9, 0.1, 0.5, "inaudible", 0.8]
    scanned = [
        Scanned("a.wav", {"siren?": heard}, _at(22, 59, 50), carried={"site": "a"}),
        Scanned("b.wav", {"siren?": [0.95]}, None, carried={"site": None}),
    ]
    found = see(write_job(tmp_path, scanned, carried=[SITE]), BERLIN, None)
    hours = {hour: row[0].tolist() for hour, row in enumerate(found.counts.by_hour) if row.any()}
    assert hours == {0: [1, 2, 0], 1: [1, 1, 2]}  # present, judged, unknown
    days = {date.fromordinal(day): row[0].tolist() for day, row in found.counts.by_day.items()}
    assert days == {date(2026, 7, 2): [2, 3, 2]}
    places = {
        name: found.counts.by_place[n][0].tolist() for name, n in found.places.numbers.items()
    }
    assert places == {"a": [2, 3, 2], "not said": [1, 1, 0]}
    assert found.counts.total.tolist() == [[3, 4, 2]]
    assert found.counts.undated.tolist() == [[1, 1, 0]]
    assert found.counts.reasons == {(0, "uncertain"): 1, (0, "inaudible"): 1}


def test_events_are_counted_by_the_hours_that_were_heard(tmp_path: Path) -> None:
    """Half an hour, of it a tenth unknown, across an hour; two events in its first quarter."""
    heard = [0.1] * 324 + ["inaudible"] * 36
    heard[:5] = [0.95, 0.95, 0.1, 0.1, 0.97]
    scanned = [Scanned("a.wav", {"siren?": heard, "dog?": [0.1] * 360}, _at(10, 45))]
    found = see(write_job(tmp_path, scanned, unit="events"), UTC, None)
    hours = {hour: row for hour, row in enumerate(found.counts.by_hour) if row.any()}
    assert [*hours] == [10, 11]
    assert hours[10].tolist() == [
        pytest.approx([2, 0.225, 0.025]),
        pytest.approx([0, 0.225, 0.025]),
    ]
    assert hours[11].tolist() == [pytest.approx([0, 0.225, 0.025])] * 2
    assert [pick.start_s for pick in found.sheet.surest(0)] == [20.0]  # the other is too near


def _random_archive(seed: int, digits: int = 16) -> list[Scanned]:
    rng = np.random.default_rng(seed)
    return [
        Scanned(
            f"/records/{'ab'[number % 2]}/{number}.wav",
            {
                question: [
                    "clipped" if rng.random() < 0.1 else round(float(presence), digits)
                    for presence in rng.beta(0.4, 0.6, 60)
                ]
                for question in ("siren?", "dog?")
            },
            _at(0) + timedelta(hours=7 * number),
        )
        for number in range(6)
    ]


def test_rows_give_the_same_in_batches_of_any_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = write_job(tmp_path, _random_archive(0, digits=1))  # many are equally good
    whole = see(job, BERLIN, None)
    monkeypatch.setattr(parts, "BATCH_ROWS", 7)
    assert _said(see(job, BERLIN, None)) == _said(whole)
    assert [*whole.places.numbers] == ["a", "b"]


def _said(found: Seen) -> tuple[object, ...]:
    counts, sheet = found.counts, found.sheet
    tables = (counts.by_hour, *counts.by_day.values(), *counts.by_place.values(), counts.total)
    picks = [pick for n in range(2) for pick in (*sheet.surest(n), *sheet.least(n))]
    return [table.tolist() for table in tables], picks, counts.reasons, found.recordings.statuses


def test_sheet_holds_the_surest_and_the_least_certain_far_apart(tmp_path: Path) -> None:
    """Against all windows sorted at once."""
    archive = _random_archive(1)
    found = see(write_job(tmp_path, archive), UTC, None)
    heard = [
        (float(np.float32(presence)), one.recording, number * HOP_S)
        for one in archive
        for number, presence in enumerate(one.heard["dog?"])
        if isinstance(presence, float)
    ]
    question = [*archive[0].heard].index("dog?")
    surest = _spread(sorted((one for one in heard if one[0] >= ON), reverse=True))
    assert _named(found.sheet.surest(question)) == surest[:6]
    middle = (ON + OFF) / 2
    least = _spread(sorted(heard, key=lambda one: abs(one[0] - middle)))
    far = [one for one in least if not any(_is_near(one, other) for other in surest[:6])]
    assert _named(found.sheet.least(question)) == far[:6]


Place = tuple[float, str, float]  # presence, recording, start_s


def _spread(ordered: Sequence[Place]) -> list[Place]:
    """Return the best of every minute, but those near a better one."""
    minutes: dict[tuple[str, float], Place] = {}
    for one in ordered:
        minutes.setdefault((one[1], one[2] // APART_S), one)
    chosen: list[Place] = []
    for one in minutes.values():
        if not any(_is_near(one, other) for other in chosen):
            chosen.append(one)
    return chosen


def _is_near(one: Place, other: Place) -> bool:
    return one[1] == other[1] and abs(one[2] - other[2]) < APART_S


def _named(picks: Sequence[Pick]) -> list[Place]:
    return [(pick.presence, pick.recording, pick.start_s) for pick in picks]


@pytest.mark.parametrize(
    "name", ["UTC", "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns"]
)
def test_clock_shows_hours_and_days_as_zoneinfo_does(name: str) -> None:
    zone = ZoneInfo(name)
    rng = np.random.default_rng(0)
    moments_s = rng.integers(0, 2_000_000_000, 500)
    local = Clock(zone).local(moments_s // QUARTER_S, np.ones(500, bool))
    expected = [datetime.fromtimestamp(int(moment), zone) for moment in moments_s]
    assert local.hours.tolist() == [one.hour for one in expected]
    assert local.days.tolist() == [one.toordinal() for one in expected]


def test_clock_knows_no_day_beyond_the_calendar() -> None:
    quarters = np.array([0, 10**12, -(10**12), 0])
    local = Clock(BERLIN).local(quarters, np.array([True, True, True, False]))
    assert local.is_known.tolist() == [True, False, False, False]


@pytest.mark.parametrize(
    ("last", "step", "n", "ends"),
    [
        (date(2026, 1, 1), "day", 1, "2026-01-01"),
        (date(2026, 4, 2), "day", 92, "2026-04-02"),
        (date(2026, 4, 3), "week", 14, "week from 2026-03-30"),
        (date(2028, 1, 1), "month", 25, "2028-01"),
        (date(2040, 6, 1), "year", 15, "2040"),
        (date(9999, 12, 31), "87 years", 92, "9943 to 10029"),
    ],
    ids=str,
)
def test_days_are_gathered_to_fit(last: date, step: str, n: int, ends: str) -> None:
    first = date(2026, 1, 1)
    by_day = {day.toordinal(): np.full((1, 3), 2.0) for day in (first, last)}
    name, spans = columns_of(by_day)
    assert (name, len(spans), spans[-1].name) == (step, n, ends) and n <= MAX_COLUMNS
    assert sum(span.figures.sum() for span in spans) == 6.0 * len(by_day)


def test_places_are_bounded_and_found_below_the_folder_of_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["/a/x/1.wav", "/a/y/2.wav", "/a/y/z/3.wav", "/a/4.wav", "/a/v/5.wav"]
    job = write_job(tmp_path, [Scanned(name, {"siren?": [0.1]}) for name in names])
    monkeypatch.setattr("listen_edge.runtime.archive.review.report.places.MAX_PLACES", 3)
    places = Places(job, None)
    assert places.of(pa.array(names)).tolist() == [0, 1, 1, 2, 3]
    assert [*places.numbers] == ["x", "y", "/a/", "all others"]
