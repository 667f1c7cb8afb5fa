"""The strata of a scan: windows by what was said of them and how surely.

Where decisions are made the strata are narrow, and what could not be heard is in none of them:
nobody who listens to it learns whether the answers are right.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from listen_edge.errors import ListenEdgeError, one_line
from listen_edge.json_fields import malformed_fields, parse_json
from listen_edge.printable import printable
from listen_edge.runtime.archive.job import Job
from listen_edge.runtime.archive.parts import read_rows

REVIEW, STRATA = "review", "strata.json"
SCHEMA = 1
State = Literal["present", "uncertain", "absent"]
LEFT_OUT = -1  # the stratum of what could not be heard
_ABSENT, _PRESENT = (0.1, 0.5), (0.5,)  # cuts of 0 to off, and of on to 1
_TEXTS = ("recording", "question", "state", "reason")


@dataclass(frozen=True)
class Stratum:
    """Rows of one question that are drawn from together.

    Attributes:
        name: as it stands in the table of verdicts.
        state: what the scan said of them; uncertain = an unknown between the thresholds.
        n_rows: so many there are in the whole scan.
        mean_presence: of them; None: nothing was asked, they were below the level gate.
    """

    name: str
    state: State
    n_rows: int = 0
    mean_presence: float | None = None


@dataclass(frozen=True)
class Strata:
    """The strata of one question.

    Attributes:
        question, concept: as in the rows.
        of_events: rows are events, else windows.
        n_left_out: rows about which nothing could be said, in no stratum.
        strata: those that hold rows.
    """

    question: str
    concept: str
    of_events: bool
    n_left_out: int
    strata: tuple[Stratum, ...]


class Division:
    """How a question's rows are divided; index n of `empty` is what `places` returns.

    Args:
        off, on: thresholds of its states, or of its events.
        of_events: rows are events, which are all present.
    """

    def __init__(self, off: float, on: float, *, of_events: bool) -> None:
        present = np.array([on, *(on + (1 - on) * np.array(_PRESENT)), 1.0])
        absent = np.array([0.0, *(off * np.array(_ABSENT)), off])
        self._present, self._absent, self.of_events = present[1:-1], absent[1:-1], of_events
        self.empty = list(_strata_of("present", present))
        if not of_events:
            self.empty += _strata_of("uncertain", np.array([off, on]))
            self.empty += _strata_of("absent", absent)
            self.empty.append(Stratum("absent below the gate", "absent"))

    def places(self, rows: pa.RecordBatch) -> NDArray[np.int64]:
        """Return the stratum of each row, LEFT_OUT where nothing could be said."""
        column = rows.column("peak_presence" if self.of_events else "presence")
        presence = column.fill_null(-1.0).to_numpy(zero_copy_only=False)
        at_present: NDArray[np.int64] = np.searchsorted(self._present, presence, side="right")
        if self.of_events:
            return at_present
        state, reason = rows.column("state"), rows.column("reason")
        n_present, n_absent = len(self._present) + 1, len(self._absent) + 1
        is_asked = presence >= 0
        at_absent = n_present + 1 + np.searchsorted(self._absent, presence, side="right")
        return np.select(
            [
                _is(state, "present"),
                _is(state, "unknown") & _is(reason, "uncertain"),
                _is(state, "absent") & is_asked,
                _is(reason, "below_gate") & _is(state, "absent"),
            ],
            [at_present, np.int64(n_present), at_absent, np.int64(n_present + 1 + n_absent)],
            np.int64(LEFT_OUT),
        )


def _strata_of(state: State, edges: NDArray[np.float64]) -> Iterator[Stratum]:
    for low, high in pairwise(edges.tolist()):
        yield Stratum(f"{state} {low:.3g} to {high:.3g}", state)


def _is(column: pa.DictionaryArray, value: str) -> NDArray[np.bool_]:
    """Tell of each row whether it says so; a null never does."""
    values = column.dictionary.to_pylist()
    code = values.index(value) if value in values else -2
    same: NDArray[np.bool_] = column.indices.fill_null(-1).to_numpy() == code
    return same


def divisions(job: Job) -> dict[str, Division]:
    """Return question -> how its rows are divided."""
    of_events, state = job.unit == "events", job.described["state"]
    return {
        one["question"]: Division(
            *((one["off"], one["on"]) if of_events else (state["off"], state["on"])),
            of_events=of_events,
        )
        for one in job.described["questions"]
    }


def batches(job: Job, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yield a scan's rows, of any number, a few at a time; one question to a batch.

    Texts come as dictionaries.
    """
    for batch in read_rows(job, job.unit, columns, texts=_TEXTS):
        asked = batch.column("question")
        for question in pc.unique(asked).dictionary.to_pylist():
            of_one = batch.filter(pa.array(_is(asked, question)))
            if of_one.num_rows:
                yield of_one


def write_strata(job: Job, strata: Sequence[Strata]) -> None:
    """Write the sizes of all strata, by which verdicts weigh."""
    described = {"schema": SCHEMA, "questions": [asdict(one) for one in strata]}
    with job.writing(job.folder / REVIEW / STRATA) as temporary:
        text = json.dumps(described, indent=1, ensure_ascii=False) + "\n"
        temporary.write_text(text, encoding="utf-8")


def read_strata(folder: Path) -> dict[str, Strata]:
    """Return question -> strata of a job folder from which a sample was drawn.

    Raises:
        ListenEdgeError: none was, or the file is damaged.
    """
    path = folder / REVIEW / STRATA
    try:
        fields = parse_json(path.read_bytes())
        if fields["schema"] != SCHEMA:
            raise ValueError(f"schema {fields['schema']}, expected {SCHEMA}")
        return {one["question"]: _strata(one) for one in fields["questions"]}
    except FileNotFoundError as err:
        raise ListenEdgeError(
            f"{printable(folder)}: no sample was drawn there; draw one with "
            f"`listen-edge scan --out {printable(folder)} --sample 50`"
        ) from err
    except (OSError, ValueError, KeyError, TypeError) as err:
        raise ListenEdgeError(
            f"{printable(path)}: damaged ({one_line(err)}); draw the sample again, which keeps "
            "verdicts"
        ) from err


def _strata(fields: dict[str, Any]) -> Strata:
    strata = Strata(**{**fields, "strata": tuple(Stratum(**one) for one in fields["strata"])})
    if malformed := malformed_fields(strata):
        raise ValueError(f"{malformed[0]} is not of its type")
    return strata
