"""Synonym and Hypernym Test: the label is heard, but it is asked for by another name.

The test of the LISTEN paper is not published, so this one is ours. Per clip it asks for the
synonyms ("aeroplane") and the hypernyms ("aircraft", "vehicle") of its label, from the AudioSet
ontology and WordNet, and for equally many of another clip's label that is not related to it.
An absent name must hold for no sense of the clip's label: not above it in either source, not in
reach of the confusion rule of listen_edge.concepts, not on the label's own list of exceptions.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

import numpy as np

from listen_edge.concepts import may_be_confused
from listen_edge.evaluation.esc50 import Esc50Clip
from listen_edge.evaluation.questions import BenchmarkError, Question, Reply
from listen_edge.evaluation.report import Report, grouped_reports
from listen_edge.evaluation.senses import KINDS, SENSES, UNASKED
from listen_edge.evaluation.wordnet import WordNet
from listen_edge.ontology import Ontology

KINDS_OF_NAME = ("synonym", "hypernym")
WORDING = "Is there a sound of {} in the audio?"


@dataclass(frozen=True)
class Names:
    """What else a label is called.

    Attributes:
        synonyms, hypernyms: asked for, each in alphabetical order.
        holds: every name that holds for the label or may, asked for or not.
    """

    label: str
    synonyms: tuple[str, ...]
    hypernyms: tuple[str, ...]
    holds: frozenset[str]

    def of_kind(self, kind: str) -> tuple[str, ...]:
        """Return the synonyms or the hypernyms."""
        return self.synonyms if kind == "synonym" else self.hypernyms


def names_of_labels(
    labels: Collection[str], ontology: Ontology, wordnet: WordNet
) -> dict[str, Names]:
    """Return the other names of classes of ESC-50.

    Raises:
        BenchmarkError: a label is none of ESC-50's, or this WordNet lacks its sense.
    """
    unknown = sorted(set(labels) - set(SENSES))
    if unknown:
        raise BenchmarkError(f"label {unknown[0]!r} has no sense; expected ESC-50's classes")
    return {label: _names(label, ontology, wordnet) for label in set(labels)}


def _names(label: str, ontology: Ontology, wordnet: WordNet) -> Names:
    sense = SENSES[label]
    same: set[str] = set()
    above: set[str] = set()
    for name in sense.classes:
        same |= {name, *ontology.synonyms(name)}
        above |= set(ontology.hypernyms(name))
    if sense.noun is not None:
        noun = wordnet.sense(sense.noun)
        same |= set(noun.lemmas)
        above |= {lemma for high in wordnet.ancestors(noun) for lemma in high.lemmas}
    if sense.source is not None:
        source = wordnet.sense(sense.source)
        highs = [source, *wordnet.ancestors(source)]
        above |= {lemma for high in highs for lemma in high.lemmas}
    same = {part for name in same for part in _parts(name)}
    above = {part for name in above for part in _parts(name)}
    return Names(
        label,
        _askable(label, same - UNASKED - KINDS),
        _askable(label, (above | same) & KINDS),
        frozenset(same | above) | sense.may_hold | {label},
    )


def _askable(label: str, names: AbstractSet[str]) -> tuple[str, ...]:
    """Return the names that say more than words of the label, one of each stem."""
    own = {_stem(word) for word in label.split()} | {_stem(label)}
    by_stem = {
        _stem(name): name
        for name in sorted(names)
        if _stem(name) not in own and not {_stem(word) for word in name.split()} <= own
    }
    return tuple(sorted(by_stem.values()))


def build_questions(
    clips: Sequence[Esc50Clip], names: dict[str, Names], ontology: Ontology, seed: int = 0
) -> list[Question]:
    """Return the test: per clip all its label's other names, and as many that do not hold.

    Groups are "synonym" and "hypernym". Absent names are drawn as often as they are asked about
    clips where they hold, so that the name alone does not tell the answer.
    """
    rng = np.random.default_rng(seed)
    labels = [clip.label for clip in clips]
    pools = {
        (label, kind): _absent_pool(label, labels, kind, names, ontology)
        for label in set(labels)
        for kind in KINDS_OF_NAME
    }
    questions = []
    for clip in clips:
        for kind in KINDS_OF_NAME:
            present, pool = names[clip.label].of_kind(kind), pools[clip.label, kind]
            n_absent = min(len(present), len(set(pool)))
            absent: dict[str, None] = {}
            while len(absent) < n_absent:
                absent[pool[int(rng.integers(len(pool)))]] = None
            for concept in (*present, *absent):
                text = WORDING.format(concept)
                questions.append(Question(clip.path, text, concept, concept in present, kind))
    return questions


def _absent_pool(
    label: str, labels: Sequence[str], kind: str, names: dict[str, Names], ontology: Ontology
) -> list[str]:
    """Return the names of unrelated labels, each as often as its labels occur."""
    own = names[label]
    apart = {
        other: [name for name in names[other].of_kind(kind) if not may_hold(own, name)]
        for other in set(labels)
        if not are_related(own, names[other], ontology)
    }
    return [name for other in labels for name in apart.get(other, ())]


def synonym_reports(
    questions: Sequence[Question], replies: Sequence[Reply], trained: object
) -> list[Report]:
    """Return the figures of all, of synonyms and of hypernyms, and by whether training asked them.

    Args:
        trained: the bundle's list of names that training asked for; None if it keeps none.
    """
    reports = grouped_reports(questions, replies)
    if isinstance(trained, list):
        asked = [
            replace(q, group="asked in training" if q.concept in trained else "never asked")
            for q in questions
        ]
        reports += grouped_reports(asked, replies)[1:]
    return reports


def are_related(one: Names, other: Names, ontology: Ontology) -> bool:
    """Tell whether two labels are the same thing, above or below each other, or confusable."""
    if one.label == other.label or may_be_confused(one.label, other.label):
        return True
    pairs = [(a, b) for a in SENSES[one.label].classes for b in SENSES[other.label].classes]
    if any(ontology.related(a, b) for a, b in pairs):
        return True
    return other.label in one.holds or one.label in other.holds


def may_hold(own: Names, name: str) -> bool:
    """Tell whether a name holds, or may hold, for a label's clips."""
    stems = {_stem(held) for held in own.holds}
    return _stem(name) in stems or may_be_confused(own.label, name)


def _parts(name: str) -> list[str]:
    """Return the names in a display name such as "Motor vehicle (road)" or "Waves, surf"."""
    plain = re.sub(r"\s*\([^)]*\)", "", name)
    return [part.strip().lower() for part in plain.split(",") if part.strip()]


def _stem(name: str) -> str:
    """Return letters alone without the endings of number and gerund: "handsaw", "click"."""
    letters = re.sub(r"[^a-z]", "", name.lower())
    return re.sub(r"(?:ing|es|s|e)$", "", letters) if len(letters) > 4 else letters.rstrip("s")
