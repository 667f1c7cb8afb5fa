"""Clips as files: only plain ones, directly inside the folder of clips, whatever a name says."""

from __future__ import annotations

import stat
from pathlib import Path


def clip_path(folder: Path | None, name: str | None) -> Path | None:
    """Return where an event's clip lies; None where none is kept, or not as a plain file there.

    Names may come from a backup or another program: one with a separator, `..`, a NUL, or of a
    link leads nowhere.
    """
    if folder is None or not name or not is_plain(name):
        return None
    path = folder / name
    try:
        return path if stat.S_ISREG(path.lstat().st_mode) else None
    except (OSError, ValueError):  # not written yet, gone, or no name that a file can have
        return None


def is_plain(name: str) -> bool:
    """Return whether a name can only be that of something directly inside a folder."""
    return name not in ("", ".", "..") and not set(name) & set("/\\\0")
