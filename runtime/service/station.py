"""One source's thread: listens for months, whatever the source does."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

from listen_edge.errors import ListenEdgeError, one_line
from listen_edge.lines.answer import Answer
from listen_edge.lines.event import Event
from listen_edge.lines.health import Health
from listen_edge.runtime.listening.listen_config import ListenConfig
from listen_edge.runtime.listening.listener import Line, Listener
from listen_edge.runtime.service.bookkeeping import Bookkeeper
from listen_edge.runtime.service.questions import AskedHere
from listen_edge.runtime.service.records.store import Store
from listen_edge.runtime.service.records.types import Sounding, SourceStatus, StationState
from listen_edge.runtime.service.sharing import Rank, SharedEngine
from listen_edge.runtime.sources import Source

logger = logging.getLogger(__name__)

RETRY_S = 30.0  # after what opening the source again does not mend
_LATE_HOPS, _LATE_S = 5.0, 10.0  # without an answer, before something hangs


@runtime_checkable
class Attentive(Protocol):
    """A source that wants to know what was heard at it."""

    def detected(self, question: str) -> None:
        """An event of this question (its id) began here; never waits."""


@dataclass(frozen=True)
class Surroundings:
    """What all stations share.

    Attributes:
        shared: the engine, in turns.
        store: keeps events and presence.
        clock: aware UTC.
        tell: takes every line, and never waits.
        on_event: see Bookkeeper.
    """

    shared: SharedEngine
    store: Store
    clock: Callable[[], datetime]
    tell: Callable[[Line], None]
    on_event: Callable[[], None]


class Station:
    """Listens to one source until it is stopped.

    Args:
        source: its name is its id.
        name: in words.
        asked: what is asked of it at first.
        config: how; waits_for_device is set.
        around: see there.
        is_muted: it is not opened before unmute.
    """

    def __init__(
        self,
        source: Source,
        name: str,
        asked: Sequence[AskedHere],
        config: ListenConfig,
        around: Surroundings,
        *,
        is_muted: bool = False,
    ) -> None:
        self.id, self.name = source.name, name
        self._source, self._config, self._around = source, config, around
        self._books = Bookkeeper(self.id, around.store, around.clock, around.on_event)
        self._changing = threading.Lock()  # of the next three
        self._asked = {one.concept: one for one in asked}
        self._is_muted = is_muted
        self._listener = self._new_listener()
        self._ended, self._woken = threading.Event(), threading.Event()
        self._state: StationState = "starting"
        self._message: str | None = None
        self._since = around.clock()
        self._heard_at: datetime | None = None
        self._heard_s = self._answered_s = time.monotonic()
        self._n_heard = self._n_failures = 0
        self._thread = threading.Thread(target=self._run, name=f"source {self.id}", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """Ask it to end its events and to close the source; see join."""
        with self._changing:
            self._ended.set()
            self._woken.set()
            self._listener.stop()

    def join(self, timeout_s: float) -> bool:
        """Wait for its end; return whether it came."""
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def ask(self, asked: Sequence[AskedHere]) -> None:
        """Ask these from the next window on; those asked before keep their events."""
        with self._changing:
            wanted = {one.concept: one for one in asked}
            if wanted == self._asked:
                return
            self._listener.change_questions([one.question for one in asked])
            self._asked = wanted

    def mute(self) -> None:
        """Close the source within a window: off means off."""
        with self._changing:
            self._is_muted = True
            self._listener.mute()
            self._woken.set()

    def unmute(self) -> None:
        """Open it again."""
        with self._changing:
            self._is_muted = False
            self._listener.unmute()
            self._woken.set()

    @property
    def soundings(self) -> list[Sounding]:
        """The newest answer of each question."""
        return self._books.soundings

    def status(self) -> SourceStatus:
        """Return how the source does."""
        listener = self._listener
        counts, live = listener.counts, listener.liveness
        return SourceStatus(
            id=self.id,
            name=self.name,
            state=self._state,
            message=self._message,
            since=self._since,
            level_dbfs=counts.level_dbfs,
            lag_s=counts.lag_s,
            n_windows=counts.windows,
            n_dropped=counts.dropped,
            n_overflows=counts.overflows,
            n_restarts=live.n_restarts + self._n_failures,
            heard_at=self._heard_at,
        )

    def why_not_ready(self) -> str | None:
        """Return why it was not heard in time, None if it was, or is muted."""
        if self._state in ("healthy", "muted") and not self._has_heard_late():
            return None
        why = self._message if self._state not in ("healthy", "starting") else None
        return f"{self.id}: {why or 'no window was answered in time'}"

    def is_late(self) -> bool:
        """Tell whether not even an unknown was answered in time, though it should have been."""
        if self._state in ("muted", "failed"):
            return False
        opening_s = self._config.liveness.silent_after_s if self._state == "starting" else 0.0
        return time.monotonic() - self._answered_s > self._late_s + opening_s

    @property
    def _late_s(self) -> float:
        return max(_LATE_S, _LATE_HOPS * self._listener.hop_s)

    def _has_heard_late(self) -> bool:
        is_late = time.monotonic() - self._heard_s > self._late_s
        return self._state != "muted" and (self._heard_at is None or is_late)

    # On the station's own thread.

    def _run(self) -> None:
        while not self._ended.is_set():
            problem = self._listen()
            if self._ended.is_set():
                return
            self._fail(problem)
            self._woken.wait(RETRY_S)

    def _listen(self) -> str:
        """Listen until that ends; return why it did."""
        try:
            if self._n_failures:
                self._renew()
            with closing(iter(self._listener)) as lines:
                for line in lines:
                    self._take(line)
            return "the source has ended"
        except ListenEdgeError as err:
            return one_line(err)
        except Exception:
            logger.exception("%s: a fault of listen-edge, please report it", self.id)
            return "a fault of listen-edge, see the log"
        finally:
            self._books.close("stopped" if self._ended.is_set() else "no_audio")

    def _renew(self) -> None:
        with self._changing:
            self._woken.clear()
            self._listener = self._new_listener()
            if self._ended.is_set():
                self._listener.stop()

    def _new_listener(self) -> Listener:
        listener = Listener(
            self._around.shared.engine,
            self._source,
            [one.question for one in self._asked.values()],
            self._config,
            turn=self._turn,
        )
        if self._is_muted:
            listener.mute()
        return listener

    def _turn(self) -> AbstractContextManager[bool]:
        is_safety = any(
            one.priority == "safety" and not one.question.is_quiet for one in self._asked.values()
        )
        return self._around.shared.turn(self.id, Rank.SAFETY if is_safety else Rank.NORMAL)

    def _take(self, line: Line) -> None:
        if isinstance(line, Health):
            self._come_into(line.state, line.message)
        elif isinstance(line, Event):
            asked, lag_s = self._asked.get(line.concept), self._listener.counts.lag_s
            self._books.event(line, asked, lag_s)
            if line.phase == "start" and asked and isinstance(self._source, Attentive):
                self._source.detected(asked.id)
        else:
            self._note_time()
            if isinstance(line, Answer) and (asked := self._asked.get(line.concept)) is not None:
                self._books.answer(line, asked)
        self._around.tell(line)

    def _note_time(self) -> None:
        """An answer came: of a window that was heard, if more were counted than before."""
        self._answered_s, n_windows = time.monotonic(), self._listener.counts.windows
        if n_windows != self._n_heard:
            self._n_heard, self._heard_s = n_windows, self._answered_s
            self._heard_at = self._around.clock()
            self._books.ask(list(self._asked.values()))
            if self._state == "starting":
                self._come_into("healthy", None)

    def _come_into(self, state: StationState, message: str | None) -> None:
        if state != self._state:
            self._state, self._since, self._message = state, self._around.clock(), message
        self._message = message or self._message

    def _fail(self, problem: str) -> None:
        """Say that nothing is heard, and how it goes on."""
        self._n_failures += 1
        message = f"{problem}; trying again every {RETRY_S:g} s"
        logger.warning("%s: %s", self.id, message)
        self._come_into("failed", message)
        self._books.hear_nothing()
        counts = self._listener.counts
        self._around.tell(
            Health(
                source=self.id,
                state="failed",
                message=message,
                n_windows=counts.windows,
                n_dropped=counts.dropped,
                n_gated=counts.gated,
                n_overflows=counts.overflows,
                n_restarts=self.status().n_restarts,
                lag_s=counts.lag_s,
                level_dbfs=None,
            )
        )
