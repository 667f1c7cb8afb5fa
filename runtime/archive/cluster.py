"""A job's tasks on Ray: a worker is an actor that owns its engines and writes parts itself.

Ray Data gives each task to a free worker, starts a worker that died again and gives its task to
another. The rows never pass through Ray: a part is written by who heard it, whole or not at all, so
that a task that is done twice leaves one part.
"""

from __future__ import annotations

import io
import logging
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from listen_edge.errors import ListenEdgeError, MissingExtraError, one_line
from listen_edge.quiet import quiet_stderr
from listen_edge.runtime.archive.job import Job
from listen_edge.runtime.archive.piece import Hearer, Progress, Tell
from listen_edge.runtime.archive.plan import Task
from listen_edge.runtime.archive.run import HearAll, open_engines, planned
from listen_edge.runtime.archive.scan_config import ScanConfig

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing leaves the device
os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # its warnings are about Ray itself

try:
    import ray
    import ray.data
except ImportError as err:
    raise MissingExtraError("ray[data]", "scan") from err

_STORE_BYTES = 100 << 20  # of Ray's objects: only numbers of tasks go through it
_ANSWERS_S = 10  # a cluster that is there
_IN_FLIGHT = 2  # tasks that a worker hears or has waiting


@dataclass(frozen=True)
class Workers:
    """Who hears.

    Attributes:
        n: workers; None: as many as the cluster has CPUs for.
        n_threads: CPUs of each.
        address: of a Ray cluster; None: one on this machine, which ends with the scan.
        resources: of each worker beside its CPUs, such as {"gpu": 0.25}.
    """

    n: int | None = None
    n_threads: int = 1
    address: str | None = None
    resources: Mapping[str, float] = field(default_factory=dict)


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


def on_ray(job: Job, config: ScanConfig, workers: Workers, tell: Tell) -> HearAll:
    """Return what gives tasks to workers on Ray.

    Raises:
        ListenEdgeError: while tasks are given: no cluster at the address, one that dies, or what
            a worker raises.
    """

    def hear_all(tasks: Sequence[Task]) -> Iterator[Task]:
        numbers = {task: number for number, task in enumerate(planned(job, config.hop_s))}
        with _cluster(workers) as n:
            rows = [{"task": numbers[task]} for task in tasks]
            given = ray.data.from_items(rows, override_num_blocks=len(rows))
            heard = given.map_batches(
                _Worker,
                fn_constructor_args=(str(job.folder.resolve()), config, workers.n_threads),
                batch_size=1,
                compute=ray.data.ActorPoolStrategy(
                    size=min(n, len(rows)), max_tasks_in_flight_per_actor=_IN_FLIGHT
                ),
                num_cpus=workers.n_threads,
                **_resources(workers.resources),
            )
            by_number = {number: task for task, number in numbers.items()}
            for row in heard.iter_rows():
                number = row.pop("task")
                tell(Progress(**row))
                yield by_number[number]

    return hear_all


@contextmanager
def _cluster(workers: Workers) -> Iterator[int]:
    """Join a cluster, or start one that ends with the block; what fails there is one line.

    Gives the number of workers that it has room for, and are wanted.
    """
    where = workers.address or "this machine"
    try:
        with quiet_stderr():  # it tells of its own log
            _join(workers)
    except (OSError, OverflowError, RuntimeError, ValueError, ray.exceptions.RayError) as err:
        raise ListenEdgeError(
            f"--address {where}: no Ray cluster can be joined ({one_line(err)}); start one with "
            "`ray start --head`, of the same versions of Ray and Python"
        ) from err
    with redirect_stdout(io.StringIO()):  # it tells of workers that it starts again
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


def _as_ours(err: BaseException, where: str) -> ListenEdgeError:
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
