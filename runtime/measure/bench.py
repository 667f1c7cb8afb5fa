"""How long one window takes, stage by stage, and what a whole process needs.

Figures are medians of repeats on this machine at this moment: compare them within one run.
"""

from __future__ import annotations

import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from listen_edge.bundle.opening import bundle_folder, open_bundle
from listen_edge.environment import environment_of_others
from listen_edge.runtime.engine import Engine

QUESTION_COUNTS = (1, 8, 31)
_MANY = 200  # questions that a head answers at once
_TYPICAL = ("siren", "dog", "rain", "engine", "crow", "cat", "wind", "train")
_PROCESS_REPEATS = 5

# A fresh interpreter runs `ask` on one window with eight questions and reports its own peak memory.
_CHILD = """
import sys
from listen_edge.cli.root import cli
from listen_edge.runtime.measure.memory import proc_mb
cli(["ask", sys.argv[1], "--bundle", sys.argv[2], *sys.argv[3:]], standalone_mode=False)
print(proc_mb("self/status", "VmHWM"), file=sys.stderr)
"""


def measure_engine(engine: Engine, repeats: int) -> dict[str, float]:
    """Return milliseconds per stage: encoder, the LLM behind encoded audio, whole window.

    A head suspects nothing in the window, which is noise: the LLM is not asked.
    """
    rng = np.random.default_rng(0)
    window = rng.normal(0, 0.05, round(engine.window_s * engine.sample_rate)).astype(np.float32)
    head = engine.bundle.manifest.head
    others = [f"sound {k}" for k in range(QUESTION_COUNTS[-1])] if head is None else head.vocabulary
    concepts = list(dict.fromkeys([*_TYPICAL, *others]))
    prefix_embeddings = engine.embed(window)
    figures = {"encode_ms": _median_ms(lambda: engine.embed(window), repeats)}
    for n_questions in QUESTION_COUNTS:
        asked = concepts[:n_questions]
        engine.prior_margins(asked)  # once per process and concept, not per window

        def answer(asked: list[str] = asked) -> None:
            engine.margins(prefix_embeddings, asked)

        figures[f"llm_{n_questions}_questions_ms"] = _median_ms(answer, repeats)
    for n_questions in (*QUESTION_COUNTS, *([_MANY] if head is not None else [])):

        def listen(asked: list[str] = concepts[:n_questions]) -> None:
            engine.ask(window, asked)

        figures[f"window_{n_questions}_questions_ms"] = _median_ms(listen, repeats)
    first, last = QUESTION_COUNTS[0], QUESTION_COUNTS[-1]
    extra = figures[f"llm_{last}_questions_ms"] - figures[f"llm_{first}_questions_ms"]
    figures["llm_per_extra_question_ms"] = extra / (last - first)
    figures["threads"] = engine.n_threads
    return figures


def measure_process(bundle: str, llm: str = "auto") -> dict[str, float]:
    """Return start-up to first answer and peak memory of `ask`, each in a process of its own.

    Args:
        bundle: as for open_bundle.
        llm: when it asks the LLM, see Engine.
    """
    opened = open_bundle(bundle)
    clips = opened.paths("clip")
    with tempfile.TemporaryDirectory() as folder:
        clip = clips[0] if clips else _noise(Path(folder))
        one = [str(clip), f"--llm={llm}", "--ask", "siren?"]
        eight = [
            *one,
            *(f"--ask={c}?" for c in ("dog", "rain", "crow", "cat", "wind", "cow", "pig")),
        ]
        runs = [_run(bundle, one) for _ in range(_PROCESS_REPEATS + 1)][1:]  # the first warms files
        helps = [_timed([sys.executable, "-m", "listen_edge", "--help"]) for _ in range(5)]
        return {
            "help_s": median(seconds for seconds, _ in helps),
            "start_to_first_answer_s": median(seconds for seconds, _ in runs),
            "ask_8_questions_peak_mb": _run(bundle, eight)[1],
            "bundle_mb": sum(p.stat().st_size for p in bundle_folder(bundle).rglob("*")) / 1e6,
            "gguf_mb": opened.gguf_path.stat().st_size / 1e6,
        }


def bench_rows(figures: dict[str, float]) -> Iterator[tuple[str, str]]:
    """Yield (name with unit, value) for a table."""
    for name, value in figures.items():
        stem, _, unit = name.rpartition("_")
        if unit in ("ms", "s", "mb"):
            unit = unit.replace("mb", "MB")
            yield stem.replace("_", " "), f"{value:.{1 if unit == 'ms' else 2}f} {unit}"
        else:
            yield name.replace("_", " "), f"{value:g}"


def _run(bundle: str, arguments: list[str]) -> tuple[float, float]:
    """Return seconds and peak memory in MB of one `ask`; NaN where there is no /proc."""
    seconds, stderr = _timed([sys.executable, "-c", _CHILD, arguments[0], bundle, *arguments[1:]])
    peak = stderr.strip().splitlines()[-1]
    return seconds, math.nan if peak == "None" else float(peak)


def _timed(command: list[str]) -> tuple[float, str]:
    started = time.perf_counter()
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env=environment_of_others()
    )
    return time.perf_counter() - started, done.stderr


def _median_ms(action: Callable[[], Any], repeats: int) -> float:
    action()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        action()
        times.append(time.perf_counter() - started)
    return 1000 * median(times)


def _noise(folder: Path) -> Path:
    import soundfile

    path = folder / "noise.wav"
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.05, 80_000), 16_000)
    return path
