"""Who is told of events: each output in a thread of its own, none waits for another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from listen_edge.errors import ListenEdgeError
from listen_edge.runtime.service.records.types import (
    Delivery,
    QuestionStatus,
    Sounding,
    SourceStatus,
)


class OutputError(ListenEdgeError):
    """An output could not deliver. The message names no output (its runner does) and no secret.

    Attributes:
        is_lasting: trying again is no use: the peer has refused this very message.
        retry_after_s: how long the peer asks to be left alone; None: it says nothing.
        is_over: tells whether what was in the way is gone: then it is tried again at once. None:
            nobody knows.
    """

    def __init__(
        self,
        message: str,
        *,
        is_lasting: bool = False,
        retry_after_s: float | None = None,
        is_over: Callable[[], bool] | None = None,
    ) -> None:
        super().__init__(message)
        self.is_lasting, self.retry_after_s, self.is_over = is_lasting, retry_after_s, is_over


class Output(Protocol):
    """Where deliveries and states go. All but `stop` are called by one thread at a time.

    Attributes:
        name: unique among outputs, such as "mqtt" or "webhook:phone".
    """

    name: str

    def start(self) -> None:
        """Begin; a peer that is away is no error."""

    def deliver(self, delivery: Delivery) -> None:
        """Hand over one delivery, within a limited time.

        Raises:
            OutputError: it was not taken; it is tried again unless that is_lasting.
        """

    def show(
        self,
        sources: Sequence[SourceStatus],
        questions: Sequence[QuestionStatus],
        soundings: Sequence[Sounding],
    ) -> None:
        """Take the newest state, at most once a second; may skip it, never waits for a peer."""

    def stop(self) -> None:
        """End within 3 s; a `deliver` that goes on in another thread ends with an OutputError."""
