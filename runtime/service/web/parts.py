"""What the routes share: the service behind them, and the shapes of requests."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Annotated

from fastapi import Depends, Path, Query, Request
from pydantic import BaseModel, ConfigDict

from listen_edge.runtime.service.service import Service
from listen_edge.runtime.service.web.bounds import Limits
from listen_edge.runtime.service.web.problems import RefusedError

ID = r"^[a-z0-9][a-z0-9_-]{0,63}$"
MAX_ID = (1 << 63) - 1  # of SQLite


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def _limits(request: Request) -> Limits:
    limits: Limits = request.app.state.limits
    return limits


ServiceHere = Annotated[Service, Depends(_service)]
LimitsHere = Annotated[Limits, Depends(_limits)]
IdInPath = Annotated[str, Path(pattern=ID)]
IdInQuery = Annotated[str, Query(pattern=ID)]
EventId = Annotated[int, Path(ge=1, le=MAX_ID)]
Hours = Annotated[float, Query(gt=0, le=24 * 366, description="how far back")]


class Body(BaseModel):
    """A JSON body; a key that it does not know is an error."""

    model_config = ConfigDict(extra="forbid")


def aware(time: datetime) -> datetime:
    """Return a time that a client gave as UTC; one without an offset is refused."""
    if time.tzinfo is None:
        raise RefusedError(
            422, f"{time.isoformat()}: a time needs its offset, for example a final Z"
        )
    try:
        return time.astimezone(timezone.utc)
    except OverflowError as err:
        raise RefusedError(422, f"{time.isoformat()}: out of the calendar") from err
