"""Words for a source -> the source: the names that Python callers and the command line share."""

from __future__ import annotations

from pathlib import Path

import soundfile

from listen_edge.errors import AudioError
from listen_edge.runtime.sources import Source
from listen_edge.runtime.sources.ffmpeg import FfmpegSource
from listen_edge.runtime.sources.file import FileSource, FolderSource
from listen_edge.runtime.sources.microphone import MicrophoneSource


def open_source(words: str | Path) -> Source:
    """Return a live source for "mic", "mic:NAME" or a URL, else the recording at a path."""
    if isinstance(words, str) and words.partition(":")[0] == "mic":
        return MicrophoneSource(words.partition(":")[2] or None)
    if isinstance(words, str) and "://" in words:
        return FfmpegSource(words, is_live=True)
    return recording(Path(words))


def recording(path: Path, *, is_realtime: bool = False) -> Source:
    """Return a recording as a source: libsndfile's, else ffmpeg's, or all files of a folder.

    Args:
        path: file or folder.
        is_realtime: see FileSource.

    Raises:
        AudioError: there is nothing, or nothing that can be played in real time.
    """
    if not path.exists():
        raise AudioError(f"{path}: no such file")
    source = FolderSource(path) if path.is_dir() else _file(path, is_realtime=is_realtime)
    if is_realtime and not source.is_live:
        raise AudioError(
            f"{path}: --realtime plays single files that libsndfile reads, such as WAV or FLAC"
        )
    return source


def _file(path: Path, *, is_realtime: bool) -> Source:
    try:
        soundfile.info(path)
    except soundfile.LibsndfileError:
        return FfmpegSource(f"file:{path}", is_live=False, name=path.name)
    return FileSource(path, is_realtime=is_realtime)
