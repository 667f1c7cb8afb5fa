"""The whole service: sources, questions, one engine, the store, and who is told.

What the command line, the web and the tests use; every method may be called from any thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from listen_edge.errors import ListenEdgeError
from listen_edge.lines.answer import Answer
from listen_edge.runtime.engine import Engine
from listen_edge.runtime.listening.listener import Line
from listen_edge.runtime.listening.trigger import TriggerConfig
from listen_edge.runtime.service.config.models import WatchConfig
from listen_edge.runtime.service.in_force import InForce
from listen_edge.runtime.service.machine import Machine
from listen_edge.runtime.service.questions import known
from listen_edge.runtime.service.records.store import Store
from listen_edge.runtime.service.records.types import (
    Priority,
    QuestionStatus,
    Sounding,
    SourceStatus,
)
from listen_edge.runtime.service.subscription import Subscription


def _now() -> datetime:
    return datetime.now(timezone.utc)


class Service:
    """Listens to every source of a configuration until it is stopped.

    Args:
        config: see config/models.py.
        engine: answers all windows, and stays the caller's; None: the config's bundle is loaded.
        clock: aware UTC; None: the system's.

    Attributes:
        store: events, presence and verdicts.

    Raises:
        ListenEdgeError: a bundle, source, question or folder that cannot be.
    """

    store: Store

    def __init__(
        self,
        config: WatchConfig,
        *,
        engine: Engine | None = None,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self._clock, self._changing, self._is_stopped = clock, threading.RLock(), False
        self._machine = Machine(
            config, engine=engine, clock=clock, mute=self._mute_or_not, tick=self._tick
        )
        self.store = self._machine.store
        try:
            path = config.events.path
            manifest = self._machine.engine.bundle.manifest
            self._in_force = InForce(config, manifest, path.with_name(f"{path.name}.changes.json"))
        except BaseException:
            self._machine.stop(0.0)
            raise

    def start(self) -> None:
        """Open the sources and outputs; returns at once.

        Raises:
            ListenEdgeError: a folder that cannot be written to, an output that cannot work.
        """
        with self._changing:
            rule = self._in_force
            self._machine.start(rule.config, rule.questions, rule.until)

    def stop(self, timeout_s: float = 5.0) -> bool:
        """End events, close sources and outputs, in at most timeout_s. May be called twice.

        Returns:
            Whether no source or engine hangs.
        """
        with self._changing:
            self._is_stopped = True
        return self._machine.stop(timeout_s)

    def __enter__(self) -> Service:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.stop()

    def reload(self, config: WatchConfig) -> None:
        """Go on with another configuration: a source that did not change is not closed.

        Bundle, backend, threads and the database stay as they are until the next start; the log
        says so where they would change.

        Raises:
            ListenEdgeError: it cannot be; the old one goes on.
        """
        with self._changing:
            if self._is_stopped:
                raise ListenEdgeError("the service has ended; start another")
            rule = self._in_force
            questions = rule.questions_of(config)
            self._machine.follow(rule.config, config, questions, rule.until)
            rule.follow(config, questions)

    @property
    def config(self) -> WatchConfig:
        """What is in force, see reload."""
        return self._in_force.config

    # How things stand.

    def sources(self) -> list[SourceStatus]:
        """Return how each source does, in the order of the configuration."""
        return self._machine.stations.status()

    def questions(self) -> list[QuestionStatus]:
        """Return what is listened for: the configuration's, then those added since."""
        with self._changing:
            return self._in_force.questions.status(self._clock())

    def soundings(self) -> list[Sounding]:
        """Return the newest answer of each question at each source; none before the first."""
        return self._machine.stations.soundings()

    def is_ready(self) -> tuple[bool, str]:
        """Return whether every source was heard in time, and if not, which and why, in words.

        A muted source counts as heard.
        """
        reasons = self._machine.stations.not_ready()
        return not reasons, "; ".join(reasons)

    def late(self) -> list[str]:
        """Return the ids of sources that not even an unknown was answered about in time.

        A source that is lost is answered about: unknown. What is late hangs; for the watchdog.
        """
        return self._machine.stations.late()

    def outputs(self) -> list[dict[str, Any]]:
        """Return each output's name and counts, see Outlets.status."""
        return self._machine.outlets.status()

    def engine_info(self) -> dict[str, Any]:
        """Return bundle, backend, threads, window and hop in seconds, and the load on the engine.

        Keys: bundle, backend, n_threads, window_s, hop_s, n_waiting, busy_share (of the last
        minute).
        """
        engine, hop_s = self._machine.engine, self.config.hop
        return {
            "bundle": engine.bundle.id,
            "backend": engine.backend,
            "n_threads": engine.n_threads,
            "window_s": engine.window_s,
            "hop_s": engine.hop_s if hop_s is None else hop_s,
            "n_waiting": self._machine.shared.n_waiting,
            "busy_share": self._machine.shared.busy_share,
        }

    def heard_first(self) -> list[tuple[str, float, float]]:
        """Return (name, share of windows, highest presence) of what the first minutes held."""
        return self._machine.first.heard()

    @property
    def clips(self) -> Path | None:
        """Folder of clips, None where none are kept."""
        return self.store.clips

    def trigger(self, question: str, source: str) -> TriggerConfig:
        """Return when events of a question begin and end at a source.

        Raises:
            UnknownIdError: no such source, or it is not asked there.
        """
        with self._changing:
            self._in_force.check_source(source)
            here = self._in_force.questions.at(source, self._clock())
        triggers = {asked.id: asked.question.trigger for asked in here}
        return triggers[known("question", question, list(triggers))]

    def subscribe(self, kinds: tuple[type[Line], ...]) -> Subscription:
        """Return lines of these classes as they come, bounded; its reader closes it."""
        return self._machine.lines.add(kinds)

    # What can be changed.

    def add_question(
        self,
        ask: str,
        sources: Sequence[str] | None = None,
        on: float | None = None,
        off: float | None = None,
        priority: Priority = "normal",
    ) -> QuestionStatus:
        """Listen for one more sound from the next window on, until it is removed.

        Args:
            ask: anybody's words, see parse_concept.
            sources: ids; None: all.
            on, off: thresholds of its events; None: as the configuration says.

        Raises:
            QuestionError: it names no sound, or is asked already.
            UnknownIdError: no such source.
            ListenEdgeError: impossible thresholds, or too many questions.
        """
        with self._changing:
            added = self._in_force.add(ask, sources, on, off, priority)
            self._ask()
            return self._in_force.questions.one(added, self._clock())

    def remove_question(self, question: str) -> None:
        """Listen for it no more; an event of it ends.

        Raises:
            UnknownIdError: no such id.
            ListenEdgeError: it stands in the configuration.
        """
        with self._changing:
            self._in_force.remove(question)
            self._ask()

    def set_thresholds(self, question: str, on: float, off: float) -> QuestionStatus:
        """Move a question's thresholds at all its sources, from the next window on.

        They hold until the configuration's own change.

        Raises:
            UnknownIdError: no such id.
            ListenEdgeError: impossible thresholds.
        """
        with self._changing:
            self._in_force.move(question, on, off)
            self._ask()
            return self._in_force.questions.one(question, self._clock())

    def mute(self, source: str, until: datetime | None = None) -> None:
        """Close a source's device: its answers are "unknown (muted)" until unmuted.

        Args:
            source: id.
            until: aware; when it is unmuted by itself. None: not.

        Raises:
            UnknownIdError: no such id.
            ListenEdgeError: `until` is over.
        """
        with self._changing:
            self._in_force.mute(source, until, self._clock())
            self._machine.stations.mute(source)

    def unmute(self, source: str) -> None:
        """Open a muted source again. UnknownIdError: no such id."""
        with self._changing:
            self._in_force.unmute(source)
            self._machine.stations.unmute(source)

    # What can be asked.

    def ask(
        self,
        samples: NDArray[np.generic],
        sample_rate: int,
        questions: Sequence[str],
        *,
        timeout_s: float,
    ) -> list[Answer]:
        """Answer questions about a recording, as Engine.ask does, behind the sources' windows.

        Args:
            timeout_s: longest wait for the engine.

        Raises:
            BusyError: too many wait, or its turn did not come in time.
            AudioError, QuestionError: as Engine.ask.
        """
        return self._machine.shared.ask(samples, sample_rate, questions, timeout_s=timeout_s)

    def test_fire(
        self, output: str | None, question: str, source: str
    ) -> list[tuple[str, str | None]]:
        """Send an event that did not happen through outputs: (name, what went wrong or None).

        Args:
            output: name; None: all of them.
            question, source: ids.

        Raises:
            UnknownIdError: no such output, question or source.
        """
        with self._changing:
            self._in_force.check_source(source)
            asked = self._in_force.questions.one(question, self._clock())
        return self._machine.outlets.try_out(output, asked, source, self._machine.engine.bundle.id)

    def _ask(self) -> None:
        self._machine.stations.ask(self._in_force.questions, self._clock())

    def _mute_or_not(self, source: str, wants_muted: bool) -> None:
        if wants_muted:
            self.mute(source)
        else:
            self.unmute(source)

    def _tick(self) -> None:
        """Do what the time of day asks for, and show how things stand."""
        with self._changing:
            now = self._clock()
            for source in self._in_force.due(now):
                self.unmute(source)
            self._ask()  # a quiet hour may have begun
            questions = self._in_force.questions.status(now)
        self._machine.outlets.show(self.sources(), questions, self.soundings())
        self._machine.report()
