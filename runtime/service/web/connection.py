"""A connection whose client must send and read in time: uvicorn waits for either for ever."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_S = 10.0  # for the first line and the headers
REST_S = 5.0  # for what is left of a body after its response
READ_S = 30.0  # for a client to take what it was sent


class TimedProtocol(H11Protocol):
    """HTTP/1.1 that cuts off clients which neither send nor read."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self.limit_concurrency and len(self.connections) > 2 * self.limit_concurrency:
            transport.abort()  # half of them are told that it is busy; more would take all handles
        else:
            self._expect("head", HEAD_S)

    def connection_lost(self, exc: Exception | None) -> None:
        for what in list(self._timers):
            self._come(what)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.conn.their_state is h11.IDLE:
            self._expect("head", HEAD_S)
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._come("head")
        if self.conn.their_state is not h11.SEND_BODY:
            self._come("rest")

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY:
            self._expect("rest", REST_S)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._expect("read", READ_S)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._come("read")

    def _expect(self, what: str, within_s: float) -> None:
        if what not in self._timers:
            self._timers[what] = self.loop.call_later(within_s, self.transport.abort)

    def _come(self, what: str) -> None:
        if timer := self._timers.pop(what, None):
            timer.cancel()
