"""Scans that cannot be, do not fit their folder, or lose what they run on: one line, and kept."""

from __future__ import annotations

import os
import random
import resource
import signal
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from listen_edge.errors import BundleError, ListenEdgeError
from listen_edge.runtime.archive import cluster
from listen_edge.runtime.archive import plan as planning
from listen_edge.runtime.archive.engines import Engines
from listen_edge.runtime.archive.job import Job, begin
from listen_edge.runtime.archive.listing.inputs import ListingOptions, list_recordings
from listen_edge.runtime.archive.piece import Hearer, Progress
from listen_edge.runtime.archive.plan import plan
from listen_edge.runtime.archive.rows import LISTED
from listen_edge.runtime.archive.run import planned, remaining, run
from listen_edge.runtime.archive.scan_config import ScanConfig
from listen_edge.runtime.listening.window import Window
from tests.archives import (
    FAKE,
    QUESTIONS,
    ScanEngine,
    config,
    rows_of,
    scan,
    write_level,
)
from tests.streams import RATE


def _dies(*arguments: Any) -> None:
    os._exit(3)


def _raises(telling: Any, *arguments: Any) -> None:
    telling.send("out: cannot be written (no space)")


@pytest.mark.parametrize(
    ("drive", "match"), [(_dies, "this machine: the cluster is gone"), (_raises, "no space")]
)
def test_a_cluster_that_dies_is_one_line(
    drive: Callable[..., None],
    match: str,
    archive: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cluster, "_drive", drive)
    listing, asked = list_recordings([archive], ListingOptions()).table, config()
    with begin(tmp_path / "out", asked.describe(), listing) as job:
        left = remaining(job, asked.hop_s)
        hear_all = cluster.on_ray(job, asked, cluster.Workers(2), lambda _: None)
        with pytest.raises(ListenEdgeError, match=match) as found:
            run(job, asked, FAKE, left, hear_all, lambda _: None)  # type: ignore[arg-type]
    assert len(str(found.value).splitlines()) == 1
    assert not list((tmp_path / "out").rglob("part-*"))


def test_workers_take_the_longest_first_and_leave_nothing_half_written(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "_bounds", lambda n_bytes, n_files: (1, 1))
    monkeypatch.setattr(cluster, "_drive", _hears)
    listing, asked = list_recordings([archive], ListingOptions()).table, config()
    told: list[Progress] = []
    with begin(tmp_path / "out", asked.describe(), listing) as job:
        left = remaining(job, asked.hop_s)
        hear_all = cluster.on_ray(job, asked, cluster.Workers(2), told.append)
        run(job, asked, FAKE, left, hear_all, told.append)  # type: ignore[arg-type]
    sizes = [one.n_bytes for one in told]
    assert len(sizes) == 6 and sizes == sorted(listing["n_bytes"].to_pylist(), reverse=True)
    assert not list((tmp_path / "out").rglob(".*.parquet"))


def _hears(telling: Any, folder: str, asked: ScanConfig, _: Any, numbers: list[int]) -> None:
    """Hear as a driver's workers do, of which one was killed in the midst of a part."""
    job = Job(Path(folder))
    tasks = planned(job, asked.hop_s)
    (job.folder / "recordings").mkdir()
    (job.folder / "recordings/.1.part-000000.parquet").write_bytes(b"PAR1")
    with Engines(ScanEngine, 1, QUESTIONS) as engines:  # type: ignore[arg-type]
        for number in numbers:
            done: list[Progress] = []
            Hearer(job, asked, engines, done.append).hear(tasks[number])
            telling.send({"task": number, **asdict(done[0])})
    telling.send(None)


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
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.tex"]


def test_a_folder_whose_name_is_no_text_is_refused(archive: Path, tmp_path: Path) -> None:
    out = tmp_path / os.fsdecode(b"o\xffut")
    with pytest.raises(ListenEdgeError, match=r"o\\xffut: the name is not UTF-8"):
        scan(out, [archive])
    assert not out.exists()
    scan(tmp_path / "out", [archive])
    (tmp_path / "out").rename(out)
    with pytest.raises(ListenEdgeError, match="not UTF-8; rename the folder"):
        Job(out)


def test_a_lock_that_is_a_link_leaves_what_it_points_to(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "other").write_text("somebody's")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".lock").symlink_to(tmp_path / "other")
    scan(tmp_path / "out", [archive])
    assert (tmp_path / "other").read_text() == "somebody's"


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
