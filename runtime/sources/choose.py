"""Words for a source -> the source: the names that Python callers and the command line share."""

from __future__ import annotations

from pathlib import Path

from listen_edge.errors import AudioError
from listen_edge.printable import printable
from listen_edge.runtime.sources import Source
from listen_edge.runtime.sources.ffmpeg import FfmpegSource
from listen_edge.runtime.sources.file import FileSource, FolderSource
from listen_edge.runtime.sources.microphone import MicrophoneSource


def open_source(words: str | Path) -> Source:
    """Return a live source for "mic", "mic:NAME" or a URL, else the recording at a path."""
    if isinstance(words, str) and words.partition(":")[0] == "mic":
        return MicrophoneSource(words.partition(":")[2] or None)
    if isinstance(words, str) and "://" in words:
        return FfmpegSource(words)
    return recording(Path(words))


def recording(path: Path, *, is_realtime: bool = False) -> Source:
    """Return a recording as a source, or all recordings of a folder.

    Args:
        path: file or folder.
        is_realtime: see FileSource.

    Raises:
        AudioError: there is nothing, or nothing that can be played in real time.
    """
    if not path.exists():
        raise AudioError(f"{printable(path)}: no such file")
    if not path.is_dir():
        return FileSource(path, is_realtime=is_realtime)
    if is_realtime:
        raise AudioError(f"{printable(path)}: --realtime plays single recordings, not folders")
    return FolderSource(path)
