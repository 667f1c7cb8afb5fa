"""listen-edge scan with the embedded bundle: the command, Ray, and who else reads the tables."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import duckdb
import numpy as np
import pandas
import polars
import pytest
import soundfile
from click.testing import CliRunner

from listen_edge.audio import read_audio
from listen_edge.cli.root import cli
from listen_edge.errors import ListenEdgeError
from listen_edge.runtime.archive.job import Job
from tests.archives import rows_of

ASKED = ("--ask", "siren?", "--ask", "is a dog barking?")
COMMAND = (sys.executable, "-m", "listen_edge", "scan")


def _scan(*arguments: str | Path) -> tuple[int, str, str]:
    done = CliRunner().invoke(cli, ["scan", *map(str, arguments)])
    if isinstance(done.exception, ListenEdgeError):
        return 1, done.stdout, str(done.exception)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Path:
    """Return 40 s at 44.1 kHz: a dog and a siren over faint noise."""
    rate, rng = 16_000, np.random.default_rng(0)
    samples = rng.normal(0, 0.002, 40 * rate).astype(np.float32)
    for start_s, name in ((6, "dog"), (22, "siren")):
        sound = read_audio(tiny_folder / f"clips/{name}.ogg")[: 5 * rate]
        samples[start_s * rate : start_s * rate + len(sound)] += sound
    path = tmp_path_factory.mktemp("nights") / "20260704_220000.WAV"
    soundfile.write(path, np.clip(samples, -1, 1), rate)
    return path


def test_a_scan_of_a_file_and_a_replay_of_it_give_the_same_events(
    night: Path, tmp_path: Path
) -> None:
    code, said, _ = _scan(night, *ASKED, "--events", "--out", tmp_path / "out")
    assert code == 0 and "1 recordings" in said and "all of them heard" in said
    done = CliRunner().invoke(cli, ["replay", str(night), *ASKED, "--format", "jsonl"])
    lines = map(json.loads, done.stdout.splitlines())
    ended = [one for one in lines if one["type"] == "event" and one["phase"] == "end"]
    expected = [
        (e["concept"], e["start_s"], e["duration_s"], e["peak_presence"], e["reason"])
        for e in ended
    ]
    rows = [
        (
            row["concept"],
            round(row["start_s"], 3),
            round(row["duration_s"], 3),
            round(row["peak_presence"], 4),
            row["reason"],
        )
        for row in rows_of(Job(tmp_path / "out"))
    ]
    assert sorted(rows) == sorted(expected) and {row[0] for row in rows} == {"dog barking", "siren"}


def test_without_events_on_and_off_make_states(night: Path, tmp_path: Path) -> None:
    _scan(night, "--ask", "siren?", "--llm", "never", "--out", tmp_path / "out", "--on", "0.3")
    table = Job(tmp_path / "out").rows().to_table().to_pandas()
    present = table[table["presence"] >= 0.3]
    assert len(present) and set(present["state"]) == {"present"}
    assert Job(tmp_path / "out").described["state"] == {"on": 0.3, "off": 0.3}
    assert Job(tmp_path / "out").described["questions"][0]["on"] == 0.9  # the bundle's, of events


def test_pandas_polars_and_duckdb_read_the_tables(night: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    _scan(night, *ASKED, "--llm", "never", "--out", out)
    n = 2 * 36  # windows of 40 s, a second apart, of two questions
    frame = pandas.read_parquet(out / "answers")
    assert len(frame) == n and set(frame["month"].astype(str)) == {"2026-07"}
    assert str(frame["heard_at"].min()) == "2026-07-04 22:00:00+00:00"
    assert polars.scan_parquet(out / "answers/**/*.parquet").collect().height == n
    found = duckdb.sql(
        f"SELECT concept, max(presence) FROM read_parquet('{out}/answers/**/*.parquet') "
        "WHERE state = 'present' GROUP BY concept ORDER BY concept"
    ).fetchall()
    assert [concept for concept, _ in found] == ["dog barking", "siren"]


@pytest.mark.parametrize(
    ("arguments", "code", "match"),
    [
        ((), 2, "Missing option '--out'"),
        (("--out", "out"), 1, "no INPUT"),
        (("gone.wav", "--out", "out"), 1, "gone.wav: no such file"),
        (("empty", "--out", "out"), 1, "empty: no recordings there"),
        (("a.wav", "--out", "out", "--hop", "0.01"), 1, "--hop 0.01: expected 0.1 to 5 s"),
        (("a.wav", "--out", "out", "--confirm", "9/3"), 1, "--confirm 9/3"),
        (("a.wav", "--out", "out", "--timezone", "Mars"), 1, "--timezone Mars: no such time zone"),
        (("a.wav", "--out", "out", "--address", "127.0.0.1:1"), 1, "no Ray cluster can be joined"),
        (("a.wav", "--out", "out", "--resources", "gpu"), 2, "expected NAME=AMOUNT"),
        (("a.wav", "--out", "out", "--resources", "gpu=nan"), 2, "expected NAME=AMOUNT"),
        (("a.wav", "--out", "a.wav"), 2, "is a file"),
        (("a.csv", "--out", "out"), 1, "path"),
    ],
)
def test_what_cannot_be_scanned_is_one_line(
    arguments: tuple[str, ...],
    code: int,
    match: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.csv").write_text("file,site\na.wav,brook\n")
    soundfile.write("a.wav", np.random.default_rng(0).normal(0, 0.1, 16_000), 16_000)
    found, said, err = _scan(*arguments, *ASKED)
    assert found == code and match in err, err
    assert said == ""
    assert len(err.strip().splitlines()) == 1 or code == 2
    assert not list(tmp_path.rglob("part-*"))


def test_a_bad_question_is_one_line_before_anything_is_written(night: Path, tmp_path: Path) -> None:
    code, _, err = _scan(night, "--ask", "?", "--out", tmp_path / "out")
    assert code == 1 and len(err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def shorts(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Path:
    """Return a folder of 80 recordings, one of them damaged."""
    folder, rng = tmp_path_factory.mktemp("shorts"), np.random.default_rng(0)
    clips = [read_audio(path) for path in sorted((tiny_folder / "clips").iterdir())]
    for k in range(79):
        samples = np.roll(clips[k % len(clips)], int(rng.integers(0, 80_000)))
        soundfile.write(folder / f"{k:02d}.flac", samples * rng.uniform(0.2, 0.9), 16_000)
    (folder / "bad.wav").write_bytes(b"RIFF nothing")
    return folder


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_scan_that_is_told_to_stop_leaves_nothing_half_done(
    number: signal.Signals, night: Path, tmp_path: Path
) -> None:
    server = partial(SimpleHTTPRequestHandler, directory=night.parent)
    copies = tmp_path / "copies"
    copies.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), server) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{http.server_port}/{night.name}"
        (tmp_path / "urls.txt").write_text("".join(f"{url}?{k}\n" for k in range(99)))
        command = [*COMMAND, tmp_path / "urls.txt", *ASKED, "--llm", "never", "--threads", "1"]
        process = subprocess.Popen(
            [*command, "--out", tmp_path / "out"],
            env={**os.environ, "TMPDIR": str(copies)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        while not list(copies.glob("listen-edge-*/recording.WAV")) and process.poll() is None:
            time.sleep(0.01)
        for _ in range(1 if number == signal.SIGINT else 2):  # `timeout` sends two
            process.send_signal(number)
        said, err = process.communicate(timeout=60)
        http.shutdown()
    assert process.returncode == {signal.SIGINT: 130}.get(number, 128 + number)
    assert said == "" and err.splitlines()[1] == "listen-edge: stopped; the same command goes on"
    assert not list(copies.iterdir()) and not list((tmp_path / "out").rglob(".*.parquet"))


def test_workers_on_ray_that_are_killed_write_the_rows_of_one_process(
    shorts: Path, tmp_path: Path
) -> None:
    _scan(shorts, *ASKED, "--llm", "never", "--out", tmp_path / "one")
    out = tmp_path / "two"
    command = [*COMMAND, shorts, *ASKED, "--llm", "never", "--out", out, "--workers", "2"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    n_killed, deadline_s = 0, time.monotonic() + 60
    while n_killed < 2 and process.poll() is None and time.monotonic() < deadline_s:
        time.sleep(0.3)
        for worker in _workers_below(process.pid)[:1]:
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
                n_killed += 1
    said, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert n_killed == 2
    assert said.startswith("80 recordings") and len(said.splitlines()) == 1
    assert err == ""
    one, two = Job(tmp_path / "one"), Job(out)
    assert rows_of(two) == rows_of(one)
    counted = Counter(two.recordings().to_table()["path"].to_pylist())
    assert len(counted) == 80 and set(counted.values()) == {1}


def _workers_below(pid: int) -> list[int]:
    """Return the processes of Ray's actors below another."""
    found: list[int] = []
    parents: dict[int, list[tuple[int, str]]] = {}
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            status = dict(
                line.split(":\t", 1) for line in (entry / "status").read_text().splitlines()
            )
            name = (entry / "cmdline").read_text()
            parents.setdefault(int(status["PPid"]), []).append((int(entry.name), name))
    waiting = [pid]
    while waiting:
        for child, name in parents.get(waiting.pop(), ()):
            waiting.append(child)
            if name.startswith("ray::MapWorker"):
                found.append(child)
    return found
