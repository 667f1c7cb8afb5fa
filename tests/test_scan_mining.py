"""What a scan wrongly heard -> a labelled folder; and the command, for a scan that is done."""

from __future__ import annotations

import csv
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pytest
import soundfile

from listen_edge.cli import main
from listen_edge.errors import ListenEdgeError
from listen_edge.runtime.archive.job import Job
from listen_edge.runtime.archive.review import mining
from listen_edge.runtime.archive.review.mining import mine_scan
from listen_edge.runtime.archive.review.sample import draw_sample
from listen_edge.runtime.archive.review.verdicts import read_verdicts
from listen_edge.runtime.measure.mined_folder import Finds, window_name
from listen_edge.runtime.measure.mining_config import MiningConfig
from tests.reviewed import rows, say, scanned, staircase, two_recordings
from tests.scan_jobs import RATE, Scanned, write_job

Scan = Callable[..., "Done"]
MINING = MiningConfig(least=0.7, per_question=2)


@pytest.fixture()
def job(tmp_path: Path) -> Job:
    return two_recordings(tmp_path)


def mined(out: Path) -> dict[str, dict[str, str]]:
    with (out / "meta.csv").open(newline="") as file:
        return {row["filename"]: row for row in csv.DictReader(file)}


def test_wrongly_sure_windows_become_a_labelled_folder(tmp_path: Path) -> None:
    one = scanned(tmp_path / "in", a=[0.1, 0.8, 0.9, 0.1, 0.95, "inaudible"], b=[0.2, 0.3])
    job = write_job(tmp_path / "scan", one)
    found = list(mine_scan(job.folder, tmp_path / "out", MINING))
    a = str(tmp_path / "in" / "a.wav")
    assert [(f.recording[-5:], f.n_windows, f.n_wrong, f.error) for f in found] == [
        ("a.wav", 6, {"siren": 3}, None),
        ("b.wav", 2, {}, None),
    ]
    table = mined(tmp_path / "out")
    assert {row["start_s"]: row["presence"] for row in table.values()} == {
        "10.0": "0.900",
        "20.0": "0.950",
    }
    assert {(row["label"], row["absent"], row["source"]) for row in table.values()} == {
        ("", "siren", a)
    }
    samples, rate = soundfile.read(tmp_path / "out" / "audio" / window_name(a, 10.0))
    assert rate == RATE
    np.testing.assert_allclose(samples, staircase(15)[10 * RATE :], atol=1e-4)


def test_what_was_found_by_hand_or_is_labelled_is_not_mined(tmp_path: Path) -> None:
    one = scanned(tmp_path / "in", a=[0.9, 0.1, 0.9], b=[0.9, 0.1])
    carried = [pa.field("label", pa.string()), pa.field("licence", pa.string())]
    labels = ["dog;rain", "fire engine siren"]
    one = [
        Scanned(s.path, s.heard, carried={"label": label, "licence": "CC0"})
        for s, label in zip(one, labels, strict=True)
    ]
    job = write_job(tmp_path / "scan", one, carried=carried)
    draw_sample(job.folder, 5)
    says = ["yes" if row["start_s"] == "0.000" else "no" for row in rows(job)]
    say(job, says)
    list(mine_scan(job.folder, tmp_path / "out", MINING))
    assert [(r["start_s"], r["licence"]) for r in mined(tmp_path / "out").values()] == [
        ("10.0", "CC0")
    ]


def test_a_name_that_is_a_formula_stays_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    soundfile.write("=1+1.wav", staircase(5), RATE)
    job = write_job(tmp_path / "scan", [Scanned("=1+1.wav", {"siren?": [0.9]})])
    draw_sample(job.folder, 1)
    say(job, ["yes"])
    assert [row["recording"] for row in rows(job)] == ["'=1+1.wav"]
    assert [judged.recording for judged in read_verdicts(job.folder)] == ["=1+1.wav"]
    (found,) = mine_scan(job.folder, tmp_path / "out", MINING)
    assert found.n_wrong == {}


