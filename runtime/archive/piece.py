"""One task heard: recordings -> parquet parts, by whoever is free."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from listen_edge.bundle.opening import Bundle
from listen_edge.errors import AudioError, one_line
from listen_edge.lines.answer import Answer
from listen_edge.runtime.archive.account import Account
from listen_edge.runtime.archive.engines import Engines
from listen_edge.runtime.archive.job import RECORDINGS, SPANS, Job
from listen_edge.runtime.archive.listing.storage import local_recording
from listen_edge.runtime.archive.plan import Task, windows_of_span
from listen_edge.runtime.archive.rows import (
    STAGED,
    answer_of,
    answer_row,
    answers_schema,
    carried_of,
    events_schema,
    recordings_schema,
)
from listen_edge.runtime.archive.scan_config import ScanConfig
from listen_edge.runtime.archive.tables import Table
from listen_edge.runtime.listening.recorded import recorded_windows
from listen_edge.runtime.listening.window import Window


@dataclass(frozen=True)
class Progress:
    """What was done since the last one.

    Attributes:
        n_recordings: that are done; a span is none.
        n_failed: of them, that were not wholly heard.
        heard_s: seconds of sound.
        n_bytes: of the recordings, as listed.
    """

    n_recordings: int = 0
    n_failed: int = 0
    heard_s: float = 0.0
    n_bytes: int = 0


@dataclass(frozen=True)
class End:
    """The end of a recording, and why it came early."""

    error: str | None


Tag = tuple[int, End | None]  # row of the recordings, and whether this is its end
Said = tuple[Tag, list[Answer]]
Became = dict[str, Any]  # columns of rows.BECAME
Tell = Callable[[Progress], None]
_TOLD = 64  # windows of a span after which it is told of


class Hearer:
    """Hears tasks of one job.

    Args:
        job: written to.
        config: what is asked.
        engines: of it.
        tell: is told of each recording, and of every so many windows of a span.
    """

    def __init__(self, job: Job, config: ScanConfig, engines: Engines, tell: Tell) -> None:
        self._job, self._config, self._engines, self._tell = job, config, engines, tell

    def hear(self, task: Task) -> None:
        """Hear a task and write its part; ListenEdgeError if that cannot be written."""
        listed = self._job.listed(task.first, task.last)
        windows = _windows(listed["path"].to_pylist(), self._config, task)
        heard = self._engines.answer(windows)
        if task.span is None:
            bundle, sizes = self._engines.first.bundle, listed["n_bytes"].to_pylist()

            def tell(row: int, became: Became) -> None:
                is_failed, heard_s = became["status"] != "heard", became["duration_s"]
                self._tell(Progress(1, is_failed, heard_s, sizes[row] or 0))

            write_part(self._job, self._config, bundle, task, listed, heard, tell)
        else:
            self._write_span(task, heard)

    def _write_span(self, task: Task, heard: Iterable[Said]) -> None:
        """Keep a span's answers until all of its recording are there."""
        share = task.n_bytes / max(1, windows_of_span(self._config.hop_s))
        hop_s, n_windows, error = self._config.hop_s, 0, None
        schema, nothing = pa.schema(STAGED), pa.table({})
        with (
            self._job.writing(span_path(self._job, task)) as path,
            Table(path, schema, nothing) as rows,
        ):
            for (_, end), answers in heard:
                error = end.error if end is not None else error
                for answer in answers:
                    rows.add(0, answer_row(answer, None))
                n_windows += end is None
                if end is None and n_windows % _TOLD == 0:
                    self._tell(Progress(heard_s=_TOLD * hop_s, n_bytes=round(_TOLD * share)))
            rows.note({"error": error or ""})
        rest = n_windows % _TOLD
        n_bytes = task.n_bytes - round(_TOLD * share) * (n_windows // _TOLD)
        self._tell(Progress(heard_s=rest * hop_s, n_bytes=n_bytes))


def _windows(
    paths: Sequence[bytes], config: ScanConfig, task: Task
) -> Iterator[tuple[Tag, Window | None]]:
    """Yield the windows of recordings in turn, and the end of each."""
    for row, path in enumerate(paths):
        error = None
        try:
            with local_recording(path) as local:
                for window in recorded_windows(
                    local, config.window_s, config.hop_s, task.first_window, task.last_window
                ):
                    yield (row, None), window
        except AudioError as err:
            error = one_line(err, None)
        yield (row, End(error)), None


def write_part(
    job: Job,
    config: ScanConfig,
    bundle: Bundle,
    task: Task,
    listed: pa.Table,
    heard: Iterable[Said],
    tell: Callable[[int, Became], None],
) -> None:
    """Write a piece's rows, then what became of its recordings, each whole or not at all.

    Args:
        heard: answers about the windows of `listed` in turn, and each recording's end.
        tell: is told what became of a recording, and its row in `listed`.
    """
    times = listed["recorded_at"].to_pylist()
    carried = carried_of(listed.schema)
    schema = (events_schema if config.unit == "events" else answers_schema)(carried)
    path, account = job.part(config.unit, task.month, task.piece), None
    with job.writing(path) as temporary, Table(temporary, schema, listed) as rows:
        became = []
        for (row, end), answers in heard:
            account = account or Account(config, bundle, times[row])
            for values in account.window(answers) if end is None else account.end(end.error):
                rows.add(row, values)
            if end is not None:
                became.append(account.became(end.error))
                tell(row, became[-1])
                account = None
    path = job.part(RECORDINGS, task.month, task.piece)
    with (
        job.writing(path) as temporary,
        Table(temporary, recordings_schema(carried), listed) as rows,
    ):
        for row, values in enumerate(became):
            rows.add(row, values)


def join(job: Job, config: ScanConfig, bundle: Bundle, tasks: Sequence[Task]) -> Progress:
    """Make the parts of a long recording of its spans, and return that it is done.

    Args:
        tasks: its spans, all of them heard.
    """
    paths = [span_path(job, task) for task in tasks]
    listed = job.listed(tasks[0].first, tasks[0].last)
    heard = _staged(job, paths, len(config.questions))
    all_became: list[Became] = []
    write_part(
        job, config, bundle, tasks[0], listed, heard, lambda _, became: all_became.append(became)
    )
    for path in paths:
        path.unlink()
    return Progress(1, all_became[0]["status"] != "heard")


def _staged(job: Job, paths: Sequence[Path], n_questions: int) -> Iterator[Said]:
    """Yield what spans hold in turn, up to the first that could not be heard to its end."""
    for path in paths:
        with job.reading(SPANS), pq.ParquetFile(path) as file:
            if file.schema_arrow != pa.schema(STAGED):
                raise pa.ArrowInvalid(f"{path.name} has not the columns of a span")
            for batch in file.iter_batches(batch_size=1024 * n_questions):
                rows = batch.to_pylist()
                for first in range(0, len(rows), n_questions):
                    yield (0, None), [answer_of(row) for row in rows[first : first + n_questions]]
            error = _error_of(path)
        if error is not None:
            break
    yield (0, End(error)), []


def _error_of(path: Path) -> str | None:
    found = (pq.read_metadata(path).metadata or {}).get(b"error")
    if found is None:
        raise pa.ArrowInvalid(f"{path.name} is not whole")
    return found.decode() or None


def span_path(job: Job, task: Task) -> Path:
    """Return where a span's answers are kept until all of its recording are there."""
    return job.folder / SPANS / f"part-{task.piece:06d}.{task.span:04d}.parquet"
