"""Events for tests of what the service keeps."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from listen_edge.runtime.service.records.store import Store
from listen_edge.runtime.service.records.types import StoredEvent

BEGAN = datetime(2026, 11, 26, 8, 0, 0, 123456, tzinfo=timezone.utc)


def begin(store: Store, **changes: Any) -> StoredEvent:
    """Begin an event of a siren in the kitchen, or as changed."""
    fields: dict[str, Any] = {
        "source": "kitchen",
        "question": "siren",
        "ask": "siren?",
        "concept": "siren",
        "started_at": BEGAN,
        "peak_presence": 0.96,
        "level_dbfs": -20.5,
        "on": 0.95,
        "off": 0.6,
        "bundle": "tiny@sha256:ab12cd34",
    }
    return store.begin(**{**fields, **changes})


def end(store: Store, event: StoredEvent, duration_s: float = 4.0) -> StoredEvent:
    """End an event, heard for so long."""
    return store.end(
        event.id,
        ended_at=event.started_at + timedelta(seconds=duration_s + 5),
        duration_s=duration_s,
        peak_presence=max(0.98, event.peak_presence),
        reason="not_heard",
    )
