"""The same recordings over noise, from afar and through codecs: what of the AUROC is lost."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from listen_edge.audio import read_audio
from listen_edge.audio.codecs import CODECS, through_codec
from listen_edge.evaluation.card.figures import Figure, counted, rounded
from listen_edge.evaluation.card.inputs import CardInputs, may_sound_together
from listen_edge.evaluation.far_field import add_background, far_field, noise
from listen_edge.evaluation.questions import Question, Reply, ask_engine

if TYPE_CHECKING:
    from listen_edge.runtime.engine import Engine

Samples = NDArray[np.float32]
Hear = Callable[[Path], Samples]

N_IMPAIRED = 100  # recordings
SNRS_DB = (20, 10, 5, 0)
N_CONDITIONS = len(SNRS_DB) + 1 + len(CODECS)
_SECTION = "Impaired"
_KINDS = ("auroc", "unanswered")


def impaired_figures(
    engine: Engine, inputs: CardInputs, replies: Sequence[Reply], on_clip: Callable[[], None]
) -> list[Figure]:
    """Return AUROC, and what it lost against the same recordings as they are.

    Args:
        replies: to inputs.domain, about the recordings as they are.

    Raises:
        AudioError: a recording or codec that cannot be read or written.
        MissingExtraError: pyroomacoustics is not installed.
    """
    kept = set(list(dict.fromkeys(q.audio for q in inputs.domain))[:N_IMPAIRED])
    places = [k for k, question in enumerate(inputs.domain) if question.audio in kept]
    asked = [inputs.domain[k] for k in places]
    plain = counted(_SECTION, "as recorded", _KINDS, asked, [replies[k] for k in places])
    samples = {path: read_audio(path) for path in kept}
    figures = [*plain]
    for row, hear in _conditions(inputs, asked, samples):
        said = ask_engine(engine, asked, hear=hear, on_clip=on_clip)
        auroc, unanswered = counted(_SECTION, row, _KINDS, asked, said)
        figures += [auroc, _lost(plain[0], auroc), unanswered]
    return figures


def _lost(plain: Figure, impaired: Figure) -> Figure:
    whole, left = plain.value, impaired.value
    lost = None if whole is None or left is None else rounded(whole - left)
    return Figure(
        _SECTION, impaired.row, "auroc_lost", lost, impaired.n_clips, impaired.n_questions
    )


def _conditions(
    inputs: CardInputs, asked: Sequence[Question], samples: Mapping[Path, Samples]
) -> Iterator[tuple[str, Hear]]:
    """Yield each condition's name, and how a recording is heard in it."""
    behind = "noise and recordings" if inputs.backgrounds else "noise"
    backgrounds = _backgrounds(inputs, asked)
    for snr_db in SNRS_DB:

        def over(path: Path, snr_db: int = snr_db) -> Samples:
            heard = add_background(samples[path], backgrounds(path, len(samples[path])), snr_db)
            return np.clip(heard, -1, 1)

        yield f"{snr_db} dB over {behind}", over
    yield "3 m away in a room, 10 dB", lambda path: far_field(samples[path], _seed(inputs, path))
    for codec in CODECS:

        def coded(path: Path, codec: str = codec) -> Samples:
            return through_codec(codec, samples[path])

        yield codec, coded


def _backgrounds(inputs: CardInputs, asked: Sequence[Question]) -> Callable[[Path, int], Samples]:
    """Return what sounds behind a recording: every other one gets noise, if there are recordings.

    A recording behind shares no name with what is asked.
    """
    names: dict[Path, list[str]] = {}
    for question in asked:
        names.setdefault(question.audio, []).append(question.concept)
    places = {path: k for k, path in enumerate(names)}

    def background(path: Path, n_samples: int) -> Samples:
        fitting = [c for c in inputs.backgrounds if may_sound_together(names[path], c.label)]
        if fitting and places[path] % 2:
            return read_audio(fitting[_seed(inputs, path) % len(fitting)].path)
        return noise(n_samples, -3.0, _seed(inputs, path))

    return background


def _seed(inputs: CardInputs, path: Path) -> int:
    return inputs.seed + zlib.crc32(path.name.encode())
