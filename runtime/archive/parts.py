"""The files of a scan's tables, read back a few rows at a time and held against what a scan writes.

A folder may come from elsewhere, half copied or made up: what a scan cannot have written is one
line, and takes no more memory than a scan's own rows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from listen_edge.runtime.archive.job import LISTING, Job
from listen_edge.runtime.archive.rows import TIME

BATCH_ROWS = 1 << 16
_MAX_BYTES = 1 << 28  # of a column's texts in a batch
_CALENDAR = (datetime(1, 1, 2, tzinfo=timezone.utc), datetime(9999, 12, 31, tzinfo=timezone.utc))
_SECONDS, _COUNT, _SHARE = (0.0, 1e8), (0, 1 << 40), (0.0, 1.0)
_BOUNDS: Mapping[str, tuple[Any, Any]] = {
    **dict.fromkeys(("start_s", "end_s", "duration_s"), _SECONDS),
    **dict.fromkeys(("n_bytes", "n_windows", "n_unknown"), _COUNT),
    **dict.fromkeys(("presence", "peak_presence"), _SHARE),
    **dict.fromkeys(("recorded_at", "heard_at"), tuple(pa.scalar(t, TIME) for t in _CALENDAR)),
}
_ROUNDING_S = 0.001


def read_rows(
    job: Job, table: str, columns: Sequence[str], texts: Collection[str] = ()
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a table that are written so far, part after part.

    A scanner of the whole table would read on while its batches wait, and hold all of them.

    Args:
        table: RECORDINGS or the job's unit.
        columns: those that are read.
        texts: columns of texts that come as dictionaries.

    Raises:
        ListenEdgeError: a part that cannot be read, or that no scan wrote.
    """
    for path in job.parts(table):
        yield from read_part(job, table, path, columns, texts)


def read_part(
    job: Job, table: str, path: Path, columns: Sequence[str], texts: Collection[str] = ()
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of one part; see read_rows."""
    yield from _read(job, table, path, job.schema(table), columns, texts)


def read_listing(job: Job, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of the listing; ListenEdgeError if it cannot be read."""
    yield from _read(job, LISTING, job.folder / LISTING, job.schema(LISTING), columns, ())


def _read(
    job: Job,
    name: str,
    path: Path,
    schema: pa.Schema,
    columns: Sequence[str],
    texts: Collection[str],
) -> Iterator[pa.RecordBatch]:
    wanted = [*dict.fromkeys(columns)]
    of_texts = [one for one in wanted if _is_text(schema.field(one).type)]
    with job.reading(name), _opened(path, of_texts) as file:
        for column in wanted:
            _check_type(file.schema_arrow, schema.field(column))
        for batch in file.iter_batches(BATCH_ROWS, columns=wanted):
            batch.validate(full=True)
            _check_values(job, batch)
            yield _without_dictionaries(batch, [one for one in of_texts if one not in texts])


def _opened(path: Path, texts: Sequence[str]) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path, read_dictionary=texts)
    except KeyError as err:
        raise pa.ArrowInvalid("it has not the columns of a scan") from err


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_binary(kind))


def _check_type(found: pa.Schema, wanted: pa.Field) -> None:
    if wanted.name not in found.names:
        raise pa.ArrowInvalid(f"it has no column {wanted.name}")
    one = found.field(wanted.name)
    kind = one.type.value_type if pa.types.is_dictionary(one.type) else one.type
    if kind != wanted.type or (one.nullable and not wanted.nullable):
        raise pa.ArrowInvalid(f"its column {wanted.name} is of {kind}, expected {wanted.type}")


def _check_values(job: Job, batch: pa.RecordBatch) -> None:
    """Raise ArrowInvalid for values that no scan writes, which could be taken for others."""
    values = dict(zip(batch.schema.names, batch.columns, strict=True))
    for name in values.keys() & _BOUNDS.keys():
        low, high = _BOUNDS[name]
        is_inside = pc.and_(
            pc.greater_equal(values[name], low), pc.less_equal(values[name], high)
        )  # false for NaN
        _require(is_inside, name)
    if "question" in values:
        asked = pa.array([one["question"] for one in job.described["questions"]], pa.string())
        _require(pc.is_in(values["question"].dictionary, asked), "question")
    if {"start_s", "end_s", "presence"} <= values.keys():
        lasts_s = pc.subtract(values["end_s"], values["start_s"])
        longest_s = job.described["window_s"] + _ROUNDING_S
        _require(pc.and_(pc.greater_equal(lasts_s, 0), pc.less_equal(lasts_s, longest_s)), "end_s")
        _require(pc.or_(values["presence"].is_null(), values["end_s"].is_valid()), "end_s")
    if {"n_windows", "n_unknown"} <= values.keys():
        _require(pc.less_equal(values["n_unknown"], values["n_windows"]), "n_unknown")


def _require(is_right: pa.Array, name: str) -> None:
    if pc.all(is_right).as_py() is False:  # not of nulls
        raise pa.ArrowInvalid(f"its column {name} has a value that no scan writes")


def _without_dictionaries(batch: pa.RecordBatch, names: Sequence[str]) -> pa.RecordBatch:
    """Return a batch with plain texts: a long one that stands in each row is not multiplied."""
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    for name in names:
        coded = columns[name]
        lengths = pc.binary_length(coded.dictionary).take(coded.indices)
        if (pc.sum(lengths).as_py() or 0) > _MAX_BYTES:
            raise pa.ArrowInvalid(f"its column {name} is larger than a scan's")
        columns[name] = coded.dictionary_decode()
    return pa.RecordBatch.from_pydict(columns)
