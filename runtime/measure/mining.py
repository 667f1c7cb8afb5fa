"""Hours without some sounds -> the windows in which a bundle hears them all the same.

By the head alone, which is what learns from them. They become a folder whose rows say what is *not*
there (mined_folder.py). Memory holds one recording's finds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from listen_edge.audio.folder import recordings_below
from listen_edge.errors import AudioError, ListenEdgeError
from listen_edge.printable import printable
from listen_edge.question import parse_concept
from listen_edge.runtime.engine import Engine
from listen_edge.runtime.listening.asking import windows_of
from listen_edge.runtime.measure.mined_folder import Finds, MinedFolder
from listen_edge.runtime.measure.mining_config import MiningConfig

_CHECKPOINT = 100  # windows that a killed run may have to hear again


@dataclass(frozen=True)
class Hours:
    """Recordings, and what is known of them before they are heard.

    Attributes:
        folder: holds them, at any depth.
        may_hold: of a recording and a concept, whether it may be there; then it is not asked.
        licence: a recording -> its licence, "" where none is known.
    """

    folder: Path
    may_hold: Callable[[Path, str], bool]
    licence: Callable[[Path], str]


def mine(
    engine: Engine, hours: Hours, out: Path, questions: Sequence[str], config: MiningConfig
) -> Iterator[Finds]:
    """Yield what was found in each recording in turn, in a run that was killed before too.

    Args:
        engine: of a bundle with a head, its LLM in mode "never".
        out: made, or the folder of a run that was killed.
        questions: about sounds that the hours do not hold.

    Raises:
        AudioError: no recordings there; one that cannot be heard is told in its finds.
        ListenEdgeError: a folder of another run, a hop longer than a window, or a folder that
            cannot be written to.
        QuestionError: a question that names no sound.
    """
    if not 0.1 <= config.hop_s <= engine.window_s:
        raise ListenEdgeError(
            f"--hop {config.hop_s:g}: expected 0.1 to {engine.window_s:g} s, the bundle's window"
        )
    concepts = list(dict.fromkeys(map(parse_concept, questions)))
    described = {"bundle": engine.bundle.id, **asdict(config), "concepts": concepts}
    paths = recordings_below(hours.folder)
    with MinedFolder(out, described) as folder:
        for path in paths:
            finds = folder.last(printable(path.relative_to(hours.folder)))
            if not finds.is_done:
                asked = [c for c in concepts if not hours.may_hold(path, c)]
                finds.licence = hours.licence(path)
                _mine_one(engine, path, asked, config, finds, folder)
            yield finds


def _mine_one(
    engine: Engine,
    path: Path,
    asked: Sequence[str],
    config: MiningConfig,
    finds: Finds,
    folder: MinedFolder,
) -> None:
    """Hear a recording from where it was left, and write what is kept of it."""
    try:
        for k, window in enumerate(windows_of(engine, path, config.hop_s) if asked else ()):
            if k < finds.n_windows:
                continue
            answers = engine.answer_window(
                window.samples, asked, start_s=window.begin_s, doubt=window.doubt
            )
            for answer in answers:
                if answer.presence is not None and answer.presence >= config.least:
                    finds.note(
                        answer.concept,
                        window.begin_s,
                        answer.presence,
                        apart_s=engine.window_s,
                        n=config.per_question,
                    )
            finds.n_windows, finds.heard_s = k + 1, window.end_s
            if finds.n_windows % _CHECKPOINT == 0:
                folder.append(finds)
    except AudioError as err:  # what was heard before is kept
        finds.error = str(err)
    wanted = finds.by_window()
    for window in windows_of(engine, path, config.hop_s) if wanted else ():
        if window.begin_s in wanted:
            folder.write_window(finds.recording, window.begin_s, window.samples)
            del wanted[window.begin_s]
        if not wanted:
            break
    finds.is_done = True
    folder.append(finds)
