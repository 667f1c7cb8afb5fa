"""Scans of staircases: recordings whose level tells the time, and tables that are filled in."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from listen_edge.runtime.archive.job import Job
from tests.scan_jobs import RATE, WINDOW_S, Heard, Scanned, write_job


def staircase(seconds: float) -> np.ndarray:
    """Return samples whose level is the second that they are in, over 200."""
    return (np.arange(round(seconds * RATE)) // RATE / 200).astype(np.float32)


def scanned(folder: Path, **heard: Heard) -> list[Scanned]:
    """Write staircases, a.wav and so on, in which sirens were heard with these presences."""
    folder.mkdir(exist_ok=True)
    for name, presence in heard.items():
        soundfile.write(folder / f"{name}.wav", staircase(len(presence) * WINDOW_S), RATE)
    return [Scanned(folder / f"{name}.wav", {"siren?": p}) for name, p in heard.items()]


def rows(job: Job) -> list[dict[str, str]]:
    with (job.folder / "review" / "verdicts.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def say(job: Job, verdicts: Sequence[str]) -> None:
    """Give the first rows verdicts."""
    path = job.folder / "review" / "verdicts.csv"
    lines = path.read_text().splitlines()
    for k, verdict in enumerate(verdicts, start=1):
        lines[k] += verdict
    path.write_text("\n".join(lines) + "\n")


def two_recordings(folder: Path) -> Job:
    """Return a scan of two minutes and one, heard as present, uncertain, absent and unknown."""
    presences: Heard = [0.1, 0.2, 0.95, 0.99, 0.5, "inaudible", *[0.01] * 18]
    one = scanned(folder / "in", a=presences, b=[0.75, 0.6, 0.02, 0.02, *[0.0] * 8])
    return write_job(folder / "scan", one)
