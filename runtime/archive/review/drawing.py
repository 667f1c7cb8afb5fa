"""Rows of a scan, drawn at random from each stratum in one pass over any number of them.

A row's key is a hash of the seed and of what the row is of, and a stratum's sample its smallest
keys: the same whatever the order of the rows, and more rows of the same seed are the same and more.
Rows near each other are drawn like any others. To keep them apart would favour what is heard once
over what goes on: of 10 sounds of a minute and 100 short false alarms, 20 windows that lay a minute
apart said 0.41 on average where 0.55 of all windows were right.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from listen_edge.runtime.archive.job import Job
from listen_edge.runtime.archive.review.strata import (
    LEFT_OUT,
    Division,
    Strata,
    Stratum,
    batches,
    divisions,
)

FLOOR = 4  # rows of a stratum before any has more
_UNASKED = 0.01  # presence assumed of what is below the level gate


@dataclass(frozen=True, order=True)
class Drawn:
    """A row that was drawn; they sort in random order.

    Attributes:
        key: random.
        recording, start_s, end_s: as in the answers; an event ends after its duration.
        presence: peak presence of an event; None below the level gate.
        stratum: its name.
    """

    key: int
    recording: str
    start_s: float
    end_s: float
    presence: float | None
    stratum: str


def draw(job: Job, n: int, seed: int) -> Iterator[tuple[Strata, list[Drawn]]]:
    """Yield the strata of each question in turn and n rows from them, or fewer if there are."""
    sieves = {
        one["question"]: _Sieve(one["question"], one["concept"], division, n, seed)
        for one, division in zip(job.described["questions"], divisions(job).values(), strict=True)
    }
    event_columns = ("peak_presence", "duration_s")
    answer_columns = ("state", "reason", "presence", "end_s")
    columns = event_columns if job.unit == "events" else answer_columns
    for batch in batches(job, ["recording", "start_s", "question", *columns]):
        sieves[batch.column("question")[0].as_py()].push(batch)
    for sieve in sieves.values():
        yield sieve.strata(), sieve.drawn(n)


class _Sieve:
    """The smallest keys of each stratum of a question."""

    def __init__(self, question: str, concept: str, division: Division, n: int, seed: int) -> None:
        self._question, self._concept, self._division = question, concept, division
        self._salt = hashlib.blake2b(f"{seed}\0{question}".encode(), digest_size=32).digest()
        n_strata = len(division.empty)
        self._n_kept = n
        self._kept: list[list[Drawn]] = [[] for _ in range(n_strata)]
        self._cuts = np.full(n_strata, np.iinfo(np.uint64).max, np.uint64)
        self._n_rows = np.zeros(n_strata, np.int64)
        self._n_left_out = 0
        self._presence = np.zeros(n_strata)  # sum

    def push(self, rows: pa.RecordBatch) -> None:
        """Take rows of this question."""
        places = self._division.places(rows)
        is_in = places != LEFT_OUT
        self._n_left_out += int(np.count_nonzero(~is_in))
        n_strata = len(self._kept)
        is_event = self._division.of_events
        column = rows.column("peak_presence" if is_event else "presence")
        presence = column.fill_null(0.0).to_numpy(zero_copy_only=False)
        self._n_rows += np.bincount(places[is_in], minlength=n_strata)
        self._presence += np.bincount(places[is_in], presence[is_in], minlength=n_strata)
        keys = self._keys(rows)
        near = np.flatnonzero(is_in & (keys < self._cuts[places]))
        taken = rows.take(pa.array(near)).to_pylist()
        for row, key, place in zip(taken, keys[near].tolist(), places[near].tolist(), strict=True):
            end_s = row["start_s"] + row["duration_s"] if is_event else row["end_s"]
            one = (row["recording"], row["start_s"], end_s)
            peak = row["peak_presence"] if is_event else row["presence"]
            self._kept[place].append(Drawn(key, *one, peak, self._division.empty[place].name))
            if len(self._kept[place]) >= 2 * self._n_kept:
                self._sift(place)

    def _keys(self, rows: pa.RecordBatch) -> NDArray[np.uint64]:
        names = rows.column("recording")  # a dictionary
        digests = (
            hashlib.blake2b(name.encode(), digest_size=8, key=self._salt).digest()
            for name in names.dictionary.to_pylist()
        )
        of_name = np.frombuffer(b"".join(digests), np.uint64)[names.indices.to_numpy()]
        return _mixed(of_name ^ _mixed(rows.column("start_s").to_numpy().view(np.uint64)))

    def _sift(self, place: int) -> None:
        kept = sorted(self._kept[place])[: self._n_kept]
        self._kept[place] = kept
        if len(kept) == self._n_kept:
            self._cuts[place] = kept[-1].key

    def strata(self) -> Strata:
        """Return the strata that hold rows."""
        sized = tuple(self._sized())
        return Strata(
            self._question, self._concept, self._division.of_events, self._n_left_out, sized
        )

    def _sized(self) -> Iterator[Stratum]:
        for stratum, n_rows, total in zip(
            self._division.empty, self._n_rows.tolist(), self._presence.tolist(), strict=True
        ):
            if n_rows:
                mean = None if stratum.name.endswith("gate") else round(total / n_rows, 6)
                yield replace(stratum, n_rows=n_rows, mean_presence=mean)

    def drawn(self, n: int) -> list[Drawn]:
        """Return n rows of all strata, in random order."""
        for place in range(len(self._kept)):
            self._sift(place)
        candidates = {
            s.name: kept for s, kept in zip(self._division.empty, self._kept, strict=True)
        }
        strata = self.strata().strata
        chosen = [
            row
            for stratum, n_drawn in zip(strata, allot(n, strata), strict=True)
            for row in candidates[stratum.name][:n_drawn]
        ]
        return sorted(chosen)


def allot(n: int, strata: Sequence[Stratum]) -> list[int]:
    """Return how many of n rows each stratum gets; more rows take none away.

    FLOOR of each, then as many of those stated present, which tell the precision, as of the others,
    which tell the recall; within the two by size and spread of what is expected there, the
    presence being taken for the share of right ones.

    Source: Wright (2012), The equivalence of Neyman optimum allocation for sampling and equal
    proportions for apportioning the U.S. House of Representatives, The American Statistician 66:
    one after another to the largest N S / sqrt(k (k + 1)).
    """
    given = [0] * len(strata)

    def claim(at: int) -> tuple[bool, float, bool, float]:
        k, stratum = given[at], strata[at]
        n_side = sum(g for g, s in zip(given, strata, strict=True) if _side(s) == _side(stratum))
        weight = stratum.n_rows * _spread(stratum) / math.sqrt(max(k, 0.5) * (k + 1))
        return k < FLOOR, -k if k < FLOOR else -n_side, _side(stratum), weight

    for _ in range(min(n, sum(stratum.n_rows for stratum in strata))):
        at = max((at for at, s in enumerate(strata) if given[at] < s.n_rows), key=claim)
        given[at] += 1
    return given


def _side(stratum: Stratum) -> bool:
    return stratum.state == "present"


def _spread(stratum: Stratum) -> float:
    """Return the standard deviation that is expected in a stratum."""
    mean = _UNASKED if stratum.mean_presence is None else stratum.mean_presence
    mean = min(max(mean, _UNASKED), 1 - _UNASKED)
    return math.sqrt(mean * (1 - mean))


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return numbers whose bits all depend on all bits of those given.

    Source: splitmix64 (Steele, Lea, Flood 2014, Fast splittable pseudorandom number generators).
    """
    mixed = values + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)), np.uint64)
