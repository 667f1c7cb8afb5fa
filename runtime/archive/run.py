"""A job's tasks, heard by workers in this process or elsewhere, until none is left."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields

import pyarrow as pa
import pyarrow.parquet as pq

from listen_edge.bundle.opening import Bundle
from listen_edge.runtime.archive.engines import Engines
from listen_edge.runtime.archive.job import PLAN, SPANS, Job
from listen_edge.runtime.archive.piece import Hearer, Tell, join, span_path
from listen_edge.runtime.archive.plan import PLANNED, Task, plan
from listen_edge.runtime.archive.scan_config import ScanConfig
from listen_edge.runtime.verify import self_test

# Tasks -> those that are heard, as they are done.
HearAll = Callable[[Sequence[Task]], Iterable[Task]]


@dataclass(frozen=True)
class Remaining:
    """What a job has still to do.

    Attributes:
        tasks: that nobody has heard yet.
        spans: of long recordings, all of each, by piece.
        n_done: recordings that are done.
    """

    tasks: list[Task]
    spans: dict[int, list[Task]]
    n_done: int


def remaining(job: Job, hop_s: float) -> Remaining:
    """Return what is left of a job, planned when it is new; what a killed worker left is freed."""
    _sweep(job)
    tasks, done = planned(job, hop_s), job.done()
    open_tasks = [task for task in tasks if task.piece not in done]
    spans: dict[int, list[Task]] = defaultdict(list)
    for task in open_tasks:
        if task.span is not None:
            spans[task.piece].append(task)
    left = [task for task in open_tasks if task.span is None or not span_path(job, task).exists()]
    n_open = sum(task.last - task.first for task in open_tasks if not task.span)
    return Remaining(left, spans, job.described["listing"]["recordings"] - n_open)


def planned(job: Job, hop_s: float) -> list[Task]:
    """Return a job's tasks, which are planned once."""
    path = job.folder / PLAN
    if not path.exists():
        tasks = plan(job.listing(), hop_s)
        columns = {one.name: [getattr(task, one.name) for task in tasks] for one in fields(Task)}
        job.write(path, pa.table(columns, schema=PLANNED))
    with job.reading(PLAN):
        found = pq.ParquetFile(path).read()
        if found.column_names != PLANNED.names:
            raise pa.ArrowInvalid("it has not the columns of a plan")
        tasks = [Task(**row) for row in found.cast(PLANNED).to_pylist()]
        if not all(task.is_of(job.described["listing"]["recordings"]) for task in tasks):
            raise pa.ArrowInvalid("it is not of these recordings")
    return tasks


def run(
    job: Job, config: ScanConfig, bundle: Bundle, left: Remaining, hear_all: HearAll, tell: Tell
) -> int:
    """Hear what is left of a job; return how many of its recordings were not wholly heard.

    Args:
        hear_all: gives the tasks to workers.
        tell: is told of each long recording that is done.

    Raises:
        ListenEdgeError: the job cannot be written to; what is done is kept.
    """
    unheard: dict[int, set[int]] = {piece: set() for piece in left.spans}
    for task in left.tasks:
        if task.span is not None:
            unheard[task.piece].add(task.span)
    for piece in [piece for piece, spans in unheard.items() if not spans]:
        tell(join(job, config, bundle, left.spans[piece]))
    for task in hear_all(left.tasks) if left.tasks else ():
        if task.span is not None:
            unheard[task.piece].discard(task.span)
            if not unheard[task.piece]:
                tell(join(job, config, bundle, left.spans[task.piece]))
    shutil.rmtree(job.folder / SPANS, ignore_errors=True)
    _sweep(job)  # of workers that were killed, and whose tasks others did
    return job.write_failed()


def _sweep(job: Job) -> None:
    """Delete what is half-written, and by nobody any more."""
    for path in job.folder.rglob(".*.parquet"):
        path.unlink(missing_ok=True)


def in_process(job: Job, config: ScanConfig, n_threads: int, tell: Tell) -> HearAll:
    """Return what hears tasks here, one after the other, windows side by side."""

    def hear_all(tasks: Sequence[Task]) -> Iterator[Task]:
        with open_engines(config, n_threads) as engines:
            hearer = Hearer(job, config, engines, tell)
            for task in tasks:
                hearer.hear(task)
                yield task

    return hear_all


def open_engines(config: ScanConfig, n_threads: int) -> Engines:
    """Return engines that hear: they say of hours that nothing was there."""
    words = [one.words for one in config.questions.values()]
    engines = Engines(config.load, n_threads, words, gate_dbfs=config.gate_dbfs)
    try:
        self_test(engines.first)
    except BaseException:
        engines.close()
        raise
    return engines
