"""The Interspeech-2024 audio hallucination benchmark, as released and rebuilt.

Of the released lists, popular and adversarial ask in four of their five templates mostly about
objects that are no labels of the clip and call them present, and popular calls some labels absent:
a perfect listener scores 50 and 61 %. A rebuilt list takes its positives from the random list,
which is clean, and drops negatives about objects that are labels of the clip.

Source: lists of huggingface.co/kuanhuggingface (AudioHallucination_AudioCaps-Random, -Popular,
-Adversarial); recordings are AudioCaps' test clips.
"""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from listen_edge.evaluation.questions import (
    BenchmarkError,
    Question,
    Reply,
    read_table,
)
from listen_edge.evaluation.report import Report, grouped_reports
from listen_edge.question import can_be_asked, parse_concept

LISTS = ("random", "popular", "adversarial")
_COLUMNS = ("audio_index", "prompt_text", "object", "attribute", "label", "sampling")
_TEMPLATES = (
    ("Is there a sound of ", "template 1"),
    ("Does the audio contain the sound of ", "template 2"),
    ("Have you noticed the sound of ", "template 3"),
    ("Can you hear the sound of ", "template 4"),
    ("Can you detect the sound of a ", "template 5"),
)
_AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")


@dataclass(frozen=True)
class Row:
    """One row of a list; the fields are the columns."""

    audio_index: str
    prompt_text: str
    object: str
    attribute: str
    label: str
    sampling: str


def list_path(folder: Path, name: str, version: str) -> Path:
    """Return where a list lies: `random_released.tsv`, or the same with .gz.

    Raises:
        BenchmarkError: it does not.
    """
    for path in (folder / f"{name}_{version}.tsv.gz", folder / f"{name}_{version}.tsv"):
        if path.is_file():
            return path
    remedy = (
        "make it with `listen-edge eval hallucination --rebuild`"
        if version == "rebuilt"
        else "the lists are at huggingface.co/kuanhuggingface, AudioHallucination_AudioCaps-*"
    )
    raise BenchmarkError(f"{folder}: no {name}_{version}.tsv or .tsv.gz there; {remedy}")


def read_list(path: Path) -> list[Row]:
    """Return the rows of a list, released or rebuilt.

    Raises:
        BenchmarkError: not such a list.
    """
    rows = [
        Row(*(row[column].strip() for column in _COLUMNS))
        for row in read_table(path, _COLUMNS, delimiter="\t")
    ]
    for place, row in enumerate(rows, start=1):
        if row.label not in ("Yes", "No"):
            raise BenchmarkError(f"{path}: row {place}: label {row.label!r}, expected Yes or No")
    return rows


def rebuilt(released: Sequence[Row], random: Sequence[Row]) -> list[Row]:
    """Return a list without contradictions: the random list's positives, then true negatives.

    Args:
        released: rows of any list.
        random: rows of the released random list.
    """
    labels = {(row.audio_index, row.object) for row in random if row.label == "Yes"}
    sampling = released[0].sampling
    positives = [replace(row, sampling=sampling) for row in random if row.label == "Yes"]
    negatives = [
        row for row in released if row.label == "No" and (row.audio_index, row.object) not in labels
    ]
    return positives + negatives


def write_list(path: Path, rows: Sequence[Row]) -> None:
    """Write rows as tab-separated text with a header, gzipped, the same bytes every time."""
    with path.open("wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed:
        text = ["\t".join(_COLUMNS)]
        text += ["\t".join(getattr(row, column) for column in _COLUMNS) for row in rows]
        packed.write(("\n".join(text) + "\n").encode())


def to_questions(
    rows: Sequence[Row], audio_dir: Path, *, allow_missing: bool = False
) -> tuple[list[Question], int]:
    """Return the questions, grouped by template, and how many were left out.

    Args:
        allow_missing: leave out the questions about recordings that are not there.

    Raises:
        BenchmarkError: a recording is not there.
    """
    found = _recordings(audio_dir)
    missing = {row.audio_index for row in rows if row.audio_index not in found}
    if missing and (not allow_missing or len(missing) == len({r.audio_index for r in rows})):
        raise BenchmarkError(
            f"{audio_dir}: {len(missing)} of {len({r.audio_index for r in rows})} recordings are "
            f"not there, such as {min(missing)}.wav; they are clips of AudioCaps' test split "
            "(github.com/cdjkim/audiocaps lists them, YouTube id and start); "
            "--allow-missing leaves their questions out"
        )
    questions = [
        Question(
            found[row.audio_index],
            row.prompt_text,
            _concept(row),
            row.label == "Yes",
            next((name for opening, name in _TEMPLATES if row.prompt_text.startswith(opening)), ""),
        )
        for row in rows
        if row.audio_index not in missing
    ]
    return questions, len(rows) - len(questions)


def list_report(
    name: str, version: str, questions: Sequence[Question], replies: Sequence[Reply]
) -> Report:
    """Return the figures of a list, strict and official, with their spread over the templates."""
    whole, *by_template = grouped_reports(questions, replies, officially=True)
    f1 = {report.name: report.metrics.f1_yes for report in by_template}
    spread = 100 * float(np.std(list(f1.values()))) if f1 else 0.0
    return Report(
        name,
        whole.metrics,
        {"version": version, "f1_by_wording": f1},
        {"f1_std_over_wordings": (spread, "points"), **whole.extra},
    )


def _concept(row: Row) -> str:
    """Return what is asked about; of a question that cannot be asked ("and pans"), its object."""
    return parse_concept(row.prompt_text) if can_be_asked(row.prompt_text) else row.object


def _recordings(folder: Path) -> dict[str, Path]:
    """Return audio_index ("Y" and the YouTube id) -> recording.

    Known names: Y<id>, <id>, and either followed by _<start> (and _<end>).
    """
    if not folder.is_dir():
        raise BenchmarkError(f"{folder}: no such folder; expected AudioCaps' test clips")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in _AUDIO_SUFFIXES:
            stem = path.stem
            for _ in range(3):
                found.setdefault(stem, path)
                found.setdefault(f"Y{stem}", path)
                head, _, tail = stem.rpartition("_")
                if not (head and tail.replace(".", "").isdecimal()):
                    break
                stem = head
    return found
