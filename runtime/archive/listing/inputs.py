"""Inputs as they are named on a command line -> one table of recordings.

An input is a recording, a folder, a pattern, a list of paths, a manifest, a URL of any of these, or
"-", a list on standard input. The table is sorted by month and path and names each recording once,
so that the same archive gives the same table, however it is named.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import BinaryIO
from zoneinfo import ZoneInfo, available_timezones

import pyarrow as pa

from listen_edge.errors import AudioError, ListenEdgeError
from listen_edge.printable import printable
from listen_edge.runtime.archive.listing.folders import (
    add_file,
    add_folder,
    add_matching,
    is_pattern,
)
from listen_edge.runtime.archive.listing.found import Found, Others
from listen_edge.runtime.archive.listing.manifests import read_manifest
from listen_edge.runtime.archive.listing.named import add_named, paths_in_list
from listen_edge.runtime.archive.listing.remote import add_remote
from listen_edge.runtime.archive.listing.storage import (
    is_remote,
    local_copy,
    local_path,
    split_options,
    without_query,
)
from listen_edge.runtime.archive.listing.uniting import DOUBT, SAID_AT, unite
from listen_edge.runtime.archive.rows import LISTED

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
    if not inputs:
        raise AudioError("no INPUT; expected a recording, a folder, a list, a manifest or a URL")
    tables: list[pa.Table] = []
    others, notes = Others(), list[str]()
    for given in inputs:
        named = local_path(os.fspath(given))
        found = Found()
        own = _read(named, found, others, notes, options)
        table = found.table()
        if not len(table):
            raise AudioError(
                f"{printable(named)}: no recordings there; expected WAV, FLAC, Ogg, MP3 or "
                "M4A files"
            )
        for name in own.column_names:
            table = table.append_column(own.schema.field(name), own[name])
        tables.append(table)
    if others.n:
        notes.append(others.note())
    table, about = unite(tables, options.timezone)
    carried = tuple(name for name in table.column_names if name not in SCHEMA.names)
    return Listing(table, carried, (*notes, *about))


def _read(
    named: str, found: Found, others: Others, notes: list[str], options: ListingOptions
) -> pa.Table:
    """Add the recordings of one input; return what a manifest says of each, else no columns."""
    path = os.fsencode(named)
    if named == STDIN:
        _add_named("standard input", paths_in_list(sys.stdin.buffer.read()), "", found, notes)
    elif os.path.isdir(path):
        add_folder(path, found, others)
    elif is_pattern(named) and not is_remote(named) and not os.path.lexists(path):
        add_matching(path, found, others)
    elif (suffix := os.path.splitext(without_query(named))[1].lower()) in LISTS + MANIFESTS:
        with local_copy(path) as copy, _opened(named, copy) as file:
            if suffix in LISTS:
                _add_named(named, paths_in_list(file.read()), named, found, notes)
            else:
                return _read_manifest(named, file, found, notes, options)
    elif is_remote(named):
        add_remote(named, found, others)
    else:
        add_file(path, found)
    return pa.table({})


def _read_manifest(
    named: str, file: BinaryIO, found: Found, notes: list[str], options: ListingOptions
) -> pa.Table:
    """Add the recordings of a manifest; return its times and its own columns."""
    manifest = read_manifest(
        named, file, options.path_column, options.time_column, options.timezone
    )
    _add_named(named, manifest.paths, named, found, notes)
    if manifest.n_unread:
        notes.append(
            f"{printable(named)}: {manifest.n_unread} of {len(manifest.paths)} times cannot be "
            "read; expected timestamps, ISO 8601 or seconds since 1970"
        )
    table = manifest.carried
    if manifest.times is not None:
        table = table.append_column(SAID_AT, manifest.times.instants)
        table = table.append_column(DOUBT, manifest.times.doubts)
    return table


def _add_named(named: str, paths: list[bytes], beside: str, found: Found, notes: list[str]) -> None:
    """Add the recordings that a list or a manifest names, from the folder in which it lies."""
    place, options = split_options(beside) if is_remote(beside) else (beside, "")
    folder = place[: place.rfind("/") + 1]
    missing = add_named(paths, os.fsencode(folder), found, os.fsencode(options))
    if missing and len(missing) == len(paths):
        raise AudioError(
            f"{printable(named)}: names {len(paths)} recordings and none is there, the first as "
            f"{printable(os.fsdecode(missing[0]))}; expected paths from the folder of the list"
        )
    if missing:
        notes.append(
            f"{printable(named)}: {len(missing)} of {len(paths)} recordings are not there and will "
            f"count as unheard, the first is {printable(os.fsdecode(missing[0]))}"
        )


@contextmanager
def _opened(named: str, path: Path) -> Iterator[BinaryIO]:
    """Open a list or manifest; AudioError if that cannot be."""
    try:
        with path.open("rb") as file:
            yield file
    except OSError as err:
        raise AudioError(f"{printable(named)}: {(err.strerror or str(err)).lower()}") from err


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
