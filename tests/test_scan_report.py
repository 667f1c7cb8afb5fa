"""What the report of a scan says: never absent where nothing could be judged."""

from __future__ import annotations

import csv
import re
from datetime import datetime, timezone
from pathlib import Path
from typing import get_args

import pyarrow as pa
import pytest
from click.testing import CliRunner

from listen_edge.cli.report import SCAN
from listen_edge.cli.root import cli
from listen_edge.errors import ListenEdgeError
from listen_edge.lines.answer import Reason
from listen_edge.runtime.archive.description import DESCRIPTION
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
from listen_edge.runtime.archive.review.report.words import REASONS
from listen_edge.runtime.archive.review.report.write import write_report
from listen_edge.runtime.archive.review.sample import draw_sample
from listen_edge.runtime.archive.review.verdicts import Judged
from tests.scan_jobs import Scanned, write_job

SITE = pa.field("site", pa.string())


def _at(hour: int, minute: int = 0, second: int = 0) -> datetime:
    return datetime(2026, 7, 1, hour, minute, second, tzinfo=timezone.utc)


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
    [
        *[(0, "0 %"), (1e-6, "< 0.01 %"), (0.00123, "0.12 %"), (0.0996, "10 %"), (0.123, "12 %")],
        *[(0.99996, "99.9 %"), (1, "100 %")],
    ],
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
