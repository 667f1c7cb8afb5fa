"""An event that did not happen, to try the way from here to a phone without a fire."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta, timezone

from listen_edge.runtime.service.records.types import Delivery, StoredEvent

_DURATION_S = 1.0


def trial_deliveries(
    *, source: str, question: str, ask: str, concept: str, bundle: str
) -> tuple[Delivery, Delivery]:
    """Return its start and its end, so that what a start switches on goes off again.

    They are marked as a test, and no store knows them.
    """
    ended_at = datetime.now(timezone.utc)
    event = StoredEvent(
        id=0,
        uid=f"test-{uuid.uuid4().hex}",
        source=source,
        question=question,
        ask=ask,
        concept=concept,
        started_at=ended_at - timedelta(seconds=_DURATION_S),
        ended_at=ended_at,
        duration_s=_DURATION_S,
        peak_presence=1.0,
        level_dbfs=None,
        on=1.0,
        off=1.0,
        bundle=bundle,
        reason="stopped",
        is_test=True,
    )
    return Delivery(0, "start", event), Delivery(0, "end", event)
