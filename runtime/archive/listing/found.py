"""Recordings as they are found, kept as Arrow columns: a million of them are no million objects."""

from __future__ import annotations

import os

import pyarrow as pa

from listen_edge.audio.folder import SUFFIXES
from listen_edge.printable import printable
from listen_edge.runtime.archive.rows import TIME

KEY = "key\n"  # no manifest has a column of this name
SCHEMA = pa.schema(
    [
        pa.field("path", pa.binary(), nullable=False),
        pa.field(KEY, pa.binary(), nullable=False),
        pa.field("n_bytes", pa.int64()),
        pa.field("modified", TIME),
    ]
)
_BATCH = 1 << 16  # rows
_SUFFIXES = frozenset(os.fsencode(suffix[1:]) for suffix in SUFFIXES)
_N_NAMED = 5


class Found:
    """Rows of SCHEMA in the order in which they were added.

    KEY tells whether two paths are one recording: the path from the root without links, or a URL.
    """

    def __init__(self) -> None:
        self._paths: list[bytes] = []
        self._keys: list[bytes] = []
        self._sizes: list[int | None] = []
        self._times: list[int | None] = []  # microseconds since 1970
        self._batches: list[pa.RecordBatch] = []

    def add(self, path: bytes, key: bytes, status: os.stat_result | None = None) -> None:
        """Add a local recording; without a status it is not there, which its scan will say."""
        if status is None:
            self.add_remote(path, key, None, None)
        else:
            self.add_remote(path, key, status.st_size, status.st_mtime_ns // 1000)

    def add_remote(self, url: bytes, key: bytes, n_bytes: int | None, time_us: int | None) -> None:
        """Add a recording of which a storage said what it knows; time_us is since 1970, UTC."""
        self._paths.append(url)
        self._keys.append(key)
        self._sizes.append(n_bytes)
        self._times.append(time_us)
        if len(self._paths) >= _BATCH:
            self._pack()

    def table(self) -> pa.Table:
        """Return what was added so far."""
        self._pack()
        return pa.Table.from_batches(self._batches, SCHEMA)

    def _pack(self) -> None:
        columns = (self._paths, self._keys, self._sizes, self._times)
        arrays = [
            pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)
        ]
        self._batches.append(pa.RecordBatch.from_arrays(arrays, schema=SCHEMA))
        for column in columns:
            column.clear()


class Others:
    """Files that are no recordings by their suffix: counted, and the first ones named."""

    def __init__(self) -> None:
        self.n, self._names = 0, list[str]()

    def add(self, name: str | bytes) -> None:
        """Count a file that is left out."""
        self.n += 1
        if len(self._names) < _N_NAMED:
            self._names.append(printable(os.fsdecode(name)))

    def note(self) -> str:
        """Return one line about them."""
        more = ", ..." if self.n > _N_NAMED else ""
        return f"{self.n} files are no recordings and are left out: {', '.join(self._names)}{more}"


def is_recording(name: bytes) -> bool:
    """Tell from its suffix whether a file may be a recording."""
    head, _, suffix = name.rpartition(b".")
    return bool(head) and suffix.lower() in _SUFFIXES
