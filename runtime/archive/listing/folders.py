"""The recordings of a folder, of a pattern and of named files on this machine.

A folder that cannot be read ends the listing: an archive of which a part was not seen must not look
whole. Links are followed, and each folder is entered once, so that a loop of links ends.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase

from listen_edge.errors import AudioError
from listen_edge.printable import printable
from listen_edge.runtime.archive.listing.found import Found, Others, is_recording

_OF_SCAN = (b"scan.json", b"listing.parquet")  # its clips are no part of the archive it is in
_MAGIC = re.compile(r"[*?[]")


def is_pattern(path: str) -> bool:
    """Tell whether a path holds a wildcard."""
    return _MAGIC.search(path) is not None


def add_file(path: bytes, found: Found) -> None:
    """Add one recording that was named.

    Raises:
        AudioError: it is not there, or is no file.
    """
    try:
        status = os.stat(path)
    except OSError as err:
        raise AudioError(f"{printable(os.fsdecode(path))}: {_reason(err)}") from err
    if not stat.S_ISREG(status.st_mode):
        raise AudioError(f"{printable(os.fsdecode(path))}: is no file; expected a recording")
    found.add(path, os.path.realpath(path), status)


def add_folder(folder: bytes, found: Found, others: Others) -> None:
    """Add the recordings of a folder and of those below it.

    Raises:
        AudioError: a folder cannot be read.
    """
    _Walk(found, others).run(folder)


def add_matching(pattern: bytes, found: Found, others: Others) -> None:
    """Add the recordings that a pattern names, itself or by a folder: "2024-*/**/*.wav".

    `*`, `?` and `[...]` stay within a name, `**` stands for any folders, none included.

    Raises:
        AudioError: a folder that may hold some cannot be read.
    """
    base, parts = split_pattern(os.fsdecode(pattern))
    _Walk(found, others, parts).run(os.fsencode(base or "."), os.fsencode(base))


def split_pattern(pattern: str) -> tuple[str, list[str]]:
    """Return the folder before the first wildcard, "" for the present one, and the parts behind."""
    parts = pattern.split("/")
    n_fixed = next(k for k, part in enumerate(parts) if is_pattern(part))
    base = "/".join(parts[:n_fixed]) or ("/" if n_fixed else "")
    return base, [part for part in parts[n_fixed:] if part]


def matches(names: list[str], parts: list[str]) -> bool:
    """Tell whether a pattern names a file, or a folder above it."""
    if not parts:
        return True
    if parts[0] == "**":
        return any(matches(names[k:], parts[1:]) for k in range(len(names) + 1))
    return bool(names) and fnmatchcase(names[0], parts[0]) and matches(names[1:], parts[1:])


def _may_hold(names: list[str], parts: list[str]) -> bool:
    """Tell whether a pattern may name anything below a folder."""
    if not names or not parts or parts[0] == "**":
        return True
    return fnmatchcase(names[0], parts[0]) and _may_hold(names[1:], parts[1:])


class _Walk:
    """One walk through a folder: real folders in the order of their names, then those by links."""

    def __init__(self, found: Found, others: Others, pattern: list[str] | None = None) -> None:
        self._found, self._others, self._pattern = found, others, pattern
        self._entered: set[tuple[int, int]] = set()  # device and inode
        self._to_do: list[tuple[bytes, bytes, bytes]] = []  # as named, without links, below the top
        self._links: list[tuple[bytes, bytes]] = []  # as named, below the top
        self._unread: list[str] = []

    def run(self, top: bytes, shown: bytes | None = None) -> None:
        """Walk through a folder; `shown` is its name before those of its recordings."""
        shown = top if shown is None else shown
        self._to_do.append((shown, os.path.realpath(top), b""))
        while self._to_do or self._links:
            while self._to_do:
                self._enter(*self._to_do.pop())
            if self._links:
                path, below = self._links.pop(0)
                self._to_do.append((path, os.path.realpath(path), below))
        if self._unread:
            n = len(self._unread)
            which = f"{n} folders of {printable(os.fsdecode(top))} cannot" if n > 1 else "cannot"
            raise AudioError(
                f"{self._unread[0]}; {which} be read, and what they hold would be missing; give "
                "read permission or name the other folders alone"
            )

    def _enter(self, path: bytes, real: bytes, below: bytes) -> None:
        """List one folder; those in it are left to do."""
        try:
            status = os.stat(real)
            if (status.st_dev, status.st_ino) in self._entered:
                return
            self._entered.add((status.st_dev, status.st_ino))
            with os.scandir(real) as entries:
                folders = self._list(entries, _below(path), _below(real), _below(below))
        except OSError as err:
            self._unread.append(f"{printable(os.fsdecode(path))}: {_reason(err)}")
            return
        folders.sort(reverse=True)  # the last one is entered next
        self._to_do += [
            (_below(path) + name, _below(real) + name, _below(below) + name) for name in folders
        ]

    def _list(
        self, entries: Iterable[os.DirEntry[bytes]], path: bytes, real: bytes, below: bytes
    ) -> list[bytes]:
        """Add the recordings of a folder; return the names of the folders in it."""
        folders: list[bytes] = []
        links: list[tuple[bytes, bytes]] = []
        others: list[bytes] = []
        n_of_scan = 0
        for entry in entries:
            name = entry.name
            n_of_scan += name in _OF_SCAN
            if entry.is_dir(follow_symlinks=False):
                folders.append(name)
            elif _is_link_to_folder(entry):
                links.append((path + name, below + name))
            elif self._is_wanted(matches, below + name):
                status = _status(entry)
                if is_recording(name) and (status is None or stat.S_ISREG(status.st_mode)):
                    key = os.path.realpath(entry.path) if entry.is_symlink() else real + name
                    self._found.add(path + name, key, status)
                else:
                    others.append(name)
        if n_of_scan == len(_OF_SCAN):
            return []
        for name in others:
            self._others.add(name)
        self._links += sorted(link for link in links if self._is_wanted(_may_hold, link[1]))
        return [name for name in folders if self._is_wanted(_may_hold, below + name)]

    def _is_wanted(self, test: Callable[[list[str], list[str]], bool], below: bytes) -> bool:
        return self._pattern is None or test(os.fsdecode(below).split("/"), self._pattern)


def _below(folder: bytes) -> bytes:
    """Return what stands before a name in a folder; nothing in the present one."""
    return folder if not folder or folder.endswith(b"/") else folder + b"/"


def _is_link_to_folder(entry: os.DirEntry[bytes]) -> bool:
    try:
        return entry.is_symlink() and entry.is_dir()
    except OSError:  # a link to itself
        return False


def _status(entry: os.DirEntry[bytes]) -> os.stat_result | None:
    """Return what the folder says of a file; None if it is gone, or is a link to nothing."""
    try:
        return entry.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as err:
        if entry.is_symlink() and err.errno == errno.ELOOP:
            return None
        raise


def _reason(err: OSError) -> str:
    return (err.strerror or str(err)).lower()
