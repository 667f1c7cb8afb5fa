"""The last days: presence as it was heard, what other thresholds would have made of it."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query
from numpy.typing import NDArray
from pydantic import BaseModel

from listen_edge.errors import ListenEdgeError, one_line
from listen_edge.runtime.service.records.what_if import WouldBe, what_if
from listen_edge.runtime.service.service import Service
from listen_edge.runtime.service.web.parts import Hours, IdInQuery, ServiceHere
from listen_edge.runtime.service.web.problems import RefusedError
from listen_edge.runtime.thresholds import Thresholds

router = APIRouter(prefix="/v1", tags=["history"])

_DIGITS = 4
Level = Annotated[float, Query(ge=0, le=1, allow_inf_nan=False)]


class History(BaseModel):
    """Presence over time, thinned to at most the points that were asked for.

    Attributes:
        times: ends of windows, in seconds of Unix time; a point where nothing ran is not there.
        presence: the highest since the point before; null where nothing was heard.
        unknown: share of the windows since the point before that were not heard.
    """

    source: str
    question: str
    since: datetime
    until: datetime
    times: list[float]
    presence: list[float | None]
    unknown: list[float]


class WouldBeEvent(BaseModel):
    """An event that thresholds would have made."""

    source: str
    started_at: datetime
    duration_s: float
    peak_presence: float
    has_ended: bool


class WhatIf(BaseModel):
    """What thresholds would have made of the presence that is kept, at all sources.

    Attributes:
        n_now: events that the thresholds in force make of the same.
    """

    events: list[WouldBeEvent]
    n_now: int


class HeardSound(BaseModel):
    """A sound of the vocabulary, and how much of the first minutes held it."""

    name: str
    share: float
    highest: float


@router.get("/history")
def history(
    service: ServiceHere,
    source: IdInQuery,
    question: IdInQuery,
    hours: Hours = 24,
    points: Annotated[int, Query(ge=1, le=5000, description="at most")] = 1500,
) -> History:
    """Show a question's presence at a source over the last hours."""
    until = datetime.now(timezone.utc)
    since = until - timedelta(hours=hours)
    times, presence = service.store.presence(source, question, since, until)
    thinned, highest, unknown = thin(times, presence, points)
    return History(
        source=source,
        question=question,
        since=since,
        until=until,
        times=thinned.round(3).tolist(),
        presence=[None if np.isnan(p) else round(float(p), _DIGITS) for p in highest],
        unknown=unknown.round(3).tolist(),
    )


@router.get("/what-if")
def what_would_be(
    service: ServiceHere, question: IdInQuery, on: Level, off: Level, hours: Hours = 24
) -> WhatIf:
    """Tell which events other thresholds would have made over the last hours."""
    try:
        wanted = Thresholds(on, off)
    except ListenEdgeError as err:
        raise RefusedError(422, one_line(err)) from err
    until = datetime.now(timezone.utc)
    hop_s: float = service.engine_info()["hop_s"]
    events: list[WouldBeEvent] = []
    n_now = 0
    for source in _asked_at(service, question):
        trigger = service.trigger(question, source)
        heard = service.store.presence(source, question, until - timedelta(hours=hours), until)
        n_now += len(what_if(*heard, trigger.thresholds, trigger, hop_s))
        events += [_event(source, one) for one in what_if(*heard, wanted, trigger, hop_s)]
    return WhatIf(events=sorted(events, key=lambda event: event.started_at), n_now=n_now)


def _asked_at(service: Service, question: str) -> tuple[str, ...]:
    for status in service.questions():
        if status.id == question:
            return status.sources
    raise RefusedError(404, f'there is no question "{question}"')


def _event(source: str, would_be: WouldBe) -> WouldBeEvent:
    return WouldBeEvent(
        source=source,
        started_at=datetime.fromtimestamp(would_be.started_s, timezone.utc),
        duration_s=round(would_be.duration_s, 3),
        peak_presence=round(would_be.peak_presence, _DIGITS),
        has_ended=would_be.has_ended,
    )


@router.get("/heard")
def heard(service: ServiceHere) -> list[HeardSound]:
    """Tell what was heard most in the first minutes, whether or not anybody asked."""
    return [
        HeardSound(name=name, share=share, highest=highest)
        for name, share, highest in service.heard_first()
    ]


def thin(
    times: NDArray[np.float64], presence: NDArray[np.float64], n_points: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return at most n_points in place of windows, equally many windows each.

    Args:
        times: (n_windows,), in order.
        presence: (n_windows,), NaN where unknown.

    Returns:
        Time of the last window of each, highest presence (NaN: none was heard), unknown share.
    """
    if len(times) == 0:
        return times, presence, presence
    edges = np.linspace(0, len(times), min(n_points, len(times)) + 1).astype(int)
    starts, n_windows = edges[:-1], np.diff(edges)
    n_unknown = np.add.reduceat(np.isnan(presence).astype(float), starts)
    return times[edges[1:] - 1], np.fmax.reduceat(presence, starts), n_unknown / n_windows
