"""What the parts of a scan cost: decoding by format, encoder, head, LLM, and writing rows."""

from __future__ import annotations

import os
import time
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from statistics import mean, median

from benchmarks.scan_material import (
    HOP_S,
    QUESTIONS,
    WINDOW_S,
    Samples,
    archive,
    asking,
    clips,
    material,
    new_job,
    windows_of,
    write_recordings,
)
from benchmarks.scan_processes import Row
from listen_edge.lines.answer import Answer
from listen_edge.log_mel import SAMPLE_RATE
from listen_edge.runtime.archive.piece import End, write_part
from listen_edge.runtime.archive.run import planned
from listen_edge.runtime.archive.scan_config import ScanConfig
from listen_edge.runtime.engine import Engine
from listen_edge.runtime.listening.recorded import recorded_windows
from listen_edge.runtime.listening.window import Window

FORMATS = (("wav", 16_000), ("wav", 48_000), ("flac", 48_000), ("ogg", 48_000), ("mp3", 48_000))
_N = 3  # repeats


def parts(folder: Path, given: Namespace) -> Iterator[Row]:
    """Seconds of one core: per hour of sound by format, per window, and per row."""
    seconds = 60 * given.minutes
    yield from _decoding(archive(seconds), folder)
    with asking("never").load() as engine:
        head_s = median(answer(engine, one)[0].answer_ms / 1000 for one in _of_clips() * 10)
    config = asking()
    with config.load() as engine:
        for one in _of_clips():
            answer(engine, one)
        answered: list[list[Answer]] = []
        for words, samples in material(seconds, given.material).items():
            path = write_recordings(folder / words, samples, seconds, SAMPLE_RATE)
            answered, rows = _hearing(engine, windows_of(path), head_s)
            yield from ((f"{words}, {what}", figure) for what, figure in rows.items())
            yield from _writing(folder / f"{words} out", path, config, engine, answered)


def _decoding(samples: Samples, folder: Path) -> Iterator[Row]:
    hours = len(samples) / SAMPLE_RATE / 3600
    for suffix, rate in FORMATS:
        of = folder / f"{suffix} {rate}"
        write_recordings(of, samples, 3600 * hours, rate, suffix)
        (path,) = of.iterdir()
        taken = []
        for _ in range(_N):
            before = sum(os.times()[:4])
            for _window in recorded_windows(path, WINDOW_S, HOP_S):
                pass
            taken.append(sum(os.times()[:4]) - before)
        size = path.stat().st_size / hours / 1e6
        yield f"{suffix} of {rate // 1000} kHz, {size:.0f} MB/h", _per_hour(median(taken) / hours)


def _of_clips() -> list[Window]:
    return [Window(0, 0.0, sound[:, None], None, 0.0) for sound in clips()]


def _hearing(
    engine: Engine, windows: list[Window], head_s: float
) -> tuple[list[list[Answer]], dict[str, str]]:
    """Return the answers of an engine of one thread, and where its time went."""
    answered, rest_s = [], []
    for window in windows:
        began_s = time.perf_counter()
        answered.append(answer(engine, window))
        took_s = time.perf_counter() - began_s
        rest_s.append(took_s - (answered[-1][0].encode_ms + answered[-1][0].answer_ms) / 1000)
    encode_s = [one[0].encode_ms / 1000 for one in answered]
    by_llm = [one for one in answered if any(a.logit_margin is not None for a in one)]
    llm_s = [one[0].answer_ms / 1000 - head_s for one in by_llm]
    n_questions = sum(a.logit_margin is not None for one in by_llm for a in one)
    share, each = len(by_llm) / len(windows), n_questions / max(1, len(by_llm))
    per_hour = 3600 / HOP_S
    return answered, {
        "encoder": _per_window(median(encode_s), per_hour * mean(encode_s)),
        "head": _per_window(head_s, per_hour * head_s),
        "LLM asked": f"in {100 * share:.1f} % of windows, {each:.1f} questions each",
        "LLM where it is asked": _per_window(
            median(llm_s or [0.0]), per_hour * sum(llm_s) / len(windows)
        ),
        "audibility and the rest": _per_window(median(rest_s), per_hour * mean(rest_s)),
    }


def answer(engine: Engine, window: Window) -> list[Answer]:
    """Return what an engine answers about a window of a recording."""
    asked = {"start_s": window.begin_s, "source": "", "doubt": window.doubt}
    return engine.answer_window(window.samples, QUESTIONS, **asked)


def _writing(
    out: Path, recordings: Path, config: ScanConfig, engine: Engine, answered: list[list[Answer]]
) -> Iterator[Row]:
    with new_job(out, recordings, config) as job:
        (task,) = planned(job, HOP_S)
        heard = [((0, None), one) for one in answered] + [((0, End(None)), [])]
        taken = []
        for _ in range(_N):
            before = time.process_time()
            write_part(job, config, engine.bundle, task, job.listed(0, 1), heard, lambda *_: None)
            taken.append(time.process_time() - before)
        size = job.part("answers", task.month, task.piece).stat().st_size
    n_rows = len(answered) * len(QUESTIONS)
    rows_per_hour = len(QUESTIONS) * 3600 / HOP_S
    yield (
        f"{recordings.name}, rows of {len(QUESTIONS)} questions",
        f"{_per_hour(median(taken) / n_rows * rows_per_hour)}, "
        f"{size / n_rows * rows_per_hour / 1e6:.2f} MB/h",
    )


def _per_window(window_s: float, hour_s: float) -> str:
    return f"{1000 * window_s:.1f} ms, {_per_hour(hour_s)}"


def _per_hour(seconds: float) -> str:
    return f"{seconds:.2f} core-s an hour"
