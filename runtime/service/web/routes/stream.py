"""Lines as they come, as server-sent events: for the page, and whoever looks on."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
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
_RETRY_MS = 2000
_LINGER_S = 0.2  # from the first line to what is sent


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
    return _Stream(_sent(lines, limits.heartbeat_s), lines, places, looking_on)


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


async def _sent(lines: Subscription, heartbeat_s: float) -> AsyncIterator[str]:
    """Yield what is sent. Lines wake the loop, no thread waits; a window's are sent together."""
    loop, woken = asyncio.get_running_loop(), asyncio.Event()

    def wake() -> None:
        with suppress(RuntimeError):  # the server has ended
            loop.call_soon_threadsafe(loop.call_later, _LINGER_S, woken.set)

    n_missed, sent_at, lines.on_news = 0, loop.time(), wake
    yield f"retry: {_RETRY_MS}\n\n"
    while not lines.is_closed:
        text = "".join(map(_event, lines.lines(0)))
        if lines.n_dropped > n_missed:
            n_missed = lines.n_dropped
            text += f'event: missed\ndata: {{"n": {n_missed}}}\n\n'
        if not text and loop.time() - sent_at >= heartbeat_s:
            text = ": nothing new\n\n"
        if text:
            sent_at = loop.time()
            yield text
        beat = loop.call_at(sent_at + heartbeat_s, woken.set)
        await woken.wait()
        beat.cancel()
        woken.clear()


def _event(line: JsonLine) -> str:
    return f"event: {line.TYPE}\ndata: {line.to_json_line()}\n\n"
