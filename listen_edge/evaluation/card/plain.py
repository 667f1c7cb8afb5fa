"""The recordings as they are: with their sound, without it, by source, and by other names.

Everything about one recording is asked at once, so that none is encoded twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from listen_edge.audio import read_audio
from listen_edge.evaluation.card.figures import SOURCES, Figure, counted
from listen_edge.evaluation.card.inputs import CardInputs, may_sound_together
from listen_edge.evaluation.far_field import noise
from listen_edge.evaluation.questions import Question, Reply, ask_engine

if TYPE_CHECKING:
    from listen_edge.runtime.engine import Engine

N_QUIET = 60  # recordings replaced by a quiet room
_QUIET_DBFS = -55.0  # of its pink noise: above the gate of what cannot be heard
_FORCED = "One name that is there, one that is not"
_KINDS = ("accuracy", "yes_rate", "unknown_rate")
_NAMED = ("auroc", "balanced_accuracy", "unanswered")


def plain_figures(
    engine: Engine, inputs: CardInputs, on_clip: Callable[[], None]
) -> tuple[list[Figure], list[Reply]]:
    """Return the figures of recordings as they are, and the replies to inputs.domain.

    Raises:
        AudioError: a recording that cannot be listened to.
    """
    elsewhere = of_another_clip(inputs)
    parts = (inputs.domain, inputs.outside, elsewhere, inputs.synonyms)
    replies = ask_engine(engine, [q for part in parts for q in part], on_clip=on_clip)
    said = []
    for part in parts:
        said.append(replies[: len(part)])
        replies = replies[len(part) :]
    of_domain, of_outside, of_elsewhere, of_synonyms = said
    figures = [
        *counted(_FORCED, "the recording", _KINDS, *pairs(inputs.domain, of_domain)),
        *counted(_FORCED, "another recording in its place", _KINDS, elsewhere, of_elsewhere),
        *_without_sound(engine, pairs(inputs.domain, of_domain)[0], on_clip),
        *_by_source(inputs, [*inputs.domain, *inputs.outside], [*of_domain, *of_outside]),
        *_calibration("ESC-50", inputs.domain, of_domain),
        *_calibration("other sources", inputs.outside, of_outside),
        *_by_kind_of_name(inputs.synonyms, of_synonyms),
    ]
    return figures, of_domain


def pairs(
    questions: Sequence[Question], replies: Sequence[Reply]
) -> tuple[list[Question], list[Reply]]:
    """Return of each recording the name that is there and the first that is not."""
    first: dict[tuple[Path, bool], int] = {}
    for place, question in enumerate(questions):
        first.setdefault((question.audio, question.is_present), place)
    places = sorted(first.values())
    return [questions[place] for place in places], [replies[place] for place in places]


def of_another_clip(inputs: CardInputs) -> list[Question]:
    """Return the pairs of ESC-50's recordings, asked about others that hold neither name."""
    asked = pairs(inputs.domain, [Reply(None, None)] * len(inputs.domain))[0]
    names: dict[Path, list[str]] = {}
    for question in asked:
        names.setdefault(question.audio, []).append(question.concept)
    order = np.random.default_rng(inputs.seed).permutation(len(names))
    others = [list(names)[int(k)] for k in order]
    questions = []
    for k, path in enumerate(names):
        turned = [*others[k:], *others[:k]]
        for other in turned:
            if may_sound_together(names[path], inputs.clips[other].label):
                of_path = [question for question in asked if question.audio == path]
                questions += [replace(question, audio=other) for question in of_path]
                break
    return questions


def _without_sound(
    engine: Engine, asked: Sequence[Question], on_clip: Callable[[], None]
) -> list[Figure]:
    """Return the figures of the same questions about silence and about a quiet room."""

    def silence(path: Path) -> NDArray[np.float32]:
        return np.zeros_like(read_audio(path))

    def quiet_room(path: Path) -> NDArray[np.float32]:
        heard = noise(len(read_audio(path)), -3.0, places[path])
        return np.asarray(heard * 10 ** (_QUIET_DBFS / 20), np.float32)

    places = {path: k for k, path in enumerate(dict.fromkeys(q.audio for q in asked))}
    quiet = [question for question in asked if places[question.audio] < N_QUIET]
    row = f"a quiet room in its place ({_QUIET_DBFS:g} dBFS)"
    silent = ask_engine(engine, asked, hear=silence)
    return [
        *counted(_FORCED, "silence in its place", _KINDS, asked, silent),
        *counted(
            _FORCED, row, _KINDS, quiet, ask_engine(engine, quiet, hear=quiet_room, on_clip=on_clip)
        ),
    ]


def _by_source(
    inputs: CardInputs, questions: Sequence[Question], replies: Sequence[Reply]
) -> list[Figure]:
    figures = []
    sources = [inputs.clips[question.audio].source for question in questions]
    for source in dict.fromkeys(sources):
        places = [k for k, of_question in enumerate(sources) if of_question == source]
        asked, said = [questions[k] for k in places], [replies[k] for k in places]
        figures += counted(SOURCES, source, _NAMED, asked, said)
    return figures


def _calibration(
    where: str, questions: Sequence[Question], replies: Sequence[Reply]
) -> list[Figure]:
    """Return the calibration error over all pairs, and over those that are called calibrated."""
    asked, said = pairs(questions, replies)
    vouched = [k for k, reply in enumerate(said) if reply.calibrated]
    return [
        *counted("Calibration", where, ("ece", "unanswered"), asked, said),
        *counted(
            "Calibration", f"{where}, called calibrated", ("ece", "unanswered"),
            [asked[k] for k in vouched], [said[k] for k in vouched],
        ),
    ]  # fmt: skip


def _by_kind_of_name(questions: Sequence[Question], replies: Sequence[Reply]) -> list[Figure]:
    figures = []
    for kind in dict.fromkeys(question.group for question in questions):
        places = [k for k, question in enumerate(questions) if question.group == kind]
        asked, said = [questions[k] for k in places], [replies[k] for k in places]
        figures += counted("Other names", f"{kind}s", _NAMED, asked, said)
    return figures
