"""What is in force: the configuration, and what people changed while it ran, which is kept."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from listen_edge.bundle.manifest import Manifest
from listen_edge.errors import ListenEdgeError
from listen_edge.runtime.service.config.models import WatchConfig
from listen_edge.runtime.service.kept import Changes, Kept, Muted
from listen_edge.runtime.service.questions import Questions, known
from listen_edge.runtime.service.records.types import Priority


class InForce:
    """Configuration, questions, and which sources are muted; not for several threads at once.

    Args:
        config: see config/models.py.
        manifest: of the bundle.
        path: of the file of changes, see Kept.

    Attributes:
        until: of each muted source, when it is unmuted by itself; None: not.

    Raises:
        ListenEdgeError: settings that cannot go together, or a damaged file of changes.
    """

    def __init__(self, config: WatchConfig, manifest: Manifest, path: Path) -> None:
        self._kept, self._manifest = Kept.read(path), manifest
        changes = self._kept.changes
        self.config = config
        self.questions = Questions(config, manifest, changes.added, changes.moved)
        self.until = {one.source: one.until_at for one in changes.muted}

    def questions_of(self, config: WatchConfig) -> Questions:
        """Return what would be asked with another configuration; errors as for InForce."""
        moved = list(self.questions.moved.values())
        return Questions(config, self._manifest, self.questions.added, moved)

    def follow(self, config: WatchConfig, questions: Questions) -> None:
        """Take another configuration and its questions; sources that it has stay muted."""
        self.config, self.questions = config, questions
        self.until = {s.id: self.until[s.id] for s in config.sources if s.id in self.until}
        self._keep()

    def add(
        self,
        ask: str,
        sources: Sequence[str] | None,
        on: float | None,
        off: float | None,
        priority: Priority,
    ) -> str:
        """Ask one more and return its id; arguments and errors as for Service.add_question."""
        added = self.questions.add(ask, sources, on, off, priority)
        self._keep()
        return added

    def remove(self, question: str) -> None:
        """Ask it no more; errors as for Service.remove_question."""
        self.questions.remove(question)
        self._keep()

    def move(self, question: str, on: float, off: float) -> None:
        """Move thresholds; errors as for Service.set_thresholds."""
        self.questions.move(question, on, off)
        self._keep()

    def mute(self, source: str, until: datetime | None, now: datetime) -> None:
        """Note that a source is off; errors as for Service.mute."""
        self.check_source(source)
        if until is not None and until <= now:
            raise ListenEdgeError(f"{until.isoformat()} is over; give a time to come, or none")
        self.until[source] = until
        self._keep()

    def unmute(self, source: str) -> None:
        """Note that it is on; errors as for Service.unmute."""
        self.check_source(source)
        if source in self.until:
            del self.until[source]
            self._keep()

    def due(self, now: datetime) -> list[str]:
        """Return the sources that are to be unmuted now."""
        return [source for source, until in self.until.items() if until and until <= now]

    def check_source(self, source: str) -> None:
        """Raise UnknownIdError unless there is a source of this id."""
        known("source", source, [one.id for one in self.config.sources])

    def _keep(self) -> None:
        self._kept.write(
            Changes(
                tuple(self.questions.added),
                tuple(self.questions.moved.values()),
                tuple(Muted(s, at.isoformat() if at else None) for s, at in self.until.items()),
            )
        )
