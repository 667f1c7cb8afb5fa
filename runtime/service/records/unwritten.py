"""What the store was told and has not written yet, and how it is written: all of it or nothing.

Mostly empty: every call writes what it brings at once. Where the disk is full or another process
holds the database, it is what goes on in memory, bounded. To write it twice is to write it once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import astuple, dataclass, field, fields, replace
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

from listen_edge.runtime.service.records.types import Delivery, StoredEvent

MAX_EVENTS = 1000
MAX_OWED = 4 * MAX_EVENTS
MAX_CURVES = 5000
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_NAMES = tuple(one.name for one in fields(StoredEvent))
_TIMES = {k for k, name in enumerate(_NAMES) if name.endswith("_at")}
_IS_TEST = _NAMES.index("is_test")
COLUMNS = ", ".join(f'events."{name}"' for name in _NAMES)
OWED = "seq, phase, " + ", ".join(
    f"outbox.{name}" for name in ("ended_at", "duration_s", "peak_presence", "reason")
)
_PUT_EVENT = (
    "INSERT INTO events ("
    + ", ".join(f'"{name}"' for name in _NAMES)
    + ") VALUES ("
    + ", ".join("?" * len(_NAMES))
    + ") "
    "ON CONFLICT (id) DO UPDATE SET "
    + ", ".join(f'"{name}" = excluded."{name}"' for name in _NAMES[2:])
)
_PUT_OWED = "INSERT OR IGNORE INTO outbox VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_PUT_OUTPUT = (
    "INSERT INTO outputs VALUES (?, ?) "
    "ON CONFLICT (name) DO UPDATE SET seq = max(seq, excluded.seq)"
)
_PUT_CURVE = (
    "INSERT INTO presence (series, since, until, curve) "
    "SELECT id, ?, ?, ? FROM series WHERE source = ? AND question = ?"
)


class Curve(NamedTuple):
    """Presence of one question at one source for some minutes, as history.py packs it."""

    source: str
    question: str
    since: int  # first and last window's end, microseconds of Unix time
    until: int
    packed: bytes


@dataclass
class Unwritten:
    """Changes by what they change; the newest counts."""

    events: dict[int, StoredEvent] = field(default_factory=dict)
    outbox: list[tuple[Delivery, int]] = field(default_factory=list)  # and when it was owed
    outputs: dict[str, int] = field(default_factory=dict)
    curves: list[Curve] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.events or self.outbox or self.outputs or self.curves)

    def write(self, connection: sqlite3.Connection, last_id: int, last_seq: int) -> None:
        """Write everything in one transaction.

        Raises:
            sqlite3.Error: nothing was written.
        """
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.executemany(_PUT_EVENT, map(to_row, self.events.values()))
            connection.executemany(_PUT_OWED, (_owed_row(*owed) for owed in self.outbox))
            connection.executemany(_PUT_OUTPUT, self.outputs.items())
            connection.executemany(
                "INSERT OR IGNORE INTO series (source, question) VALUES (?, ?)",
                {(curve.source, curve.question) for curve in self.curves},
            )
            connection.executemany(
                _PUT_CURVE,
                ((c.since, c.until, c.packed, c.source, c.question) for c in self.curves),
            )
            counters = (("event", last_id), ("seq", last_seq))
            connection.executemany("INSERT OR REPLACE INTO counters VALUES (?, ?)", counters)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def bound(self) -> int:
        """Forget the oldest beyond what memory may hold; return how many events that were.

        Events that go on are kept: there is at most one of each question and source.
        """
        ended = [n for n, event in self.events.items() if event.ended_at is not None]
        forgotten = set(ended[: max(0, len(self.events) - MAX_EVENTS)])
        for n in forgotten:
            del self.events[n]
        if forgotten:
            self.outbox = [owed for owed in self.outbox if owed[0].event.id not in forgotten]
        del self.outbox[: max(0, len(self.outbox) - MAX_OWED)]
        del self.curves[: max(0, len(self.curves) - MAX_CURVES)]
        return len(forgotten)


def to_row(event: StoredEvent) -> tuple[Any, ...]:
    """Return an event as the table holds it."""
    return tuple(to_us(v) if isinstance(v, datetime) else v for v in astuple(event))


def from_row(row: Iterable[Any]) -> StoredEvent:
    """Return the event that a row of COLUMNS holds."""
    values = [from_us(v) if k in _TIMES and v is not None else v for k, v in enumerate(row)]
    values[_IS_TEST] = bool(values[_IS_TEST])
    return StoredEvent(*values)


def storable(event: StoredEvent) -> StoredEvent:
    """Return an event whose texts SQLite can hold: half a UTF-16 pair, as JSON may bring, is ?."""
    texts = {name: getattr(event, name) for name in _NAMES}
    broken = {
        name: text.encode(errors="replace").decode()
        for name, text in texts.items()
        if isinstance(text, str) and not text.isascii()
    }
    return replace(event, **broken) if broken else event


def to_us(time: datetime) -> int:
    """Return microseconds of Unix time."""
    return (time - EPOCH) // timedelta(microseconds=1)


def from_us(microseconds: int) -> datetime:
    """Return the time, in UTC."""
    return EPOCH + timedelta(microseconds=microseconds)


def delivery_of(row: tuple[Any, ...]) -> Delivery:
    """Return what a row of OWED and COLUMNS says.

    The event is told as it stood in that phase; what people said of it since goes along.
    """
    seq, phase, ended_at, duration_s, peak_presence, reason = row[:6]
    then = replace(
        from_row(row[6:]),
        ended_at=None if ended_at is None else from_us(ended_at),
        duration_s=duration_s,
        peak_presence=peak_presence,
        reason=reason,
    )
    return Delivery(seq, phase, then)


def _owed_row(delivery: Delivery, owed_at: int) -> tuple[Any, ...]:
    event = delivery.event
    ended_at = None if event.ended_at is None else to_us(event.ended_at)
    return (
        *(delivery.seq, delivery.phase, event.id, owed_at),
        *(ended_at, event.duration_s, event.peak_presence, event.reason),
    )
