"""Verdicts of a few clips -> precision and recall of an archive, and how sure that is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from listen_edge.errors import ListenEdgeError
from listen_edge.runtime.archive.job import Job
from listen_edge.runtime.archive.review.estimates import (
    Checked,
    Estimate,
    Share,
    estimate,
    recall,
    share_of,
    wilson_interval,
)
from listen_edge.runtime.archive.review.strata import Strata, Stratum, write_strata
from listen_edge.runtime.archive.review.verdicts import COLUMNS, read_verdicts
from tests.scan_jobs import Scanned, write_job

HUGE = 10**9  # rows of a stratum of which a sample is no part to speak of
STRATA = Strata(
    "siren?",
    "siren",
    of_events=False,
    n_left_out=7,
    strata=(
        Stratum("present 0.85 to 1", "present", 100, 0.95),
        Stratum("uncertain 0.3 to 0.7", "uncertain", 200, 0.5),
        Stratum("absent 0 to 0.03", "absent", 9_000, 0.01),
    ),
)


@pytest.fixture()
def job(tmp_path: Path) -> Job:
    """A scan whose strata are said to be STRATA."""
    job = write_job(tmp_path / "scan", [Scanned("/a.wav", {"siren?": [0.9]})])
    write_strata(job, [STRATA])
    return job


def fill_in(job: Job, text: str | bytes) -> None:
    data = text.encode() if isinstance(text, str) else text
    (job.folder / "review" / "verdicts.csv").write_bytes(data)


def table(rows: Sequence[tuple[str, str]], separator: str = ",") -> str:
    """Return a table of (stratum, verdict)."""
    cells = [
        (f"{k}.flac", "siren?", "siren", "/a.wav", "0.000", "0.9000", *row)
        for k, row in enumerate(rows)
    ]
    return "".join(separator.join(row) + "\n" for row in [COLUMNS, *cells])


def test_wilsons_interval_is_that_of_his_formula() -> None:
    """8 of 10: (0.8 + 0.19207 -+ 1.96 sqrt(0.016 + 0.0096036)) / 1.38415, by hand."""
    assert wilson_interval(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson_interval(0, 10)[0] == 0.0 and wilson_interval(10, 10)[1] == 1.0
    assert wilson_interval(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize("n", [1, 2, 7, 50, 1000])
def test_wilsons_interval_is_that_of_scipy(n: int) -> None:
    for n_yes in {0, 1, n // 3, n // 2, n - 1, n}:
        expected = binomtest(n_yes, n).proportion_ci(0.95, method="wilson")
        assert wilson_interval(n_yes, n) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_one_stratum_has_wilsons_interval() -> None:
    share = share_of([Checked("present", HUGE, 8, 2)])
    assert share == Share(0.8, *map(pytest.approx, wilson_interval(8, 10)), 10)


def test_strata_weigh_by_their_rows() -> None:
    """0.9 of 100 and 0.5 of 300 are (90 + 150) / 400, though as many were checked of both."""
    share = share_of([Checked("present", 100, 9, 1), Checked("present", 300, 5, 5)])
    assert share is not None
    assert share.value == pytest.approx(0.6) and share.low < 0.45 and share.high > 0.75


def test_nothing_is_uncertain_of_rows_that_were_all_checked() -> None:
    strata = [Checked("present", 10, 8, 2), Checked("absent", 20, 2, 18)]
    assert share_of(strata[:1]) == Share(0.8, 0.8, 0.8, 10)
    found = recall(strata)
    assert found is not None and found.n == 30
    assert (found.value, found.low, found.high) == pytest.approx((0.8, 0.8, 0.8), abs=1e-9)


def test_recall_that_no_miss_was_seen_for_is_as_sure_as_its_strata_are_wide() -> None:
    """None of 20 of 9,000: up to 16 % of them, 1,450, may hold the sound; 100 were found."""
    found = recall([Checked("present", 100, 20, 0), Checked("absent", 9_000, 0, 20)])
    assert found is not None and (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(100 / (100 + 9_000 * 0.1611), abs=0.002)
    narrow = recall([Checked("present", 100, 20, 0), Checked("absent", 9_000, 0, 2_000)])
    assert narrow is not None and narrow.low > 0.8


def test_shares_of_what_was_not_checked_are_not_stated() -> None:
    assert share_of([]) is None and share_of([Checked("present", 10)]) is None
    assert recall([Checked("present", 10, 3, 0), Checked("absent", 10)]) is None
    assert recall([Checked("present", 10, 0, 3), Checked("absent", 10, 0, 3)]) is None
    assert recall([Checked("absent", HUGE, 1, 3)]) == Share(0.0, 0.0, 0.0, 4)


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)], ids=["first", "last"])
def test_a_stratum_without_verdicts_counts_as_its_neighbour(order: slice) -> None:
    strata = [Checked("present", 300), Checked("present", 100, 9, 1)][order]
    share = share_of(strata)
    assert share is not None and share.value == pytest.approx(0.9) and share.n == 10


# Presence strata of an archive: what was said, rows, how many hold the sound.
ARCHIVES = {
    "good": [
        ("present", 400, 0.99),
        ("present", 200, 0.8),
        ("uncertain", 300, 0.4),
        ("absent", 800, 0.1),
        ("absent", 9_000, 0.01),
    ],
    "rare": [
        ("present", 60, 0.5),
        ("present", 90, 0.2),
        ("uncertain", 200, 0.05),
        ("absent", 1_000, 0.01),
        ("absent", 50_000, 0.0),
    ],
    "bad": [
        ("present", 3_000, 0.6),
        ("present", 5_000, 0.4),
        ("uncertain", 5_000, 0.3),
        ("absent", 5_000, 0.2),
        ("absent", 5_000, 0.2),
    ],
}


@pytest.mark.parametrize("archive", ARCHIVES.values(), ids=ARCHIVES)
@pytest.mark.parametrize("n", [8, 25])
def test_nine_of_ten_intervals_hold_the_truth(
    archive: list[tuple[str, int, float]], n: int
) -> None:
    """400 samples of an archive; 95 % is meant, and never less than 90 % given."""
    rng = np.random.default_rng(18)
    n_with = [round(n_rows * share) for _, n_rows, share in archive]
    n_found, n_present = (
        sum(values[k] for k, one in enumerate(archive) if one[0] == "present")
        for values in (n_with, [one[1] for one in archive])
    )
    precision, recalled = n_found / n_present, n_found / sum(n_with)
    hits = np.zeros((400, 2))
    for hit in hits:
        seen = [
            int(rng.hypergeometric(k, n_rows - k, n))
            for k, (_, n_rows, _) in zip(n_with, archive, strict=True)
        ]
        checked = [
            Checked(state, n_rows, k, n - k)  # type: ignore[arg-type]
            for k, (state, n_rows, _) in zip(seen, archive, strict=True)
        ]
        shares = share_of(one for one in checked if one.state == "present"), recall(checked)
        hit[:] = [
            share is None or share.low - 1e-9 <= truth <= share.high + 1e-9
            for share, truth in zip(shares, (precision, recalled), strict=True)
        ]
    assert (hits.mean(axis=0) >= 0.9).all(), hits.mean(axis=0)


def test_verdicts_become_an_estimate(job: Job) -> None:
    """Recall's upper limit by hand: 90 (1 - r) + hypot(8.2 (1 - r), 70 r) = 100 r at r = 0.75."""
    rows = [
        *[("present 0.85 to 1", "yes")] * 9,
        ("present 0.85 to 1", "no"),
        *[("uncertain 0.3 to 0.7", "yes"), ("uncertain 0.3 to 0.7", "no")] * 2,
        *[("absent 0 to 0.03", "no")] * 9,
        ("absent 0 to 0.03", "unsure"),
        ("absent 0 to 0.03", ""),
    ]
    fill_in(job, table(rows))
    (found,) = estimate(job.folder)
    assert (found.n_yes, found.n_no, found.n_unsure, found.n_open) == (11, 12, 1, 1)
    assert found.precision is not None and found.recall is not None
    assert found.precision == Share(0.9, *map(pytest.approx, wilson_interval(9, 10)), 10)
    assert found.recall.value == pytest.approx(90 / 190) and found.recall.n == 23
    assert found.wrong_absent is not None and found.wrong_absent.value == 0.0
    assert found.to_text_line().startswith(
        "siren?: precision 0.90 (0.60-0.98) of 10 checked; recall 0.47 (0.03-0.75) of 23 checked; "
        "wrong where absent 0.00 (0.00-0.30) of 9 checked; 1 unsure; 1 without a verdict"
    ), found.to_text_line()


