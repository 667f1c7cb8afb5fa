"""Manifests: CSV, TSV and parquet tables that name recordings and say more of them.

A CSV has no types: a column is of numbers if all its values are written as numbers, and "007" is
none, so that a device keeps its name. Paths are bytes, as they are on disk.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from listen_edge.errors import ListenEdgeError, one_line
from listen_edge.printable import escaped, printable
from listen_edge.runtime.archive.listing.recorded_at import NO_DOUBT, Times
from listen_edge.runtime.archive.listing.time_columns import USUAL, times_in_column
from listen_edge.runtime.archive.rows import OUR_NAMES
from listen_edge.urls import without_secrets_of

OURS = "recorded_at"  # a manifest's column of this name is read, and not carried

_INTEGER, _NUMBER = r"^(0|-?[1-9]\d{0,17})$", r"^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$"
_UNNAMED = re.compile(r"|__index_level_\d+__")  # the row numbers that pandas writes
_BLOCK = 1 << 24  # bytes that must hold a row
_MAX_HEADER = 1 << 16
_N_NAMED = 20


@dataclass(frozen=True)
class Manifest:
    """What a manifest says.

    Attributes:
        paths: of its recordings, as they are written, one a row.
        times: when they began; None if it does not say.
        n_unread: times that are none.
        carried: the columns of its own.
    """

    paths: list[bytes]
    times: Times | None
    n_unread: int
    carried: pa.Table


def read_manifest(
    named: str, file: BinaryIO, path_column: str, time_column: str | None, timezone: str | None
) -> Manifest:
    """Return what a manifest says.

    Args:
        named: its path or URL; the suffix tells what it is.
        file: it, open for reading.
        path_column: with the paths or URLs of the recordings.
        time_column: with the times at which they begin; None: the first of USUAL that holds times.
        timezone: IANA name of the zone of times that do not say theirs; None: unknown.

    Raises:
        ListenEdgeError: it is no table, lacks a column, has one of ours, or a row without a path.
    """
    where = printable(named)
    is_parquet = named.lower().endswith(".parquet")
    try:
        table = pyarrow.parquet.read_table(file) if is_parquet else _read_text(named, file)
        if len(set(table.column_names)) < table.num_columns:
            raise pa.ArrowInvalid("two columns of one name")
    except (pa.ArrowException, OSError, UnicodeDecodeError, csv.Error) as err:
        kind = (
            "a parquet file" if is_parquet else "a CSV file in UTF-8, with names in its first line"
        )
        said = one_line(without_secrets_of(named, str(err)))
        raise ListenEdgeError(f"{where}: cannot be read ({said}); expected {kind}") from err
    _check_columns(where, table.column_names, path_column, time_column)
    paths = _paths(where, table[path_column], path_column)
    own = table.drop_columns([path_column])
    if not is_parquet:
        own = _typed(where, own)
    name, times, n_unread = _times(where, own, time_column, timezone)
    if name == OURS:
        own = own.drop_columns([OURS])
    return Manifest(paths, times, n_unread, _carried(where, own))


def _read_text(named: str, file: BinaryIO) -> pa.Table:
    """Return a CSV's columns as bytes; a spreadsheet may have written ";" between them."""
    data = file.read()
    head = data.removeprefix(b"\xef\xbb\xbf")
    line = head[:_MAX_HEADER].splitlines()[0] if head else b""
    if not line or b"\0" in line:
        raise pa.ArrowInvalid("no names of columns")
    comma = ";" if line.count(b";") > line.count(b",") else ","
    comma = "\t" if named.lower().endswith(".tsv") else comma
    names = next(csv.reader([line.decode()], delimiter=comma))
    return pyarrow.csv.read_csv(
        pa.BufferReader(head),
        pyarrow.csv.ReadOptions(column_names=names, skip_rows=1, block_size=_BLOCK),
        pyarrow.csv.ParseOptions(delimiter=comma, newlines_in_values=True),
        pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.binary()),
            null_values=[""],
            strings_can_be_null=True,
        ),
    )


