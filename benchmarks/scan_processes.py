"""Scans as processes of their own: how soon 100,000 recordings are begun, and ten kills."""

from __future__ import annotations

import os
import pty
import random
import re
import select
import signal
import subprocess
import sys
import time
from argparse import Namespace
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from benchmarks.scan_material import HOP_S, QUESTIONS, dense, small_recordings, write_recordings
from listen_edge.runtime.archive.job import Job

Row = tuple[str, str]
_LONGEST_S = 600.0  # that anything is waited for
_DONE = re.compile(r"([\d,]+)/[\d,]+ recordings")  # of the bar


def _command(recordings: Path, out: Path, *options: str) -> list[str]:
    asked = [word for question in QUESTIONS for word in ("--ask", question)]
    scan = [sys.executable, "-m", "listen_edge", "scan", str(recordings), "--out", str(out)]
    return [*scan, "--hop", f"{HOP_S}", *asked, *options]


def listed(folder: Path, given: Namespace) -> Iterator[Row]:
    """From the command to the first recording that is heard, where there are many small ones."""
    recordings, out = small_recordings(given.small or folder, given.n_small), folder / "out"
    yield "recordings of 0.2 s", f"{given.n_small:,}"
    terminal, theirs = pty.openpty()
    began_s = time.monotonic()
    process = subprocess.Popen(_command(recordings, out), stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    try:
        shown, is_listed = "", False
        while not any(int(n.replace(",", "")) for n in _DONE.findall(shown)):
            if time.monotonic() - began_s > _LONGEST_S:
                raise TimeoutError(f"nothing was heard: {shown[-200:]}")
            if not is_listed and (out / "scan.json").exists():
                is_listed = True
                yield "listed after", f"{time.monotonic() - began_s:.1f} s"
            if select.select([terminal], [], [], 0.02)[0]:
                shown += os.read(terminal, 1 << 16).decode(errors="replace")
        yield "first recording heard after", f"{time.monotonic() - began_s:.1f} s (wanted < 30)"
    finally:
        process.terminate()
        with closing(os.fdopen(terminal, "rb", 0)) as rest, suppress(OSError):
            while rest.read(1 << 16):  # till it ends: a full terminal would hold it
                pass
        process.wait()


def kills(folder: Path, given: Namespace) -> Iterator[Row]:
    """A scan on two Ray workers that is killed at random and gone on with, and one that is not."""
    n_recordings = given.n_killed
    samples = dense(15.3 * n_recordings)
    recordings = write_recordings(folder / "in", samples, 15.3, rate=16_000)
    began_s = time.monotonic()
    subprocess.run(_command(recordings, folder / "whole"), check=True, capture_output=True)
    yield "undisturbed, in process", f"{time.monotonic() - began_s:.0f} s"
    killed, n_runs = _killed(_command(recordings, folder / "out", "--workers", "2"), given)
    yield "killed", ", ".join(f"{n} times a {who}" for who, n in killed.items())
    yield "commands until it was done", f"{n_runs}"
    wanted, found = (_rows(folder / name) for name in ("whole", "out"))
    heard = Job(folder / "out").recordings().to_table().column("path").to_pylist()
    n_unlike = sum(one != other for one, other in zip(wanted, found, strict=False))
    yield "rows, undisturbed / killed", f"{len(wanted):,} / {len(found):,}"
    yield "rows that differ", f"{n_unlike}"
    yield "recordings, and of them twice", f"{len(heard)}, {len(heard) - len(set(heard))}"
    left = list((folder / "out").rglob(".*.parquet*"))
    yield "files left half-written", f"{len(left)}"


def _killed(command: list[str], given: Namespace) -> tuple[Counter[str], int]:
    """Give a command until it ends well; what it starts is killed so many times before."""
    chance, killed, n_runs = random.Random(given.seed), Counter[str](), 0
    while True:
        n_runs += 1
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        while process.poll() is None and killed.total() < given.n_kills:
            _wait_for_workers(process)
            time.sleep(chance.uniform(0, 6))
            victims = {name: find(process.pid) for name, find in _VICTIMS.items()}
            name = chance.choice([name for name, found in victims.items() if found])
            if process.poll() is None:
                os.kill(chance.choice(victims[name]), signal.SIGKILL)
                killed[name] += 1
                time.sleep(chance.uniform(0.5, 3))
        _, err = process.communicate()
        if process.returncode == 0:
            return killed, n_runs
        if b"the same command goes on" not in err and process.returncode != -signal.SIGKILL:
            raise RuntimeError(err.decode())


def _wait_for_workers(process: subprocess.Popen[bytes]) -> None:
    until_s = time.monotonic() + _LONGEST_S
    while process.poll() is None and time.monotonic() < until_s and not ray_workers(process.pid):
        time.sleep(0.1)


def ray_workers(process: int) -> list[int]:
    """Return the processes below one that hear, on Ray."""
    return _below(process, b"ray::MapWorker")


def _drivers(process: int) -> list[int]:
    return _below(process, b"spawn_main")


_VICTIMS = {"command": lambda process: [process], "driver": _drivers, "worker": ray_workers}


def _below(process: int, words: bytes) -> list[int]:
    """Return the processes below one whose command has these words."""
    parents = {one: int(fields[1]) for one, fields in _stats().items()}
    found = []
    for one in parents:
        with suppress(OSError):  # it has ended since
            if words in Path(f"/proc/{one}/cmdline").read_bytes():
                found.append(one)
    return [one for one in found if process in _above(one, parents)]


def _stats() -> dict[int, list[str]]:
    """Return of each process the fields of its stat behind the name."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            found[int(path.name)] = (path / "stat").read_text().rpartition(")")[2].split()
    return found


def computed_s() -> tuple[float, float]:
    """Return the seconds that all processes have computed, and that this and those below have."""
    ticks, us = os.sysconf("SC_CLK_TCK"), os.getpid()
    fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    stats = _stats()
    parents = {one: int(each[1]) for one, each in stats.items()}
    ours = [one for one in stats if one == us or us in _above(one, parents)]
    spent = sum(int(stats[one][k]) for one in ours for k in (11, 12))
    return (sum(map(int, fields[:3])) + sum(map(int, fields[5:8]))) / ticks, spent / ticks


def _above(process: int, parents: dict[int, int]) -> Iterator[int]:
    while process in parents:
        process = parents[process]
        yield process


def memory_mb(process: int) -> tuple[float, float]:
    """Return what a process has in memory, and its part of it where some is shared."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:]
    found = {line.split()[0]: int(line.split()[1]) / 1024 for line in lines}
    return found["Rss:"], found["Pss:"]


def _rows(folder: Path) -> list[dict[str, Any]]:
    table = Job(folder).rows().to_table()
    order = [(name, "ascending") for name in ("recording", "start_s", "question")]
    return list(table.sort_by(order).to_pylist())
