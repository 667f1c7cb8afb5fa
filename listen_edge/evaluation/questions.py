"""One question and one reply for every benchmark and every system, and how they are kept in files.

A benchmark makes questions; the engine, a file or an endpoint gives replies; the metrics know
neither the benchmark nor the system.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from listen_edge.audio import read_audio
from listen_edge.errors import ListenEdgeError
from listen_edge.lines.answer import State
from listen_edge.question import can_be_asked

if TYPE_CHECKING:
    from listen_edge.runtime.engine import Engine


class BenchmarkError(ListenEdgeError):
    """A benchmark's questions, recordings or answers are missing or not what they should be."""


COLUMNS = ("audio", "question", "concept", "answer", "group")


@dataclass(frozen=True)
class Question:
    """Is the sound in the recording? With the truth.

    Attributes:
        audio: the recording.
        text: as a person, or the benchmark, words it.
        concept: what is asked about.
        group: what figures are also given for: a wording, a subset, a kind of name.
    """

    audio: Path
    text: str
    concept: str
    is_present: bool
    group: str = ""


@dataclass(frozen=True)
class Reply:
    """What a system said to a question.

    Attributes:
        presence: in [0, 1]; None from a system that gives words alone.
        says_yes: None if neither yes nor no was said.
        text: the words as they came; empty from the engine.
        calibrated: whether the presence is a probability, see Answer.
        state: of the engine's answer.
    """

    presence: float | None
    says_yes: bool | None
    text: str = ""
    calibrated: bool = False
    state: State | None = None


def ask_engine(
    engine: Engine,
    questions: Sequence[Question],
    *,
    hear: Callable[[Path], NDArray[np.float32]] = read_audio,
    on_clip: Callable[[], None] = lambda: None,
) -> list[Reply]:
    """Return the engine's reply to each question, in their order.

    Every recording is read and encoded once, and all questions about it go into one decode. A
    question that cannot be asked (see parse_concept) has no answer.

    Args:
        hear: recording -> samples at 16 kHz, shape (n_samples,).
        on_clip: called after each recording, for a progress bar.

    Raises:
        AudioError: a recording that cannot be listened to.
    """
    places: dict[Path, list[int]] = {}
    for place, question in enumerate(questions):
        places.setdefault(question.audio, []).append(place)
    replies: dict[int, Reply] = {}
    for audio, every in places.items():
        of_clip = [place for place in every if can_be_asked(questions[place].text)]
        replies.update((place, Reply(None, None)) for place in every)
        texts = [questions[place].text for place in of_clip]
        answers = engine.ask(hear(audio), texts, source=audio.name)
        for place, answer in zip(of_clip, answers, strict=True):
            says_yes = None if answer.presence is None else answer.says_yes
            replies[place] = Reply(
                answer.presence, says_yes, calibrated=answer.calibrated, state=answer.state
            )
        on_clip()
    return [replies[place] for place in range(len(questions))]


def n_clips(questions: Iterable[Question]) -> int:
    """Return how many recordings are asked about."""
    return len({question.audio for question in questions})


def write_questions(path: Path, questions: Sequence[Question], audio_dir: Path) -> None:
    """Write questions as tab-separated text, recordings relative to their folder."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, delimiter="\t", lineterminator="\n")
        table.writerow(COLUMNS)
        for q in questions:
            audio = q.audio.relative_to(audio_dir).as_posix()
            table.writerow([audio, q.text, q.concept, "yes" if q.is_present else "no", q.group])


def read_questions(path: Path, audio_dir: Path) -> list[Question]:
    """Return the questions of a file that write_questions wrote.

    Raises:
        BenchmarkError: no such file, a missing column, an answer that is neither yes nor no, or no
            question in it.
    """
    questions = []
    for place, row in enumerate(read_table(path, COLUMNS, delimiter="\t"), start=1):
        if row["answer"] not in ("yes", "no"):
            raise BenchmarkError(f"{path}: row {place}: answer {row['answer']!r}, expected yes/no")
        audio, is_present = audio_dir / row["audio"], row["answer"] == "yes"
        questions.append(Question(audio, row["question"], row["concept"], is_present, row["group"]))
    return questions


def read_table(path: Path, columns: Sequence[str], *, delimiter: str = ",") -> list[dict[str, str]]:
    """Return the rows of a CSV or TSV file, gzipped or not; lines that begin with # are comments.

    Raises:
        BenchmarkError: no such file, not text, a missing column or value, or no row.
    """
    import gzip

    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", newline="", encoding="utf-8-sig") as file:
            lines = (line for line in file if line.strip() and not line.startswith("#"))
            rows = list(csv.DictReader(lines, delimiter=delimiter))
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as err:
        raise BenchmarkError(f"{path}: cannot be read as a table of questions ({err})") from err
    if not rows:
        raise BenchmarkError(f"{path}: no questions in it; expected columns {', '.join(columns)}")
    for column in columns:
        if any(row.get(column) is None for row in rows):
            raise BenchmarkError(
                f"{path}: column {column!r} is missing, or a row ends before it; "
                f"expected columns {', '.join(columns)}"
            )
    return rows