def test_mining_that_is_killed_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = "abcdef"
    one = scanned(tmp_path / "in", **{name: [0.9, 0.1, 0.8, 0.75] for name in names})
    job = write_job(tmp_path / "scan", one)

    def contents(out: Path) -> dict[str, bytes]:
        return {p.name: p.read_bytes() for p in [out / "meta.csv", *(out / "audio").iterdir()]}

    list(mine_scan(job.folder, tmp_path / "whole", MINING))
    for k in range(1, len(names)):
        found: list[Finds] = []
        for finds in mine_scan(job.folder, tmp_path / "cut", MINING):
            found.append(finds)
            if len(found) == k:
                break
    decoded: defaultdict[str, int] = defaultdict(int)
    read = mining.read_recorded

    def counting(path: bytes, recording: str, *args: object) -> object:
        decoded[recording] += 1
        return read(path, recording, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(mining, "read_recorded", counting)
    list(mine_scan(job.folder, tmp_path / "cut", MINING))
    assert len(decoded) == 1
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


def test_a_recording_that_is_gone_is_mined_when_it_is_back(tmp_path: Path) -> None:
    job = write_job(tmp_path / "scan", scanned(tmp_path / "in", a=[0.9], b=[0.9]))
    (tmp_path / "in" / "a.wav").rename(tmp_path / "a.wav")
    found = list(mine_scan(job.folder, tmp_path / "out", MINING))
    assert "a.wav: no such file" in str(found[0].error) and found[1].error is None
    assert [f.kept for f in found] == [{}, {"siren": [[0.0, pytest.approx(0.9)]]}]
    assert len(mined(tmp_path / "out")) == 1
    (tmp_path / "a.wav").rename(tmp_path / "in" / "a.wav")
    assert [f.error for f in mine_scan(job.folder, tmp_path / "out", MINING)] == [None, None]
    assert len(mined(tmp_path / "out")) == 2


def test_only_what_is_known_to_be_absent_is_mined(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", staircase(10), RATE)
    heard = {"siren?": [0.9, 0.1], "dog?": [0.1, 0.9]}
    job = write_job(tmp_path / "scan", [Scanned(tmp_path / "a.wav", heard)])
    list(mine_scan(job.folder, tmp_path / "out", MINING, ["Is there a dog?"]))
    assert [(r["absent"], r["start_s"]) for r in mined(tmp_path / "out").values()] == [
        ("dog", "5.0")
    ]
    with pytest.raises(ListenEdgeError, match="'cat': the scan did not ask for it; expected one"):
        list(mine_scan(job.folder, tmp_path / "other", MINING, ["cat?"]))
    with pytest.raises(ListenEdgeError, match="holds another run"):
        list(mine_scan(job.folder, tmp_path / "out", MINING))


def test_events_are_not_mined(tmp_path: Path) -> None:
    job = write_job(tmp_path / "s", scanned(tmp_path / "in", a=[0.95]), unit="events")
    with pytest.raises(ListenEdgeError, match="holds events, and windows are mined; scan without"):
        list(mine_scan(job.folder, tmp_path / "out", MINING))


class Done(NamedTuple):
    exit_code: int
    stdout: list[str]
    stderr: str


@pytest.fixture()
def scan(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Scan:
    """The command, as a shell would run it."""

    def run(*arguments: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["listen-edge", "scan", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        stdout, stderr = capsys.readouterr()
        return Done(int(end.value.code or 0), stdout.splitlines(), stderr)

    return run


def test_the_command_draws_and_tells_what_verdicts_say(scan: Scan, job: Job) -> None:
    drawn = scan("--out", job.folder, "--sample", 8)
    assert drawn.exit_code == 0 and "1 of 36 windows are left out" in drawn.stderr
    assert drawn.stdout == [
        "siren?: 8 without a verdict",
        f"{job.folder}/review/verdicts.csv: 8 clips, 8 of them new, 8 without a verdict; fill in "
        "yes, no or unsure and give the command again",
    ]
    say(job, ["yes" if float(row["presence"]) > 0.5 else "no" for row in rows(job)])
    told = scan("--out", job.folder, "--sample", 8).stdout
    assert told[0].startswith("siren?: precision 1.00 (") and "; recall " in told[0]
    assert told[1].endswith("8 clips, 0 of them new")


def test_the_command_mines_a_scan(scan: Scan, job: Job, tmp_path: Path) -> None:
    done = scan("--out", job.folder, "--mine", tmp_path / "mined", "--least", 0.7)
    assert done.exit_code == 0
    assert done.stdout[-1].startswith(f"{tmp_path}/mined: 3 windows of 0.05 h, 1 questions")
    (tmp_path / "in" / "a.wav").unlink()
    other = scan("--out", job.folder, "--mine", tmp_path / "other", "--ask", "siren?")
    assert other.exit_code == 1 and "a.wav: no such file" in other.stderr


@pytest.mark.parametrize(
    ("arguments", "exit_code", "expected"),
    [
        (["--sample", 5], 1, "nowhere: holds no scan"),
        (["--sample", 0], 1, "--sample 0: expected 1 to 10000 clips of each question"),
        (["--mine", "mined"], 1, "nowhere: holds no scan"),
        (["--mine", "mined", "--least", 2], 1, "--least 2: expected a presence"),
        ([], 2, "Missing option '--ask'"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    scan: Scan, tmp_path: Path, arguments: Sequence[object], exit_code: int, expected: str
) -> None:
    done = scan("--out", tmp_path / "nowhere", *arguments)
    assert done.exit_code == exit_code and expected in done.stderr
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--sample", 10_001], "--sample 10001: expected 1 to 10000"),
        (["--mine", "mined", "--per-question", 0], "--per-question 0: expected 1 or more"),
        (["--mine", "mined", "--events"], "--mine needs windows"),
    ],
)
def test_what_cannot_be_done_is_told_before_hours_are_heard(
    scan: Scan, tmp_path: Path, arguments: Sequence[object], expected: str
) -> None:
    done = scan(tmp_path / "gone.wav", "--ask", "siren?", "--out", tmp_path / "out", *arguments)
    assert done.exit_code == 1 and expected in done.stderr
    assert not (tmp_path / "out").exists()
