"""What is shown of a scan on stderr while it runs, and its last line."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar

from listen_edge.printable import printable

if TYPE_CHECKING:
    from listen_edge.runtime.archive.job import Job
    from listen_edge.runtime.archive.piece import Progress
    from listen_edge.runtime.archive.run import Remaining


class ScanProgress:
    """Counts what is told.

    Args:
        job: of which it is told.
        left: what was left of it at the start.
        bar: is moved, if there is one.
    """

    def __init__(self, job: Job, left: Remaining, bar: Bar) -> None:
        self._job, self._bar = job, bar
        self._n_before, self._n_failed, self._heard_s, self._n_bytes = left.n_done, 0, 0.0, 0
        self._n_recordings = 0
        self._total_bytes = sum(task.n_bytes for task in left.tasks)
        self._began_s = time.monotonic()
        self._task = bar.add_task("", total=max(1, self._total_bytes), words=self._words())

    def tell(self, done: Progress) -> None:
        """Take what was done since the last time."""
        self._n_recordings += done.n_recordings
        self._n_failed += done.n_failed
        self._heard_s += done.heard_s
        self._n_bytes += done.n_bytes
        self._bar.update(self._task, completed=self._n_bytes, words=self._words())

    def _words(self) -> str:
        n_done, n_all = (
            self._n_before + self._n_recordings,
            self._job.described["listing"]["recordings"],
        )
        return (
            f"{self._left()} left, {n_done:,}/{n_all:,} recordings, {self._heard_s / 3600:.1f} h "
            f"({self._rate():.0f} h/h), {self._n_failed:,} not heard"
        )

    def _rate(self) -> float:
        return self._heard_s / max(1e-9, time.monotonic() - self._began_s)

    def _left(self) -> str:
        lived_s, share = time.monotonic() - self._began_s, self._n_bytes / max(1, self._total_bytes)
        if share <= 0 or lived_s < 1:
            return "-:--:--"
        return str(timedelta(seconds=round(lived_s * (1 - min(1.0, share)) / share)))

    def summary(self, n_unheard: int) -> str:
        """Return the last line, for people."""
        folder = self._job.folder
        heard = (
            f"{self._n_before + self._n_recordings:,} recordings in {printable(folder)}; now heard "
            f"{self._heard_s / 3600:.2f} h, {self._rate():.0f} h per hour"
        )
        if not n_unheard:
            return f"{heard}; all of them heard"
        failed = printable(folder / "failed.parquet")
        return f"{heard}; {n_unheard:,} not or not wholly heard, see {failed}"


@contextmanager
def progress(job: Job, left: Remaining) -> Iterator[ScanProgress]:
    """Give what is told of a scan; a bar is shown where stderr is a terminal."""
    console = Console(stderr=True)
    columns = BarColumn(bar_width=10), TextColumn("{task.percentage:3.0f} %  {task.fields[words]}")
    with Bar(*columns, console=console, disable=not console.is_terminal) as bar:
        yield ScanProgress(job, left, bar)