def _check_columns(where: str, names: list[str], path: str, time: str | None) -> None:
    """Raise ListenEdgeError if a column that was asked for is not there."""
    for name, option in ((path, "--path-column"), (time, "--time-column")):
        if name is not None and name not in names:
            there = ", ".join(map(escaped, names[:_N_NAMED])) or "none"
            raise ListenEdgeError(
                f"{where}: no column {escaped(name)}; it has {there}: name one with {option}"
            )


def _paths(where: str, column: pa.ChunkedArray, name: str) -> list[bytes]:
    """Return a column's paths as bytes."""
    column = _plain(column)
    if not (pa.types.is_string(column.type) or pa.types.is_binary(column.type)):
        raise ListenEdgeError(
            f"{where}: the column {escaped(name)} is of {column.type}; expected paths or URLs: "
            "name another one with --path-column"
        )
    paths: list[bytes] = column.cast(pa.binary()).to_pylist()
    empty = [k for k, path in enumerate(paths, 1) if not path]
    if empty:
        raise ListenEdgeError(
            f"{where}: {len(empty)} rows have no {escaped(name)}, the first is row {empty[0]}; "
            "expected a path or URL in each"
        )
    return paths


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column with its values once each, in a long array or a view, as a plain one."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _plain(column.cast(kind.value_type))
    for is_kind, plain in (
        (pa.types.is_null, pa.string()),
        (pa.types.is_large_string, pa.string()),
        (pa.types.is_string_view, pa.string()),
        (pa.types.is_large_binary, pa.binary()),
        (pa.types.is_binary_view, pa.binary()),
    ):
        if is_kind(kind):
            return column.cast(plain)
    return column


def _typed(where: str, table: pa.Table) -> pa.Table:
    """Return a CSV's columns as integers, numbers or strings, whichever all their values are."""
    columns = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        try:
            text = column.cast(pa.string())
        except pa.ArrowInvalid as err:
            raise ListenEdgeError(
                f"{where}: the column {escaped(name)} is not UTF-8; save the file in UTF-8"
            ) from err
        columns[name] = text
        for pattern, kind in ((_INTEGER, pa.int64()), (_NUMBER, pa.float64())):
            is_kind = pc.match_substring_regex(text, pattern)
            if is_kind.null_count < len(text) and pc.all(is_kind).as_py():
                columns[name] = text.cast(kind)
                break
    return pa.table(columns)


def _times(
    where: str, table: pa.Table, asked: str | None, timezone: str | None
) -> tuple[str | None, Times | None, int]:
    """Return the column that says when recordings began, its times, and how many are none."""
    names = (asked,) if asked else [name for name in USUAL if name in table.column_names]
    for name in names:
        column = _plain(table[name])
        times = times_in_column(column, timezone)
        is_read = pc.or_(times.instants.is_valid(), pc.not_equal(times.doubts, NO_DOUBT))
        n_read = pc.sum(is_read).as_py() or 0
        n_unread = len(column) - column.null_count - n_read
        if (n_read and (asked or not n_unread)) or (name == OURS and not n_unread):
            return name, times, n_unread
        if asked or name == OURS:
            raise ListenEdgeError(
                f"{where}: {len(column) - n_read} of {len(column)} rows hold no time in the column "
                f"{escaped(name)}; expected timestamps, ISO 8601 or seconds since 1970: name "
                "another with --time-column"
            )
    return None, None, 0


def _carried(where: str, own: pa.Table) -> pa.Table:
    """Return the columns that go through a scan; those without a name are pandas' row numbers."""
    own = own.select([name for name in own.column_names if not _UNNAMED.fullmatch(name)])
    if clash := [name for name in own.column_names if name in OUR_NAMES]:
        raise ListenEdgeError(
            f"{where}: the column {', '.join(map(escaped, clash))} would meet a scan's own of that "
            "name; rename it"
        )
    columns = {name: _plain(own[name]) for name in own.column_names}
    for name, column in columns.items():
        try:
            column.slice(0, 1).take(pa.array([0][: len(column)], pa.int64()))
        except pa.ArrowException as err:  # pyarrow reads more types than it can put in order
            raise ListenEdgeError(
                f"{where}: the column {escaped(name)} is of {printable(str(column.type))}, which "
                "cannot be carried along; leave it out or write it as another type"
            ) from err
    return pa.table(columns) if columns else own
