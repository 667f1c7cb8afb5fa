"""The report of a scan: figures by hand, and never absent where nothing could be judged."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import get_args
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner

from listen_edge.cli.report import SCAN
from listen_edge.cli.root import cli
from listen_edge.errors import ListenEdgeError
from listen_edge.lines.answer import Reason
from listen_edge.runtime.archive.job import DESCRIPTION
from listen_edge.runtime.archive.review.report import seen as seeing
from listen_edge.runtime.archive.review.report.calibration import bins_of
from listen_edge.runtime.archive.review.report.charts import (
    Bin,
    Column,
    Measure,
    column_chart,
    percent,
    reliability_chart,
)
from listen_edge.runtime.archive.review.report.clock import QUARTER_S, Clock
from listen_edge.runtime.archive.review.report.days import MAX_COLUMNS, columns_of
from listen_edge.runtime.archive.review.report.places import Places
from listen_edge.runtime.archive.review.report.seen import Seen, see
from listen_edge.runtime.archive.review.report.sheet import APART_S, Pick
from listen_edge.runtime.archive.review.report.words import REASONS
from listen_edge.runtime.archive.review.report.write import write_report
from listen_edge.runtime.archive.review.sample import draw_sample
from listen_edge.runtime.archive.review.verdicts import Judged
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


def test_what_could_not_be_judged_is_never_drawn_as_absent(tmp_path: Path) -> None:
    blind = Column("3", "03:00", hits=0, judged=0, unknown=9)
    absent = Column("4", "04:00", hits=0, judged=9, unknown=0)
    empty = Column("5", "05:00", hits=0, judged=0, unknown=0)
    measure = Measure(is_rate=False)
    kinds = [_kinds(column_chart("a", "t", [one], measure)) for one in (blind, absent, empty)]
    assert kinds == [{"unknown"}, {"data", "heard"}, set()]
    job = write_job(tmp_path, [Scanned("a.wav", {"siren?": ["silent_input"] * 3}, _at(3))])
    page = write_report(job.folder).read_text()
    assert "Cannot tell: nothing that was heard could be judged." in page
    assert "0 %</td>" not in page
    assert page.count("cannot tell</td>") == 2  # of the hour, of the day


def _kinds(chart: str) -> set[str]:
    return {kind for kind in ("unknown", "data", "heard") if f'<rect class="{kind}"' in chart}


@pytest.mark.parametrize(
    ("share", "said"),
    [(0, "0 %"), (1e-6, "< 0.01 %"), (0.00123, "0.12 %"), (0.0996, "10 %"), (0.123, "12 %")]
    + [(0.99996, "99.9 %"), (1, "100 %")],
)
def test_a_little_is_not_nothing_and_nearly_all_not_all(share: float, said: str) -> None:
    assert percent(share) == said


def test_what_is_right_as_often_as_it_says_lies_on_the_dashed_line() -> None:
    chart = reliability_chart("a", "t", [Bin(0.5, 1, 2, (0.1, 0.9))])
    x1, x2, y1, y2, cx, cy = (
        float(re.findall(rf'(?:even"|circle).*? {name}="([\d.]+)"', chart)[0])
        for name in ("x1", "x2", "y1", "y2", "cx", "cy")
    )
    assert (cx, cy) == ((x1 + x2) / 2, (y1 + y2) / 2)


def test_every_reason_is_put_in_words() -> None:
    assert {*get_args(Reason)} <= {*REASONS}


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
    monkeypatch.setattr(seeing, "_ROWS", 7)
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


def test_bins_hold_what_was_checked_with_wilsons_interval() -> None:
    said = [(0.95, "yes")] * 8 + [(0.85, "no")] * 2 + [(0.1, "no"), (0.9, "unsure")]
    judged = [Judged("c", "q", "q", "r", 0.0, *pair[:1], "s", pair[1]) for pair in said]  # type: ignore[arg-type]
    low, high = bins_of(judged)
    assert (low.n_yes, low.n, low.presence) == (0, 1, 0.1)
    assert (high.n_yes, high.n, high.presence) == (8, 10, pytest.approx(0.93))
    assert high.interval == pytest.approx((0.4902, 0.9433), abs=1e-4)  # Wilson (1927)


def test_page_says_what_was_checked(tmp_path: Path) -> None:
    scanned = [
        Scanned(tmp_path / f"{n}.wav", {"siren?": [0.9, 0.1] * 20}, _at(n)) for n in range(3)
    ]
    for one in scanned:
        one.write()
    job = write_job(tmp_path / "scan", scanned)
    draw_sample(job.folder, 8)
    assert "Checked by hand" not in write_report(job.folder).read_text()
    table = job.folder / "review" / "verdicts.csv"
    with table.open() as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["verdict"] = "yes" if float(row["presence"]) > 0.5 else "no"
    with table.open("w") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    page = write_report(job.folder).read_text()
    assert "Checked by hand" in page and "precision 1.00 (" in page


def test_page_says_first_what_was_not_heard(tmp_path: Path) -> None:
    scanned = [
        Scanned("cut.wav", {"siren?": [0.1]}, _at(1), "damaged at 5.0 s"),
        Scanned("gone.wav", {"siren?": []}, _at(2), "the file is empty"),
        Scanned("whole.wav", {"siren?": [0.9]}, _at(3)),
        Scanned("waits.wav", {"siren?": [0.9]}, None),
    ]
    page = write_report(write_job(tmp_path, scanned, n_done=3).folder).read_text()
    first = page.partition("<section")[2].partition("</section>")[0]
    assert "What was not heard" in first and "means" not in first
    assert "3 of 4 recordings are done; nothing is known of the other 1." in first
    for line in ("damaged at 5.0 s", "the file is empty", "could not be read"):
        assert line in first


def test_a_recording_that_is_gone_leaves_a_line(tmp_path: Path) -> None:
    here, gone, damaged = (
        Scanned(tmp_path / f"{name}.wav", {"siren?": [0.9]}, _at(1))
        for name in ("here", "gone", "damaged")
    )
    here.write()
    Path(damaged.path).write_bytes(b"RIFF")
    page = write_report(write_job(tmp_path / "scan", [here, gone, damaged]).folder).read_text()
    assert page.count("<audio") == 1 and page.count("No sound: ") == 2
    assert "No sound: no such file or directory" in page


def test_a_window_is_heard_under_each_question_that_picks_it(tmp_path: Path) -> None:
    one = Scanned(tmp_path / "a.wav", {"siren?": [0.9], "dog?": [0.8]}, _at(1))
    one.write()
    page = write_report(write_job(tmp_path / "scan", [one]).folder).read_text()
    assert page.count("<audio") == 2


def test_page_holds_no_more_sound_than_it_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Scanned(tmp_path / "a.wav", {"siren?": [0.9] * 48}, _at(1))
    one.write()
    job = write_job(tmp_path / "scan", [one])
    n_all = write_report(job.folder).read_text().count("<audio")
    monkeypatch.setattr(seeing, "MAX_SOUND_BYTES", 80_000)
    monkeypatch.setattr(seeing, "_CLIP_BYTES", 8_000)
    page = write_report(job.folder).read_text()
    assert n_all == 4 > page.count("<audio") > 0
    assert "No sound: left out: the page would be too large" in page and len(page) < 150_000


def test_places_are_bounded_and_found_below_the_folder_of_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["/a/x/1.wav", "/a/y/2.wav", "/a/y/z/3.wav", "/a/4.wav", "/a/v/5.wav"]
    job = write_job(tmp_path, [Scanned(name, {"siren?": [0.1]}) for name in names])
    monkeypatch.setattr("listen_edge.runtime.archive.review.report.places.MAX_PLACES", 3)
    places = Places(job, None)
    assert places.of(pa.array(names)).tolist() == [0, 1, 1, 2, 3]
    assert [*places.numbers] == ["x", "y", "/a/", "all others"]


@pytest.fixture()
def scan(tmp_path: Path) -> Path:
    one = Scanned("a.wav", {"siren?": [0.9]}, carried={"site": "a"})
    return write_job(tmp_path / "scan", [one], carried=[SITE]).folder


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{SCAN}", "{RUN}"], "1 of 2 folders hold a scan; give the folder of one scan"),
        (["{SCAN}", "{SCAN}"], "2 of 2 folders hold a scan; give the folder of one scan"),
        (["{SCAN}", "--timezone", "Mars/Base"], "no such time zone; expected a name such as"),
        (["{SCAN}", "--timezone", "../etc"], "no such time zone; expected a name such as"),
        (["{SCAN}", "--by", "hour"], "--by hour: no column .* it has site"),
        (["{SCAN}", "--out", "{SCAN}/none/a.html"], "a.html: cannot be written"),
        (["{RUN}", "--out", "{RUN}/a.png"], "run"),
    ],
    ids=lambda one: " ".join(one) if isinstance(one, list) else "",
)
def test_report_refuses(scan: Path, tmp_path: Path, arguments: list[str], said: str) -> None:
    (tmp_path / "run").mkdir()
    given = [one.format(SCAN=scan, RUN=tmp_path / "run") for one in arguments]
    with pytest.raises(ListenEdgeError, match=said) as raised:
        CliRunner().invoke(cli, ["report", *given], standalone_mode=False, catch_exceptions=False)
    assert "\n" not in str(raised.value)


def test_report_asks_for_what_each_kind_needs(scan: Path, tmp_path: Path) -> None:
    for options, missed in (([], "--out"), (["--by", "site", "--out", "a.png"], "--by")):
        done = CliRunner().invoke(cli, ["report", str(tmp_path), *options])
        assert done.exit_code == 2 and missed in done.output
    done = CliRunner().invoke(cli, ["report", str(scan), "--by", "site"])
    assert done.exit_code == 0 and done.output.strip() == str(scan / "report.html")
    assert SCAN == DESCRIPTION and (scan / "report.html").stat().st_mode & 0o077 == 0
