"""Scans: how near they come to the bare engine, what batches and workers bring, what parts cost.

    python -m benchmarks.scan                    # all parts, about 25 minutes
    python -m benchmarks.scan rate parts         # some
    python -m benchmarks.scan batch --material DIR

Eight questions at a hop of 2.5 s, of the embedded bundle; recordings are made of its clips, see
scan_material.py. Times that are compared take turns within one run; figures are medians.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple, TypeVar

from benchmarks.scan_material import (
    HOP_S,
    archive,
    asking,
    clips,
    material,
    new_job,
    windows_of,
    write_recordings,
)
from benchmarks.scan_parts import answer, parts
from benchmarks.scan_processes import Row, computed_s, kills, listed, memory_mb, ray_workers
from listen_edge.bundle.opening import open_bundle
from listen_edge.lines.answer import Answer
from listen_edge.log_mel import SAMPLE_RATE
from listen_edge.runtime.archive.engines import Engines
from listen_edge.runtime.archive.piece import Hearer, Progress
from listen_edge.runtime.archive.plan import Task
from listen_edge.runtime.archive.run import open_engines, remaining, run
from listen_edge.runtime.archive.scan_config import ScanConfig
from listen_edge.runtime.engine import Engine
from listen_edge.runtime.engine import load as load_engine
from listen_edge.runtime.listening.window import Window
from listen_edge.runtime.threads import usable_cores

T = TypeVar("T")
_RECORDING_S = 300.0


def rate(folder: Path, given: argparse.Namespace) -> Iterator[Row]:
    """A scan from recordings to rows, and the bare engine on the same windows, decoded before."""
    samples, config = archive(60 * given.minutes), asking()
    recordings = write_recordings(folder / "in", samples, _RECORDING_S)
    windows, n_cores = windows_of(recordings), usable_cores()
    with (
        load_engine("tiny", n_threads=n_cores) as engine,
        open_engines(config, n_cores) as engines,
    ):
        _warm(engine, engines)

        ways: dict[str, Callable[[], object]] = {
            "engine": partial(_one_by_one, engine, windows),
            "engines side by side": partial(_side_by_side, engines, windows),
            "scan": partial(_scan, folder, recordings, config, engines),
        }
        before = time.monotonic(), *computed_s()
        taken, _ = _in_turns(ways, given.repeats)
        lived_s, all_s, ours_s = (
            b - a for a, b in zip(before, (time.monotonic(), *computed_s()), strict=True)
        )
    yield "others meanwhile", f"{(all_s - ours_s) / lived_s:.2f} of a core"
    yield "windows", f"{len(windows):,}"
    for name, seconds in taken.items():
        hours = len(windows) * HOP_S / 3600 / (median(seconds) / 3600)
        yield f"{name}", f"{len(windows) / median(seconds):.1f} windows/s, {hours:.0f} h per hour"
    yield "scan over the bare engine", f"{_ratio(taken, 'engine', 'scan')} (wanted 0.95)"
    yield "scan over engines side by side", _ratio(taken, "engines side by side", "scan")


def _scan(folder: Path, recordings: Path, config: ScanConfig, engines: Engines) -> None:
    """Scan with engines that are there."""
    with (
        tempfile.TemporaryDirectory(dir=folder) as out,
        new_job(Path(out), recordings, config) as job,
    ):
        hearer = Hearer(job, config, engines, lambda _: None)

        def hear_all(tasks: Sequence[Task]) -> Iterator[Task]:
            for task in tasks:
                hearer.hear(task)
                yield task

        left = remaining(job, HOP_S)
        run(job, config, engines.first.bundle, left, hear_all, lambda _: None)


def batch(folder: Path, given: argparse.Namespace) -> Iterator[Row]:
    """Engines of one thread side by side, and one engine with all threads."""
    n_cores = usable_cores()
    with (
        load_engine("tiny", n_threads=n_cores) as engine,
        open_engines(asking(), n_cores) as engines,
    ):
        _warm(engine, engines)
        for name, samples in material(60 * given.minutes, given.material).items():
            recordings = write_recordings(folder / name, samples, _RECORDING_S, SAMPLE_RATE)
            windows = windows_of(recordings)
            ways: dict[str, Callable[[], list[list[Answer]]]] = {
                "one": partial(_one_by_one, engine, windows),
                "many": partial(_side_by_side, engines, windows),
            }
            taken, heard = _in_turns(ways, given.repeats)
            rates = (f"{len(windows) / median(taken[way]):.1f}" for way in ways)
            yield f"{name}, windows/s", f"{' -> '.join(rates)}"
            yield f"{name}, side by side over one", f"{_ratio(taken, 'one', 'many')} (wanted 1.3)"
            asked = sum(a.logit_margin is not None for one in heard["one"] for a in one)
            yield f"{name}, LLM's answers a window", f"{asked / len(windows):.2f}"
            n_unlike = sum(map(_differ, heard["one"], heard["many"]))
            yield f"{name}, windows with other answers", f"{n_unlike} of {len(windows)}"


def ray(folder: Path, given: argparse.Namespace) -> Iterator[Row]:
    """One Ray worker of one thread, and two, from the first task that is done to the last."""
    recordings = write_recordings(folder / "in", archive(240 * given.minutes), 60.0)
    rates: dict[int, list[float]] = {1: [], 2: []}
    for turn in range(max(1, given.repeats // 2)):
        for n in (1, 2):
            seen = _on_ray(folder / f"out {turn} {n}", recordings, n)
            heard_s = sum(one.heard_s for _, one in seen.told[n:])  # what was done before the first
            first_s, last_s = seen.told[0][0], seen.told[-1][0]
            rates[n].append(heard_s / (last_s - first_s))
            yield f"{n} workers, first task / all", f"{first_s:.1f} / {seen.whole_s:.1f} s"
            yield f"{n} workers, others meanwhile", f"{seen.others:.2f} of a core"
            each = ", ".join(f"{rss:.0f} (own share {pss:.0f})" for rss, pss in seen.memory)
            yield f"{n} workers, memory in MB", each
    for n, of in rates.items():
        each = ", ".join(f"{one:.0f}" for one in of)
        yield f"{n} workers, h per hour", f"{median(of):.0f} ({each})"
    ratios = [two / one / 2 for one, two in zip(rates[1], rates[2], strict=True)]
    each = ", ".join(f"{one:.3f}" for one in ratios)
    yield "two over twice one", f"{median(ratios):.3f} ({each}; wanted 0.90)"


class _Seen(NamedTuple):
    """A scan on Ray.

    Attributes:
        told: what was done, and after how many seconds.
        memory: of each worker in MB, and its own share of it.
        others: cores on which other processes computed meanwhile.
        whole_s: with Ray's start and end.
    """

    told: list[tuple[float, Progress]]
    memory: list[tuple[float, float]]
    others: float
    whole_s: float


def _on_ray(out: Path, recordings: Path, n: int) -> _Seen:
    from listen_edge.runtime.archive.cluster import Workers, on_ray

    config = asking()
    told: list[tuple[float, Progress]] = []
    memory: list[tuple[float, float]] = []
    computed: list[tuple[float, float, float]] = []

    def tell(done: Progress) -> None:
        told.append((time.monotonic() - began_s, done))
        if len(told) % 10 == 1:
            memory[:] = [memory_mb(worker) for worker in ray_workers(os.getpid())]
            computed.append((time.monotonic(), *computed_s()))

    with new_job(out, recordings, config) as job:
        began_s = time.monotonic()
        hear_all = on_ray(job, config, Workers(n, 1), tell)
        run(job, config, open_bundle("tiny"), remaining(job, HOP_S), hear_all, tell)
        whole_s = time.monotonic() - began_s
    lived_s, all_s, ours_s = (
        last - first for first, last in zip(computed[0], computed[-1], strict=True)
    )
    return _Seen(told, memory, (all_s - ours_s) / lived_s, whole_s)


def _warm(engine: Engine, engines: Engines) -> None:
    """Let all read the questions and load the LLM."""
    windows = [Window(0, 0.0, sound[:, None], None, 0.0) for sound in clips() * 4]
    _one_by_one(engine, windows[:4]), _side_by_side(engines, windows)


def _one_by_one(engine: Engine, windows: Sequence[Window]) -> list[list[Answer]]:
    return [answer(engine, window) for window in windows]


def _side_by_side(engines: Engines, windows: Sequence[Window]) -> list[list[Answer]]:
    return [answers for _, answers in engines.answer(enumerate(windows))]


def _differ(one: list[Answer], other: list[Answer]) -> bool:
    names = ("state", "reason", "presence", "head_logit", "logit_margin", "prior_margin")
    said, said_too = ([[getattr(a, name) for name in names] for a in said] for said in (one, other))
    return said != said_too


def _in_turns(
    ways: Mapping[str, Callable[[], T]], n: int
) -> tuple[dict[str, list[float]], dict[str, T]]:
    """Return the seconds that each way took, n times, and what it gave.

    Whoever is first is last the next time.
    """
    taken: dict[str, list[float]] = {name: [] for name in ways}
    given: dict[str, T] = {}
    for turn in range(n):
        for name in [*ways][:: -1 if turn % 2 else 1]:
            began_s = time.perf_counter()
            given[name] = ways[name]()
            taken[name].append(time.perf_counter() - began_s)
    return taken, given


def _ratio(taken: Mapping[str, Sequence[float]], below: str, above: str) -> str:
    """Return how much faster the second is, as the median of the turns, and each turn."""
    each = [b / a for b, a in zip(taken[below], taken[above], strict=True)]
    return f"{median(each):.3f} ({', '.join(f'{one:.3f}' for one in each)})"


PARTS = {"rate": rate, "batch": batch, "parts": parts, "ray": ray, "list": listed, "kills": kills}


def main() -> None:
    """Run the parts that are asked for, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], default=[])
    parser.add_argument("--minutes", type=float, default=30.0, help="of sound, of most parts")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--material", type=Path, help="batch, parts: recordings of your own too")
    parser.add_argument("--small", type=Path, help="list: folder of the small recordings, kept")
    parser.add_argument("--n-small", type=int, default=100_000)
    parser.add_argument("--n-killed", type=int, default=240, help="kills: recordings")
    parser.add_argument("--n-kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0, help="kills: of their times")
    given = parser.parse_args()
    for name in given.parts or PARTS:
        print(f"{name}: {(PARTS[name].__doc__ or '').splitlines()[0]}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            for what, figure in PARTS[name](Path(folder), given):
                print(f"  {what:<42} {figure}", flush=True)
        print(
            f"  {'load average of a minute, at the end':<42} {os.getloadavg()[0]:.1f}", flush=True
        )


if __name__ == "__main__":
    main()
