"""A service faster than time: what months would do to memory, threads and handles.

    python -m benchmarks.service_memory                        # every window answered by the engine
    python -m benchmarks.service_memory --recall --seconds 900 # days: each window only once

The same service as benchmarks/service.py, within this process, on a clock that the sources' samples
drive. Somebody looks on all the time; what is older than a day is tidied up every hour.
"""

from __future__ import annotations

import argparse
import itertools
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray

from benchmarks.service import (
    HOP_S,
    N_THREADS,
    PERIOD_S,
    QUESTIONS,
    SOURCES,
    WEB,
    Row,
    material,
    rss_mb,
    streamed,
)
from listen_edge.log_mel import SAMPLE_RATE
from listen_edge.runtime.engine import Engine, load
from listen_edge.runtime.service import stations
from listen_edge.runtime.service.config.models import WatchConfig, WebConfig
from listen_edge.runtime.service.service import Service
from listen_edge.runtime.service.web.serve import WebServer
from listen_edge.runtime.sources import Block

LOOKED_AT = (
    *("metrics", "v1/sources", "v1/soundings", "v1/events"),
    "v1/history?source=hall&question=siren",
)


class Made:
    """A source of made sound, as fast as it is taken, but no faster than the slowest."""

    is_live = False

    def __init__(self, number: int, positions_s: list[float]) -> None:
        self.name, self._number, self._positions_s = SOURCES[number], number, positions_s
        self._blocks = itertools.cycle(material(number).reshape(-1, SAMPLE_RATE, 1))

    def open(self) -> None:
        pass

    def read(self, timeout_s: float) -> Block | None:
        if self._positions_s[self._number] > min(self._positions_s) + 4 * HOP_S:
            time.sleep(0.001)
            return None
        self._positions_s[self._number] += 1
        return Block(next(self._blocks), SAMPLE_RATE, time.monotonic())

    def close(self) -> None:
        pass


class Recalling:
    """An engine that answers what it has heard before from memory, moved to its place in time."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self._told = engine, dict[tuple[object, ...], tuple[Any, Any]]()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def listen_window(
        self, window: Any, questions: Any, hearing: Any, *, source: str = "", **of: Any
    ) -> Any:
        start_s = of.get("start_s", 0.0)
        key = (source, start_s % PERIOD_S, start_s > PERIOD_S)
        if key not in self._told:
            self._told[key] = self._engine.listen_window(
                window, questions, hearing, source=source, **of
            )
        answers, heard = self._told[key]
        at = {"window_s": (start_s, start_s + len(window) / SAMPLE_RATE)}
        return [replace(one, **at) for one in answers], heard and replace(heard, **at)


def compressed(engine: Any, seconds: float) -> Iterator[Row]:
    """Run a service faster than time; the slope is that of least squares, without the first third.

    Its uncertainty is twice the standard error, from the means of twelve stretches.
    """
    began, positions_s = datetime.now(timezone.utc), [0.0] * len(SOURCES)
    made = {one: Made(number, positions_s) for number, one in enumerate(SOURCES)}
    stations.source_of = lambda config: made[config.id]  # type: ignore[assignment]
    with tempfile.TemporaryDirectory() as name:
        config = WatchConfig.model_validate(
            {
                "hop": HOP_S,
                "sources": [{"id": one, "device": "default"} for one in SOURCES],
                "questions": list(QUESTIONS),
                "events": {"path": f"{name}/events.db", "keep_days": 1},
                "outputs": {"lines": {"path": f"{name}/lines.jsonl", "rotate_mb": 1}},
            }
        )

        def clock() -> datetime:
            return began + timedelta(seconds=min(positions_s))

        with Service(config, engine=engine, clock=clock) as service:
            server = WebServer(service, WebConfig(**WEB))
            server.start()
            with httpx.Client(base_url=server.url, trust_env=False) as client:
                rows = list(sampled(service, client, positions_s, seconds))
            n_windows = sum(one.n_windows for one in service.sources())
            server.stop()
    hours, mb, n_threads, n_handles = np.array(rows).T
    kept = hours > hours[-1] / 3
    slope, error = slope_of(hours[kept], mb[kept])
    yield "hours of four sources", f"{hours[-1]:.1f} ({n_windows:,} windows)"
    yield "memory, first / last", f"{mb[kept][0]:.1f} / {mb[-1]:.1f} MB"
    yield "slope", f"{slope:+.3f} ± {2 * error:.3f} MB per hour of service"
    for words, counts in (("threads", n_threads[kept]), ("handles", n_handles[kept])):
        yield words, f"{counts.min():.0f} to {counts.max():.0f}, at the end {counts[-1]:.0f}"


def sampled(
    service: Service, client: httpx.Client, positions_s: list[float], seconds: float
) -> Iterator[tuple[float, float, int, int]]:
    """Yield hours of service, MB, threads and handles twice a second; tidy up every hour."""
    until_s, n_tidied = time.monotonic() + seconds, 0
    with streamed(str(client.base_url)):
        while time.monotonic() < until_s:
            time.sleep(0.5)
            for path in (
                "metrics",
                "v1/sources",
                "v1/events",
                "v1/history?source=hall&question=siren",
            ):
                client.get(path).raise_for_status()
            hours = min(positions_s) / 3600
            if hours >= n_tidied + 1:
                n_tidied = int(hours)
                service.store.tidy()
            tasks, handles = (list(Path(f"/proc/self/{k}").iterdir()) for k in ("task", "fd"))
            yield hours, rss_mb(os.getpid()), len(tasks), len(handles)


def slope_of(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    """Return the slope of y over x and its standard error, both of twelve stretches' means."""
    x, y = (np.array([part.mean() for part in np.array_split(one, 12)]) for one in (x, y))
    (slope, _), covariance = np.polyfit(x, y, 1, cov=True)
    return float(slope), float(covariance[0, 0] ** 0.5)


def main() -> None:
    """Run it, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=150.0, help="of real time")
    parser.add_argument("--recall", action="store_true", help="answer from memory what was heard")
    arguments = parser.parse_args()
    with load("tiny", n_threads=N_THREADS) as engine:
        answering = Recalling(engine) if arguments.recall else engine
        for what, figure in compressed(answering, arguments.seconds):
            print(f"  {what:<30} {figure}", flush=True)


if __name__ == "__main__":
    main()
