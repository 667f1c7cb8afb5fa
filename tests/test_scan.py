"""Scans: every recording once, whole or with a reason, whatever happens to the process."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from listen_edge.lines.event import Event
from listen_edge.runtime.archive.plan import plan
from listen_edge.runtime.listening.listen_config import ListenConfig
from listen_edge.runtime.listening.listener import Listener
from listen_edge.runtime.sources.file import FileSource
from tests.archives import (
    QUESTIONS,
    TRIGGER,
    ScanEngine,
    config,
    rows_of,
    scan,
    write_level,
)


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


def test_what_a_list_names_that_is_no_file_is_a_row_each(archive: Path, tmp_path: Path) -> None:
    os.mkfifo(archive / "pipe.wav")
    os.mkfifo(archive / "pipe")
    (archive / "link.wav").symlink_to("/dev/zero")
    names = ("b/same.wav", "pipe.wav", "pipe", "link.wav", "b", "nul\0.wav", "n" * 300, "gone.wav")
    (archive / "some.txt").write_text("\n".join(names))
    job, _ = scan(tmp_path / "out", [archive / "some.txt"])
    became = {row["path"]: row for row in job.recordings().to_table().to_pylist()}
    errors = [became[os.fsencode(archive / name)]["error"] or "" for name in names]
    said = ["", *["is no file"] * 4, "no file can", "file name too long", "no such file"]
    assert all(words in error for words, error in zip(said, errors, strict=True))
    assert [bool(error) for error in errors] == [False, *[True] * 7]


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
