"""Several sounds at once: are all of them heard, and is none heard that is not there?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from listen_edge.audio import read_audio
from listen_edge.audio.level import loudest_rms
from listen_edge.evaluation.card.figures import Figure, counted
from listen_edge.evaluation.card.inputs import N_ABSENT, CardInputs, may_sound_together
from listen_edge.evaluation.labelled import WORDING, LabelledClip
from listen_edge.evaluation.questions import Question, Reply, ask_engine

if TYPE_CHECKING:
    from listen_edge.runtime.engine import Engine

N_MIXTURES = 60  # of each number of sounds
NUMBERS = (2, 3, 4)
_SECTION = "Sounds at once"
_KINDS = ("tpr", "fpr")


@dataclass(frozen=True)
class Mixture:
    """Recordings that sound at once, none of which could be confused with another.

    Attributes:
        absent: labels that could be confused with none of them.
    """

    clips: tuple[LabelledClip, ...]
    absent: tuple[str, ...]

    def samples(self) -> NDArray[np.float32]:
        """Return the sum, each as loud as the others where it is loudest, within full scale."""
        heard = [read_audio(clip.path) for clip in self.clips]
        total = np.zeros(max(map(len, heard)), np.float32)
        for samples in heard:
            total[: len(samples)] += samples / max(loudest_rms(samples), 1e-9)
        return np.asarray(total / max(1e-9, np.abs(total).max()) * 0.9, np.float32)


def draw_mixtures(
    clips: Sequence[LabelledClip], n_sounds: int, n_mixtures: int, seed: int
) -> list[Mixture]:
    """Return mixtures of n_sounds recordings; fewer where the labels do not allow them."""
    rng = np.random.default_rng((seed, n_sounds))
    mixtures = []
    for _ in range(n_mixtures):
        chosen: list[LabelledClip] = []
        absent: list[str] = []
        for k in rng.permutation(len(clips)):
            clip = clips[int(k)]
            labels = [*(c.label for c in chosen), *absent]
            if may_sound_together(labels, clip.label):
                if len(chosen) < n_sounds:
                    chosen.append(clip)
                elif len(absent) < N_ABSENT:
                    absent.append(clip.label)
        if len(chosen) == n_sounds and absent:
            mixtures.append(Mixture(tuple(chosen), tuple(absent)))
    return mixtures


def together_figures(
    engine: Engine, inputs: CardInputs, replies: Sequence[Reply], on_clip: Callable[[], None]
) -> list[Figure]:
    """Return how many sounds that are there are heard, and how many that are not.

    Args:
        replies: to inputs.domain: one sound at once.

    Raises:
        AudioError: a recording that cannot be listened to.
    """
    clips = [inputs.clips[path] for path in dict.fromkeys(q.audio for q in inputs.domain)]
    mixtures = {
        Path(f"{n_sounds} sounds/{k}"): mixture
        for n_sounds in NUMBERS
        for k, mixture in enumerate(draw_mixtures(clips, n_sounds, N_MIXTURES, inputs.seed))
    }

    def hear(path: Path) -> NDArray[np.float32]:
        return mixtures[path].samples()

    figures = counted(_SECTION, "1 sound", _KINDS, inputs.domain, replies)
    asked = [question for path, mixture in mixtures.items() for question in _asked(path, mixture)]
    said = ask_engine(engine, asked, hear=hear, on_clip=on_clip)
    for row in (f"{n_sounds} sounds" for n_sounds in NUMBERS):
        places = [k for k, question in enumerate(asked) if question.audio.parent.name == row]
        of_row = [asked[k] for k in places], [said[k] for k in places]
        figures += counted(_SECTION, row, _KINDS, *of_row)
    return figures


def _asked(path: Path, mixture: Mixture) -> list[Question]:
    present = [clip.label for clip in mixture.clips]
    return [
        Question(path, WORDING.format(label), label, label in present)
        for label in (*present, *mixture.absent)
    ]
