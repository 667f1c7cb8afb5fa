"""Folders of scans, written through the job's own code from what a test says was heard."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import soundfile

from listen_edge.printable import printable
from listen_edge.runtime.archive.description import Unit
from listen_edge.runtime.archive.job import Job, begin
from listen_edge.runtime.archive.rows import (
    LISTED,
    answers_schema,
    events_schema,
    moment,
    month_of,
    recordings_schema,
)

RATE = 16_000
WINDOW_S = HOP_S = 5.0
ON, OFF = 0.7, 0.3  # of answers
EVENT_ON, EVENT_OFF = 0.9, 0.6
BUNDLE = "fake@sha256:00000000"
Heard = Sequence["float | str | None"]  # presence of each window, or why it is unknown


@dataclass(frozen=True)
class Scanned:
    """A recording, and what was heard in it.

    Attributes:
        path: as it was listed.
        heard: question -> of each window its presence, or the reason of an unknown.
        error: its decoder's, at the end of what was heard.
        carried: a manifest's columns.
    """

    path: Path | str
    heard: Mapping[str, Heard]
    recorded_at: datetime | None = None
    error: str | None = None
    carried: Mapping[str, Any] = field(default_factory=dict)

    @property
    def recording(self) -> str:
        return printable(self.path)

    @property
    def path_bytes(self) -> bytes:
        return str(self.path).encode("utf-8", "surrogateescape")

    @property
    def n_windows(self) -> int:
        return max((len(windows) for windows in self.heard.values()), default=0)

    def write(self, seed: int = 0) -> None:
        """Write noise of the length that was heard."""
        n_samples = round(max(1, self.n_windows) * HOP_S * RATE)
        noise = np.random.default_rng(seed).normal(0, 0.05, n_samples)
        Path(self.path).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(str(self.path), noise.astype(np.float32), RATE)


def write_job(
    folder: Path,
    scanned: Iterable[Scanned],
    *,
    unit: Unit = "answers",
    carried: Sequence[pa.Field] = (),
    n_done: int | None = None,
    hop_s: float = HOP_S,
) -> Job:
    """Return a scan's job in `folder`; one piece for each recording.

    Args:
        carried: columns that a manifest brought.
        n_done: recordings after so many are listed and not done; None: all are done.
    """
    ordered = sorted(scanned, key=lambda one: (month_of(one.recorded_at), one.path_bytes))
    questions = list(dict.fromkeys(question for one in ordered for question in one.heard))
    listing = _table(pa.schema([*LISTED, *carried]), [_common(one) for one in ordered])
    with begin(folder, _described(questions, unit, hop_s), listing) as job:
        for number, one in enumerate(ordered[:n_done]):
            schema = answers_schema(carried) if unit == "answers" else events_schema(carried)
            found = _answers(one, hop_s) if unit == "answers" else _events(one, hop_s)
            rows = _table(schema, [_common(one) | row for row in found])
            became = _table(recordings_schema(carried), [_common(one) | _became(one, hop_s)])
            job.write_piece(number, month_of(one.recorded_at), rows, became)
        job.write_failed()
    return job


def _described(questions: Sequence[str], unit: Unit, hop_s: float) -> dict[str, Any]:
    asked = [
        {"question": one, "concept": _concept(one), "on": EVENT_ON, "off": EVENT_OFF}
        for one in questions
    ]
    return {
        "version": "0.0",
        "bundle": BUNDLE,
        "unit": unit,
        "questions": asked,
        "state": {"on": ON, "off": OFF},
        "trigger": {"confirm": [1, 1], "end_after_s": 5.0, "cooldown_s": 0.0, "long_event_s": 120},
        "hop_s": hop_s,
        "window_s": WINDOW_S,
        "gate_dbfs": None,
        "llm": "never",
        "backend": "cpu",
    }


def _concept(question: str) -> str:
    return question.rstrip("?")


def _table(schema: pa.Schema, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    names = set(schema.names)
    kept = [{key: value for key, value in row.items() if key in names} for row in rows]
    return pa.Table.from_pylist(kept, schema=schema)


def _common(one: Scanned) -> dict[str, Any]:
    return {
        "path": one.path_bytes,
        "recording": one.recording,
        "n_bytes": 1000,
        "recorded_at": one.recorded_at,
        **one.carried,
    }


def _answers(one: Scanned, hop_s: float) -> Iterable[dict[str, Any]]:
    for question, windows in one.heard.items():
        for number, window in enumerate(windows):
            yield _answer(one, question, number * hop_s, window)
        if one.error is not None:
            start_s = len(windows) * hop_s
            yield _answer(one, question, start_s, "unreadable") | {"end_s": None}


def _answer(
    one: Scanned, question: str, start_s: float, window: float | str | None
) -> dict[str, Any]:
    presence = None if window is None or isinstance(window, str) else window
    if presence is None:
        state, reason = "unknown", window if isinstance(window, str) else "silent_input"
    elif presence >= ON:
        state, reason = "present", None
    elif presence < OFF:
        state, reason = "absent", None
    else:
        state, reason = "unknown", "uncertain"
    return {
        "start_s": start_s,
        "end_s": start_s + WINDOW_S,
        "heard_at": moment(one.recorded_at, start_s),
        "question": question,
        "concept": _concept(question),
        "state": state,
        "reason": reason,
        "presence": presence,
        "calibrated": True,
        "bundle": BUNDLE,
    }


def _events(one: Scanned, hop_s: float) -> Iterable[dict[str, Any]]:
    """Yield the runs of windows that reach EVENT_ON."""
    for question, windows in one.heard.items():
        sure = [isinstance(w, float) and w >= EVENT_ON for w in windows]
        at = 0
        for is_event, run in groupby(sure):
            n_windows = len(list(run))
            start_s = at * hop_s
            if is_event:
                peak = max(w for w in windows[at : at + n_windows] if isinstance(w, float))
                yield {
                    "start_s": start_s,
                    "duration_s": (n_windows - 1) * hop_s + WINDOW_S,
                    "heard_at": moment(one.recorded_at, start_s),
                    "question": question,
                    "concept": _concept(question),
                    "peak_presence": peak,
                    "is_long": False,
                    "reason": "not_heard",
                    "bundle": BUNDLE,
                }
            at += n_windows


def _became(one: Scanned, hop_s: float) -> dict[str, Any]:
    n_unknown = sum(not isinstance(w, float) for w in next(iter(one.heard.values()), ()))
    status = "heard" if one.error is None else "in part" if one.n_windows else "unheard"
    return {
        "status": status,
        "reason": None if one.error is None else "unreadable",
        "error": one.error,
        "duration_s": one.n_windows * hop_s,
        "n_windows": one.n_windows,
        "n_unknown": n_unknown,
    }
