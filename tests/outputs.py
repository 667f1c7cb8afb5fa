"""Events to deliver, a store in memory that owes them, and outputs that do as a test tells them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

from listen_edge.lines.event import Phase
from listen_edge.runtime.service.outputs import Output
from listen_edge.runtime.service.outputs.runner import Outbox, OutputRunner, Patience
from listen_edge.runtime.service.records.types import Delivery, StoredEvent

QUICK = Patience(first_s=0.01, longest_s=0.05, poll_s=0.05)
BEGAN = datetime(2026, 1, 1, tzinfo=timezone.utc)
EVENT = StoredEvent(
    id=1,
    uid="e1",
    source="kitchen",
    question="siren",
    ask="siren?",
    concept="siren",
    started_at=BEGAN,
    ended_at=BEGAN + timedelta(seconds=8),
    duration_s=8.0,
    peak_presence=0.99,
    level_dbfs=-23.1,
    on=0.95,
    off=0.6,
    bundle="tiny@sha256:ab12cd34",
    reason="not_heard",
)


def owed(seq: int, phase: Phase = "start", **changes: Any) -> Delivery:
    """Return a delivery of an event of its own."""
    return Delivery(seq, phase, replace(EVENT, id=seq, uid=f"e{seq}", **changes))


class ListedOutbox:
    """Owes every output what was added, in order, until it was delivered."""

    def __init__(self, n: int = 0) -> None:
        self.deliveries = [owed(seq) for seq in range(n)]
        self.done: dict[str, list[int]] = {}

    def pending(self, output: str, limit: int = 100) -> list[Delivery]:
        done = self.done.get(output, [])
        return [one for one in self.deliveries if one.seq not in done][:limit]

    def delivered(self, output: str, seq: int) -> None:
        self.done.setdefault(output, []).append(seq)

    def skip_older(self, output: str, age_s: float, n: int) -> int:
        pending = self.pending(output, len(self.deliveries))
        skipped = pending[: max(0, len(pending) - n)]
        for one in skipped:
            self.delivered(output, one.seq)
        return len(skipped)


class ToldOutput:
    """Does with the n-th delivery what the test says, and remembers those that it took."""

    def __init__(self, name: str, behave: Callable[[int, Delivery], None] | None = None) -> None:
        self.name, self._behave = name, behave or (lambda n, delivery: None)
        self.taken: list[Delivery] = []
        self.n_tries, self.n_starts, self.shown = 0, 0, 0
        self.is_stopped = threading.Event()

    def start(self) -> None:
        self.n_starts += 1

    def deliver(self, delivery: Delivery) -> None:
        self.n_tries += 1
        self._behave(self.n_tries - 1, delivery)
        self.taken.append(delivery)

    def show(self, sources: Any, questions: Any, soundings: Any) -> None:
        self.shown += 1

    def stop(self) -> None:
        self.is_stopped.set()


@contextmanager
def running(
    output: Output, store: Outbox, patience: Patience = QUICK, **options: Any
) -> Iterator[OutputRunner]:
    """Run an output until the block ends."""
    runner = OutputRunner(output, store, patience=patience, **options)
    runner.start()
    try:
        yield runner
    finally:
        runner.stop()


def wait_for(condition: Callable[[], object], timeout_s: float = 10.0) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def n_threads(name: str) -> int:
    """Return how many threads of this name live."""
    return sum(thread.name == name for thread in threading.enumerate())
