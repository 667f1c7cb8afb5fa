"""The recordings of a folder, and what lies there besides."""

from __future__ import annotations

import logging
from pathlib import Path

from listen_edge.errors import AudioError
from listen_edge.printable import printable

logger = logging.getLogger(__name__)

SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *("wav", "wave", "bwf", "bw64", "rf64", "w64", "flac", "ogg", "oga", "opus", "spx"),
        *("mp3", "mp2", "mpga", "aif", "aiff", "aifc", "au", "snd", "caf", "voc", "sph", "nist"),
        *("m4a", "m4b", "aac", "mp4", "m4v", "mov", "3gp", "mka", "mkv", "webm", "wma", "wmv"),
        *("asf", "avi", "ts", "mts", "wv", "ape", "tta", "ac3", "eac3", "amr", "gsm", "ogv"),
    )
)
_N_NAMED = 5


def recordings_below(folder: Path) -> list[Path]:
    """Return the paths of all recordings in a folder and its sub-folders, sorted.

    A recording is known by its suffix; the other files are counted and named in the log.

    Raises:
        AudioError: there are none, or the folder cannot be read.
    """
    try:
        files = sorted(path for path in folder.rglob("*") if path.is_file())
    except OSError as err:
        raise AudioError(f"{printable(folder)}: {(err.strerror or str(err)).lower()}") from err
    recordings = [path for path in files if path.suffix.lower() in SUFFIXES]
    if not recordings:
        raise AudioError(
            f"{printable(folder)}: no recordings there; expected WAV, FLAC, Ogg, MP3 or M4A files"
        )
    others = [path for path in files if path.suffix.lower() not in SUFFIXES]
    if others:
        names = ", ".join(printable(path.name) for path in others[:_N_NAMED])
        more = ", ..." if len(others) > _N_NAMED else ""
        logger.warning(
            "%s: %d of %d files are no recordings and are left out: %s%s",
            *(printable(folder), len(others), len(files), names, more),
        )
    return recordings
