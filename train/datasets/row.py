"""The row type of every data set, and what its readers share: tables, names and files."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from listen_edge.audio import read_audio
from listen_edge.errors import AudioError

logger = logging.getLogger(__name__)

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".opus")
_N_NAMED = 5  # of missing clips in a warning


@dataclass(frozen=True)
class Row:
    """One recording, or one caption of it: a clip with five captions makes five rows.

    Attributes:
        path: of the audio.
        tags: lower-case names with spaces ("crying baby") of sounds known to be in it.
        absent: names of sounds known not to be in it; without tags, of all others nothing is known.
        caption: a sentence about it.
        split: the data set's own word ("fold3", "train", "dev", "evaluation").
        licence: what the data set says of this clip, else of the whole.
        dataset: key of READERS.
    """

    path: Path
    tags: tuple[str, ...]
    caption: str | None = None
    split: str = ""
    licence: str = ""
    dataset: str = ""
    absent: tuple[str, ...] = ()


def plain_name(label: str) -> str:
    """Return a label as a lower-case name with single spaces: Crying_baby -> crying baby."""
    return " ".join(label.replace("_", " ").lower().split())


def first_existing(candidates: Sequence[Path], what: str, source: str) -> Path:
    """Return the first path that exists.

    Args:
        what: it should be, for the error.
        source: where to get it, for the error.

    Raises:
        AudioError: none does.
    """
    for path in candidates:
        if path.exists():
            return path
    places = " or ".join(str(path) for path in candidates)
    raise AudioError(f"{places}: no such file or folder; expected {what}; get it from {source}")


def read_table(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Return the rows of a CSV file with a header, UTF-8 or Latin-1.

    Raises:
        AudioError: a column is missing, or a row is shorter than the header.
    """
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")  # some of Clotho's tables
    try:
        table = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True)
        found, rows = table.fieldnames or [], list(table)
    except csv.Error as err:
        raise AudioError(f"{path}: no CSV table ({err}); get it again") from err
    missing = [column for column in columns if column not in found]
    if missing:
        raise AudioError(
            f"{path}: no column {', '.join(missing)}; expected {', '.join(columns)}, "
            f"found {', '.join(found) or 'an empty file'}"
        )
    for row in rows:
        if any(row[column] is None for column in columns):
            raise AudioError(
                f"{path}: line of {next(iter(row.values()))!r} has fewer fields than the header; "
                "the file is damaged, get it again"
            )
    return rows


def audio_index(folder: Path) -> dict[str, Path]:
    """Return every audio file below a folder by its name without suffix."""
    return {
        path.stem: path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in AUDIO_SUFFIXES
    }


def youtube_names(video: str, start_s: float) -> list[str]:
    """Return the names that download tools give a clip of 10 s, without suffix.

    With and without AudioSet's "Y"; with the start, or start and end, as 30, 30.000 or 30000 (ms).
    """
    end_s = start_s + 10
    starts = [f"{start_s:g}", f"{start_s:.3f}", f"{start_s * 1000:.0f}", f"{start_s:.1f}"]
    ends = [f"{end_s:g}", f"{end_s:.3f}", f"{end_s * 1000:.0f}", f"{end_s:.1f}"]
    tails = [f"_{start}" for start in starts]
    tails += [f"_{start}_{end}" for start, end in zip(starts, ends, strict=True)]
    return [f"{first}{video}{tail}" for tail in (*tails, "") for first in ("", "Y")]


def present(rows: Iterable[tuple[Row | None, str]], where: Path, source: str) -> list[Row]:
    """Return the rows whose audio is there; the others are counted and named in a warning.

    Args:
        rows: each with the name to report; None is a clip already known to be missing.
        where: the audio was expected.
        source: where to get it.

    Raises:
        AudioError: none is there.
    """
    found: list[Row] = []
    missing: list[str] = []
    exists: dict[Path, bool] = {}
    for row, name in rows:
        if row is not None and exists.setdefault(row.path, row.path.is_file()):
            found.append(row)
        elif name not in missing[-1:]:
            missing.append(name)
    if not found:
        raise AudioError(
            f"{where}: none of {len(missing)} listed recordings is there "
            f"(such as {', '.join(missing[:2]) or 'nothing: the list is empty'}); "
            f"get the audio from {source}"
        )
    if missing:
        named = ", ".join(missing[:_N_NAMED]) + (", ..." if len(missing) > _N_NAMED else "")
        logger.warning("%s: %d listed recordings are missing: %s", where, len(missing), named)
    return found


def readable(rows: Sequence[Row]) -> tuple[list[Row], list[Path]]:
    """Return the rows whose audio can be read, and the paths of the others, each once.

    The header is looked at first; a file whose header is sound is then decoded whole, because a
    truncated one shows only there. Reasons are logged at level INFO.
    """
    skipped: dict[Path, None] = {}
    good: set[Path] = set()
    for row in rows:
        if row.path in good or row.path in skipped:
            continue
        try:
            read_audio(row.path)
            good.add(row.path)
        except AudioError as err:
            skipped[row.path] = None
            logger.info("left out: %s", err)
    return [row for row in rows if row.path in good], list(skipped)
