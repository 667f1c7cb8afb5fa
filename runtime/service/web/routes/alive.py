"""Is it alive, is it ready: for whoever starts and watches the service."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel

from listen_edge.runtime.service.web.parts import ServiceHere

router = APIRouter(tags=["alive"])


class Alive(BaseModel):
    """It answers."""

    status: Literal["alive"] = "alive"


class Ready(BaseModel):
    """Whether every source was heard in time; if not, which and why."""

    is_ready: bool
    reason: str


@router.get("/healthz")
def alive() -> Alive:
    """Tell that the service is alive; it says nothing of what it hears."""
    return Alive()


@router.get("/readyz", responses={503: {"model": Ready}})
def ready(service: ServiceHere, response: Response) -> Ready:
    """Tell whether every source was heard in time: 200, or 503 with the reason."""
    is_ready, reason = service.is_ready()
    response.status_code = 200 if is_ready else 503
    return Ready(is_ready=is_ready, reason=reason)


@router.get("/v1/engine")
def engine(service: ServiceHere) -> dict[str, Any]:
    """Tell the bundle, its backend, and the load on it."""
    return service.engine_info()
