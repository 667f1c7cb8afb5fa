"""Inputs as they are named on a command line -> one table of recordings.

An input is a recording, a folder, a pattern, a list of paths, a manifest, a URL of any of these, or
"-", a list on standard input. The table is sorted by month and path and names each recording once,
so that the same archive gives the same table, however it is named.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

import pyarrow as pa

from listen_edge.errors import AudioError, ListenEdgeError
from listen_edge.printable import printable
from listen_edge.runtime.archive.listing import folders
from listen_edge.runtime.archive.listing.found import Found
from listen_edge.runtime.archive.rows import LISTED, TIME

STDIN = "-"
LISTS = (".txt", ".lst")
MANIFESTS = (".csv", ".tsv", ".parquet")
SCHEMA = pa.schema(LISTED)


@dataclass(frozen=True)
class ListingOptions:
    """How inputs are read.

    Attributes:
        path_column: of a manifest, with the paths or URLs of the recordings.
        time_column: of a manifest, with the times at which they begin; None: the first of
            recorded_at, start_time and start that holds times.
        timezone: IANA name of the zone of clocks that do not say theirs; None: unknown.

    Raises:
        ListenEdgeError: there is no such time zone.
    """

    path_column: str = "path"
    time_column: str | None = None
    timezone: str | None = None

    def __post_init__(self) -> None:
        if self.timezone is not None:
            _check_zone(self.timezone)


@dataclass(frozen=True)
class Listing:
    """What an archive holds.

    Attributes:
        table: SCHEMA and the carried columns, one row per recording, sorted by (month, path).
        carried: names of the manifests' own columns.
        notes: lines for stderr: what was left out, and what is not known.
    """

    table: pa.Table
    carried: tuple[str, ...]
    notes: tuple[str, ...]


def list_recordings(inputs: Sequence[str | Path], options: ListingOptions) -> Listing:
    """Return the recordings that the inputs name, each once.

    A recording in a folder is known by its suffix; one that is named itself is taken as it is.

    Raises:
        AudioError: an input is missing, cannot be read whole, or names no recording.
        ListenEdgeError: a manifest or a storage that cannot be used.
    """
    reader = _Reader(options)
    for named in inputs:
        reader.read(os.fspath(named))
    return reader.listing()


class _Reader:
    def __init__(self, options: ListingOptions) -> None:
        self._options = options
        self._others = folders.Others()
        self._notes: list[str] = []
        self._tables: list[pa.Table] = []

    def read(self, named: str) -> None:
        """Add the recordings of one input."""
        found = Found()
        path = os.fsencode(named)
        suffix = Path(named).suffix.lower()
        if named == STDIN:
            self._read_list(sys.stdin.buffer.read(), "", "standard input", found)
        elif os.path.isdir(path):
            folders.add_folder(path, found, self._others)
        elif suffix in LISTS and os.path.exists(path):
            self._read_list(Path(named).read_bytes(), os.path.dirname(named), named, found)
        elif folders.is_pattern(named) and not os.path.lexists(path):
            folders.add_matching(path, found, self._others)
        else:
            folders.add_file(path, found)
        table = found.table()
        if not len(table):
            raise AudioError(f"{printable(named)}: no recordings there; {_EXPECTED}")
        self._tables.append(table)

    def listing(self) -> Listing:
        """Return all that was read."""
        table = pa.concat_tables(self._tables)
        names = pa.array([printable(os.fsdecode(path.as_py())) for path in table["path"]])
        table = table.append_column("recording", names)
        table = table.append_column("recorded_at", pa.nulls(len(table), TIME))
        table = table.select(SCHEMA.names).sort_by("path")
        return Listing(table, (), (self._others.note(),) if self._others.n else ())

    def _read_list(self, data: bytes, folder: str, named: str, found: Found) -> None:
        lines = [line.removesuffix(b"\r") for line in data.split(b"\n")]
        base = os.fsencode(folder)
        paths = [os.path.join(base, line) for line in lines if line]
        missing = folders.add_named(paths, found)
        if missing:
            self._notes.append(f"{printable(named)}: {len(missing)}")


_EXPECTED = "expected WAV, FLAC, Ogg, MP3 or M4A files"


def _check_zone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (OSError, ValueError) as err:  # ZoneInfoNotFoundError is a KeyError below
        raise _unknown_zone(name) from err
    except KeyError as err:
        raise _unknown_zone(name) from err


def _unknown_zone(name: str) -> ListenEdgeError:
    near = get_close_matches(name, available_timezones(), 1)
    like = near[0] if near else "Europe/Berlin"
    return ListenEdgeError(
        f"--timezone {printable(name)}: no such time zone; expected an IANA name such as {like}"
    )
