"""Soft tags: what a tagger heard in recordings, class by class, with its probability.

A tagger such as EfficientAT or YAMNet turns recordings that nobody labelled into material.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterable
from pathlib import Path

from listen_edge.errors import AudioError

COLUMNS = ("filename", "class", "probability")
FILES = ("tags.tsv", "tags.tsv.gz")  # beside a data set's own table

SoftTags = dict[str, dict[str, float]]  # file name -> class -> probability


def read_soft_tags(path: Path) -> SoftTags:
    """Return the tags of a tab-separated file, gzipped or not, with the header COLUMNS.

    A class that is not listed for a recording was below the tagger's least probability.

    Raises:
        AudioError: the file cannot be read, lacks a column or holds no probability.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    tags: SoftTags = {}
    try:
        with opener(path, "rt", encoding="utf-8", newline="") as file:
            table = csv.reader(file, delimiter="\t")
            header = next(table, [])
            if tuple(header) != COLUMNS:
                raise AudioError(
                    f"{path}: the first line is {' '.join(header)[:60]!r}; "
                    f"expected {', '.join(COLUMNS)}, separated by tabs"
                )
            for fields in table:
                _add(tags, path, table.line_num, fields)
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as err:
        raise AudioError(f"{path}: cannot be read ({err}); expected a table of tags") from err
    return tags


def find_soft_tags(folder: Path) -> SoftTags:
    """Return the tags that lie in a data set's folder; none if there are none."""
    found = [folder / name for name in FILES if (folder / name).is_file()]
    return read_soft_tags(found[0]) if found else {}


def merged(files: Iterable[SoftTags]) -> SoftTags:
    """Return the mean of several taggers' probabilities where they tag the same recording.

    Only classes that all of them list keep their full weight: one tagger's silence counts as 0.
    """
    files = list(files)
    tags: SoftTags = {}
    for name in {name: None for file in files for name in file}:
        heard = [file[name] for file in files if name in file]
        classes = {c: None for one in heard for c in one}
        tags[name] = {c: sum(one.get(c, 0.0) for one in heard) / len(heard) for c in classes}
    return tags


def _add(tags: SoftTags, path: Path, line: int, fields: list[str]) -> None:
    try:
        name, class_name, text = fields
        probability = float(text)
        if not 0 <= probability <= 1:
            raise ValueError(text)
    except ValueError as err:
        raise AudioError(
            f"{path}: line {line} {fields!r}: expected a file name, a class and a probability "
            "from 0 to 1"
        ) from err
    tags.setdefault(name, {})[class_name] = probability
