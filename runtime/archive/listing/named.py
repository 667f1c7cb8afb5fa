"""Recordings that are named one by one, in a list or in a manifest."""

from __future__ import annotations

import os
import stat

from listen_edge.runtime.archive.listing.found import Found
from listen_edge.runtime.archive.listing.storage import is_remote, local_path


def paths_in_list(data: bytes) -> list[bytes]:
    """Return the paths of a list: one a line, in any bytes; a name may begin with "#"."""
    lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    return [path for line in lines if (path := line.removesuffix(b"\r"))]


def add_named(paths: list[bytes], base: bytes, found: Found, options: bytes = b"") -> list[bytes]:
    """Add recordings in their order; return those that are not there.

    They are added all the same, without a size: a scan tells of every recording that was asked for.
    Whether a remote one is there shows when it is heard.

    Args:
        paths: local ones, from the root or from `base`, and URLs.
        base: a folder or the URL of one, with "/" at its end; "" for the present one.
        found: where they are added.
        options: of the storage that `base` is in.
    """
    real_folders: dict[bytes, bytes] = {}
    missing = []
    for name in paths:
        path = _from(base, name, options)
        if b"://" in path and is_remote(os.fsdecode(path)):
            found.add_remote(path, path, None, None)
            continue
        path = os.fsencode(local_path(os.fsdecode(path))) if b"://" in path else path
        key, status = _look_up(path, real_folders)
        if status is None:
            missing.append(path)
        found.add(path, key, status)
    return missing


def _from(base: bytes, path: bytes, options: bytes) -> bytes:
    """Return where a path leads that is written in a folder, which ends with "/"."""
    return path if path.startswith(b"/") or b"://" in path else base + path + options


def _look_up(path: bytes, real_folders: dict[bytes, bytes]) -> tuple[bytes, os.stat_result | None]:
    """Return a file's path without links, and its status; None where there is no file."""
    folder, slash, name = path.rpartition(b"/")
    try:
        if (real := real_folders.get(folder)) is None:
            real = real_folders[folder] = os.path.realpath(folder + slash or b".")
        key = os.path.join(real, name)
        status = os.lstat(path)
        if stat.S_ISLNK(status.st_mode):
            key, status = os.path.realpath(path), os.stat(path)
    except (OSError, ValueError):  # a loop of links, a name too long, a NUL
        return path, None
    return key, status if stat.S_ISREG(status.st_mode) else None
