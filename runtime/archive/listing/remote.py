"""The recordings of a bucket's folder, of a pattern in one, and of URLs."""

from __future__ import annotations

import os

from pyarrow.fs import FileInfo, FileSelector, FileType

from listen_edge.errors import AudioError
from listen_edge.printable import printable
from listen_edge.runtime.archive.listing.folders import is_pattern, matches, split_pattern
from listen_edge.runtime.archive.listing.found import Found, Others, is_recording
from listen_edge.runtime.archive.listing.storage import (
    in_time,
    is_server,
    naming,
    split_options,
    storage_of,
)


def add_remote(url: str, found: Found, others: Others) -> None:
    """Add the recording at a URL, or those of the folder or pattern that it is.

    Raises:
        AudioError: nothing is there, or the storage does not answer.
        ListenEdgeError: no package here reads such URLs.
    """
    place, options = split_options(url)
    scheme, _, path = place.partition("://")
    parts: list[str] = []
    if not is_server(url) and is_pattern(path.replace("?", "")):
        base, parts = split_pattern(path)
        place = f"{scheme}://{base}"
    storage, top = storage_of(place + options)
    with naming(url):
        if is_server(url):  # through pyarrow a server that does not answer were a file not there
            info = in_time(lambda: storage.handler.fs.info(top))
            found.add_remote(os.fsencode(url), os.fsencode(url), info.get("size"), None)
            return
        info = in_time(lambda: storage.get_file_info(top))
        if info.type == FileType.NotFound:
            raise AudioError(f"{printable(url)}: no such file or directory")
        if info.type == FileType.File:
            _add(url, info, found)
            return
        below = storage.get_file_info(FileSelector(top, recursive=True))
    for info in sorted(below, key=lambda info: str(info.path)):
        if info.type != FileType.File:
            continue
        name = info.path[len(top) :].lstrip("/")
        if not matches(name.split("/"), parts):
            continue
        if is_recording(os.fsencode(name)):
            _add(f"{place.rstrip('/')}/{name}{options}", info, found)
        else:
            others.add(info.base_name)


def _add(url: str, info: FileInfo, found: Found) -> None:
    time_us = None if info.mtime_ns is None else info.mtime_ns // 1000
    found.add_remote(os.fsencode(url), os.fsencode(url), info.size, time_us)
