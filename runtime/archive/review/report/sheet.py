"""The most and the least certain of what was heard: a few of each question, from far apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

APART_S = 60.0  # two of one recording are not nearer than this
_RESERVE = 4  # times as many minutes are held: the best of two may lie side by side


@dataclass(frozen=True)
class Pick:
    """A window, or an event.

    Attributes:
        start_s, end_s: in the recording.
        presence: of the window, or the event's highest.
        heard_at: its begin, UTC; None where that is not known.
    """

    recording: str
    start_s: float
    end_s: float
    presence: float
    heard_at: datetime | None


class Sheet:
    """The picks of each question.

    Args:
        middles: by the question's number, the presence that decides: the nearest is the least
            certain.
        n_each: how many of a question and kind.
    """

    def __init__(self, middles: Sequence[float], n_each: int) -> None:
        self._middles, self._n_each = middles, n_each
        self._surest = [_Best(n_each * _RESERVE) for _ in middles]
        self._least = [_Best(n_each * _RESERVE) for _ in middles]

    def surest(self, question: int) -> list[Pick]:
        """Return where the sound was the most certainly there, the most certain first."""
        return self._surest[question].picks[: self._n_each]

    def least(self, question: int) -> list[Pick]:
        """Return where it was nearest to undecided, none of them near the surest."""
        surest = self.surest(question)
        picks = self._least[question].picks
        far = [one for one in picks if not any(_is_near(one, other) for other in surest)]
        return far[: self._n_each]

    def add_answers(self, batch: pa.RecordBatch, question: NDArray[np.int64]) -> None:
        """Offer windows that were heard; those of which nothing could be said are none."""
        presence = _floats(batch.column("presence"))
        reason = batch.column("reason").fill_null("uncertain")
        is_heard = ~np.isnan(presence) & _booleans(pc.equal(reason, "uncertain"))
        is_present = is_heard & _booleans(pc.equal(batch.column("state"), "present"))
        self._offer(_Windows(batch, "presence"), question, presence, is_heard, is_present)

    def add_events(self, batch: pa.RecordBatch, question: NDArray[np.int64]) -> None:
        """Offer events: each is present, the lowest is the least certain."""
        every = np.ones(len(question), bool)
        peak = _floats(batch.column("peak_presence"))
        self._offer(_Windows(batch, "peak_presence"), question, peak, every, every)

    def _offer(
        self,
        windows: _Windows,
        question: NDArray[np.int64],
        presence: NDArray[np.float64],
        is_heard: NDArray[np.bool_],
        is_present: NDArray[np.bool_],
    ) -> None:
        for number, middle in enumerate(self._middles):
            is_asked = question == number
            rows = np.flatnonzero(is_asked & is_present)
            self._surest[number].offer(windows, rows, presence[rows])
            rows = np.flatnonzero(is_asked & is_heard)
            self._least[number].offer(windows, rows, -np.abs(presence[rows] - middle))


class _Windows:
    """Rows of a batch, as picks."""

    def __init__(self, batch: pa.RecordBatch, presence: str) -> None:
        self._batch, self._presence = batch, presence
        self.recording = batch.column("recording").dictionary_encode().indices.to_numpy()
        self.minute = batch.column("start_s").to_numpy() // APART_S

    def pick(self, row: int) -> Pick:
        found = self._batch.slice(row, 1).to_pylist()[0]
        start_s = found["start_s"]
        end_s = found["end_s"] if "end_s" in found else start_s + found["duration_s"]
        return Pick(found["recording"], start_s, end_s, found[self._presence], found["heard_at"])


class _Best:
    """The best minutes of what is offered, each by the best in it: the same in any batches.

    Args:
        n_held: so many minutes.
    """

    def __init__(self, n_held: int) -> None:
        self._n_held = n_held
        self._held: list[tuple[float, Pick]] = []  # the best first

    @property
    def picks(self) -> list[Pick]:
        """The best, none near a better one."""
        chosen: list[Pick] = []
        for _, pick in self._held:
            if not any(_is_near(pick, other) for other in chosen):
                chosen.append(pick)
        return chosen

    def offer(
        self, windows: _Windows, rows: NDArray[np.int64], how_good: NDArray[np.float64]
    ) -> None:
        if len(self._held) == self._n_held:
            is_better = how_good > self._held[-1][0]
            rows, how_good = rows[is_better], how_good[is_better]
        order = np.argsort(-how_good, kind="stable")
        rows, how_good = rows[order], how_good[order]
        found: list[tuple[float, Pick]] = []
        while len(rows) and len(found) < self._n_held:
            best = int(rows[0])
            found.append((float(how_good[0]), windows.pick(best)))
            is_other = (windows.recording[rows] != windows.recording[best]) | (
                windows.minute[rows] != windows.minute[best]
            )
            rows, how_good = rows[is_other], how_good[is_other]
        if found:
            both = sorted([*self._held, *found], key=lambda one: -one[0])
            by_minute: dict[tuple[str, float], tuple[float, Pick]] = {}
            for one in both:
                by_minute.setdefault(_minute(one[1]), one)
            self._held = [*by_minute.values()][: self._n_held]


def _minute(pick: Pick) -> tuple[str, float]:
    return pick.recording, pick.start_s // APART_S


def _is_near(one: Pick, other: Pick) -> bool:
    return one.recording == other.recording and abs(one.start_s - other.start_s) < APART_S


def _floats(values: pa.Array) -> NDArray[np.float64]:
    return np.asarray(values.to_numpy(zero_copy_only=False), np.float64)


def _booleans(values: pa.Array) -> NDArray[np.bool_]:
    return np.asarray(values.to_numpy(zero_copy_only=False), bool)
