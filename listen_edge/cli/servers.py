"""Where others connect while watch runs: the web interface, and the questions as wake words."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from listen_edge.errors import ListenEdgeError

if TYPE_CHECKING:
    from listen_edge.runtime.service.config.models import WakeConfig, WatchConfig, WebConfig
    from listen_edge.runtime.service.service import Service
    from listen_edge.runtime.service.wake_words import WakeServer
    from listen_edge.runtime.service.web.serve import WebServer

logger = logging.getLogger("listen_edge.runtime.service.watch")

_FIRST_PAUSE_S, _MOST_PAUSE_S = 5.0, 300.0


class _Server(Protocol):
    def stop(self) -> None: ...


_Settings = TypeVar("_Settings")


class _Place(Generic[_Settings]):
    """One kind of server: it runs as wanted, or is tried again and again until it does."""

    def __init__(self, start: Callable[[_Settings], _Server], clock: Callable[[], float]) -> None:
        self._start, self._clock = start, clock
        self._wanted: _Settings | None = None
        self._running: _Server | None = None
        self._pause_s = self._due_s = 0.0

    def put(self, wanted: _Settings | None) -> None:
        """Run what is wanted in place of what runs; what did not change goes on.

        Raises:
            ListenEdgeError: an address that cannot be listened at.
        """
        if self._running is not None and wanted == self._wanted:
            return
        self.stop()
        self._wanted, self._pause_s = wanted, _FIRST_PAUSE_S
        if wanted is not None:
            self._running = self._start(wanted)

    def follow(self, wanted: _Settings | None) -> None:
        """Do as put; what cannot be yet is told, and tried again."""
        try:
            self.put(wanted)
        except ListenEdgeError as err:
            self._wait(err)

    def tend(self) -> None:
        """Try again what is due."""
        if self._running is not None or self._wanted is None or self._clock() < self._due_s:
            return
        try:
            self._running = self._start(self._wanted)
        except ListenEdgeError as err:
            self._pause_s = min(2 * self._pause_s, _MOST_PAUSE_S)
            self._wait(err)

    def stop(self) -> None:
        """End it, and want none."""
        running, self._running, self._wanted = self._running, None, None
        if running is not None:
            running.stop()

    def _wait(self, err: ListenEdgeError) -> None:
        self._due_s = self._clock() + self._pause_s
        logger.error("%s; tried again in %.0f s, and at a reload", err, self._pause_s)


class Servers:
    """What a service serves; used from one thread, but for stop.

    Args:
        service: answers.
        clock: monotonic seconds.
    """

    def __init__(self, service: Service, clock: Callable[[], float] = time.monotonic) -> None:
        self._service = service
        self._web = _Place(self._started_web, clock)
        self._wake = _Place(self._started_wake, clock)

    def start(self, config: WatchConfig) -> None:
        """Serve what a configuration asks for.

        Raises:
            ListenEdgeError: an address that cannot be listened at.
        """
        self._web.put(config.web)
        self._wake.put(config.wake)

    def follow(self, config: WatchConfig) -> None:
        """Serve what another configuration asks for; what did not change goes on."""
        self._web.follow(config.web)
        self._wake.follow(config.wake)

    def tend(self) -> None:
        """Try again, now and then, what could not be started; to be called every second or so."""
        self._web.tend()
        self._wake.tend()

    def stop(self) -> None:
        """End every connection, within 5 s."""
        self._wake.stop()
        self._web.stop()

    def _started_web(self, settings: WebConfig) -> WebServer:
        from listen_edge.runtime.service.web.serve import WebServer

        web = WebServer(self._service, settings)
        web.start()
        logger.info("page and API at %s", web.url)
        return web

    def _started_wake(self, settings: WakeConfig) -> WakeServer:
        from listen_edge.runtime.service.wake_words import WakeServer

        wake = WakeServer(self._service, settings.host, settings.port)
        logger.info("wake words at %s port %d", settings.host, wake.port)
        return wake
