"""Events as they are kept: what is written, and over it what is not written yet."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from listen_edge.runtime.service.records.database import Database
from listen_edge.runtime.service.records.types import StoredEvent
from listen_edge.runtime.service.records.unwritten import COLUMNS, from_row, to_us

MAX_ID = (1 << 63) - 1  # SQLite's
Condition = tuple[str, str, Any]  # attribute, comparison, value
_COMPARISONS = {"<": operator.lt, "=": operator.eq, ">=": operator.ge, "IS": operator.is_}


class EventLog:
    """Events by id."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, event_id: int) -> StoredEvent | None:
        """Return an event, None if there is none of this id."""
        waiting = self._database.unwritten.events.get(event_id)
        if waiting is not None:
            return waiting
        rows = self._database.read(f"SELECT {COLUMNS} FROM events WHERE id = ?", (event_id,))
        return from_row(rows[0]) if rows else None

    def newest(self, conditions: Sequence[Condition], limit: int) -> list[StoredEvent]:
        """Return the newest events that meet all conditions, newest first."""
        waiting = dict(self._database.unwritten.events)  # before what is written
        tests = [f'"{name}" {comparison} ?' for name, comparison, _ in conditions]
        values = [to_us(v) if isinstance(v, datetime) else v for _, _, v in conditions]
        rows = self._database.read(
            f"SELECT {COLUMNS} FROM events WHERE {' AND '.join(tests) or '1'} "
            "ORDER BY id DESC LIMIT ?",
            (*values, min(limit + len(waiting), MAX_ID)),
        )
        found = {event.id: event for event in map(from_row, rows)} | waiting
        met = [event for event in found.values() if _meets(event, conditions)]
        return sorted(met, key=lambda event: -event.id)[:limit]


def _meets(event: StoredEvent, conditions: Sequence[Condition]) -> bool:
    return all(
        (value is None or getattr(event, name) is not None)
        and _COMPARISONS[comparison](getattr(event, name), value)
        for name, comparison, value in conditions
    )
