"""The whole service: sources, questions, one engine, the store, and who is told.

What the command line, the web and the tests use; every method may be called from any thread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from listen_edge.lines.answer import Answer
from listen_edge.runtime.engine import Engine
from listen_edge.runtime.listening.listener import Line
from listen_edge.runtime.service.records.types import (
    Priority,
    QuestionStatus,
    Sounding,
    SourceStatus,
)
from listen_edge.runtime.service.subscription import Subscription

if TYPE_CHECKING:
    from listen_edge.runtime.service.config.models import WatchConfig
    from listen_edge.runtime.service.records.store import Store


class Service:
    """Listens to every source of a configuration until it is stopped.

    Args:
        config: see config/models.py.
        engine: answers all windows, and stays the caller's; None: the config's bundle is loaded.
        clock: aware UTC; None: the system's.

    Attributes:
        store: events, presence and verdicts.
        config: what is in force, see reload.

    Raises:
        ListenEdgeError: a bundle, source, question or folder that cannot be.
    """

    store: Store
    config: WatchConfig

    def __init__(
        self,
        config: WatchConfig,
        *,
        engine: Engine | None = None,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        raise NotImplementedError

    def start(self) -> None:
        """Open the sources and outputs; returns at once."""
        raise NotImplementedError

    def stop(self, timeout_s: float = 5.0) -> None:
        """End events, close sources and outputs, in at most timeout_s. May be called twice."""
        raise NotImplementedError

    def __enter__(self) -> Service:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.stop()

    def reload(self, config: WatchConfig) -> None:
        """Go on with another configuration: a source that did not change is not closed.

        Raises:
            ListenEdgeError: it cannot be; the old one goes on.
        """
        raise NotImplementedError

    def sources(self) -> list[SourceStatus]:
        """Return how each source does, in the order of the configuration."""
        raise NotImplementedError

    def questions(self) -> list[QuestionStatus]:
        """Return what is listened for: the configuration's, then those added since."""
        raise NotImplementedError

    def soundings(self) -> list[Sounding]:
        """Return the newest answer of each question at each source; none before the first."""
        raise NotImplementedError

    def is_ready(self) -> tuple[bool, str]:
        """Return whether every source was heard in time, and if not, which and why, in words.

        A muted source counts as heard.
        """
        raise NotImplementedError

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
        raise NotImplementedError

    def remove_question(self, question: str) -> None:
        """Listen for it no more; an event of it ends. UnknownIdError: no such id."""
        raise NotImplementedError

    def set_thresholds(self, question: str, on: float, off: float) -> QuestionStatus:
        """Move a question's thresholds from the next window on.

        Raises:
            UnknownIdError: no such id.
            ListenEdgeError: impossible thresholds.
        """
        raise NotImplementedError

    def mute(self, source: str, until: datetime | None = None) -> None:
        """Close a source's device: its answers are "unknown (muted)" until unmuted.

        Args:
            source: id.
            until: aware; when it is unmuted by itself. None: not.

        Raises:
            UnknownIdError: no such id.
        """
        raise NotImplementedError

    def unmute(self, source: str) -> None:
        """Open a muted source again. UnknownIdError: no such id."""
        raise NotImplementedError

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
        raise NotImplementedError

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
        raise NotImplementedError

    def outputs(self) -> list[dict[str, Any]]:
        """Return each output's name and counts, see OutputRunner."""
        raise NotImplementedError

    def subscribe(self, kinds: tuple[type[Line], ...]) -> Subscription:
        """Return lines of these classes as they come, bounded; its reader closes it."""
        raise NotImplementedError

    def engine_info(self) -> dict[str, Any]:
        """Return bundle, backend, threads, window and hop in seconds, and the load on the engine.

        Keys: bundle, backend, n_threads, window_s, hop_s, n_waiting, busy_share (of the last
        minute).
        """
        raise NotImplementedError

    def heard_first(self) -> list[tuple[str, float, float]]:
        """Return (name, share of windows, highest presence) of what the first minutes held."""
        raise NotImplementedError

    @property
    def clips(self) -> Path | None:
        """Folder of clips, None where none are kept."""
        raise NotImplementedError
