"""What was heard, by question and by hour of day, day and place.

Three figures each: how often the sound was there, how much could be judged, and how much could
not. They are windows of a scan with answers; events and hours of one with events. What could not
be judged is never counted as judged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from listen_edge.runtime.archive.review.report.clock import QUARTER_S, Clock, Local
from listen_edge.runtime.archive.review.report.places import Places

HITS, JUDGED, UNKNOWN = range(3)
Figures = NDArray[np.float64]  # (n_questions, 3)
Numbers = NDArray[np.int64]


class _Rows(NamedTuple):
    """Of each row: its question's number, its place's, and when it was."""

    question: Numbers
    place: Numbers
    local: Local

    def some(self, chosen: NDArray[np.bool_]) -> _Rows:
        is_known, hours, days = self.local
        local = Local(is_known[chosen], hours[chosen], days[chosen])
        return _Rows(self.question[chosen], self.place[chosen], local)


class Counts:
    """The figures of a scan, added up batch by batch.

    Args:
        questions: of the scan, in order.
        clock: whose hours and days.
        places: of the recordings.

    Attributes:
        total, undated: figures of all, and of what was heard nobody knows when.
        by_hour: of each hour of day, shape (24, n_questions, 3).
        by_day, by_place: figures by the day's ordinal and the place's number.
        reasons: how many windows are unknown, by question's number and reason.
    """

    def __init__(self, questions: Sequence[str], clock: Clock, places: Places) -> None:
        self._number = {question: number for number, question in enumerate(questions)}
        self._clock, self._places = clock, places
        self.total, self.undated = self._figures(1)[0], self._figures(1)[0]
        self.by_hour = self._figures(24)
        self.by_day: dict[int, Figures] = {}
        self.by_place: dict[int, Figures] = {}
        self.reasons: Counter[tuple[int, str]] = Counter()

    def add_answers(self, batch: pa.RecordBatch, question: Numbers) -> None:
        """Count rows of answers/, whose questions have these numbers."""
        rows, state = self._rows(batch, question), batch.column("state")
        is_unknown, is_present = _equals(state, "unknown"), _equals(state, "present")
        self._add(rows.some(~is_unknown), JUDGED)
        self._add(rows.some(is_present), HITS)
        self._add(rows.some(is_unknown), UNKNOWN)
        reason = batch.column("reason").filter(pa.array(is_unknown)).to_pylist()
        self.reasons.update(
            zip(rows.question[is_unknown].tolist(), (one or "" for one in reason), strict=True)
        )

    def add_events(self, batch: pa.RecordBatch, question: Numbers) -> None:
        """Count rows of events/; what was listened to is in recordings/."""
        self._add(self._rows(batch, question), HITS)

    def add_listened(self, batch: pa.RecordBatch) -> None:
        """Count the hours of recordings/, for every question.

        A recording's unknown windows are taken as spread evenly over it.
        """
        begin_us, is_known = _microseconds(batch.column("recorded_at"))
        duration_s, n_windows, n_unknown = (
            batch.column(name).to_numpy() for name in ("duration_s", "n_windows", "n_unknown")
        )
        of, quarters, hours = _by_quarter(begin_us / 1e6, duration_s)
        unknown = (n_unknown / np.maximum(n_windows, 1))[of]
        place = self._places.of(batch.column(self._places.column))[of]
        local = self._clock.local(quarters, is_known[of])
        for number in self._number.values():
            rows = _Rows(np.full(len(of), number), place, local)
            self._add(rows, JUDGED, hours * (1 - unknown))
            self._add(rows, UNKNOWN, hours * unknown)

    def numbers(self, questions: pa.Array) -> Numbers:
        """Return for each row the number of its question."""
        coded = questions.dictionary_encode()
        numbers = [self._number[name] for name in coded.dictionary.to_pylist()]
        found: Numbers = np.array(numbers, np.int64)[coded.indices.to_numpy()]
        return found

    def _rows(self, batch: pa.RecordBatch, question: Numbers) -> _Rows:
        heard_us, is_known = _microseconds(batch.column("heard_at"))
        local = self._clock.local(heard_us // (QUARTER_S * 1_000_000), is_known)
        place = self._places.of(batch.column(self._places.column))
        return _Rows(question, place, local)

    def _add(self, rows: _Rows, figure: int, weights: Figures | None = None) -> None:
        """Add 1 a row, or its weight, to a figure of every table that the row belongs in."""
        question, place, local = rows
        weights = np.ones(len(question)) if weights is None else weights
        known = local.is_known
        self.total[:, figure] += _sums(question, weights, len(self._number))
        self.undated[:, figure] += _sums(question[~known], weights[~known], len(self._number))
        for table, keys, chosen in (
            (self.by_place, place, np.ones(len(place), bool)),
            (self.by_day, local.days, known),
        ):
            for key, row in self._sums_by(keys[chosen], question[chosen], weights[chosen]):
                table.setdefault(key, self._figures(1)[0])[:, figure] += row
        for hour, row in self._sums_by(local.hours[known], question[known], weights[known]):
            self.by_hour[hour, :, figure] += row

    def _sums_by(
        self, keys: Numbers, question: Numbers, weights: Figures
    ) -> list[tuple[int, NDArray[np.float64]]]:
        """Return for each key among the rows its sum by question."""
        distinct, at = np.unique(keys, return_inverse=True)
        n_questions = len(self._number)
        flat = _sums(at * n_questions + question, weights, len(distinct) * n_questions)
        return [*zip(distinct.tolist(), flat.reshape(-1, n_questions), strict=True)]

    def _figures(self, n_rows: int) -> Figures:
        return np.zeros((n_rows, len(self._number), 3))


def _by_quarter(begin_s: Figures, duration_s: Figures) -> tuple[Numbers, Numbers, Figures]:
    """Cut recordings at the quarters of an hour.

    Returns:
        of each piece: the recording's number, the quarter, and the hours of it.
    """
    end_s = begin_s + duration_s
    first = np.floor(begin_s / QUARTER_S).astype(np.int64)
    n_pieces = np.maximum(np.ceil(end_s / QUARTER_S).astype(np.int64) - first, 1)
    of = np.repeat(np.arange(len(first)), n_pieces)
    nth = np.arange(len(of)) - np.repeat(np.cumsum(n_pieces) - n_pieces, n_pieces)
    quarters = first[of] + nth
    held_s = np.minimum(end_s[of], (quarters + 1) * QUARTER_S) - np.maximum(
        begin_s[of], quarters * QUARTER_S
    )
    return of, quarters, held_s / 3600


def _sums(keys: Numbers, weights: Figures, n: int) -> NDArray[np.float64]:
    return np.asarray(np.bincount(keys, weights, n), np.float64)


def _microseconds(moments: pa.Array) -> tuple[Numbers, NDArray[np.bool_]]:
    """Return moments since 1970, 0 where they are not known, and which are known."""
    known = moments.is_valid().to_numpy(zero_copy_only=False)
    return moments.cast(pa.int64()).fill_null(0).to_numpy(), known


def _equals(values: pa.Array, wanted: str) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = pc.equal(values, wanted).to_numpy(zero_copy_only=False)
    return found
