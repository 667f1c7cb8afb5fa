"""A scan's folder -> clips that are drawn at random, and a table to fill in."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import soundfile

from listen_edge.errors import AudioError, ListenEdgeError
from listen_edge.runtime.archive import parts
from listen_edge.runtime.archive.job import Job
from listen_edge.runtime.archive.review.drawing import FLOOR, allot, draw
from listen_edge.runtime.archive.review.estimates import Checked, estimate
from listen_edge.runtime.archive.review.sample import Sample, draw_sample
from listen_edge.runtime.archive.review.spans import read_spans
from listen_edge.runtime.archive.review.strata import Stratum, read_strata
from tests.reviewed import rows, say, scanned, staircase, two_recordings
from tests.scan_jobs import RATE, WINDOW_S, Heard, Scanned, write_job


@pytest.fixture()
def job(tmp_path: Path) -> Job:
    return two_recordings(tmp_path)


def test_a_sample_holds_clips_of_every_stratum(job: Job) -> None:
    sample = draw_sample(job.folder, 12)
    table = rows(job)
    assert (sample.n_rows, sample.n_new, len(table)) == (12, 12, 12)
    assert sample.notes == (
        "siren?: 1 of 36 windows are left out, nothing could be said about them",
    )
    states = Counter(row["stratum"].split()[0] for row in table)
    assert states == {"present": 3, "uncertain": 2, "absent": 7}
    assert {row["verdict"] for row in table} == {""}
    sizes = {s.name: s.n_rows for s in read_strata(job.folder)["siren?"].strata}
    assert sizes == {
        "present 0.7 to 0.85": 1,
        "present 0.85 to 1": 2,
        "uncertain 0.3 to 0.7": 2,
        "absent 0 to 0.03": 28,
        "absent 0.03 to 0.15": 1,
        "absent 0.15 to 0.3": 1,
    }


def test_a_clip_is_its_window_and_a_second_around_it(job: Job) -> None:
    draw_sample(job.folder, 12)
    for row in rows(job):
        clip = job.folder / "review" / "clips" / row["clip"]
        start_s = float(row["start_s"])
        samples, rate = soundfile.read(clip, dtype="float32")
        expected = staircase(120)[round(max(0, start_s - 1) * RATE) : round((start_s + 6) * RATE)]
        if row["recording"].endswith("b.wav"):
            expected = expected[: round((60 - max(0, start_s - 1)) * RATE)]
        assert rate == RATE and clip.stat().st_mode & 0o777 == 0o600
        np.testing.assert_allclose(samples, expected[: len(samples)], atol=1e-4)
        assert len(samples) == len(expected)
    assert (job.folder / "review" / "verdicts.csv").stat().st_mode & 0o777 == 0o600


def test_drawing_again_keeps_every_verdict_and_row(job: Job) -> None:
    draw_sample(job.folder, 8)
    first = rows(job)
    assert draw_sample(job.folder, 8).n_new == 0 and rows(job) == first
    say(job, ["yes", "No", "?"])
    grown = draw_sample(job.folder, 16)
    table = rows(job)
    assert (grown.n_rows, grown.n_new) == (16, 8) and len(table) == 16
    assert [row["verdict"] for row in table[:4]] == ["yes", "No", "?", ""]
    assert [row | {"verdict": ""} for row in table[:8]] == first
    assert draw_sample(job.folder, 4).n_rows == 16
    other = draw_sample(job.folder, 16, seed=1)
    assert other.n_new > 0 and rows(job)[:16] == table
    assert {path.name for path in (job.folder / "review" / "clips").iterdir()} == {
        row["clip"] for row in rows(job)
    }


def test_columns_that_people_add_are_kept(job: Job) -> None:
    draw_sample(job.folder, 3)
    path = job.folder / "review" / "verdicts.csv"
    text = "".join(f"{line};note {k}\n" for k, line in enumerate(path.read_text().splitlines()))
    path.write_text("\ufeff" + text.replace(",", ";"))
    draw_sample(job.folder, 5)
    assert [row["note 0"] for row in rows(job)] == ["note 1", "note 2", "note 3", "", ""]


def test_a_table_that_cannot_be_read_is_left_as_it_is(job: Job) -> None:
    draw_sample(job.folder, 3)
    say(job, ["perhaps"])
    before = (job.folder / "review" / "verdicts.csv").read_bytes()
    with pytest.raises(ListenEdgeError, match=r"line 2, verdict: 'perhaps'"):
        draw_sample(job.folder, 8)
    assert (job.folder / "review" / "verdicts.csv").read_bytes() == before


def test_a_whole_archive_that_was_checked_leaves_nothing_uncertain(job: Job) -> None:
    draw_sample(job.folder, 1000)
    says = ["yes" if float(row["presence"]) >= 0.5 else "no" for row in rows(job)]
    say(job, says)
    (found,) = estimate(job.folder)
    assert found.precision is not None and found.recall is not None
    assert (found.precision.low, found.precision.high) == (1.0, 1.0)
    assert (found.recall.low, found.recall.high) == pytest.approx((0.6, 0.6), abs=1e-9)


def test_the_same_rows_are_drawn_whatever_their_order(tmp_path: Path) -> None:
    presences = np.random.default_rng(1).random((2, 300)).round(3).tolist()
    one = [Scanned(f"/{name}.wav", {"siren?": p}) for name, p in zip("ab", presences, strict=True)]
    jobs = [write_job(tmp_path / "one", one), write_job(tmp_path / "other", one[::-1])]
    drawn = [list(draw(job, 40, 0)) for job in jobs]
    assert drawn[0] == drawn[1]
    assert set(drawn[0][0][1]) >= set(next(draw(jobs[0], 15, 0))[1])
    assert drawn[0] != list(draw(jobs[0], 40, 1))


def test_every_row_of_a_stratum_is_as_likely(tmp_path: Path) -> None:
    """24 of 120 windows in each of 200 samples: 40 times each, with a deviation of 5.7."""
    job = write_job(tmp_path / "scan", [Scanned("/a.wav", {"siren?": [0.9] * 120})])
    times = Counter(row.start_s for seed in range(200) for row in next(draw(job, 24, seed))[1])
    assert len(times) == 120 and min(times.values()) >= 20 and max(times.values()) <= 62
    assert np.std([*times.values()]) == pytest.approx(5.7, rel=0.25)


def test_sounds_that_go_on_do_not_bias_the_estimate(tmp_path: Path) -> None:
    """10 sirens of a minute and 100 false alarms that lie far apart: 120 of 220 windows."""
    alarms: Heard = [0.9 if k % 13 == 0 else "inaudible" for k in range(1300)]
    heard = {f"/{k}.wav": [0.9] * 12 for k in range(10)} | {"/alarms.wav": alarms}
    job = write_job(tmp_path / "scan", [Scanned(path, {"siren?": w}) for path, w in heard.items()])
    shares = []
    for seed in range(60):
        _, rows = next(draw(job, 20, seed))
        n_right = sum(row.recording != "/alarms.wav" for row in rows)
        shares.append(Checked("present", 220, n_right, 20 - n_right).share)
    assert np.mean([share.value for share in shares]) == pytest.approx(120 / 220, abs=0.03)
    assert np.mean([share.low <= 120 / 220 <= share.high for share in shares]) >= 0.9


def test_the_smallest_keys_are_kept_of_any_number_of_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = {"siren?": np.random.default_rng(2).random(800).tolist()}
    job = write_job(tmp_path / "scan", [Scanned(f"/{k}.wav", heard) for k in range(4)])
    expected = [one for _, rows in draw(job, 3200, 0) for one in rows]
    assert len(expected) == 3200
    few = [next(draw(job, n, 0))[1] for n in (1, 12, 60)]
    for drawn in few:
        for name in {row.stratum for row in drawn}:
            of_one = [row for row in drawn if row.stratum == name]
            assert of_one == [row for row in expected if row.stratum == name][: len(of_one)]
    monkeypatch.setattr(parts, "BATCH_ROWS", 7)
    assert next(draw(job, 60, 0))[1] == few[2]


@pytest.mark.parametrize("n", [0, -1, 10_001])
def test_a_sample_has_a_size(job: Job, n: int) -> None:
    with pytest.raises(ListenEdgeError, match=f"--sample {n}: expected 1 to 10000 clips"):
        draw_sample(job.folder, n)


def test_an_unfinished_scan_is_not_sampled(tmp_path: Path) -> None:
    job = write_job(tmp_path / "s", scanned(tmp_path / "in", a=[0.9], b=[0.9]), n_done=1)
    with pytest.raises(
        ListenEdgeError, match=r"1 of 2 recordings are done, .*; go on with the sca"
    ):
        draw_sample(job.folder, 5)
    assert not (job.folder / "review").exists()


def test_a_recording_that_is_gone_is_told_and_the_others_are_cut(job: Job, tmp_path: Path) -> None:
    (tmp_path / "in" / "b.wav").unlink()
    sample = draw_sample(job.folder, 30)
    told = [note for note in sample.notes if note.startswith("no clip of ")]
    assert told and all("b.wav: no such file" in note for note in told)
    assert {Path(row["recording"]).name for row in rows(job)} == {"a.wav"}
    (tmp_path / "in" / "a.wav").unlink()
    with pytest.raises(AudioError, match=r"[ab]\.wav: no such file"):
        draw_sample(
            write_job(tmp_path / "t", [Scanned(tmp_path / "in/a.wav", {"s?": [0.5]})]).folder, 2
        )


def test_events_are_sampled_for_their_precision(tmp_path: Path) -> None:
    one = scanned(tmp_path / "in", a=[0.1, 0.95, *[0.1] * 12, *[0.99] * 8, 0.1, 0.1])
    job = write_job(tmp_path / "scan", one, unit="events")
    assert draw_sample(job.folder, 5).n_new == 2
    lengths = sorted(
        soundfile.info(path).duration for path in (job.folder / "review" / "clips").iterdir()
    )
    assert lengths == pytest.approx([WINDOW_S + 2, 30 + 2])
    say(job, ["yes", "no"])
    (found,) = estimate(job.folder)
    assert found.recall is None and "recall needs a scan without --events" in found.to_text_line()
    assert found.precision is not None and found.precision.n == 2


def test_windows_below_the_gate_are_checked_as_absent(tmp_path: Path) -> None:
    job = write_job(tmp_path / "scan", scanned(tmp_path / "in", a=[0.9, "below_gate", 0.1]))
    table = pa.concat_tables([job.rows().to_table()]).drop_columns("month").to_pylist()
    for row in table:
        row["state"] = "absent" if row["reason"] == "below_gate" else row["state"]
    part = next((job.folder / "answers").glob("*/*.parquet"))
    job.write(
        part,
        pa.Table.from_pylist(
            table, job.rows().schema.remove(job.rows().schema.get_field_index("month"))
        ),
    )
    draw_sample(job.folder, 5)
    assert sorted((row["stratum"], row["presence"]) for row in rows(job)) == [
        ("absent 0.03 to 0.15", "0.1000"),
        ("absent below the gate", ""),
        ("present 0.85 to 1", "0.9000"),
    ]


def test_rows_are_allotted_by_size_and_spread() -> None:
    strata = [
        Stratum("sure", "present", 1_000, 0.99),
        Stratum("unsure", "present", 1_000, 0.8),
        Stratum("few", "uncertain", 2, 0.5),
        Stratum("absent", "absent", 100_000, 0.02),
        Stratum("gate", "absent", 100_000, None),
    ]
    counts = [allot(n, strata) for n in range(1, 200)]
    assert [sum(one) for one in counts] == [*range(1, 200)]
    for before, after in pairwise(counts):
        assert all(b <= a for b, a in zip(before, after, strict=True))
    assert all(given >= FLOOR or given == 2 for given in counts[17])
    few = counts[-1]
    assert few[2] == 2 and few[0] + few[1] == 100  # of 199
    # sqrt(0.99 * 0.01) : sqrt(0.8 * 0.2), and sqrt(0.02 * 0.98) : sqrt(0.01 * 0.99)
    assert few[0] / few[1] == pytest.approx(0.0995 / 0.4, rel=0.1)
    assert few[4] / few[3] == pytest.approx(0.0995 / 0.14, rel=0.1)
    assert allot(10, [Stratum("few", "absent", 3, 0.1)]) == [3]


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_spans_are_cut_where_they_lie(tmp_path: Path, rate: int) -> None:
    levels = np.arange(30, dtype=np.float32) / 100
    soundfile.write(tmp_path / "a.wav", np.repeat(levels, rate), rate, subtype="FLOAT")
    spans = [(20.0, 25.0), (2.5, 7.5), (5.0, 10.0), (28.0, 30.0), (0.0, 1.0)]
    found = dict(read_spans(tmp_path / "a.wav", spans, margin_s=1.0))
    assert set(found) == set(spans)
    for (start_s, end_s), samples in found.items():
        first, last = max(0, start_s - 1), min(30, end_s + 1)
        assert len(samples) == pytest.approx((last - first) * RATE, abs=2)
        middles = np.arange(np.ceil(first), np.floor(last)) + 0.5
        at = ((middles - first) * RATE).astype(int)
        np.testing.assert_allclose(samples[at, 0], np.floor(middles) / 100, atol=2e-3)


def test_a_span_beyond_the_end_is_an_error(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", staircase(10), RATE)
    with pytest.raises(AudioError, match=r"a\.wav: ends before 12\.0 s, which was heard in it"):
        list(read_spans(tmp_path / "a.wav", [(2.0, 7.0), (7.0, 12.0)]))


def test_two_recordings_of_one_printed_name_are_not_taken_for_each_other(tmp_path: Path) -> None:
    one = scanned(tmp_path / "in", a=[0.9, 0.9])
    job = write_job(tmp_path / "scan", [one[0], Scanned(f"{one[0].path}\n", one[0].heard)])
    escaped = [
        Scanned(f"{one[0].path}\\n", one[0].heard),
        Scanned(f"{one[0].path}\n", one[0].heard),
    ]
    job = write_job(tmp_path / "other", escaped)
    with pytest.raises(AudioError, match="2 recordings of the scan have this name"):
        draw_sample(job.folder, 2)
    assert isinstance(draw_sample(write_job(tmp_path / "t", one).folder, 2), Sample)
