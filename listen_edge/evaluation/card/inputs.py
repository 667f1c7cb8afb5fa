"""What a card is measured on: which recordings, what is asked about them, what is given."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from listen_edge.concepts import may_be_confused
from listen_edge.evaluation.card.figures import Figure, rounded
from listen_edge.evaluation.esc50 import clips_of_folds
from listen_edge.evaluation.labelled import (
    LabelledClip,
    labelled_questions,
    of_sources,
    read_labelled,
)
from listen_edge.evaluation.questions import BenchmarkError, Question
from listen_edge.evaluation.synonyms import build_questions, names_of_labels
from listen_edge.evaluation.wordnet import DEBIAN_FOLDER, WordNet
from listen_edge.json_fields import parse_json
from listen_edge.ontology import Ontology

N_DOMAIN, N_SOURCE = 200, 40  # recordings of ESC-50 and of each other source, at most
N_ABSENT = 4  # names asked as absent about each
_STREAM = ("false_alarms_per_day", "upper_bound_per_day", "hours")


@dataclass(frozen=True)
class CardOptions:
    """Where the recordings and figures lie; each but ESC-50 may be missing, and so its section.

    Attributes:
        labelled: folders as of read_labelled, of recordings from elsewhere.
        sources: of those kept, see of_sources; empty keeps all.
        background: such a folder, of what sounds behind; noise is put behind in any case.
        ontology: AudioSet's, for other names; WordNet's are read where Debian has them.
        stream: JSON object with false_alarms_per_day, upper_bound_per_day and hours.
        seed: of what is drawn.
    """

    labelled: tuple[Path, ...] = ()
    sources: tuple[str, ...] = ()
    background: Path | None = None
    ontology: Path | None = None
    stream: Path | None = None
    seed: int = 0


@dataclass(frozen=True)
class CardInputs:
    """Everything that is heard and asked, drawn.

    Attributes:
        domain, outside: questions about ESC-50 and about the other recordings, each clip's own
            label first, then N_ABSENT others.
        clips: of ESC-50 and from elsewhere, by path.
        synonyms: about ESC-50's clips.
        stream: figures that were measured elsewhere.
        recordings: what was drawn of how many.
    """

    domain: tuple[Question, ...]
    outside: tuple[Question, ...]
    clips: dict[Path, LabelledClip]
    backgrounds: tuple[LabelledClip, ...]
    synonyms: tuple[Question, ...]
    stream: tuple[Figure, ...]
    recordings: tuple[str, ...]
    seed: int

    def questions_sha256(self) -> str:
        """Return a hash of the questions about ESC-50, other recordings and backgrounds."""
        asked = [(q.audio.name, q.text, q.is_present) for q in (*self.domain, *self.outside)]
        behind = [clip.path.name for clip in self.backgrounds]
        return hashlib.sha256(json.dumps([asked, behind, self.seed]).encode()).hexdigest()


def read_inputs(esc50: Path, folds: Sequence[int], options: CardOptions) -> CardInputs:
    """Draw what is heard and asked.

    Args:
        folds: of ESC-50, which the bundle was not trained on.

    Raises:
        AudioError, BenchmarkError: a data set or table is missing, or not what it should be.
    """
    name = f"ESC-50 fold {', '.join(map(str, folds))}"
    of_folds = clips_of_folds(esc50, folds)
    every = [LabelledClip(clip.path, clip.label, name) for clip in of_folds]
    domain = _drawn(every, N_DOMAIN, options.seed)
    others = [clip for folder in options.labelled for clip in read_labelled(folder)]
    others = of_sources(others, options.sources, ", ".join(map(str, options.labelled)))
    kept: list[LabelledClip] = []
    recordings = [f"{name}: {len(domain)} of {len(every)}"]
    for source in sorted({clip.source for clip in others}):
        of_source = [clip for clip in others if clip.source == source]
        drawn = _drawn(of_source, N_SOURCE, options.seed)
        recordings.append(f"{source}: {len(drawn)} of {len(of_source)}")
        kept += drawn
    behind = () if options.background is None else tuple(read_labelled(options.background))
    if behind:
        recordings.append(f"behind them: {len(behind)} of {'; '.join(_sources(behind))}")
    return CardInputs(
        domain=_asked(domain, options.seed),
        outside=_asked(kept, options.seed),
        clips={clip.path: clip for clip in (*domain, *kept)},
        backgrounds=behind,
        synonyms=_synonyms({clip.path for clip in domain}, esc50, folds, options),
        stream=() if options.stream is None else read_stream(options.stream),
        recordings=tuple(recordings),
        seed=options.seed,
    )


def read_stream(path: Path) -> tuple[Figure, ...]:
    """Return the false alarms that were measured on hours without the sounds.

    Raises:
        BenchmarkError: no such file, or a figure is missing.
    """
    try:
        content = parse_json(path.read_bytes())
        values = [float(content[name]) for name in _STREAM]
    except (OSError, ValueError, KeyError, TypeError) as err:
        raise BenchmarkError(
            f"{path}: cannot be read ({err}); expected a JSON object with {', '.join(_STREAM)}"
        ) from err
    row = "hours without the sounds"
    return tuple(
        Figure("Streams", row, kind, rounded(value))
        for kind, value in zip(_STREAM, values, strict=True)
    )


def may_sound_together(labels: Sequence[str], label: str) -> bool:
    """Tell whether a label could not be confused with any of these."""
    return not any(may_be_confused(other, label) for other in labels)


def _sources(clips: Sequence[LabelledClip]) -> list[str]:
    return sorted({clip.source for clip in clips})


def _drawn(clips: Sequence[LabelledClip], n: int, seed: int) -> list[LabelledClip]:
    order = np.random.default_rng(seed).permutation(len(clips))[:n]
    return [clips[int(k)] for k in sorted(order)]


def _asked(clips: Sequence[LabelledClip], seed: int) -> tuple[Question, ...]:
    if not clips:
        return ()
    return tuple(labelled_questions(clips, None, n_absent=N_ABSENT, seed=seed))


def _synonyms(
    heard: set[Path], esc50: Path, folds: Sequence[int], options: CardOptions
) -> tuple[Question, ...]:
    """Return the questions of the test of synonyms about clips that are heard anyway."""
    if options.ontology is None:
        return ()
    clips = clips_of_folds(esc50, folds)
    tree = Ontology.read(options.ontology)
    wordnet = WordNet(DEBIAN_FOLDER)
    names = names_of_labels([clip.label for clip in clips], tree, wordnet)
    asked = build_questions(clips, names, tree, options.seed)
    return tuple(question for question in asked if question.audio in heard)
