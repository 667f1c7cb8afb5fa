"""The outputs of a service, each in its thread: begun, shown the state, tried, replaced."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from listen_edge.runtime.service.config.models import OutputsConfig
from listen_edge.runtime.service.outputs import Output
from listen_edge.runtime.service.outputs.runner import OutputRunner, stop_all
from listen_edge.runtime.service.outputs.trial import trial_deliveries
from listen_edge.runtime.service.questions import known
from listen_edge.runtime.service.records.store import Store
from listen_edge.runtime.service.records.types import QuestionStatus, Sounding, SourceStatus


class Outlets:
    """All outputs; every method from any thread, none waits for a peer but try_out and stop.

    Args:
        store: what they are owed.
        make: outputs of a configuration, see outputs.making.
        dead_letters: folder for what a peer refuses for good.
    """

    def __init__(
        self, store: Store, make: Callable[[OutputsConfig], list[Output]], dead_letters: Path
    ) -> None:
        self._store, self._make, self._dead_letters = store, make, dead_letters
        self._lock = threading.Lock()
        self._runners: list[OutputRunner] = []

    def start(self, config: OutputsConfig) -> None:
        """Begin to deliver to these, in place of those before.

        Raises:
            OutputError: one that cannot work; those before go on.
        """
        made = self._make(config)
        self.stop(3.0)
        with self._lock:
            self._runners = [
                OutputRunner(output, self._store, dead_letters=self._dead_letters)
                for output in made
            ]
            for runner in self._runners:
                runner.start()

    def stop(self, timeout_s: float) -> None:
        """End all; what is owed stays owed."""
        with self._lock:
            runners, self._runners = self._runners, []
        stop_all(runners, timeout_s)

    def wake(self) -> None:
        """Say that the store owes more."""
        for runner in self._now():
            runner.wake()

    def show(
        self,
        sources: Sequence[SourceStatus],
        questions: Sequence[QuestionStatus],
        soundings: Sequence[Sounding],
    ) -> None:
        """Leave the newest state for all of them."""
        for runner in self._now():
            runner.show(sources, questions, soundings)

    def status(self) -> list[dict[str, Any]]:
        """Return how each does, see OutputStatus, and n_pending: what it is still owed."""
        return [
            asdict(runner.status()) | {"n_pending": self._store.n_pending(runner.name)}
            for runner in self._now()
        ]

    def try_out(
        self, name: str | None, question: QuestionStatus, source: str, bundle: str
    ) -> list[tuple[str, str | None]]:
        """Send an event that did not happen; see Service.test_fire."""
        runners = self._now()
        if name is not None:
            known("output", name, [runner.name for runner in runners])
        start, end = trial_deliveries(
            source=source,
            question=question.id,
            ask=question.ask,
            concept=question.concept,
            bundle=bundle,
        )
        return [
            (runner.name, runner.test(start) or runner.test(end))
            for runner in runners
            if name in (None, runner.name)
        ]

    def _now(self) -> list[OutputRunner]:
        with self._lock:
            return list(self._runners)
