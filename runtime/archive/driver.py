"""The process that drives Ray for a scan: tasks to workers, and what they did back by a pipe.

Ray Data gives each task to a free worker, starts a worker that died again and gives its task to
another. The rows never pass through Ray: a part is written by who heard it, whole or not at all, so
that a task that is done twice leaves one part.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import ray
import ray.data

from listen_edge.errors import ListenEdgeError, one_line
from listen_edge.runtime.archive.cluster import Workers
from listen_edge.runtime.archive.job import Job
from listen_edge.runtime.archive.piece import Hearer, Progress
from listen_edge.runtime.archive.run import open_engines, planned
from listen_edge.runtime.archive.scan_config import ScanConfig

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing leaves the device
_STORE_BYTES = 100 << 20  # of Ray's objects: only numbers of tasks go through it
_ANSWERS_S = 10  # a cluster that is there
_IN_FLIGHT = 2  # tasks that a worker hears or has waiting


class _Worker:
    """Hears tasks in a process of its own."""

    def __init__(self, folder: str, config: ScanConfig, n_threads: int) -> None:
        self._job = Job(Path(folder))
        self._tasks = planned(self._job, config.hop_s)
        self._engines = open_engines(config, n_threads)
        self._config = config

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        """Hear the tasks of a batch {"task": their numbers}, and return what was done."""
        rows: list[dict[str, Any]] = []
        for number in batch["task"].tolist():
            done: list[Progress] = []
            Hearer(self._job, self._config, self._engines, done.append).hear(self._tasks[number])
            rows.append({"task": number, **asdict(total(done))})
        return {name: [row[name] for row in rows] for name in rows[0]}


def total(done: Sequence[Progress]) -> Progress:
    """Return the sum of what was done."""
    rows = [asdict(one).values() for one in done]
    return Progress(*map(sum, zip(*rows, strict=True)))


def drive(
    told: Connection, folder: str, config: ScanConfig, workers: Workers, numbers: Sequence[int]
) -> None:
    """Hear the planned tasks of these numbers, and end this process.

    Args:
        told: is sent a row {"task": number, fields of Progress} for each task that is done, in the
            end None, or the words of an error.
    """
    _be_silent()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        with _cluster(workers) as n:
            for row in _heard(folder, config, workers, n, numbers):
                told.send(row)
        told.send(None)
    except ListenEdgeError as err:
        told.send(one_line(err, None))


def _heard(
    folder: str, config: ScanConfig, workers: Workers, n: int, numbers: Sequence[int]
) -> Iterator[dict[str, Any]]:
    given = ray.data.from_items(
        [{"task": number} for number in numbers], override_num_blocks=len(numbers)
    )
    heard = given.map_batches(
        _Worker,
        fn_constructor_args=(folder, config, workers.n_threads),
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(
            size=min(n, len(numbers)), max_tasks_in_flight_per_actor=_IN_FLIGHT
        ),
        num_cpus=workers.n_threads,
        **_resources(workers.resources),
    )
    yield from heard.iter_rows()


def _be_silent() -> None:
    """Leave stdout and stderr to the command: Ray and its workers write to both."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


@contextmanager
def _cluster(workers: Workers) -> Iterator[int]:
    """Join a cluster, or start one that ends with the block; what fails there is one line.

    Gives the number of workers that it has room for, and are wanted.
    """
    where = workers.address or "this machine"
    try:
        _join(workers)
    except (OSError, OverflowError, RuntimeError, ValueError, ray.exceptions.RayError) as err:
        raise ListenEdgeError(
            f"--address {where}: no Ray cluster can be joined ({one_line(err)}); start one with "
            "`ray start --head`, of the same versions of Ray and Python; one that asks for a token "
            "wants RAY_AUTH_MODE=token here"
        ) from err
    try:
        yield _room(workers)
    except (ray.exceptions.RayError, ConnectionError) as err:
        raise _as_ours(err, where) from err
    finally:
        with suppress(Exception):  # of a cluster that is gone
            ray.shutdown()


def _reach(address: str) -> None:
    """Raise OSError unless somebody listens at host:port: Ray would wait for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal() and "/" not in address:
        socket.create_connection((host, int(port)), timeout=_ANSWERS_S).close()


def _join(workers: Workers) -> None:
    if workers.address is not None:
        _reach(workers.address)
    local: dict[str, Any] = {
        "num_cpus": (workers.n or 1) * workers.n_threads,
        "include_dashboard": False,
        "object_store_memory": _STORE_BYTES,
    }
    ray.init(
        address=workers.address or "local",
        logging_level=logging.ERROR,
        log_to_driver=False,
        **({} if workers.address else local),
    )
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_no_progress_timeout_s = -1  # a task of hours of sound takes its time
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _room(workers: Workers) -> int:
    """Return how many workers there will be; ListenEdgeError for what the cluster can never give:
    Ray would wait for it."""
    have = ray.cluster_resources()
    n = workers.n or max(1, int(have.get("CPU", 0.0)) // workers.n_threads)
    each = {"CPU": float(workers.n_threads), **workers.resources}
    for name, amount in each.items():
        there = have.get("GPU" if name.lower() == "gpu" else name, 0.0)
        if there < amount * n:
            raise ListenEdgeError(
                f"{n} workers need {amount * n:g} {name}, the cluster has {there:g}; give fewer "
                "--workers, --threads or --resources"
            )
    return n


def _as_ours(err: Exception, where: str) -> ListenEdgeError:
    """Return what a worker of ours raised, or what became of the cluster."""
    cause: BaseException | None = err
    while cause is not None:
        if isinstance(cause, ListenEdgeError):
            return ListenEdgeError(one_line(cause, None))
        cause = getattr(cause, "cause", None) or cause.__cause__
    return ListenEdgeError(
        f"Ray on {where}: {one_line(err)}; what is done is kept, the same command goes on"
    )


def _resources(wanted: Mapping[str, float]) -> dict[str, Any]:
    own = {name: amount for name, amount in wanted.items() if name.lower() != "gpu"}
    gpus = [amount for name, amount in wanted.items() if name.lower() == "gpu"]
    return {**({"num_gpus": gpus[0]} if gpus else {}), **({"resources": own} if own else {})}
