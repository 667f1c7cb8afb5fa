"""The command watch: the whole service, until it is told to stop.

SIGHUP reads the configuration again, SIGTERM and Ctrl-C end the events and then the process.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from listen_edge.cli.options import PATH
from listen_edge.cli.servers import Servers
from listen_edge.errors import ListenEdgeError

if TYPE_CHECKING:
    from listen_edge.runtime.service.service import Service

logger = logging.getLogger("listen_edge.runtime.service.watch")

_TICK_S, _STOP_S = 1.0, 4.0


@click.command()
@click.option(
    "--config",
    "path",
    type=PATH,
    help="Configuration.  [default: ./listen-edge.yaml, $XDG_CONFIG_HOME/listen-edge/config.yaml "
    "or /etc/listen-edge/config.yaml]",
)
def watch(path: Path | None) -> int:
    """Listen to many sources for many sounds, keep events and tell of them, until stopped.

    SIGHUP reads the configuration again without losing a microphone.
    """
    from listen_edge.runtime.service.config.against_bundle import read_with_bundle
    from listen_edge.runtime.service.journal import log_to_journal

    os.umask(0o077)  # what was heard at home is nobody else's
    signals = _Signals()
    reading, _ = read_with_bundle(path)
    log_to_journal()
    logging.getLogger("listen_edge.runtime.service").setLevel(logging.INFO)
    for warning in reading.warnings:
        logger.warning("%s", warning)
    # Loads llama.cpp, which takes long.
    from listen_edge.runtime.service.service import Service

    return _Watch(Service(reading.config), reading.path, signals).run()


class _Signals:
    """What the process was asked for; Python's handlers run in the main thread alone.

    Attributes:
        exit_code: None until it is to end: 0 after SIGTERM, 130 after Ctrl-C.
        wants_reload: SIGHUP came.
    """

    def __init__(self) -> None:
        self.exit_code: int | None = None
        self.wants_reload = False
        self._came = threading.Event()
        signal.signal(signal.SIGHUP, self._ask_for_reload)

    def catch_ends(self) -> None:
        """Take SIGTERM and Ctrl-C, which until then end the process at once."""
        signal.signal(signal.SIGTERM, self._end)
        signal.signal(signal.SIGINT, self._end)

    def wait(self, timeout_s: float) -> None:
        """Wait for a signal."""
        self._came.wait(timeout_s)
        self._came.clear()

    def _ask_for_reload(self, number: int, frame: FrameType | None) -> None:
        self.wants_reload = True
        self._came.set()

    def _end(self, number: int, frame: FrameType | None) -> None:
        self.exit_code = 130 if number == signal.SIGINT else 0
        self._came.set()


class _Watch:
    """A service, what it serves and its service manager."""

    def __init__(self, service: Service, path: Path, signals: _Signals) -> None:
        from listen_edge.runtime.service.watchdog import Watchdog

        self._service, self._path, self._signals = service, path, signals
        self._servers = Servers(service)
        self._watchdog = Watchdog()
        self._told: dict[str, str] = {}  # state of each source

    def run(self) -> int:
        """Listen until a signal; return the exit code."""
        self._signals.catch_ends()
        try:
            self._service.start()
            self._servers.start(self._service.config)
            logger.info("listening to %s", ", ".join(one.id for one in self._service.sources()))
            self._watchdog.ready(self._status())
            every_s = min(_TICK_S, self._watchdog.interval_s or _TICK_S)
            while self._signals.exit_code is None:
                self._signals.wait(every_s)
                if self._signals.wants_reload:
                    self._signals.wants_reload = False
                    self._reload()
                self._servers.tend()
                self._tell_changes()
                self._feed_watchdog()
        finally:
            self._stop()
        return self._signals.exit_code

    def _reload(self) -> None:
        """Read the configuration again; what cannot be changes nothing."""
        from listen_edge.runtime.service.config.against_bundle import read_with_bundle

        try:
            reading, _ = read_with_bundle(self._path)
            for warning in reading.warnings:
                logger.warning("%s", warning)
            self._service.reload(reading.config)
            self._servers.follow(reading.config)
            logger.info("%s was read again", self._path)
        except ListenEdgeError as err:
            logger.error("%s; what was in force goes on", err)

    def _tell_changes(self) -> None:
        """Log what became of each source: everybody's first question is why there is nothing."""
        for one in self._service.sources():
            if self._told.get(one.id, "starting") != one.state:
                is_well = one.state in ("healthy", "muted", "starting")
                why = f": {one.message}" if one.message else ""
                logger.log(
                    logging.INFO if is_well else logging.WARNING, "%s: %s%s", one.id, one.state, why
                )
            self._told[one.id] = one.state

    def _feed_watchdog(self) -> None:
        late = self._service.late()
        if late:
            self._watchdog.unwell(f"no answer in time about {', '.join(late)}")
        else:
            self._watchdog.alive(self._status())

    def _status(self) -> str:
        is_ready, why = self._service.is_ready()
        n_sources = len(self._service.sources())
        return f"{n_sources} sources, all heard" if is_ready else why

    def _stop(self) -> None:
        """End all within 5 s; where something hangs, the process ends over it."""
        self._watchdog.stopping()
        servers = threading.Thread(target=self._servers.stop, daemon=True)
        servers.start()
        has_ended = self._service.stop(_STOP_S)
        servers.join(0.5)
        if not has_ended:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(self._signals.exit_code or 0)
