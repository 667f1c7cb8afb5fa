"""Synthesised texts on disk: finished shards, and one journal that a killed run goes on from.

A shard is written whole or not at all. Until then every finished text stands in the journal, one
line each and flushed, so that a run killed at any time has lost at most the texts in the making.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from listen_edge.errors import ListenEdgeError
from listen_edge.replacing import replacing
from listen_edge.train.texts.assignments import Assignment

CONFIG_FILE = "config.json"
REPORT_FILE = "report.json"


def shard_path(folder: Path, index: int) -> Path:
    """Return where a shard lies."""
    return folder / f"texts-{index:05d}.jsonl"


def journal_path(folder: Path, index: int) -> Path:
    """Return where the texts of an unfinished shard lie."""
    return folder / f"texts-{index:05d}.part"


def open_folder(folder: Path, config: Mapping[str, Any]) -> None:
    """Make the folder, or check that it holds this very run.

    Raises:
        ListenEdgeError: it holds another run or other files of texts, or cannot be written.
    """
    path, described = folder / CONFIG_FILE, _describe(config)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if path.exists():
            if path.read_text(encoding="utf-8") != described:
                raise ListenEdgeError(
                    f"{folder}: holds texts of another config or other data; choose another --out "
                    "or delete it"
                )
        elif any(folder.glob("texts-*")):
            raise ListenEdgeError(f"{folder}: holds texts without {CONFIG_FILE}; choose another")
        else:
            write_whole(path, described)
        if not os.access(folder, os.W_OK):
            raise PermissionError(13, "Permission denied")
    except (OSError, UnicodeDecodeError) as err:
        why = getattr(err, "strerror", None) or "not text"
        raise ListenEdgeError(f"{folder}: cannot be used as --out ({why})") from err


def write_report(folder: Path, report: Mapping[str, Any]) -> None:
    """Write the report beside the shards."""
    write_whole(folder / REPORT_FILE, _describe(report))


def read_shard(folder: Path, index: int, expected: Sequence[Assignment]) -> list[dict[str, Any]]:
    """Return a finished shard's lines.

    Raises:
        ListenEdgeError: it is damaged, or its texts are not those expected.
    """
    path = shard_path(folder, index)
    lines = _read(path, expected, has_torn_end=False)
    if len(lines) != len(expected):
        raise ListenEdgeError(
            f"{path}: {len(lines)} texts, expected {len(expected)}; delete it and run again"
        )
    return [lines[place] for place in sorted(lines)]


def read_journal(
    folder: Path, index: int, expected: Sequence[Assignment]
) -> dict[int, dict[str, Any]]:
    """Return the texts finished so far by their place in the shard, and drop a torn last line.

    Raises:
        ListenEdgeError: it is damaged before its last line.
    """
    path = journal_path(folder, index)
    if not path.exists():
        return {}
    lines = _read(path, expected, has_torn_end=True)
    write_whole(path, "".join(_line(lines[place] | {"place": place}) for place in lines))
    return lines


def add_to_journal(journal: TextIO, place: int, line: Mapping[str, Any]) -> None:
    """Append a finished text.

    Raises:
        ListenEdgeError: the disk is full, or the like.
    """
    try:
        journal.write(_line({**line, "place": place}))
        journal.flush()
    except OSError as err:
        raise ListenEdgeError(f"{journal.name}: cannot be written ({err.strerror})") from err


def finish_shard(folder: Path, index: int, lines: Mapping[int, Mapping[str, Any]]) -> None:
    """Write a shard from all its texts and delete its journal."""
    write_whole(shard_path(folder, index), "".join(_line(lines[k]) for k in sorted(lines)))
    journal_path(folder, index).unlink(missing_ok=True)


def write_whole(path: Path, text: str) -> None:
    """Write a file whole or not at all.

    Raises:
        ListenEdgeError: it cannot be written.
    """
    try:
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as err:
        raise ListenEdgeError(f"{path}: cannot be written ({err.strerror})") from err


def _read(
    path: Path, expected: Sequence[Assignment], *, has_torn_end: bool
) -> dict[int, dict[str, Any]]:
    try:
        texts = path.read_bytes().split(b"\n")
    except OSError as err:
        raise ListenEdgeError(f"{path}: cannot be read ({err.strerror})") from err
    end = texts.pop()  # empty after a last newline
    if end and not has_torn_end:
        raise ListenEdgeError(f"{path}: its last line is cut off; delete it and run again")
    lines: dict[int, dict[str, Any]] = {}
    for number, text in enumerate(texts):
        try:
            line = json.loads(text)
            place = line.pop("place", number)
            one = expected[place]
            is_own = line["seed"] == one.seed and line["kind"] == one.kind
        except (ValueError, KeyError, IndexError, TypeError, AttributeError):
            is_own = False
        if not is_own:
            raise ListenEdgeError(
                f"{path}:{number + 1}: damaged, or of another run; delete it and run again"
            )
        lines[place] = line
    return lines


def _line(fields: Mapping[str, Any]) -> str:
    return json.dumps(fields, ensure_ascii=False) + "\n"


def _describe(fields: Mapping[str, Any]) -> str:
    return json.dumps(fields, indent=1, sort_keys=True, ensure_ascii=False)
