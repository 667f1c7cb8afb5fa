"""The interface on a socket, in a thread of the service."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import suppress

from fastapi import FastAPI
from uvicorn import Config, Server

from listen_edge.errors import ListenEdgeError
from listen_edge.runtime.service.config.models import WebConfig
from listen_edge.runtime.service.service import Service
from listen_edge.runtime.service.web.app import create_app
from listen_edge.runtime.service.web.bounds import Limits
from listen_edge.runtime.service.web.connection import TimedProtocol

_HEAD_BYTES = 16 << 10  # of a request's first line and headers
_N_CONNECTIONS = 64
_START_S, _STOP_S, _GRACE_S = 10.0, 3.0, 1
_TICK_S = 1.0  # the date in responses is so old at most


class WebServer:
    """Serves a service's interface until it is stopped.

    Args:
        service: see create_app.
        settings: where to listen, and see create_app.
        limits: see create_app.
    """

    def __init__(self, service: Service, settings: WebConfig, limits: Limits | None = None) -> None:
        self._host, self._port = settings.host, settings.port
        self._app = create_app(service, settings, limits)
        self._server = _server(self._app)
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Listen; returns when requests are answered.

        Raises:
            ListenEdgeError: the address cannot be listened on.
        """
        listening = self._listen()
        self._port = listening.getsockname()[1]
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._server.serve([listening])), name="web", daemon=True
        )
        self._thread.start()
        if not self._server.is_up.wait(_START_S):
            raise ListenEdgeError(f"{self.url}: the web server did not start; see the log")

    @property
    def url(self) -> str:
        """Where the page is, once it is started."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}/"

    def stop(self) -> None:
        """End within 3 s: streams end at once, requests have one second. May be called twice."""
        for lines in self._app.state.looking_on.copy():
            lines.close()
        self._server.end()
        if self._thread is not None:
            self._thread.join(_STOP_S)
            self._thread = None

    def _listen(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        # asyncio turns off Nagle's delay of 40 ms only where the protocol is said
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((self._host, self._port))
        except OSError as err:
            listening.close()
            raise ListenEdgeError(
                f"web.listen {self._host}:{self._port}: {(err.strerror or str(err)).lower()}; "
                "give another address or port, or end what listens there"
            ) from err
        return listening


class _Server(Server):
    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.is_up = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_ending = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._loop = asyncio.get_running_loop()
        self.is_up.set()

    async def main_loop(self) -> None:
        """As uvicorn's, which wakes ten times a second to see whether it is to end."""
        while not await self.on_tick(0):
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._is_ending.wait(), _TICK_S)

    def end(self) -> None:
        """Ask it to end; from any thread."""
        self.should_exit = True
        if self._loop is not None:
            with suppress(RuntimeError):  # it has ended
                self._loop.call_soon_threadsafe(self._is_ending.set)


def _server(app: FastAPI) -> _Server:
    return _Server(
        Config(
            app,
            loop="asyncio",
            http=TimedProtocol,
            ws="none",
            lifespan="on",
            log_config=None,
            log_level="error",  # its warnings are of clients, who may send as many as they like
            access_log=False,
            proxy_headers=False,  # anybody may send X-Forwarded-For
            server_header=False,
            limit_concurrency=_N_CONNECTIONS,
            timeout_graceful_shutdown=_GRACE_S,
            h11_max_incomplete_event_size=_HEAD_BYTES,
        )
    )
