"""A command that is run for every phase of an event, with its JSON on stdin."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Sequence
from pathlib import Path

from listen_edge.environment import own_environment
from listen_edge.printable import escaped
from listen_edge.runtime.service.config.telling import CommandConfig
from listen_edge.runtime.service.outputs import OutputError
from listen_edge.runtime.service.outputs.message import stored_event_line
from listen_edge.runtime.service.outputs.process import run_bounded
from listen_edge.runtime.service.records.types import (
    Delivery,
    QuestionStatus,
    Sounding,
    SourceStatus,
)

logger = logging.getLogger(__name__)

_PREFIX = "LISTEN_EDGE_EVENT_"


class Command:
    """An Output that runs a program; see CommandConfig."""

    def __init__(self, config: CommandConfig) -> None:
        self.name = f"command:{config.id}"
        self._words, self._timeout_s = config.run, config.timeout
        self._is_over = threading.Event()

    def start(self) -> None:
        """Be ready."""
        self._is_over.clear()

    def deliver(self, delivery: Delivery) -> None:
        """Run the program; an exit with 0 means that it has done its work.

        Raises:
            OutputError: it has not, or not in time. It is run again.
        """
        event = stored_event_line(delivery)
        finished = run_bounded(
            self._words,
            event.encode() + b"\n",
            own_environment("PATH", "LANG", "HOME") | event_variables(event),
            timeout_s=self._timeout_s,
            is_over=self._is_over,
        )
        if finished.code:
            raise OutputError(f"{Path(self._words[0]).name}: {finished.failure}")
        if finished.said:
            logger.info("%s: %s", self.name, finished.said)

    def show(
        self,
        sources: Sequence[SourceStatus],
        questions: Sequence[QuestionStatus],
        soundings: Sequence[Sounding],
    ) -> None:
        """A command is run for events alone."""

    def stop(self) -> None:
        """Kill a program that goes on."""
        self._is_over.set()


def event_variables(event: str) -> dict[str, str]:
    """Return an event's JSON as variables: "" for null, true and false in words.

    Control characters are escaped: words come from anybody.
    """
    keys = json.loads(event)
    return {
        _PREFIX + key.upper(): escaped(value) if isinstance(value, str) else _written(value)
        for key, value in keys.items()
    }


def _written(value: object) -> str:
    return "" if value is None else json.dumps(value)
