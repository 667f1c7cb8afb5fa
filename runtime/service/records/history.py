"""Presence of the last days, per source and question, in a few bytes a window.

A curve holds some minutes: each window's end in milliseconds, as differences, and its presence in
steps of 1.5e-5, a value of its own for unknown; packed with zlib.
"""

from __future__ import annotations

import math
import threading
import zlib
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from listen_edge.runtime.service.records.database import Database
from listen_edge.runtime.service.records.unwritten import Curve, to_us

CURVE_S = 300.0  # what a killed process loses of the history at most
MAX_WINDOWS = 4096  # of a curve; more only where windows come faster than 14 a second
_WINDOW_BYTES = 10  # unpacked: 8 of its end and 2 of its presence
_N_STEPS = 65534
_UNKNOWN = 65535

Times = NDArray[np.float64]
Presence = NDArray[np.float64]


@dataclass
class _Buffer:
    ends_ms: array[int] = field(default_factory=lambda: array("q"))
    presence: array[float] = field(default_factory=lambda: array("d"))


class History:
    """Presence of the last days; for several threads. Methods are those of Store."""

    def __init__(self, database: Database) -> None:
        self._database, self._recent = database, _Recent()

    def add(self, source: str, question: str, ends_at: datetime, presence: float | None) -> None:
        if self._recent.add(source, question, to_us(ends_at), presence):
            self.keep()

    def presence(
        self, source: str, question: str, since: datetime, until: datetime
    ) -> tuple[Times, Presence]:
        first, last = to_us(since) // 1000 * 1000, to_us(until)  # curves hold milliseconds
        with self._database.writing:
            recent = self._recent.of(source, question)
            waiting = [
                curve.packed
                for curve in self._database.unwritten.curves
                if (curve.source, curve.question) == (source, question)
            ]
        rows = self._database.read(
            "SELECT curve FROM presence JOIN series ON series.id = presence.series "
            "WHERE source = ? AND question = ? AND until >= ? AND since <= ? ORDER BY presence.id",
            (source, question, first, last),
        )
        kept = unpack(dict.fromkeys([*(packed for (packed,) in rows), *waiting]))
        times, presence = (np.concatenate(pair) for pair in zip(kept, recent, strict=True))
        order = np.argsort(times, kind="stable")  # a clock may have been set back
        order = order[(times[order] >= first / 1e6) & (times[order] <= last / 1e6)]
        return times[order], presence[order]

    def keep(self) -> None:
        """Pack what is not in a curve yet, and write it."""
        with self._database.writing:
            self._database.unwritten.curves += self._recent.take()
            self._database.write()


class _Recent:
    """What was heard since the last curves were packed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._buffers: dict[tuple[str, str], _Buffer] = {}
        self._since_ms: int | None = None

    def add(self, source: str, question: str, ends_us: int, presence: float | None) -> bool:
        """Take a window's presence; return whether it is time to take curves."""
        ends_ms = ends_us // 1000
        with self._lock:
            buffer = self._buffers.setdefault((source, question), _Buffer())
            buffer.ends_ms.append(ends_ms)
            buffer.presence.append(math.nan if presence is None else presence)
            if self._since_ms is None:
                self._since_ms = ends_ms
            is_long = abs(ends_ms - self._since_ms) >= 1000 * CURVE_S
            return is_long or len(buffer.ends_ms) >= MAX_WINDOWS

    def take(self) -> list[Curve]:
        """Return all of it, packed, and begin anew."""
        with self._lock:
            buffers, self._buffers, self._since_ms = self._buffers, {}, None
        return [
            Curve(source, question, 1000 * min(b.ends_ms), 1000 * max(b.ends_ms), pack(b))
            for (source, question), b in buffers.items()
        ]

    def of(self, source: str, question: str) -> tuple[Times, Presence]:
        """Return what is not in a curve yet, as Store.presence does."""
        with self._lock:
            buffer = self._buffers.get((source, question), _Buffer())
            ends_ms, presence = buffer.ends_ms[:], buffer.presence[:]
        return np.array(ends_ms, np.float64) / 1000, np.array(presence, np.float64)


def pack(buffer: _Buffer) -> bytes:
    """Return windows as a curve's bytes."""
    ends_ms = np.array(buffer.ends_ms, np.int64)
    presence = np.array(buffer.presence, np.float64)
    steps = np.where(np.isnan(presence), _UNKNOWN, np.round(np.clip(presence, 0, 1) * _N_STEPS))
    apart = np.diff(ends_ms, prepend=0)  # 64 bits: a clock may jump from 1970 to today
    return zlib.compress(_by_byte(apart.astype("<i8")) + _by_byte(steps.astype("<u2")))


def unpack(packed: Iterable[bytes]) -> tuple[Times, Presence]:
    """Return the ends of windows in seconds of Unix time, and their presence, NaN for unknown.

    A curve that is damaged, or longer than ours, says nothing.
    """
    times: list[Times] = [np.zeros(0)]
    curves: list[Presence] = [np.zeros(0)]
    for one in packed:
        unpacking = zlib.decompressobj()
        try:
            raw = unpacking.decompress(one, _WINDOW_BYTES * MAX_WINDOWS)
        except zlib.error:
            continue
        if not unpacking.eof or len(raw) % _WINDOW_BYTES:
            continue
        n_bytes = len(raw) // _WINDOW_BYTES * 8
        apart, steps = _from_bytes(raw[:n_bytes], "<i8"), _from_bytes(raw[n_bytes:], "<u2")
        times.append(np.cumsum(apart) / 1000)
        curves.append(np.where(steps == _UNKNOWN, np.nan, steps / _N_STEPS))
    return np.concatenate(times), np.concatenate(curves)


def _by_byte(values: NDArray[np.generic]) -> bytes:
    """Return all lowest bytes, then the next: what hardly varies lies together."""
    columns: NDArray[np.uint8] = values.view(np.uint8).reshape(len(values), values.itemsize).T
    return bytes(columns.tobytes())


def _from_bytes(raw: bytes, dtype: str) -> NDArray[np.int64]:
    width = np.dtype(dtype).itemsize
    columns = np.frombuffer(raw, np.uint8).reshape(width, -1)
    return np.ascontiguousarray(columns.T).view(dtype)[:, 0].astype(np.int64)
