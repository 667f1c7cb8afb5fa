"""Scans: every recording once, whole or with a reason, whatever happens to the process."""

from __future__ import annotations

import os
import random
import resource
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from listen_edge.errors import BundleError, ListenEdgeError
from listen_edge.lines.event import Event
from listen_edge.runtime.archive import plan as planning
from listen_edge.runtime.archive.engines import Engines
from listen_edge.runtime.archive.job import Job, begin
from listen_edge.runtime.archive.listing.inputs import ListingOptions, list_recordings
from listen_edge.runtime.archive.plan import plan
from listen_edge.runtime.archive.rows import LISTED
from listen_edge.runtime.archive.scan_config import ScanConfig
from listen_edge.runtime.listening.listen_config import ListenConfig
from listen_edge.runtime.listening.listener import Listener
from listen_edge.runtime.listening.window import Window
from listen_edge.runtime.sources.file import FileSource
from tests.archives import QUESTIONS, TRIGGER, ScanEngine, config, rows_of, scan, write_level
from tests.streams import RATE


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Return a folder of three recordings that are heard, and three that are not."""
    folder = tmp_path / "archive"
    write_level(folder / "a" / "20260102_030405.WAV", [0.1, 0.1, 0.9, 0.9, 0.9, 0.1, 0.1, 0.1])
    write_level(folder / "b" / "same.wav", [0.2] * 4)
    write_level(folder / "c" / "same.wav", [0.7] * 4)
    soundfile.write(folder / "c" / "dead.wav", np.zeros(2 * RATE), RATE)
    (folder / "c" / "noise.wav").write_bytes(b"RIFF nothing of a recording")
    whole = write_level(folder / "c" / "cut.wav", [0.3] * 40).read_bytes()
    (folder / "c" / "cut.wav").write_bytes(whole[: len(whole) // 2])
    return folder


def test_a_row_says_what_was_heard_and_when(archive: Path, tmp_path: Path) -> None:
    job, told = scan(tmp_path / "out", [archive])
    rows = [row for row in rows_of(job) if "20260102" in row["recording"]]
    assert [row["start_s"] for row in rows[::2]] == [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0]
    siren = [row for row in rows if row["question"] == "siren?"]
    np.testing.assert_allclose(
        [row["presence"] for row in siren], [0.1, 0.9, 0.9, 0.9, 0.1, 0.1, 0.1], atol=2e-3
    )
    assert f"{siren[1]['heard_at']:%F %T.%f}" == "2026-01-02 03:04:05.500000"
    assert {row["month"] for row in rows} == {"2026-01"}
    assert sum(one.n_recordings for one in told) == 6
    assert not (tmp_path / "out" / "spans").exists()


def test_what_cannot_be_heard_is_a_row_with_its_reason(archive: Path, tmp_path: Path) -> None:
    job, _ = scan(tmp_path / "out", [archive])
    became = {Path(row["recording"]).name: row for row in job.recordings().to_table().to_pylist()}
    assert len(job.recordings().to_table()) == 6
    assert became["cut.wav"]["status"] == "unheard" and "truncated" in became["cut.wav"]["error"]
    assert became["noise.wav"]["reason"] == "unreadable"
    rows = [row for row in rows_of(job) if row["recording"].endswith("noise.wav")]
    assert [(r["state"], r["reason"], r["end_s"]) for r in rows] == [
        ("unknown", "unreadable", None)
    ] * len(QUESTIONS)
    failed = pq.read_table(tmp_path / "out" / "failed.parquet").to_pylist()
    assert {Path(row["recording"]).name for row in failed} >= {"cut.wav", "noise.wav"}
    assert all(row["status"] != "heard" for row in failed)


def test_columns_of_a_manifest_are_carried_along(archive: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "sites.csv"
    manifest.write_text(f"path,site,gain\n{archive}/b/same.wav,brook,3\n{archive}/c/same.wav,,4\n")
    for unit in ("answers", "events"):
        job, _ = scan(tmp_path / unit, [manifest], config(unit))
        assert job.rows().schema.names[2:4] == ["site", "gain"]
    sites = {row["recording"]: (row["site"], row["gain"]) for row in rows_of(job)}
    assert set(sites.values()) <= {("brook", 3), (None, 4)}


levels = st.lists(st.sampled_from([0.05, 0.45, 0.55, 0.85, 0.95]), min_size=2, max_size=40)


@given(levels=levels, hop_s=st.sampled_from([0.3, 0.5, 1.0]))
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_scan_has_the_events_of_a_replay(
    tmp_path_factory: pytest.TempPathFactory, levels: list[float], hop_s: float
) -> None:
    folder = tmp_path_factory.mktemp("events")
    path = write_level(folder / "in" / "a.wav", levels)
    listener = Listener(
        ScanEngine(),  # type: ignore[arg-type]
        FileSource(path),
        QUESTIONS,
        ListenConfig(hop_s=hop_s, trigger=TRIGGER),
    )
    with closing(iter(listener)) as lines:
        ended = [one for one in lines if isinstance(one, Event) and one.phase == "end"]
    job, _ = scan(folder / "out", [path], config("events", hop_s))
    expected = [
        (e.concept, e.start_s, e.duration_s, np.float32(e.peak_presence), e.reason) for e in ended
    ]
    names = ("concept", "start_s", "duration_s", "peak_presence", "reason")
    assert sorted(tuple(row[name] for name in names) for row in rows_of(job)) == sorted(expected)


@pytest.fixture
def short_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    """Split recordings of over 8 s every 3 s."""
    monkeypatch.setattr(planning, "SPAN_S", 3.0)
    monkeypatch.setattr(planning, "_LONG_S", 8.0)
    monkeypatch.setattr(planning, "_LONG_BYTES", 0)


@pytest.mark.parametrize("unit", ["answers", "events"])
@pytest.mark.parametrize(
    ("name", "rate", "hop_s"),
    [
        ("a.wav", 16_000, 0.5),
        ("a.flac", 44_100, 0.5),
        ("a.wav", 22_050, 0.3),
        ("a.aiff", 48_000, 1.0),
    ],
)
def test_spans_of_a_long_recording_give_the_rows_of_the_whole(
    name: str, rate: int, hop_s: float, unit: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    rng = np.random.default_rng(0)
    path = write_level(tmp_path / "in" / name, rng.uniform(0.05, 0.95, 50), rate, 0.7)
    whole, _ = scan(tmp_path / "whole", [path], config(unit, hop_s))
    request.getfixturevalue("short_spans")
    split, told = scan(tmp_path / "split", [path], config(unit, hop_s))
    assert len(plan(split.listing(), hop_s)) == 12
    expected, rows = rows_of(whole), rows_of(split)
    assert len(rows) == len(expected) > 0
    for row, other in zip(rows, expected, strict=True):
        assert {k for k in row if row[k] != other[k] and not isinstance(row[k], float)} == set()
        numbers = [k for k in row if isinstance(row[k], float)]
        np.testing.assert_allclose(
            [row[k] for k in numbers], [other[k] for k in numbers], atol=1e-5
        )
    assert sum(one.n_recordings for one in told) == 1
    assert [list(r.values()) for r in split.recordings().to_table().to_pylist()] == [
        list(r.values()) for r in whole.recordings().to_table().to_pylist()
    ]
    assert not (tmp_path / "split" / "spans").exists()


def test_a_damaged_span_ends_the_recording_there(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    path = write_level(tmp_path / "in" / "a.flac", np.random.default_rng(0).uniform(0, 1, 60))
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 400] = bytes(400)
    path.write_bytes(data)
    whole, _ = scan(tmp_path / "whole", [path])
    request.getfixturevalue("short_spans")
    split, _ = scan(tmp_path / "split", [path])
    for job in (whole, split):
        (became,) = job.recordings().to_table().to_pylist()
        assert became["status"] == "in part" and "damaged" in became["error"]
        assert rows_of(job)[-1]["reason"] == "unreadable"
        assert 5 < became["duration_s"] < 25


@pytest.mark.parametrize("workers", [1, 3])
def test_a_scan_that_is_killed_ten_times_ends_with_the_same_rows(
    workers: int, tmp_path: Path, short_spans: None
) -> None:
    rng = np.random.default_rng(0)
    for k in range(60):
        write_level(tmp_path / "in" / f"{k % 7}" / f"{k}.wav", rng.uniform(0.05, 0.95, 4 + k % 3))
    write_level(tmp_path / "in" / "long.wav", rng.uniform(0.05, 0.95, 60))
    (tmp_path / "in" / "bad.wav").write_bytes(b"RIFF")
    inputs = [tmp_path / "in"]
    expected = rows_of(scan(tmp_path / "undisturbed", inputs)[0])
    out, chance = tmp_path / "out", random.Random(workers)
    n_killed = 0
    while n_killed < 10:
        child = os.fork()
        if child == 0:
            scan(out, inputs, n_engines=workers, seconds_per_window=0.008 * workers)
            os._exit(0)
        time.sleep(chance.uniform(0.02, 0.3))
        os.kill(child, signal.SIGKILL)
        n_killed += os.WIFSIGNALED(os.waitpid(child, 0)[1])
        if (out / "failed.parquet").exists():
            break
    job, _ = scan(out, inputs)
    assert n_killed >= 5
    assert rows_of(job) == expected
    counted = Counter(job.recordings().to_table()["path"].to_pylist())
    assert len(counted) == 62 and set(counted.values()) == {1}
    assert not [
        path for path in out.rglob("*") if path.name.startswith(".") and path.name != ".lock"
    ]


def test_a_done_scan_hears_nothing_again(archive: Path, tmp_path: Path) -> None:
    scan(tmp_path / "out", [archive])
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("part-*")}
    _, told = scan(tmp_path / "out", [archive])
    assert not told
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("part-*")}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"hop_s": 0.3}, "hop_s"),
        ({"unit": "events"}, "unit"),
        ({"bundle_id": "other@sha256:0"}, "bundle"),
        ({"gate_dbfs": -40.0}, "gate_dbfs"),
    ],
    ids=lambda value: str(value),
)
def test_another_scan_is_refused(
    changes: dict[str, Any], named: str, archive: Path, tmp_path: Path
) -> None:
    scan(tmp_path / "out", [archive])
    with pytest.raises(ListenEdgeError, match=rf"holds another scan \(its {named} differ"):
        scan(tmp_path / "out", [archive], replace(config(), **changes))


def test_other_recordings_are_another_scan(archive: Path, tmp_path: Path) -> None:
    scan(tmp_path / "out", [archive])
    write_level(archive / "d" / "new.wav", [0.5] * 4)
    with pytest.raises(ListenEdgeError, match=r"its listing differ"):
        scan(tmp_path / "out", [archive])


def test_a_folder_of_something_else_is_refused(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").touch()
    with pytest.raises(ListenEdgeError, match=r"holds files that are no scan's \(thesis.tex\)"):
        scan(tmp_path / "out", [archive])
    assert [path.name for path in (tmp_path / "out").glob("[!.]*")] == ["thesis.tex"]


def test_two_scans_do_not_write_to_one_folder(archive: Path, tmp_path: Path) -> None:
    listing = list_recordings([archive], ListingOptions()).table
    with (
        begin(tmp_path / "out", config().describe(), listing),
        pytest.raises(ListenEdgeError, match=r"another scan is writing there"),
    ):
        scan(tmp_path / "out", [archive])


@pytest.mark.parametrize("room", [100, 1500, 3500, 4500])  # bytes: each file in turn
def test_a_full_disk_is_one_line_and_the_scan_goes_on_after_it(
    room: int, archive: Path, tmp_path: Path
) -> None:
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
        try:
            scan(tmp_path / "out", [archive])
        except ListenEdgeError as err:
            os._exit(7 if "cannot be written" in str(err) and "goes on" in str(err) else 8)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    job, _ = scan(tmp_path / "out", [archive])
    assert rows_of(job) == rows_of(scan(tmp_path / "other", [archive])[0])


def test_what_an_engine_raises_ends_the_scan(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any, **options: Any) -> Any:
        raise BundleError("the LLM is gone")

    with monkeypatch.context() as patch:
        patch.setattr(ScanEngine, "listen_window", fail)
        with pytest.raises(BundleError, match="gone"):
            scan(tmp_path / "out", [archive])
    assert not list((tmp_path / "out").rglob("part-*"))
    assert len(scan(tmp_path / "out", [archive])[0].recordings().to_table()) == 6


def test_engines_side_by_side_answer_in_order() -> None:
    samples = np.linspace(0, 1, 40 * RATE, dtype=np.float32)[:, None]
    windows = [Window(k, k, samples[k * RATE : (k + 1) * RATE], None, 0.0) for k in range(40)]
    slow = random.Random(0)

    class Uneven(ScanEngine):
        def listen_window(self, *arguments: Any, **options: Any) -> Any:
            time.sleep(slow.uniform(0, 0.004))
            return super().listen_window(*arguments, **options)

    def answered(load: Callable[[], Any], n: int) -> list[float | None]:
        with Engines(load, n, QUESTIONS) as engines:
            found = engines.answer((k, window) for k, window in enumerate(windows))
            rows = [(k, answers[0].presence) for k, answers in found]
        assert [k for k, _ in rows] == list(range(40))
        return [presence for _, presence in rows]

    assert answered(Uneven, 3) == answered(ScanEngine, 1)


sizes = st.lists(st.integers(0, 60 << 20), min_size=1, max_size=80)


@given(sizes=sizes, seed=st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_a_plan_has_each_recording_once_and_no_piece_of_two_months(
    sizes: list[int], seed: int
) -> None:
    months = sorted(random.Random(seed).choices(range(1, 5), k=len(sizes)))
    table = pa.table(
        {
            "path": [f"/nowhere/{k}".encode() for k in range(len(sizes))],
            "recording": [f"/nowhere/{k}" for k in range(len(sizes))],
            "n_bytes": sizes,
            "modified": [None] * len(sizes),
            "recorded_at": [np.datetime64(f"2026-0{month}-01", "us").item() for month in months],
        },
        schema=pa.schema(LISTED),
    )
    tasks = plan(table, 1.0)
    assert [row for task in tasks for row in range(task.first, task.last)] == [*range(len(sizes))]
    assert [task.piece for task in tasks] == [*range(len(tasks))]
    assert all(len(set(months[task.first : task.last])) == 1 for task in tasks)
    assert sum(task.n_bytes for task in tasks) == sum(sizes)
    assert all(one.last == two.first for one, two in pairwise(tasks))
    assert plan(table, 1.0) == tasks


def test_a_header_that_promises_years_is_not_split(tmp_path: Path, short_spans: None) -> None:
    path = write_level(tmp_path / "a.flac", [0.5] * 40)
    data = bytearray(path.read_bytes())
    data[21:26] = bytes([data[21] | 0x0F, 0xFF, 0xFF, 0xFF, 0xFF])  # 2^36 - 1 frames: 50 days
    path.write_bytes(data)
    job, _ = scan(tmp_path / "out", [path])
    assert len(plan(job.listing(), 0.5)) == 1
    assert job.recordings().to_table()["status"].to_pylist() == ["in part"]


def test_a_description_gives_the_scan_back(tmp_path: Path) -> None:
    asked = config("events")
    assert ScanConfig.from_described(asked.describe(), "fake") == asked


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (None, "holds no scan"),
        ("{", "scan.json"),
        ("[]", "not the description of a scan"),
        ('{"schema": 9, "unit": "events"}', "a scan of schema 9"),
        ('{"schema": 1, "unit": "cats"}', "not the description"),
    ],
)
def test_a_folder_that_is_no_scan_is_one_line(text: str | None, match: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "scan.json").write_text(text)
    with pytest.raises(ListenEdgeError, match=match):
        Job(tmp_path)
