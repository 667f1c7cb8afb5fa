"""What is listened to: how each source does, muted and not."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter

from listen_edge.runtime.service.records.types import Sounding, SourceStatus
from listen_edge.runtime.service.service import Service
from listen_edge.runtime.service.web.parts import Body, IdInPath, ServiceHere, aware
from listen_edge.runtime.service.web.problems import RefusedError

router = APIRouter(prefix="/v1", tags=["sources"])


class Mute(Body):
    """Until when, with its offset; null: until it is unmuted."""

    until: datetime | None = None


@router.get("/sources")
def sources(service: ServiceHere) -> list[SourceStatus]:
    """List the sources and how they do."""
    return service.sources()


@router.get("/soundings")
def soundings(service: ServiceHere) -> list[Sounding]:
    """List the newest answer of each question at each source."""
    return service.soundings()


@router.post("/sources/{source}/mute")
def mute(service: ServiceHere, source: IdInPath, body: Mute | None = None) -> SourceStatus:
    """Close a source's device: off means off."""
    until = body.until if body else None
    service.mute(source, None if until is None else aware(until))
    return _status(service, source)


@router.post("/sources/{source}/unmute")
def unmute(service: ServiceHere, source: IdInPath) -> SourceStatus:
    """Open a muted source again."""
    service.unmute(source)
    return _status(service, source)


def _status(service: Service, source: str) -> SourceStatus:
    for status in service.sources():
        if status.id == source:
            return status
    raise RefusedError(404, f'there is no source "{source}" any more')
