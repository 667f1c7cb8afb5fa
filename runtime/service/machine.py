"""The parts of a service that run: one engine, the store, the sources, the outputs."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection
from contextlib import ExitStack
from datetime import datetime

from listen_edge.lines.heard import HeardLine
from listen_edge.runtime.engine import Engine, load
from listen_edge.runtime.hear_config import HearConfig
from listen_edge.runtime.listening.listener import Line
from listen_edge.runtime.listening.pace import pace_remedy, window_seconds
from listen_edge.runtime.service.clockwork import Clockwork
from listen_edge.runtime.service.config.models import WatchConfig
from listen_edge.runtime.service.config.telling import OutputsConfig
from listen_edge.runtime.service.first_minutes import FirstMinutes
from listen_edge.runtime.service.outlets import Outlets
from listen_edge.runtime.service.outputs import Output
from listen_edge.runtime.service.outputs.making import make_outputs
from listen_edge.runtime.service.questions import Questions
from listen_edge.runtime.service.records.retention import Retention
from listen_edge.runtime.service.records.store import Store
from listen_edge.runtime.service.sharing import SharedEngine
from listen_edge.runtime.service.station import Surroundings
from listen_edge.runtime.service.stations import Stations
from listen_edge.runtime.service.subscription import Subscriptions
from listen_edge.runtime.verify import self_test

logger = logging.getLogger(__name__)

_TICK_S, _TIDY_S = 1.0, 300.0
_REPORTS_MIN = (1.0, 3.0)  # minutes after the start, before first_minutes are over
_OUTLETS_S = 1.5  # of the time to stop, that outputs have for the ends of events


class Machine:
    """Runs what is in force.

    Args:
        config: what it is made of at first; see follow.
        engine: stays the caller's; None: the config's bundle is loaded.
        clock: aware UTC.
        mute: mutes a source (True) or unmutes it, where an output is asked to.
        tick: is called every second.

    Raises:
        ListenEdgeError: a bundle or a database that cannot be.
    """

    def __init__(
        self,
        config: WatchConfig,
        *,
        engine: Engine | None,
        clock: Callable[[], datetime],
        mute: Callable[[str, bool], None],
        tick: Callable[[], None],
    ) -> None:
        path, self._clock, self._mute = config.events.path, clock, mute
        path.parent.mkdir(parents=True, exist_ok=True)
        with ExitStack() as closing:
            self.store = Store(path, config.events.clips, _retention(config), clock=clock)
            closing.callback(self.store.close)
            self.engine = engine or _loaded(config)
            if engine is None:
                closing.callback(self.engine.close)
            self._closing = closing.pop_all()
        self.shared, self.lines = SharedEngine(self.engine), Subscriptions()
        self.first = FirstMinutes()
        self.outlets = Outlets(self.store, self._make_outputs, path.parent / "refused")
        self.stations = Stations(
            Surroundings(self.shared, self.store, clock, self._tell, self.outlets.wake)
        )
        self._clockworks = [
            Clockwork("service", _TICK_S, tick),
            Clockwork("upkeep", _TIDY_S, self.store.tidy),
        ]
        self._first_s = 60.0 * config.first_minutes
        self._reports_s = sorted({60.0 * m for m in (*_REPORTS_MIN, config.first_minutes)})
        self._started_s = time.monotonic()
        self._have_ended: bool | None = None

    def start(self, config: WatchConfig, questions: Questions, muted: Collection[str]) -> None:
        """Listen; errors as for Service.start."""
        self.store.close_open()
        self._check_pace(config, questions)
        self._started_s = time.monotonic()
        self.outlets.start(config.outputs)
        self.stations.follow(config, questions, muted, self._clock())
        for clockwork in self._clockworks:
            clockwork.start()

    def follow(
        self, old: WatchConfig, new: WatchConfig, questions: Questions, muted: Collection[str]
    ) -> None:
        """Go on with another configuration; see Service.reload."""
        self.stations.follow(new, questions, muted, self._clock())
        self.store.retention = _retention(new)
        if new.outputs != old.outputs:
            self.outlets.start(new.outputs)
        for key in ("bundle", "backend", "llm", "threads"):
            if getattr(new, key) != getattr(old, key):
                logger.warning("%s: changes at the next start", key)
        if new.events.path != old.events.path:
            logger.warning("events.path: changes at the next start")

    def stop(self, timeout_s: float) -> bool:
        """End all, events and outputs last; return whether no thread was left behind."""
        if self._have_ended is not None:
            return self._have_ended
        until_s = time.monotonic() + timeout_s
        with self._closing.pop_all() as closing:
            for clockwork in self._clockworks:
                clockwork.stop(0.3)
            stations_s = until_s - time.monotonic() - _OUTLETS_S
            self._have_ended = have_ended = self.stations.stop(stations_s)
            if not have_ended:
                logger.warning("a source did not come to its end in time")
                self.store.close_open("stopped")
            self.outlets.stop(max(0.3, until_s - time.monotonic()))
            self.lines.close()
            if not have_ended:  # a thread may still be in the engine
                closing.pop_all()
                self.store.close()
        return have_ended

    def report(self) -> None:
        """Say in the log what is due: what the first minutes held, and trouble of the store."""
        now_s = time.monotonic() - self._started_s
        if self._reports_s and now_s >= self._reports_s[0]:
            for line in self.first.report() if self._reports_s.pop(0) <= self._first_s else ():
                logger.info("%s", line)
        if (problem := self.store.take_problem()) is not None:
            logger.warning("%s", problem)

    def _tell(self, line: Line) -> None:
        is_first = time.monotonic() - self._started_s < self._first_s
        if is_first and isinstance(line, HeardLine):
            self.first.take(line)
        self.lines.tell(line)

    def _check_pace(self, config: WatchConfig, questions: Questions) -> None:
        """Ask everything once, so that nothing is computed later, and tell if it takes too long."""
        hop_s = self.engine.hop_s if config.hop is None else config.hop
        hearing = None if self.engine.bundle.manifest.head is None else HearConfig()
        asked = [one.ask for one in questions.status(self._clock())]
        seconds = len(config.sources) * window_seconds(self.engine, asked, hearing)
        if remedy := pace_remedy(seconds, hop_s, self.engine.window_s):
            logger.warning(
                "%d sources take %.2f s a window here, too long for a hop of %g s; %s",
                len(config.sources),
                seconds,
                hop_s,
                remedy.replace("--hop", "hop:"),
            )

    def _make_outputs(self, config: OutputsConfig) -> list[Output]:
        return make_outputs(config, bundle=self.engine.bundle.id, mute=self._mute)


def _loaded(config: WatchConfig) -> Engine:
    """Load the bundle, and make sure that it hears before it says of months that nothing was."""
    engine = load(config.bundle, backend=config.backend, n_threads=config.threads, llm=config.llm)
    try:
        self_test(engine)
    except BaseException:
        engine.close()
        raise
    return engine


def _retention(config: WatchConfig) -> Retention:
    return Retention(config.events.keep_days, config.events.keep_mb)
