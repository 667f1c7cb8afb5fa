"""Who is told: how each output does, and a trial of its whole way."""

from __future__ import annotations

import threading
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, Field

from listen_edge.runtime.service.service import Service
from listen_edge.runtime.service.web.parts import ID, Body, ServiceHere
from listen_edge.runtime.service.web.problems import RefusedError

router = APIRouter(prefix="/v1/outputs", tags=["outputs"])

_ALL = "all"
_RETRY_S = 10
Id = Annotated[str, Field(pattern=ID)]
OutputName = Annotated[str, Path(max_length=128, description=f'or "{_ALL}"')]


class Trial(Body):
    """What the event that did not happen is about; the first there is, if not given."""

    question: Id | None = None
    source: Id | None = None


class Tried(BaseModel):
    """What came of a trial; `error` is null where it was taken."""

    output: str
    error: str | None


@router.get("")
def outputs(service: ServiceHere) -> list[dict[str, Any]]:
    """List the outputs, with what each has delivered and is still owed."""
    return service.outputs()


@router.post("/{name}/test")
def try_out(
    request: Request, service: ServiceHere, name: OutputName, body: Trial | None = None
) -> list[Tried]:
    """Send an event that did not happen through an output, or through all of them.

    One trial at a time: a peer that stalls holds it for long.
    """
    trying: threading.Lock = request.app.state.trying
    question, source = _about(service, body or Trial())
    if not trying.acquire(blocking=False):
        raise RefusedError(
            429,
            f"another trial goes on; try again in {_RETRY_S} s",
            {"Retry-After": str(_RETRY_S)},
        )
    try:
        tried = service.test_fire(None if name == _ALL else name, question, source)
    finally:
        trying.release()
    return [Tried(output=output, error=error) for output, error in tried]


def _about(service: Service, trial: Trial) -> tuple[str, str]:
    """Return the ids of the question and source that a trial is about."""
    asked = [q for q in service.questions() if trial.question in (None, q.id)]
    if not asked:
        raise RefusedError(404, f'there is no question "{trial.question}" to try an output with')
    at = [s.id for s in service.sources() if trial.source in (None, s.id)]
    there = [source for source in at if source in asked[0].sources] or at
    if not there:
        raise RefusedError(404, f'there is no source "{trial.source}" to try an output with')
    return asked[0].id, there[0]
