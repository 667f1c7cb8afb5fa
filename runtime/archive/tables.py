"""Answers about recordings -> parquet, row group by row group: memory holds one of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

_ROWS = 1 << 16  # kept before they are written


class Table:
    """A table of rows about listed recordings, written as it grows.

    Args:
        path: written to; not a file of the job before it is closed and renamed.
        schema: the columns, of which those of the recording come from `listed`.
        listed: the recordings' rows of the listing.
    """

    def __init__(self, path: Path, schema: pa.Schema, listed: pa.Table) -> None:
        self._schema, self._listed = schema, listed
        self._own = [name for name in schema.names if name not in listed.column_names]
        self._columns: dict[str, list[Any]] = {name: [] for name in self._own}
        self._rows: list[int] = []  # of listed
        self._writer = pq.ParquetWriter(path, schema, compression="zstd")

    def add(self, row: int, values: Mapping[str, Any]) -> None:
        """Append a row about the recording in a row of `listed`."""
        self._rows.append(row)
        for name in self._own:
            self._columns[name].append(values[name])
        if len(self._rows) >= _ROWS:
            self._flush()

    def note(self, words: Mapping[str, str]) -> None:
        """Write something about the whole table into the file's metadata."""
        self._writer.add_key_value_metadata(dict(words))

    def __enter__(self) -> Table:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._flush()
        finally:
            self._writer.close()

    def _flush(self) -> None:
        if not self._rows:
            return
        of = self._listed.take(pa.array(self._rows, pa.int64()))
        arrays = [
            pa.array(self._columns[one.name], one.type)
            if one.name in self._columns
            else of[one.name].combine_chunks()
            for one in self._schema
        ]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))
        self._rows.clear()
        for column in self._columns.values():
            column.clear()
