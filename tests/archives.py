"""Archives of loud and quiet stretches, and an engine that hears how loud a window is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import soundfile

from listen_edge.lines.answer import Answer
from listen_edge.runtime.archive import plan as planning
from listen_edge.runtime.archive.engines import Engines
from listen_edge.runtime.archive.job import Job, begin
from listen_edge.runtime.archive.listing.inputs import ListingOptions, list_recordings
from listen_edge.runtime.archive.piece import Progress
from listen_edge.runtime.archive.run import Hearer, Task, remaining, run
from listen_edge.runtime.archive.scan_config import ScanConfig
from listen_edge.runtime.listening.question import Question, by_concept
from listen_edge.runtime.listening.trigger import TriggerConfig
from listen_edge.runtime.thresholds import Thresholds
from tests.streams import RATE, LevelEngine

QUESTIONS = ("siren?", "dog barking?")
TRIGGER = TriggerConfig(Thresholds(0.8, 0.5), confirm=(2, 3), end_after_s=1.5, cooldown_s=2.0)
FAKE = SimpleNamespace(
    id=LevelEngine.bundle.id,
    folder=Path("fake"),
    manifest=SimpleNamespace(calibration=SimpleNamespace(covers=lambda concept: True)),
)


class ScanEngine(LevelEngine):
    """A LevelEngine as a scan loads it; the second question is answered the other way round."""

    backend, bundle = "cpu", FAKE

    def listen_window(self, *arguments: Any, **options: Any) -> tuple[list[Answer], None]:
        answers, _ = super().listen_window(*arguments, **options)
        turned = [
            replace(answer, head_logit=0.0, presence=abs(k % 2 - (answer.presence or 0.0)))
            for k, answer in enumerate(answers)
        ]
        return turned, None

    def __enter__(self) -> ScanEngine:
        return self

    def __exit__(self, *exception: object) -> None:
        pass


def config(unit: Any = "answers", hop_s: float = 0.5, **changes: Any) -> ScanConfig:
    """Return what is asked of a ScanEngine."""
    asked = by_concept([Question(words, TRIGGER) for words in QUESTIONS])
    made = ScanConfig(
        bundle="fake",
        bundle_id=FAKE.id,
        questions=asked,
        unit=unit,
        state=Thresholds(),
        hop_s=hop_s,
        window_s=LevelEngine.window_s,
        gate_dbfs=None,
        llm="auto",
        backend="auto",
    )
    return replace(made, **changes)


def write_level(path: Path, levels: Sequence[float], rate: int = RATE, step_s: float = 0.5) -> Path:
    """Write a recording that is as loud as levels say, one after the other for a step each."""
    path.parent.mkdir(parents=True, exist_ok=True)
    steps = np.repeat(np.asarray(levels, np.float32), round(step_s * rate))
    ripple = np.tile(np.asarray([0, 1e-3], np.float32), len(steps) // 2 + 1)[: len(steps)]
    soundfile.write(path, steps + ripple, rate, subtype="PCM_16")
    return path


def scan(
    folder: Path,
    inputs: Sequence[Path],
    asked: ScanConfig | None = None,
    *,
    n_engines: int = 2,
    seconds_per_window: float = 0.0,
) -> tuple[Job, list[Progress]]:
    """Scan inputs with ScanEngines; return the job, and what was told of it."""
    asked = asked or config()
    told: list[Progress] = []
    listing = list_recordings(inputs, ListingOptions()).table
    with begin(folder, asked.describe(), listing) as job:

        def hear_all(tasks: Sequence[Task]) -> Any:
            load = lambda: ScanEngine(seconds_per_window=seconds_per_window)  # noqa: E731
            with Engines(load, n_engines, QUESTIONS) as engines:  # type: ignore[arg-type]
                for task in tasks:
                    Hearer(job, asked, engines, told.append).hear(task)
                    yield task

        run(job, asked, FAKE, remaining(job, asked.hop_s), hear_all, told.append)  # type: ignore[arg-type]
    return Job(folder), told


def rows_of(job: Job) -> list[dict[str, Any]]:
    """Return a scan's rows in the order of recording, place and question."""
    table: pa.Table = job.rows().to_table()
    return table.sort_by(
        [(name, "ascending") for name in ("recording", "start_s", "concept")]
    ).to_pylist()


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


@pytest.fixture
def short_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    """Split recordings of over 8 s every 3 s."""
    monkeypatch.setattr(planning, "SPAN_S", 3.0)
    monkeypatch.setattr(planning, "_LONG_S", 8.0)
    monkeypatch.setattr(planning, "_LONG_BYTES", 0)
