"""How much is kept: the oldest goes first, what a person has judged last, what goes on never."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from listen_edge.errors import ListenEdgeError
from listen_edge.runtime.service.records.clip_files import clip_path
from listen_edge.runtime.service.records.database import Database
from listen_edge.runtime.service.records.unwritten import to_us

AROUND_S = 60.0  # presence that is kept as long as its event, before and after it
_BATCH = 100  # events or curves a transaction: whoever writes meanwhile hardly waits
_ROW_BYTES = 600  # of an event and what it owes, about
_MB = 1_000_000


@dataclass(frozen=True)
class Retention:
    """What is kept for how long.

    Attributes:
        keep_days: of events and their clips, judged or not.
        keep_mb: of database and clips together.
        history_days: of presence that belongs to no event.
    """

    keep_days: float = 30.0
    keep_mb: float = 2000.0
    history_days: float = 7.0

    def __post_init__(self) -> None:
        for name in ("keep_days", "keep_mb", "history_days"):
            if not 0 < getattr(self, name) <= 1e6:
                raise ListenEdgeError(
                    f"events: {name} {getattr(self, name):g}: expected above 0, up to 1000000"
                )


@dataclass(frozen=True)
class Removed:
    """How much went."""

    n_events: int = 0
    n_curves: int = 0


def remove_what_is_too_much(
    database: Database, clips: Path | None, retention: Retention, now: datetime
) -> Removed:
    """Remove what is too old, then the oldest of what is too much; return how much that was.

    A clip goes before its event: a process that is killed leaves no clip that nobody knows of.

    Raises:
        StoreError, sqlite3.Error: the database could not be read or changed.
    """
    n_events = 0
    events_before = to_us(now - timedelta(days=retention.keep_days))
    while batch := _oldest(database, "started_at < ?", events_before):
        n_events += _remove_events(database, clips, batch)
    days = min(retention.history_days, retention.keep_days)
    n_curves = _remove_curves(database, to_us(now - timedelta(days=days)))
    database.change(_FORGET_DELIVERED)
    for condition in ("verdict IS NULL", None, "verdict IS NOT NULL"):
        while (too_much := _bytes_used(database, clips) - retention.keep_mb * _MB) > 0:
            if condition is None:
                n = database.change(_FORGET_OLDEST_CURVES, (_BATCH,))
                n_curves += n
            else:
                n = _remove_events(
                    database, clips, _first(_oldest(database, condition), clips, too_much)
                )
                n_events += n
            if n == 0:
                break
    return Removed(n_events, n_curves)


_FORGET_OLDEST_CURVES = (
    "DELETE FROM presence WHERE id IN (SELECT id FROM presence ORDER BY until LIMIT ?)"
)
# What every output has; without one all of it, since a new output begins at now.
_FORGET_DELIVERED = (
    "DELETE FROM outbox WHERE seq <= "
    "ifnull((SELECT min(seq) FROM outputs), (SELECT max(seq) FROM outbox))"
)
_FORGET_CURVES = """
DELETE FROM presence WHERE id IN (
    SELECT id FROM presence WHERE until < ? AND NOT EXISTS (
        SELECT 1 FROM series JOIN events USING (source, question)
        WHERE series.id = presence.series
        AND events.started_at <= presence.until + ?
        AND ifnull(events.ended_at, presence.since) >= presence.since - ?
    ) LIMIT ?
)
"""


def _oldest(database: Database, condition: str, *arguments: Any) -> list[tuple[int, str | None]]:
    """Return id and clip of the oldest events that have ended."""
    return database.read(  # type: ignore[return-value]
        f"SELECT id, clip FROM events WHERE ended_at IS NOT NULL AND {condition} "
        "ORDER BY id LIMIT ?",
        (*arguments, _BATCH),
    )


def _first(
    batch: list[tuple[int, str | None]], clips: Path | None, too_much: float
) -> list[tuple[int, str | None]]:
    """Return as many of these events as free so many bytes."""
    for k, (_, clip) in enumerate(batch):
        path = clip_path(clips, clip)
        too_much -= _ROW_BYTES + (path.stat().st_size if path is not None else 0)
        if too_much <= 0:
            return batch[: k + 1]
    return batch


def _remove_events(
    database: Database, clips: Path | None, batch: list[tuple[int, str | None]]
) -> int:
    for _, clip in batch:
        path = clip_path(clips, clip)
        if path is not None:
            with suppress(OSError):
                path.unlink()
    ids = [event_id for event_id, _ in batch]
    return database.change(f"DELETE FROM events WHERE id IN ({', '.join('?' * len(ids))})", ids)


def _remove_curves(database: Database, before_us: int) -> int:
    around_us, total = int(1e6 * AROUND_S), 0
    while n := database.change(_FORGET_CURVES, (before_us, around_us, around_us, _BATCH)):
        total += n
    return total


def _bytes_used(database: Database, clips: Path | None) -> int:
    """Return bytes of the pages in use and of the clips that events name."""
    (n_pages,), (n_free,), (page_bytes,) = (
        database.read(f"PRAGMA {name}")[0] for name in ("page_count", "freelist_count", "page_size")
    )
    sizes: dict[str, int] = {}
    if clips is not None:
        with suppress(OSError), os.scandir(clips) as found:
            sizes = {
                one.name: one.stat(follow_symlinks=False).st_size
                for one in found
                if one.is_file(follow_symlinks=False)
            }
    named = database.read("SELECT DISTINCT clip FROM events WHERE clip IS NOT NULL")
    return (n_pages - n_free) * page_bytes + sum(sizes.get(name, 0) for (name,) in named)
