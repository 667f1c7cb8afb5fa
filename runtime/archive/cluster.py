"""A job's tasks on Ray, driven by a process of its own: what becomes of Ray is one line here.

Ray ends the process that drives it when it loses its cluster, and writes to stdout.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from listen_edge.errors import ListenEdgeError, require
from listen_edge.runtime.archive.job import Job
from listen_edge.runtime.archive.piece import Progress, Tell
from listen_edge.runtime.archive.plan import Task
from listen_edge.runtime.archive.run import HearAll, planned
from listen_edge.runtime.archive.scan_config import ScanConfig

_ENDS_S = 10  # a driver that is asked to


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


def on_ray(job: Job, config: ScanConfig, workers: Workers, tell: Tell) -> HearAll:
    """Return what gives tasks to workers on Ray.

    Raises:
        MissingExtraError: there is no Ray here.
        ListenEdgeError: while tasks are given: no cluster at the address, one that dies, or what
            a worker raises.
    """
    require("ray", "scan")

    def hear_all(tasks: Sequence[Task]) -> Iterator[Task]:
        every = planned(job, config.hop_s)
        numbers = {task: number for number, task in enumerate(every)}
        context = multiprocessing.get_context("spawn")
        told, telling = context.Pipe(duplex=False)
        # The longest first: at the end nobody waits long for the others.
        wanted = [numbers[task] for task in sorted(tasks, key=lambda task: -task.n_bytes)]
        arguments = telling, str(job.folder.resolve()), config, workers, wanted
        driver = context.Process(target=_drive, args=arguments, daemon=True)
        driver.start()
        telling.close()
        try:
            while (row := _received(told, workers)) is not None:
                number = row.pop("task")
                tell(Progress(**row))
                yield every[number]
        finally:
            driver.terminate()
            driver.join(_ENDS_S)
            driver.kill()

    return hear_all


def _drive(*arguments: Any) -> None:
    """Run the driver, in a process of its own: Ray is not loaded here."""
    from listen_edge.runtime.archive.driver import drive

    drive(*arguments)


def _received(told: Connection, workers: Workers) -> dict[str, Any] | None:
    """Return what was done of a task, None at the end; ListenEdgeError for what went wrong."""
    try:
        found = told.recv()
    except (EOFError, OSError) as err:
        raise ListenEdgeError(
            f"Ray on {workers.address or 'this machine'}: the cluster is gone; what is done is "
            "kept, the same command goes on"
        ) from err
    if isinstance(found, str):
        raise ListenEdgeError(found)
    row: dict[str, Any] | None = found
    return row
