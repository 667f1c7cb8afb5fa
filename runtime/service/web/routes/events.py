"""Events: what was heard, what a person says of it, its sound and a picture of that."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import FileResponse
from pydantic import Field

from listen_edge.errors import AudioError
from listen_edge.runtime.service.records.types import StoredEvent, Verdict
from listen_edge.runtime.service.service import Service
from listen_edge.runtime.service.web.parts import (
    MAX_ID,
    Body,
    EventId,
    IdInQuery,
    ServiceHere,
    aware,
)
from listen_edge.runtime.service.web.picture import Pictures
from listen_edge.runtime.service.web.problems import RefusedError

router = APIRouter(prefix="/v1/events", tags=["events"])

_MAX_NOTE = 1000  # characters
_BINARY = {"type": "string", "format": "binary"}
_CLIP: dict[int | str, dict[str, Any]] = {
    200: {"content": {"audio/flac": {"schema": _BINARY}}},
    206: {"description": "a part of it", "content": {"audio/flac": {"schema": _BINARY}}},
    416: {"description": "a part that is not there", "content": {"text/plain": {}}},
}
_PICTURE: dict[int | str, dict[str, Any]] = {200: {"content": {"image/png": {"schema": _BINARY}}}}


class Judgement(Body):
    """What a person says of an event; null takes it back."""

    verdict: Verdict | None
    note: str = Field("", max_length=_MAX_NOTE)


@router.get("")
def events(
    service: ServiceHere,
    before: Annotated[int | None, Query(ge=1, le=MAX_ID)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    source: IdInQuery | None = None,
    question: IdInQuery | None = None,
    verdict: Verdict | None = None,
    since: datetime | None = None,
    with_tests: bool = False,
) -> list[StoredEvent]:
    """List events, newest first; `before` is the last id of the page before."""
    return service.store.events(
        before=before,
        limit=limit,
        source=source,
        question=question,
        verdict=verdict,
        since=None if since is None else aware(since),
        with_tests=with_tests,
    )


@router.get("/{event}")
def event(service: ServiceHere, event: EventId) -> StoredEvent:
    """Show an event."""
    return _there(service.store.event(event), event)


@router.post("/{event}/verdict")
def judge(service: ServiceHere, event: EventId, body: Judgement) -> StoredEvent:
    """Say whether an event was right or a false alarm: thresholds can be tuned by that."""
    return _there(service.store.judge(event, body.verdict, body.note), event)


@router.post("/{event}/acknowledge")
def acknowledge(service: ServiceHere, event: EventId) -> StoredEvent:
    """Note that somebody has seen an event."""
    return _there(service.store.acknowledge(event), event)


@router.get("/{event}/clip", response_class=FileResponse, responses=_CLIP)
def clip(service: ServiceHere, event: EventId) -> Response:
    """Send an event's sound, or a range of its bytes."""
    path = _clip(service, event)
    return FileResponse(
        path,
        media_type="audio/flac",
        filename=f"event-{event}{path.suffix}",
        content_disposition_type="inline",
        stat_result=path.stat(),
    )


@router.get("/{event}/spectrogram.png", response_class=Response, responses=_PICTURE)
def spectrogram(request: Request, service: ServiceHere, event: EventId) -> Response:
    """Send a picture of an event's sound: the log-mel spectrogram that the model hears."""
    pictures: Pictures = request.app.state.pictures
    path = _clip(service, event)
    try:
        return Response(pictures.of(path), media_type="image/png")
    except AudioError as err:
        raise AudioError(str(err).replace(f"{path.parent}/", "")) from err


def _there(event: StoredEvent | None, wanted: int) -> StoredEvent:
    if event is None:
        raise RefusedError(404, f"there is no event {wanted}; it may be older than what is kept")
    return event


def _clip(service: Service, wanted: int) -> Path:
    """Return where an event's sound is; a name is never looked up but in the store."""
    path = service.store.clip_path(_there(service.store.event(wanted), wanted))
    if path is None:
        raise RefusedError(
            404,
            f"event {wanted} has no sound: none is kept, it is removed, or the event still goes on",
        )
    return path
