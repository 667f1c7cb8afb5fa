"""Runs one output: what the store owes it, in order, until the output has it.

At least once: a crash between the peer's yes and its note in the store sends that one delivery
again, under the same uid. A dead output costs the others nothing, since each has its own thread.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Protocol

from listen_edge.errors import ListenEdgeError
from listen_edge.runtime.service.outputs import Output, OutputError
from listen_edge.runtime.service.outputs.dead_letters import DeadLetters
from listen_edge.runtime.service.records.types import (
    Delivery,
    QuestionStatus,
    Sounding,
    SourceStatus,
)

logger = logging.getLogger(__name__)

_MOST_SURPRISES = (
    8  # tries of a delivery that an output fails at in a way of which it knows nothing
)
_BATCH = 100


class Outbox(Protocol):
    """What of the store a runner needs, see records/store.py."""

    def pending(self, output: str, limit: int = ...) -> list[Delivery]: ...

    def delivered(self, output: str, seq: int) -> None: ...

    def skip_older(self, output: str, age_s: float, n: int) -> int: ...


@dataclass(frozen=True)
class Patience:
    """How long a runner waits, and for how much.

    Attributes:
        first_s, longest_s: between two tries; doubled from the one to the other. A peer that asks
            for more than longest_s does not get it.
        poll_s: between two looks into the store, where nobody calls `wake`.
        keep_s, keep_n: age in seconds and number of the deliveries that are kept while an output
            is down; older ones are given up.
    """

    first_s: float = 1.0
    longest_s: float = 300.0
    poll_s: float = 1.0
    keep_s: float = 7 * 86_400.0
    keep_n: int = 10_000

    def wait_s(self, n_failures: int, asked_s: float | None = None) -> float:
        """Return how long to wait after so many failures in a row, a quarter more or less.

        Many devices lose a peer at the same moment: they must not come back at the same moment.
        """
        doubled_s = min(self.longest_s, self.first_s * 2.0 ** min(n_failures - 1, 60))
        least_s = min(self.longest_s, asked_s or 0.0)
        return max(doubled_s * random.uniform(0.75, 1.25), least_s * random.uniform(1.0, 1.25))


@dataclass(frozen=True)
class OutputStatus:
    """How an output does. Test events are not counted.

    Attributes:
        message: why the last try failed; None while it delivers.
        n_failed: tries that failed.
        n_refused: deliveries that the peer will never take; they are in the dead-letter file.
        n_given_up: deliveries that became too old or too many while the output was down.
        retry_in_s: until the next try, None while it delivers.
    """

    name: str
    message: str | None
    n_delivered: int
    n_failed: int
    n_refused: int
    n_given_up: int
    delivered_at: datetime | None
    retry_in_s: float | None


class OutputRunner:
    """The thread of one output.

    Args:
        output: is started, stopped and called by this runner alone.
        store: says what is owed.
        dead_letters: folder for what was refused for good, as NAME.jsonl; None: it is not kept.
        patience: see there.
    """

    def __init__(
        self,
        output: Output,
        store: Outbox,
        *,
        dead_letters: Path | None = None,
        patience: Patience | None = None,
    ) -> None:
        self.name = output.name
        self._output, self._store, self._patience = output, store, patience or Patience()
        self._dead_letters = DeadLetters(dead_letters, output.name)
        self._calling = threading.Lock()  # one call into the output at a time
        self._woken, self._is_ending, self._is_over = (threading.Event() for _ in range(3))
        self._is_started = False
        self._state: (
            tuple[Sequence[SourceStatus], Sequence[QuestionStatus], Sequence[Sounding]] | None
        ) = None
        self._done_seq, self._n_unmarked = -1, 0
        self._n_failures, self._next_try_at = 0, 0.0
        self._is_past: Callable[[], bool] | None = None  # the last failure, see OutputError.is_over
        self._message: str | None = None
        self._delivered_at: datetime | None = None
        self._n_delivered = self._n_failed = self._n_refused = self._n_given_up = 0
        self._thread = threading.Thread(target=self._work, name=f"output {self.name}", daemon=True)

    def start(self) -> None:
        """Begin to deliver what the store owes from now on; returns whatever the output does."""
        with suppress(ListenEdgeError):  # the thread asks again
            self._store.pending(self.name, 1)  # a new output is owed nothing before it is asked for
        self._thread.start()

    def wake(self) -> None:
        """Say that the store owes more."""
        self._woken.set()

    def show(
        self,
        sources: Sequence[SourceStatus],
        questions: Sequence[QuestionStatus],
        soundings: Sequence[Sounding],
    ) -> None:
        """Leave the newest state for the output; never waits."""
        self._state = sources, questions, soundings
        self._woken.set()

    def status(self) -> OutputStatus:
        """Return how the output does."""
        is_failing = self._n_failures > 0
        return OutputStatus(
            name=self.name,
            message=self._message,
            n_delivered=self._n_delivered,
            n_failed=self._n_failed,
            n_refused=self._n_refused,
            n_given_up=self._n_given_up,
            delivered_at=self._delivered_at,
            retry_in_s=max(0.0, self._next_try_at - time.monotonic()) if is_failing else None,
        )

    def test(self, delivery: Delivery, timeout_s: float = 30.0) -> str | None:
        """Deliver at once what is not in the store; return what went wrong, None if nothing did.

        What is owed is tried again at once where this went well.
        """
        if not self._calling.acquire(timeout=timeout_s):
            return f"still busy with an event after {timeout_s:g} s; try again"
        try:
            self._start_output()
            self._output.deliver(delivery)
        except Exception as err:  # noqa: BLE001 - whatever an output does, its caller goes on
            return str(_told(err))
        finally:
            self._calling.release()
        self._next_try_at = 0.0
        self._woken.set()
        return None

    def stop(self, timeout_s: float = 3.0) -> None:
        """End: what is owed is still delivered where the output takes it, the rest stays owed."""
        deadline = time.monotonic() + timeout_s
        self._is_ending.set()
        self._woken.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s / 2)
        self._is_over.set()
        self._woken.set()
        try:
            self._output.stop()
        except Exception as err:  # noqa: BLE001 - the others are to be stopped too
            logger.warning("%s: could not be stopped in order: %s", self.name, _told(err))
        if self._thread.ident is not None:
            self._thread.join(max(0.0, deadline - time.monotonic()))

    def _work(self) -> None:
        while not self._is_over.is_set():
            self._woken.clear()
            went_on = False
            if time.monotonic() >= self._next_try_at or (self._is_past and self._is_past()):
                went_on = self._deliver_batch()
            self._hand_over_state()
            if self._is_ending.is_set() and not went_on:
                return
            if not went_on:
                until_next_s = self._next_try_at - time.monotonic()
                poll_s = self._patience.poll_s
                self._woken.wait(min(poll_s, until_next_s) if until_next_s > 0 else poll_s)

    def _deliver_batch(self) -> bool:
        """Deliver some of what is owed; return whether there may be more to deliver at once."""
        try:
            with self._calling:
                self._start_output()
            owed = self._store.pending(self.name, _BATCH + self._n_unmarked)
        except Exception as err:  # noqa: BLE001 - the thread lives as long as the service
            self._fail(_told(err))
            return False
        self._n_unmarked = 0
        went_on = False
        for delivery in owed:
            if self._is_over.is_set():
                return False
            if delivery.seq > self._done_seq:
                if not self._try(delivery):
                    return False
                went_on = True
            self._mark(delivery)
        return went_on

    def _start_output(self) -> None:
        if not self._is_started:
            self._output.start()
            self._is_started = True

    def _try(self, delivery: Delivery) -> bool:
        """Deliver one; return whether it is done with."""
        try:
            with self._calling:
                self._output.deliver(delivery)
        except Exception as err:  # noqa: BLE001 - the thread lives as long as the service
            if self._is_over.is_set():
                return False  # it was stopped in the middle of it
            failure = _told(err)
            is_puzzling = not isinstance(err, OutputError) and self._n_failures >= _MOST_SURPRISES
            if not (failure.is_lasting or is_puzzling):
                self._fail(failure)
                return False
            self._bury(delivery, failure)
            return True
        if self._n_failures:
            logger.warning("%s: delivers again after %d tries", self.name, self._n_failures + 1)
        self._n_failures, self._message, self._is_past = 0, None, None
        self._n_delivered += 1
        self._delivered_at = datetime.now(timezone.utc)
        return True

    def _mark(self, delivery: Delivery) -> None:
        """Note that it is done with; a store that cannot is asked again, the output is not."""
        self._done_seq = max(self._done_seq, delivery.seq)
        try:
            self._store.delivered(self.name, delivery.seq)
        except ListenEdgeError as err:
            self._n_unmarked += 1
            logger.info("%s: %s", self.name, err)

    def _fail(self, failure: OutputError) -> None:
        """Wait before the next try; give up what has become too old or too much meanwhile."""
        self._n_failed += 1
        self._n_failures += 1
        self._message = str(failure)
        wait_s = self._patience.wait_s(self._n_failures, failure.retry_after_s)
        self._next_try_at = time.monotonic() + wait_s
        self._is_past = failure.is_over
        if self._n_failures == 1 or wait_s >= 0.75 * self._patience.longest_s:
            logger.warning("%s: %s; next try in %.0f s", self.name, failure, wait_s)
        try:
            patience = self._patience
            n_skipped = self._store.skip_older(self.name, patience.keep_s, patience.keep_n)
        except ListenEdgeError as err:
            logger.info("%s: %s", self.name, err)
            return
        if n_skipped:
            self._n_given_up += n_skipped
            logger.warning("%s: %d older deliveries were given up", self.name, n_skipped)

    def _bury(self, delivery: Delivery, failure: OutputError) -> None:
        """Keep what the output will never take in the dead-letter file."""
        self._n_refused += 1
        self._n_failures, self._message, self._is_past = 0, str(failure), None
        uid = delivery.event.uid
        logger.warning("%s: event %s is refused for good: %s", self.name, uid, failure)
        self._dead_letters.keep(delivery, str(failure))

    def _hand_over_state(self) -> None:
        state, self._state = self._state, None
        if state is None or not self._is_started:
            return
        try:
            with self._calling:
                self._output.show(*state)
        except Exception as err:  # noqa: BLE001 - the thread lives as long as the service
            logger.info("%s: could not show the state: %s", self.name, _told(err))


def stop_all(runners: Sequence[OutputRunner], timeout_s: float = 3.0) -> None:
    """Stop outputs side by side, all within timeout_s."""
    deadline = time.monotonic() + timeout_s
    threads = [
        threading.Thread(target=runner.stop, args=(timeout_s,), daemon=True) for runner in runners
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))


def _told(err: Exception) -> OutputError:
    """Return any failure as an OutputError; of one that nobody foresaw only what it is."""
    if isinstance(err, OutputError):
        return err
    if isinstance(err, ListenEdgeError):
        return OutputError(str(err))
    place = err.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f" at {Path(place.tb_frame.f_code.co_filename).name}:{place.tb_lineno}" if place else ""
    return OutputError(f"{type(err).__name__}{where}; a fault of listen-edge, please report it")
