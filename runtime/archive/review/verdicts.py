"""The table that people fill in: a row for each clip and question, and what they said of it.

It comes back from spreadsheets, which change separators, the decimal point and the encoding's mark;
what cannot be read is named by line and column, and nothing is written over.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from listen_edge.errors import ListenEdgeError, one_line
from listen_edge.printable import escaped, printable
from listen_edge.runtime.archive.job import Job
from listen_edge.runtime.archive.review.strata import REVIEW

TABLE = "verdicts.csv"
COLUMNS = (
    *("clip", "question", "concept", "recording", "start_s", "presence", "stratum"),
    "verdict",
)
_NEEDED = ("clip", "question", "stratum", "verdict")
Verdict = Literal["yes", "no", "unsure"]
_WORDS: dict[str, Verdict | None] = {
    **dict.fromkeys(("yes", "y", "1", "true"), "yes"),
    **dict.fromkeys(("no", "n", "0", "false"), "no"),
    **dict.fromkeys(("unsure", "u", "?"), "unsure"),
    "": None,
}
_FORMULA = ("=", "+", "-", "@")
_MAX_CHARACTERS = 60  # of a cell in an error


@dataclass(frozen=True)
class Judged:
    """A clip and question, and what was said of it.

    Attributes:
        clip: its file's name in review/clips.
        question, concept, recording: as in the scan's rows.
        start_s: of the window or event.
        presence: of it; None if nothing was asked.
        stratum: from which it was drawn.
        verdict: whether the sound is there; None: nobody said yet.
    """

    clip: str
    question: str
    concept: str
    recording: str
    start_s: float
    presence: float | None
    stratum: str
    verdict: Verdict | None


@dataclass
class Table:
    """The cells as they are, columns that were added included.

    Attributes:
        columns: of COLUMNS at least those that are needed.
        rows: column -> cell.
        lines: where each row ends in the file.
    """

    columns: list[str] = field(default_factory=lambda: [*COLUMNS])
    rows: list[dict[str, str]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)

    def has(self) -> set[tuple[str, str]]:
        """Return the (clip, question) of all rows."""
        return {(row["clip"], row["question"]) for row in self.rows}

    def write(self, job: Job, new: Iterable[Mapping[str, str]]) -> None:
        """Write the rows as they are, and new ones after them."""
        columns = [*self.columns, *(name for name in COLUMNS if name not in self.columns)]
        text = io.StringIO()
        table = csv.DictWriter(text, columns, restval="", lineterminator="\n")
        table.writeheader()
        table.writerows([*self.rows, *new])
        with job.writing(job.folder / REVIEW / TABLE) as temporary:
            temporary.touch(0o600)
            temporary.write_text(text.getvalue(), encoding="utf-8")


def read_table(folder: Path) -> Table:
    """Return the table of a job folder, empty where there is none.

    Raises:
        ListenEdgeError: it is no table of verdicts, or a cell says something else.
    """
    path = folder / REVIEW / TABLE
    name = printable(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        return Table()
    except UnicodeDecodeError as err:
        raise ListenEdgeError(f"{name}: not UTF-8; save it as CSV in UTF-8") from err
    except OSError as err:
        raise ListenEdgeError(f"{name}: cannot be read ({one_line(err)})") from err
    try:
        return _parsed(text)
    except (ValueError, csv.Error) as err:
        raise ListenEdgeError(f"{name}: {one_line(err)}") from err


def read_verdicts(folder: Path) -> list[Judged]:
    """Return what was said of each clip of a job folder; errors as for read_table."""
    return [_judged(row) for row in read_table(folder).rows]


def _parsed(text: str) -> Table:
    header = text.split("\n", 1)[0]
    separator = max(",;\t", key=header.count)
    cells = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    columns = [cell.strip() for cell in next(cells, [])]
    if missing := [column for column in _NEEDED if column not in columns]:
        raise ValueError(
            f"line 1: no column {missing[0]!r}; expected the columns {', '.join(COLUMNS)}"
        )
    table = Table(columns)
    for row in cells:
        if any(row):
            table.rows.append(_row(columns, row, cells.line_num))
            table.lines.append(cells.line_num)
    return _without_doubles(table)


def _row(columns: Sequence[str], cells: Sequence[str], line: int) -> dict[str, str]:
    if any(cells[len(columns) :]):
        raise ValueError(f"line {line}: {len(cells)} cells, expected {len(columns)}")
    row = dict.fromkeys(columns, "") | dict(zip(columns, cells, strict=False))
    if row["verdict"].strip().lower() not in _WORDS:
        raise ValueError(
            f"line {line}, verdict: {_shown(row['verdict'])}; expected yes, no, unsure or nothing"
        )
    for column in ("start_s", "presence"):
        _number(row.get(column, ""), f"line {line}, {column}")
    return row


def _without_doubles(table: Table) -> Table:
    seen: dict[tuple[str, str], int] = {}
    for row, line in zip(table.rows, table.lines, strict=True):
        before = seen.setdefault((row["clip"], row["question"]), line)
        if before != line:
            raise ValueError(
                f"line {line}: clip {_shown(row['clip'])} and its question are on line {before} "
                "too; keep one of them"
            )
    return table


def _judged(row: Mapping[str, str]) -> Judged:
    return Judged(
        clip=row["clip"],
        question=row["question"],
        concept=row.get("concept", ""),
        recording=_from_cell(row.get("recording", "")),
        start_s=_number(row.get("start_s", ""), "start_s") or 0.0,
        presence=_number(row.get("presence", ""), "presence"),
        stratum=row["stratum"],
        verdict=_WORDS[row["verdict"].strip().lower()],
    )


def _number(cell: str, where: str) -> float | None:
    """Return a number with a decimal point or comma, None of an empty cell."""
    if not cell.strip():
        return None
    try:
        number = float(cell.strip().replace(",", "."))
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{where}: {_shown(cell)}; expected a number")
    return number


def as_cell(text: str) -> str:
    """Return a text from outside as a cell that no spreadsheet takes for a formula.

    Source: OWASP, CSV injection.
    """
    return f"'{text}" if text.startswith(_FORMULA) else text


def _from_cell(cell: str) -> str:
    return cell[1:] if cell[:1] == "'" and cell[1:].startswith(_FORMULA) else cell


def _shown(cell: str) -> str:
    return repr(escaped(cell[:_MAX_CHARACTERS]))
