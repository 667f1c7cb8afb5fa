"""The log of a run: one JSON object a line, cut back to the checkpoint when a run goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from listen_edge.errors import ListenEdgeError

LOG_FILE = "log.jsonl"


def read_log(folder: Path) -> list[dict[str, Any]]:
    """Return the lines of a run's log; a last line that a kill cut short is left out.

    Raises:
        ListenEdgeError: no log there, or not one of this tool's.
    """
    path = folder / LOG_FILE
    try:
        text = path.read_text()
    except OSError as err:
        raise ListenEdgeError(f"{path}: no log there; run listen-edge train first") from err
    lines = text.splitlines() if text.endswith("\n") else text.splitlines()[:-1]
    try:
        return [dict(json.loads(line)) for line in lines]
    except (ValueError, TypeError) as err:
        raise ListenEdgeError(f"{path}: not a log of listen-edge train ({err})") from err


class RunLog:
    """Appends to a run's log.

    Args:
        folder: of the run.
        done: steps done per phase; later lines, of a run that was killed, are dropped.
    """

    def __init__(self, folder: Path, done: dict[str, int]) -> None:
        self._path = folder / LOG_FILE
        kept = []
        if self._path.exists():
            kept = [line for line in read_log(folder) if line["step"] <= done[line["phase"]]]
        self._path.write_text("".join(json.dumps(line) + "\n" for line in kept))

    def write(self, phase: str, step: int, **figures: float) -> None:
        """Append one line, figures rounded to six significant digits."""
        rounded = {name: float(f"{value:.6g}") for name, value in figures.items()}
        with self._path.open("a") as file:
            file.write(json.dumps({"phase": phase, "step": step, **rounded}) + "\n")
