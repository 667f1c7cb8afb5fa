"""Lines as they come, as server-sent events: for the page, and whoever looks on."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from listen_edge.lines import JsonLine
from listen_edge.lines.answer import Answer
from listen_edge.lines.event import Event
from listen_edge.lines.health import Health
from listen_edge.lines.heard import HeardLine
from listen_edge.runtime.service.subscription import Subscription
from listen_edge.runtime.service.web.parts import LimitsHere, ServiceHere
from listen_edge.runtime.service.web.problems import RefusedError

router = APIRouter(prefix="/v1", tags=["stream"])

Kind = Literal["answer", "event", "health", "heard"]
_CLASSES = {"answer": Answer, "event": Event, "health": Health, "heard": HeardLine}
_RETRY_MS, _WAIT_S = 2000, 1.0


@router.get(
    "/stream",
    response_class=Response,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
)
def stream(
    request: Request,
    service: ServiceHere,
    limits: LimitsHere,
    kind: Annotated[list[Kind] | None, Query(description="of lines; all if not given")] = None,
) -> Response:
    """Send lines as they come: `event` is the line's type, `data` the line.

    A comment comes where nothing else does for ten seconds; `missed` counts lines that a slow
    client has lost.
    """
    places: threading.Semaphore = request.app.state.streams
    if not places.acquire(blocking=False):
        raise RefusedError(
            429,
            f"{limits.n_streams} clients look on, and no more are taken; close one",
            {"Retry-After": "10"},
        )
    try:
        classes = tuple(_CLASSES[one] for one in dict.fromkeys(kind or _CLASSES))
        lines = service.subscribe(classes)
    except BaseException:
        places.release()
        raise
    looking_on: set[Subscription] = request.app.state.looking_on
    looking_on.add(lines)
    lines_sent = _sent(lines, request.app.state.waiting, limits.heartbeat_s)
    return _Stream(lines_sent, lines, places, looking_on)


class _Stream(StreamingResponse):
    """Holds one of the places until the client leaves or the service ends."""

    def __init__(
        self,
        sent: AsyncIterator[str],
        lines: Subscription,
        places: threading.Semaphore,
        looking_on: set[Subscription],
    ) -> None:
        super().__init__(sent, media_type="text/event-stream")
        self._lines, self._places, self._looking_on = lines, places, looking_on

    async def __call__(self, *connection: Any) -> None:
        try:
            await super().__call__(*connection)
        finally:
            self._lines.close()
            self._looking_on.discard(self._lines)
            self._places.release()


async def _sent(lines: Subscription, pool: Executor, heartbeat_s: float) -> AsyncIterator[str]:
    """Yield what is sent; a thread of the pool waits for each line."""
    loop = asyncio.get_running_loop()
    n_missed, sent_at = 0, time.monotonic()
    yield f"retry: {_RETRY_MS}\n\n"
    while not lines.is_closed:
        line = await loop.run_in_executor(pool, lines.get, _WAIT_S)
        text = ""
        while line is not None:
            text += _event(line)
            line = lines.get(0)
        if lines.n_dropped > n_missed:
            n_missed = lines.n_dropped
            text += f'event: missed\ndata: {{"n": {n_missed}}}\n\n'
        if not text and time.monotonic() - sent_at >= heartbeat_s:
            text = ": nothing new\n\n"
        if text:
            sent_at = time.monotonic()
            yield text


def _event(line: JsonLine) -> str:
    return f"event: {line.TYPE}\ndata: {line.to_json_line()}\n\n"
