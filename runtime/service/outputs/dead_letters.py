"""What an output will never take, kept as JSON lines in a bounded file."""

from __future__ import annotations

import json
import logging
from datetime import datetime, timezone
from pathlib import Path

from listen_edge.runtime.service.outputs.message import stored_event_line
from listen_edge.runtime.service.outputs.rotated_file import RotatedFile
from listen_edge.runtime.service.records.types import Delivery

logger = logging.getLogger(__name__)

_BYTES = 5_000_000  # of a file, and as much of an older one: some 10,000 events each


class DeadLetters:
    """Those of one output.

    Args:
        folder: holds OUTPUT.jsonl; None: nothing is kept.
        output: its name.
    """

    def __init__(self, folder: Path | None, output: str) -> None:
        self._output = output
        path = None if folder is None else folder / f"{output.replace(':', '-')}.jsonl"
        self._file = None if path is None else RotatedFile(path, _BYTES)

    def keep(self, delivery: Delivery, why: str) -> None:
        """Write a delivery down; where that fails the log says so: the store has the event."""
        if self._file is None:
            return
        letter = {
            "output": self._output,
            "error": why,
            "at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "event": json.loads(stored_event_line(delivery)),
        }
        try:
            self._file.append(json.dumps(letter))
        except OSError as err:
            logger.warning("%s: its dead-letter file: %s", self._output, err.strerror or err)
