"""Labelled recordings on disk -> rows of one type."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from listen_edge.errors import AudioError
from listen_edge.evaluation import esc50

ANY_FOLD = 0  # of clips that belong to no fold and train in every run


@dataclass(frozen=True)
class Clip:
    """One labelled recording; `fold` is ESC-50's 1..5, or ANY_FOLD."""

    path: Path
    label: str
    fold: int


def read_esc50(folder: Path) -> list[Clip]:
    """Return ESC-50's clips; errors as for evaluation.esc50.read_esc50."""
    return [Clip(clip.path, clip.label, clip.fold) for clip in esc50.read_esc50(folder)]


def read_labelled(folder: Path) -> list[Clip]:
    """Return the clips of a folder with `meta.csv` (filename, label) and `audio/`.

    Raises:
        AudioError: no such table.
    """
    table = folder / "meta.csv"
    if not table.is_file():
        raise AudioError(f"{table}: no such file; expected a table with filename and label")
    with table.open(newline="", encoding="utf-8") as file:
        return [
            Clip(folder / "audio" / row["filename"], row["label"], ANY_FOLD)
            for row in csv.DictReader(file)
        ]
