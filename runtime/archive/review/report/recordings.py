"""What became of the recordings of a scan: how much was heard, and what was not."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from listen_edge.runtime.archive.review.report.places import Places

MAX_NAMED = 50  # recordings that were not wholly heard
COLUMNS = (
    *("recording", "recorded_at", "duration_s", "n_windows", "n_unknown"),
    *("status", "reason", "error"),
)


@dataclass
class AtPlace:
    """What became of a place's recordings."""

    n_recordings: int = 0
    n_not_whole: int = 0
    hours: float = 0.0


@dataclass
class Recordings:
    """Sums over recordings/.

    Attributes:
        places: of the recordings.
        all: of all places.
        by_place: by the place's number.
        statuses: how many, by status and reason.
        n_windows, n_unknown: of the windows heard, how many said nothing.
        not_whole: the first that were not wholly heard.
        first, last: begins of recordings, UTC; None where none is known.
        n_undated: recordings whose begin is not known.
    """

    places: Places
    all: AtPlace = field(default_factory=AtPlace)
    by_place: dict[int, AtPlace] = field(default_factory=dict)
    statuses: Counter[tuple[str, str]] = field(default_factory=Counter)
    n_windows: int = 0
    n_unknown: int = 0
    not_whole: list[dict[str, Any]] = field(default_factory=list)
    first: datetime | None = None
    last: datetime | None = None
    n_undated: int = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Count rows of recordings/."""
        status, begins = batch.column("status"), batch.column("recorded_at")
        is_not_whole = pc.not_equal(status, "heard")
        reasons = batch.column("reason").fill_null("").to_pylist()
        self.statuses.update(zip(status.to_pylist(), reasons, strict=True))
        self._add_by_place(batch, is_not_whole)
        self.n_windows += pc.sum(batch.column("n_windows")).as_py() or 0
        self.n_unknown += pc.sum(batch.column("n_unknown")).as_py() or 0
        self.n_undated += begins.null_count
        bounds = pc.min_max(begins).as_py()
        for moment in filter(None, bounds.values()):
            self.first, self.last = (
                min(moment, self.first or moment),
                max(moment, self.last or moment),
            )
        room = MAX_NAMED - len(self.not_whole)
        if room:
            names = ["recording", "status", "reason", "error"]
            self.not_whole += batch.select(names).filter(is_not_whole).slice(0, room).to_pylist()

    def _add_by_place(self, batch: pa.RecordBatch, is_not_whole: pa.Array) -> None:
        place = self.places.of(batch.column(self.places.column))
        distinct, at = np.unique(place, return_inverse=True)
        sums = (
            np.bincount(at),
            np.bincount(at, is_not_whole.to_numpy(zero_copy_only=False)),
            np.bincount(at, batch.column("duration_s").to_numpy() / 3600),
        )
        for number, n, n_not_whole, hours in zip(
            distinct.tolist(), *map(np.ndarray.tolist, sums), strict=True
        ):
            for found in (self.all, self.by_place.setdefault(number, AtPlace())):
                found.n_recordings += n
                found.n_not_whole += int(n_not_whole)
                found.hours += hours
