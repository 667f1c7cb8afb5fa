"""The HTTP interface of a service: its routes, behind the layers that guard and bound them."""

from __future__ import annotations

import threading
from typing import Any

from fastapi import FastAPI

from listen_edge import __version__
from listen_edge.runtime.service.config.models import WebConfig
from listen_edge.runtime.service.service import Service
from listen_edge.runtime.service.subscription import Subscription
from listen_edge.runtime.service.web import chat_shapes
from listen_edge.runtime.service.web.auth import Failures, Guard
from listen_edge.runtime.service.web.bounds import BoundedBodies, Limits, SafeHeaders
from listen_edge.runtime.service.web.compression import Compressed
from listen_edge.runtime.service.web.metrics import Metrics
from listen_edge.runtime.service.web.picture import Pictures
from listen_edge.runtime.service.web.problems import Problem, add_handlers
from listen_edge.runtime.service.web.routes import (
    alive,
    ask,
    chat,
    events,
    history,
    outputs,
    pages,
    questions,
    sources,
    stream,
)
from listen_edge.runtime.service.web.uploads import Gate

_FAMILIES = (alive, ask, chat, questions, sources, events, history, stream, outputs, pages)
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": Problem, "description": "refused, and why"},
    422: {"model": Problem, "description": "not as this document says, and where"},
}
_DESCRIPTION = (
    "Asks recordings and microphones whether a sound is there. The state is `present`, `absent`, "
    "or `unknown` with its reason: never absent about what was not heard."
)


def create_app(service: Service, settings: WebConfig, limits: Limits | None = None) -> FastAPI:
    """Return the interface of a service.

    Args:
        service: started and stopped by others.
        settings: where it may be reached from, and by whom.
        limits: what a client may ask; None: the settings', and those of Limits.
    """
    limits = limits or Limits(
        upload_bytes=round(1e6 * settings.upload_mb), audio_s=60 * settings.upload_minutes
    )
    app = _App(
        title="listen-edge",
        version=__version__,
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        responses=_PROBLEMS,
    )
    app.state.service, app.state.limits = service, limits
    app.state.gate, app.state.pictures = Gate(limits), Pictures()
    app.state.metrics = Metrics(service)
    app.state.trying = threading.Lock()
    app.state.streams = threading.Semaphore(limits.n_streams)
    app.state.looking_on = set[Subscription]()
    for family in _FAMILIES:
        app.include_router(family.router)
    add_handlers(app)
    token = settings.token.get_secret_value() if settings.token else None
    app.add_middleware(Compressed)
    app.add_middleware(BoundedBodies, limits=limits)
    app.add_middleware(Guard, token=token, hosts=settings.hosts, failures=Failures())
    app.add_middleware(SafeHeaders)  # outermost: on refusals too
    return app


class _App(FastAPI):
    """Describes in its document what a route reads by itself, too."""

    def openapi(self) -> dict[str, Any]:
        document = super().openapi()
        document["components"]["schemas"].update(chat_shapes.schemas())
        return document
