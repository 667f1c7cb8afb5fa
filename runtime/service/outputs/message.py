"""What outputs say of an event: its JSON, a contract (docs/service-events.md)."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from functools import lru_cache

from listen_edge.lines.stored_event import StoredEventLine
from listen_edge.runtime.service.records.types import Delivery


@lru_cache(maxsize=16)  # all outputs are owed the same, at about the same time
def stored_event_line(delivery: Delivery) -> str:
    """Return the JSON of a delivery, the same at every try; one line without its newline."""
    event = delivery.event
    is_over = delivery.phase == "end"
    line = StoredEventLine(
        phase=delivery.phase,
        uid=event.uid,
        source=event.source,
        question=event.question,
        ask=event.ask,
        concept=event.concept,
        started_at=_utc(event.started_at),
        ended_at=_utc(event.ended_at) if is_over and event.ended_at else None,
        duration_s=event.duration_s,
        peak_presence=event.peak_presence,
        level_dbfs=event.level_dbfs,
        on=event.on,
        off=event.off,
        reason=event.reason if is_over else None,
        clip=event.clip,
        bundle=event.bundle,
        is_test=event.is_test,
    )
    return line.to_json_line(_moment(delivery))


def delivery_key(delivery: Delivery) -> str:
    """Return what is the same at every try of a delivery and of no other: "uid:phase".

    A long event has several updates, which their place in the store tells apart.
    """
    key = f"{delivery.event.uid}:{delivery.phase}"
    return f"{key}:{delivery.seq}" if delivery.phase == "update" else key


def _moment(delivery: Delivery) -> datetime:
    """Return when it happened, not when it is told."""
    event = delivery.event
    if delivery.phase == "start":
        return event.started_at.astimezone(timezone.utc)
    ended_at = event.started_at + timedelta(seconds=event.duration_s)
    if delivery.phase == "end" and event.ended_at is not None:
        ended_at = event.ended_at
    return ended_at.astimezone(timezone.utc)


def _utc(moment: datetime) -> str:
    """Return a time as the lines write their own, with milliseconds."""
    return moment.astimezone(timezone.utc).isoformat(timespec="milliseconds")[:-6] + "Z"
