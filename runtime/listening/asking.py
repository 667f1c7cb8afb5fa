"""Recordings of any length and number -> answers, as they come: memory holds one window."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from listen_edge.audio.folder import recordings_below
from listen_edge.errors import AudioError
from listen_edge.lines.answer import Answer
from listen_edge.lines.heard import HeardLine
from listen_edge.printable import printable
from listen_edge.runtime.answers import summarize
from listen_edge.runtime.engine import Engine
from listen_edge.runtime.hear_config import HearConfig
from listen_edge.runtime.listening.recorded import recorded_windows
from listen_edge.runtime.listening.window import Window


def named_recordings(paths: Sequence[Path]) -> Iterator[tuple[str, Path | AudioError]]:
    """Yield (name for the lines, path) of files, and of every recording below folders.

    In place of the paths of a folder without recordings there is an error.
    """
    for path in paths:
        if not path.is_dir():
            yield printable(path.name), path
            continue
        try:
            for recording in recordings_below(path):
                yield printable(recording.relative_to(path)), recording
        except AudioError as err:
            yield printable(path), err


def ask_recording(
    engine: Engine, path: Path, questions: Sequence[str], *, source: str
) -> Iterator[list[Answer]]:
    """Yield the answers of each window in turn, as Engine.ask_windows does of samples.

    Args:
        path: see Recording.
        questions, source: as for Engine.ask.

    Raises:
        AudioError: see Recording; what was heard before has been answered.
    """
    for window in windows_of(engine, path):
        yield engine.answer_window(
            window.samples, questions, start_s=window.begin_s, source=source, doubt=window.doubt
        )


def ask_whole_recording(
    engine: Engine, path: Path, questions: Sequence[str], *, source: str
) -> list[Answer]:
    """Return one answer a question about a whole recording, see summarize; errors as above."""
    kept: list[Answer] = []
    for answers in ask_recording(engine, path, questions, source=source):
        pairs = zip(kept or answers, answers, strict=True)
        kept = [summarize([before, answer]) for before, answer in pairs]
    return kept


def hear_recording(
    engine: Engine, path: Path, hearing: HearConfig, *, source: str, hop_s: float | None = None
) -> Iterator[HeardLine]:
    """Yield what is heard in each window in turn; arguments and errors as for ask_recording."""
    for window in windows_of(engine, path, hop_s):
        _, heard = engine.listen_window(
            window.samples, [], hearing, start_s=window.begin_s, source=source, doubt=window.doubt
        )
        assert heard is not None
        yield heard


def windows_of(engine: Engine, path: Path, hop_s: float | None = None) -> Iterator[Window]:
    """Return the windows of a recording, at the bundle's hop or another."""
    return recorded_windows(path, engine.window_s, engine.hop_s if hop_s is None else hop_s)
