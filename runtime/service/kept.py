"""What people changed while it ran, beside the configuration: kept, so that off stays off.

After a power cut a muted microphone must not listen, and a question that was added must be asked.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from listen_edge.errors import ListenEdgeError
from listen_edge.json_fields import malformed_fields, parse_json
from listen_edge.replacing import replacing
from listen_edge.runtime.service.records.types import Priority

logger = logging.getLogger(__name__)

_VERSION = 1


@dataclass(frozen=True)
class Added:
    """A question that was added: as add_question has it."""

    id: str
    ask: str
    sources: tuple[str, ...] | None
    on: float | None
    off: float | None
    priority: Priority


@dataclass(frozen=True)
class Moved:
    """Thresholds that were moved, and those of the configuration that they were moved from."""

    question: str
    on: float
    off: float
    from_on: float
    from_off: float


@dataclass(frozen=True)
class Muted:
    """A source that is off, and until when, as UTC in ISO's format; None: until it is unmuted."""

    source: str
    until: str | None

    @property
    def until_at(self) -> datetime | None:
        return None if self.until is None else datetime.fromisoformat(self.until)


@dataclass(frozen=True)
class Changes:
    """All of it."""

    added: tuple[Added, ...] = ()
    moved: tuple[Moved, ...] = ()
    muted: tuple[Muted, ...] = ()


@dataclass
class Kept:
    """Changes and the file that holds them.

    Args:
        path: written whole at every change; a folder that cannot be written to is told in the log,
            and the change holds until the next start.
    """

    path: Path
    changes: Changes = field(default_factory=Changes)

    @classmethod
    def read(cls, path: Path) -> Kept:
        """Return what a file holds; nothing, if there is none.

        Raises:
            ListenEdgeError: it is damaged: what was muted is not known.
        """
        try:
            return cls(path, _changes(parse_json(path.read_bytes())))
        except FileNotFoundError:
            return cls(path)
        except (OSError, ValueError, KeyError, TypeError) as err:
            raise ListenEdgeError(
                f"{path}: cannot be read, and it says which sources are muted; mend it, or remove "
                "it to listen to all of them"
            ) from err

    def write(self, changes: Changes) -> None:
        """Keep these."""
        self.changes = changes
        try:
            with replacing(self.path) as temporary:
                temporary.touch(0o600)
                temporary.write_text(json.dumps({"v": _VERSION, **asdict(changes)}))
        except OSError as err:
            logger.warning("%s: not written (%s); it holds until the end", self.path, err.strerror)


def _changes(raw: dict[str, Any]) -> Changes:
    if raw.pop("v") != _VERSION:
        raise ValueError
    kinds = {"added": Added, "moved": Moved, "muted": Muted}
    rows = {name: tuple(_row(kinds[name], row) for row in raw[name]) for name in kinds}
    changes = Changes(**rows)
    for muted in changes.muted:
        if muted.until_at is not None and muted.until_at.tzinfo is None:
            raise ValueError
    return changes


def _row(kind: type[Any], raw: dict[str, Any]) -> Any:
    values = {one.name: raw[one.name] for one in fields(kind)}
    row = kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
    if malformed_fields(row):
        raise ValueError
    return row
