"""A listing -> the pieces of work, the same ones every time: what is done or redone as a whole.

A piece is a run of recordings of one month, or a long recording in spans. Small enough to be done
again after a kill, large enough that a table of any archive has at most some 20,000 parts.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from listen_edge.audio.recording import Recording
from listen_edge.errors import AudioError
from listen_edge.runtime.archive.rows import UNKNOWN_MONTH
from listen_edge.urls import is_url

_MAX_PARTS = 20_000
_FEWEST = 32  # pieces of a small archive: enough for all workers of a machine
_MIB = 1 << 20
_LONG_BYTES = 8 * _MIB  # a recording of so many is asked how long it is
_ARE_MANY = 10_000  # recordings: enough for all workers, and too many to open before the first
_LONG_S = 3600.0  # from here on it is heard in spans
SPAN_S = 1800.0
_MONTH = re.compile(rf"\d{{4}}-\d\d|{UNKNOWN_MONTH}")
_MAX_SPANS = 1000  # a header may say anything


@dataclass(frozen=True)
class Task:
    """What one worker hears before it takes the next.

    Attributes:
        piece: number of the part that it belongs to.
        month: its partition.
        first, last: rows of the listing, the last not included.
        span: number within a long recording; None: whole recordings.
        first_window, last_window: of the span, the last not included; None: to the end.
        n_bytes: of the recordings, a span's share of them.
    """

    piece: int
    month: str
    first: int
    last: int
    span: int | None = None
    first_window: int = 0
    last_window: int | None = None
    n_bytes: int = 0

    def is_of(self, n_recordings: int) -> bool:
        """Tell whether it can be of a listing of so many recordings."""
        is_of_rows = self.piece >= 0 and 0 <= self.first < self.last <= n_recordings
        return is_of_rows and _MONTH.fullmatch(self.month) is not None


PLANNED = pa.schema(
    [
        pa.field("piece", pa.int64(), nullable=False),
        pa.field("month", pa.string(), nullable=False),
        pa.field("first", pa.int64(), nullable=False),
        pa.field("last", pa.int64(), nullable=False),
        pa.field("span", pa.int64()),
        pa.field("first_window", pa.int64(), nullable=False),
        pa.field("last_window", pa.int64()),
        pa.field("n_bytes", pa.int64(), nullable=False),
    ]
)


def plan(listing: pa.Table, hop_s: float) -> list[Task]:
    """Return the tasks of a listing in its order.

    Of up to 10,000 recordings those of over an hour that lie here are split.
    """
    sizes = pc.fill_null(listing["n_bytes"], 0).to_numpy()
    named = pc.fill_null(pc.strftime(listing["recorded_at"], format="%Y-%m"), UNKNOWN_MONTH)
    encoded = named.combine_chunks().dictionary_encode()
    month, months = encoded.indices.to_numpy(), encoded.dictionary.to_pylist()
    n_bytes, n_files = _bounds(int(sizes.sum()), len(sizes))
    tasks: list[Task] = []
    first = piece = total = 0

    def close(last: int) -> Iterator[Task]:
        if last > first:
            yield Task(piece, months[month[first]], first, last, n_bytes=total)

    for row, size in enumerate(map(int, sizes)):
        may_split = size >= _LONG_BYTES and len(sizes) <= _ARE_MANY
        spans = _spans(listing["path"][row].as_py(), hop_s) if may_split else 1
        is_full = total + size > n_bytes or row - first >= n_files
        if row > first and (is_full or spans > 1 or month[row] != month[first]):
            tasks += close(row)
            first, piece, total = row, piece + 1, 0
        total += size
        if spans > 1:
            tasks += _split(piece, months[month[row]], row, spans, hop_s, size)
            first, piece, total = row + 1, piece + 1, 0
    return [*tasks, *close(len(sizes))]


def _bounds(n_bytes: int, n_files: int) -> tuple[int, int]:
    """Return how many bytes and files a piece may have."""
    few = min(64 * _MIB, max(n_bytes // _FEWEST, 4 * _MIB))
    few_files = min(500, max(n_files // _FEWEST, 16))
    return max(n_bytes // _MAX_PARTS, few), max(n_files // _MAX_PARTS, few_files)


def windows_of_span(hop_s: float) -> int:
    """Return how many windows a span has."""
    return round(SPAN_S / hop_s)


def _spans(path: bytes, hop_s: float) -> int:
    """Return in how many spans a recording is heard, by what its header says."""
    name = os.fsdecode(path)
    if is_url(name):  # its header is not worth a download
        return 1
    try:
        with Recording(Path(name)) as recording:
            n_frames = recording.n_seekable
            seconds = 0.0 if n_frames is None else n_frames / recording.rate
    except AudioError:  # told by who hears it
        return 1
    n_spans = math.ceil(seconds / hop_s / windows_of_span(hop_s))
    return n_spans if seconds > _LONG_S and n_spans <= _MAX_SPANS else 1


def _split(
    piece: int, month: str, row: int, n_spans: int, hop_s: float, n_bytes: int
) -> Iterator[Task]:
    n_windows = windows_of_span(hop_s)
    shares = np.diff(np.linspace(0, n_bytes, n_spans + 1).astype(np.int64)).tolist()
    for span, share in enumerate(shares):
        last = None if span == n_spans - 1 else (span + 1) * n_windows
        yield Task(piece, month, row, row + 1, span, span * n_windows, last, share)