def test_events_have_no_recall() -> None:
    found = Estimate("siren?", "siren", Share(0.5, 0.2, 0.8, 4), None, None, 2, 2, 0, 0, True)
    assert found.to_text_line() == (
        "siren?: precision 0.50 (0.20-0.80) of 4 checked; recall needs a scan without --events"
    )


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("yes Yes YES y 1 true TRUE", "yes"),
        ("no No n 0 false", "no"),
        ("unsure Unsure u ?", "unsure"),
    ],
)
def test_a_verdict_is_read_as_people_write_it(job: Job, words: str, expected: str) -> None:
    fill_in(job, table([("absent 0 to 0.03", f" {word} ") for word in words.split()]))
    assert {judged.verdict for judged in read_verdicts(job.folder)} == {expected}


@pytest.mark.parametrize(
    "changed",
    [
        lambda text: text,
        lambda text: "\ufeff" + text,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\ufeff" + text.replace(",", ";").replace("0.9000", "0,9"),
        lambda text: text.replace(",", "\t"),
        lambda text: "".join(f"{line},a comment\n" for line in text.splitlines()) + ",,,,,,,,\n",
        lambda text: text.replace("siren?", '"siren?"'),
    ],
    ids=["as drawn", "BOM", "CRLF", "semicolons", "tabs", "a column more", "quotes"],
)
def test_a_table_from_a_spreadsheet_reads_the_same(job: Job, changed: object) -> None:
    assert callable(changed)
    text = table([("absent 0 to 0.03", "no"), ("present 0.85 to 1", "yes")])
    fill_in(job, text)
    expected = read_verdicts(job.folder)
    fill_in(job, changed(text))
    assert read_verdicts(job.folder) == expected
    assert [one.presence for one in expected] == [0.9, 0.9]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (table([("s", "yes"), ("s", "maybe")]), r"line 3, verdict: 'maybe'; expected yes, no"),
        (table([("s", "\x1b[31m")]), r"line 2, verdict: '\\\\x1b\[31m'"),
        (table([("s", "no")]).replace("0.9000", "high"), "line 2, presence: 'high'; expected a n"),
        (table([("s", "no")]).replace("0.9000", "nan"), "line 2, presence: 'nan'"),
        (table([("s", "no")]).replace("verdict", "judgement"), "line 1: no column 'verdict'"),
        (table([("s", "no")]) + "0.flac,siren?,,,,,s,yes\n", "line 3: clip '0.flac' and its q"),
        (table([("s", "no,or yes")]), "line 2: 9 cells, expected 8"),
        ("", "line 1: no column 'clip'"),
        (b"\xff\xfec\x00", "not UTF-8; save it as CSV in UTF-8"),
        ('clip,question,stratum,verdict\n"a', "unexpected end of data"),
        (table([("s", "no")]), "clip 0.flac: no stratum s of siren"),
    ],
)
def test_what_is_no_verdict_is_named_in_one_line(job: Job, text: str, expected: str) -> None:
    fill_in(job, text)
    with pytest.raises(ListenEdgeError, match=expected) as caught:
        estimate(job.folder)
    assert "verdicts.csv: " in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["{", '{"schema": 2}', '{"schema": 1, "questions": [{}]}', "[]"])
def test_damaged_strata_are_drawn_again(job: Job, text: str) -> None:
    (job.folder / "review" / "strata.json").write_text(text)
    with pytest.raises(ListenEdgeError, match=r"strata\.json: damaged .*; draw the sample again"):
        estimate(job.folder)


def test_without_a_sample_there_is_no_estimate(tmp_path: Path) -> None:
    with pytest.raises(ListenEdgeError, match=re.escape("no sample was drawn there; draw one")):
        estimate(tmp_path)
