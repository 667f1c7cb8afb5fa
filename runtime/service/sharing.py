"""One engine for all sources and uploads: one window at a time, in a fair order.

- Sources with a safety question go first; among equals whoever was served longest ago.
- A source that others went before _PATIENCE times is their equal: nothing starves.
- Uploads come behind all sources, a window at a time; of them only a bounded number waits.

Whoever enters takes its newest window then, not before: under load that is what is answered.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from listen_edge.errors import ListenEdgeError
from listen_edge.lines.answer import Answer
from listen_edge.runtime.answers import summarize
from listen_edge.runtime.engine import Engine

N_UPLOADS = 8
_PATIENCE = 8
_BUSY_S = 60.0  # of the past that the busy share tells of, about


class BusyError(ListenEdgeError):
    """More uploads wait for the engine than it takes.

    Attributes:
        retry_after_s: when it is worth to try again.
    """

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(
            f"too many recordings wait to be answered; try again in {retry_after_s:.0f} s"
        )
        self.retry_after_s = retry_after_s


class Rank(IntEnum):
    """Who goes first."""

    SAFETY = 0
    NORMAL = 1
    UPLOAD = 2


@dataclass(eq=False)
class _Waiting:
    who: str
    rank: Rank
    ticket: int
    n_passed: int = 0

    @property
    def place(self) -> Rank:
        is_tired = self.rank == Rank.NORMAL and self.n_passed >= _PATIENCE
        return Rank.SAFETY if is_tired else self.rank


class SharedEngine:
    """An engine and whose turn it is.

    Args:
        engine: stays its owner's.
        n_uploads: recordings that may wait or be answered at once.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        n_uploads: int = N_UPLOADS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.engine = engine
        self._clock, self._changed = clock, threading.Condition()
        self._waiting: list[_Waiting] = []
        self._is_taken, self._n_tickets, self._n_turns = False, 0, 0
        self._served: dict[str, int] = {}  # each one's last turn
        self._places = threading.BoundedSemaphore(n_uploads)
        self._n_uploads, self._upload_s = 0, 1.0  # at the moment; how long one has taken
        self._busy, self._busy_at_s = 0.0, clock()

    @property
    def n_waiting(self) -> int:
        """How many windows wait."""
        return len(self._waiting)

    @property
    def busy_share(self) -> float:
        """How much of the last minute the engine has worked."""
        return self._busy * math.exp((self._busy_at_s - self._clock()) / _BUSY_S)

    @contextmanager
    def turn(self, who: str, rank: Rank, timeout_s: float | None = None) -> Iterator[bool]:
        """Wait for a turn at the engine and hold it; gives whether others had to be waited for.

        Raises:
            BusyError: it did not come within timeout_s.
        """
        has_waited = self._enter(who, rank, timeout_s)
        began_s = self._clock()
        try:
            yield has_waited
        finally:
            self._leave(began_s)

    def forget(self, who: str) -> None:
        """Keep nothing of a source that has gone."""
        with self._changed:
            self._served.pop(who, None)

    def ask(
        self,
        samples: NDArray[np.generic],
        sample_rate: int,
        questions: Sequence[str],
        *,
        timeout_s: float,
    ) -> list[Answer]:
        """Answer as Engine.ask does, in turns behind the sources.

        Args:
            timeout_s: longest wait for the engine, all turns together.

        Raises:
            BusyError: too many wait, or the engine had no time.
            AudioError, QuestionError: see Engine.ask.
        """
        if not self._places.acquire(blocking=False):
            raise BusyError(self._retry_after_s())
        began_s = self._clock()
        self._n_uploads += 1
        try:
            answers = self._ask(samples, sample_rate, questions, began_s + timeout_s)
            self._upload_s += 0.2 * (self._clock() - began_s - self._upload_s)
            return answers
        finally:
            self._n_uploads -= 1
            self._places.release()

    def _ask(
        self,
        samples: NDArray[np.generic],
        sample_rate: int,
        questions: Sequence[str],
        until_s: float,
    ) -> list[Answer]:
        """Answer window by window: no source waits for more than one of them."""
        kept: list[Answer] = []
        windows = self.engine.windows(samples, sample_rate)
        who = f"upload {id(windows)}"
        try:
            for window, start_s, doubt in windows:
                with self.turn(who, Rank.UPLOAD, max(0.0, until_s - self._clock())):
                    answers = self.engine.answer_window(
                        window, questions, start_s=start_s, doubt=doubt
                    )
                pairs = zip(kept or answers, answers, strict=True)
                kept = [summarize([before, answer]) for before, answer in pairs]
            return kept
        finally:
            self.forget(who)

    def _retry_after_s(self) -> float:
        return max(1.0, math.ceil(self._n_uploads * self._upload_s))

    def _enter(self, who: str, rank: Rank, timeout_s: float | None) -> bool:
        with self._changed:
            self._n_tickets += 1
            mine = _Waiting(who, rank, self._n_tickets)
            self._waiting.append(mine)
            has_waited = not self._is_next(mine)
            try:
                if not self._changed.wait_for(lambda: self._is_next(mine), timeout_s):
                    raise BusyError(self._retry_after_s())
                self._is_taken, self._n_turns = True, self._n_turns + 1
                self._served[who] = self._n_turns
            finally:
                self._waiting.remove(mine)
                self._changed.notify_all()
            for other in self._waiting:
                other.n_passed += mine.place < other.place
            return has_waited

    def _is_next(self, mine: _Waiting) -> bool:
        if self._is_taken:
            return False
        first = min(
            self._waiting, key=lambda one: (one.place, self._served.get(one.who, 0), one.ticket)
        )
        return first is mine

    def _leave(self, began_s: float) -> None:
        with self._changed:
            now_s = self._clock()
            faded = self._busy * math.exp((self._busy_at_s - now_s) / _BUSY_S)
            self._busy, self._busy_at_s = faded + (now_s - began_s) / _BUSY_S, now_s
            self._is_taken = False
            self._changed.notify_all()
