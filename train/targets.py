"""The vocabulary that a head is trained on: concepts, and what each recording says about each.

A concept is a phrase; its target in a recording is the tagger's probability of the class that the
phrase names, or whether the recording's own label is called so. Where neither can be known (the
label could be confused with the phrase, the tagger contradicts the label) the pair is masked.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from listen_edge.alarms import ALARMS
from listen_edge.concepts import may_be_confused, names_of
from listen_edge.ontology import Ontology, SoundClass, name_key
from listen_edge.train.datasets import Row
from listen_edge.train.datasets.soft_tags import SoftTags

_CONTRADICTED = 0.3  # below, a tagger contradicts a label that names the same or a related thing
_HELD = 0.05  # above, a faint recording's concept may be there
_MAYBE = 0.2  # above, a recording may hold what is typical of another label
_EMPTY = frozenset(
    ["a", "an", "and", "of", "on", "in", "the", "other", "sound", "noise", "music"]
)  # words that say nothing of which sound
_MAX_WORDS = 24  # of a description
_TYPICAL = 0.3  # mean probability of a class over a label's recordings that makes it typical


@dataclass(frozen=True)
class Concept:
    """A phrase that can be asked about.

    Attributes:
        text: the phrase.
        class_name: the tagger's class that it names, None for none.
        labels: of the data sets, that are called so.
    """

    text: str
    class_name: str | None
    labels: frozenset[str]


@dataclass(frozen=True)
class Targets:
    """What is known of each recording and concept, both arrays (n_rows, n_concepts).

    Attributes:
        probability: that the concept is there, float32.
        known: whether that is known.
    """

    probability: NDArray[np.float32]
    known: NDArray[np.bool_]

    def at(self, places: Sequence[int]) -> Targets:
        """Return the targets of the concepts at these places."""
        return Targets(self.probability[:, places], self.known[:, places])

    def of(
        self, rows: Sequence[int], faint: Sequence[bool]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return the targets of a mixture: any of its recordings may hold the concept.

        What one of them surely holds is known whatever is known of the others.

        Args:
            rows: the recordings.
            faint: which of them may not be heard; nobody knows whether what they hold is there.
        """
        hidden = np.array(faint)[:, None] & (self.probability[rows] > _HELD)
        known = self.known[rows] & ~hidden
        held = self.probability[rows] * known
        probability = 1 - np.prod(1 - held, axis=0)
        return probability, known.all(axis=0) | (held.max(axis=0) > 0.5)


def class_texts(one: SoundClass) -> tuple[str, ...]:
    """Return the phrases that name a class: "Ambulance (siren)" -> "ambulance siren"."""
    if one.bracketed:
        return (f"{one.names[0]} {one.bracketed[0]}".lower(),)
    return tuple(name.lower() for name in one.names)


def label_texts(label: str) -> tuple[str, ...]:
    """Return what a data set's label is called, itself first; made alarms have other names."""
    made = [n for alarm in ALARMS.values() if alarm.labels[0] == label for n in alarm.labels]
    return tuple(dict.fromkeys([*names_of(label), *made]))


def build_vocabulary(
    rows: Sequence[Row], tags: SoftTags, ontology: Ontology, without: Collection[str] = ()
) -> list[Concept]:
    """Return all concepts that these rows say something about.

    Args:
        rows: that are trained on.
        tags: of these and other recordings; all classes in it are concepts.
        ontology: names the tagger's classes.
        without: classes left out, and all phrases that share a content word with their names.
    """
    classes: dict[str, str] = {}
    for class_name in sorted({name for heard in tags.values() for name in heard}):
        found = ontology.find(class_name)
        for text in class_texts(found) if found else (class_name.lower(),):
            classes.setdefault(text, class_name)
    labels: dict[str, set[str]] = {}
    for label in sorted({tag for row in rows for tag in row.tags}):
        for text in label_texts(label):
            labels.setdefault(text, set()).add(label)
    concepts = [
        Concept(text, classes.get(text), frozenset(labels.get(text, ())))
        for text in dict.fromkeys([*classes, *labels])
    ]
    barred = [text for text, class_name in classes.items() if class_name in {*without}]
    return [c for c in concepts if not any(shares_word(c.text, text) for text in barred)]


def described(concepts: Sequence[Concept], ontology: Ontology) -> list[tuple[int, str]]:
    """Return (place of a concept that names the class, first sentence of its description).

    One for each class that the ontology describes: further text for the same target.
    """
    found: dict[str, tuple[int, str]] = {}
    for place, concept in enumerate(concepts):
        one = ontology.find(concept.class_name) if concept.class_name is not None else None
        if one is not None and one.id not in found:
            sentence = one.description.partition(". ")[0].strip(" .").lower()
            words = sentence.split()[:_MAX_WORDS]
            if len(words) > 1:
                found[one.id] = place, " ".join(words)
    return [*found.values()]


def shares_word(text: str, other: str) -> bool:
    """Tell whether two phrases have a word in common that says something."""
    return bool(_content(text) & _content(other))


def build_targets(
    rows: Sequence[Row], concepts: Sequence[Concept], tags: SoftTags, ontology: Ontology
) -> Targets:
    """Return what each row says about each concept."""
    probability, listed = _tagged(rows, concepts, tags)
    known = listed.copy()
    typical = _typical_classes(rows, tags)
    for label in sorted({row.tags for row in rows}):
        members = [k for k, row in enumerate(rows) if row.tags == label]
        near = np.array([any(_near(ontology, tag, c.text) for tag in label) for c in concepts])
        own = np.array([bool({*label} & c.labels) for c in concepts])
        kinds = np.array([bool(label) and _is_kind(label, c) for c in concepts])
        for k in members:
            heard = tags.get(rows[k].path.name)
            if heard is not None:
                doubted = near & (probability[k] < _CONTRADICTED)
                maybe = np.array([_may_hold(heard, c, typical) for c in concepts])
            else:
                doubted, maybe = near, np.zeros(len(concepts), bool)
                probability[k, kinds] = 1.0
            known[k] = np.where(listed[k], ~doubted, bool(label) & ~near & ~maybe)
            known[k] |= own | (kinds if heard is None else False)
        probability[np.ix_(np.array(members), np.flatnonzero(own))] = 1.0
    for k, row in enumerate(rows):
        if not row.absent:
            continue
        named = {text for name in row.absent for text in label_texts(name)}
        absent = [c for c, concept in enumerate(concepts) if concept.text in named]
        probability[k, absent], known[k, absent] = 0.0, True
    return Targets(probability, known)


def _tagged(
    rows: Sequence[Row], concepts: Sequence[Concept], tags: SoftTags
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the tagger's probabilities, and where it has any."""
    columns: dict[str, list[int]] = {}
    for k, concept in enumerate(concepts):
        if concept.class_name is not None:
            columns.setdefault(concept.class_name, []).append(k)
    is_class = np.array([concept.class_name is not None for concept in concepts])
    probability = np.zeros((len(rows), len(concepts)), np.float32)
    listed = np.zeros(probability.shape, bool)
    for k, row in enumerate(rows):
        if (heard := tags.get(row.path.name)) is not None:
            listed[k] = is_class
            for class_name, value in heard.items():
                probability[k, columns.get(class_name, [])] = value
    return probability, listed


def _typical_classes(rows: Sequence[Row], tags: SoftTags) -> dict[str, str]:
    """Return for each label the class that most sets its recordings apart, if one does."""
    by_label: dict[str, list[dict[str, float]]] = {}
    for row in rows:
        if len(row.tags) == 1 and row.path.name in tags:
            by_label.setdefault(row.tags[0], []).append(tags[row.path.name])
    overall = _mean([one for several in by_label.values() for one in several])
    typical = {}
    for label, heard in by_label.items():
        means = {name: mean for name, mean in _mean(heard).items() if mean >= _TYPICAL}
        if means:
            typical[label] = max(means, key=lambda name: means[name] - overall[name])
    return typical


def _mean(heard: Sequence[dict[str, float]]) -> dict[str, float]:
    sums: dict[str, float] = {}
    for one in heard:
        for name, value in one.items():
            sums[name] = sums.get(name, 0.0) + value / len(heard)
    return sums


def _may_hold(heard: dict[str, float], concept: Concept, typical: dict[str, str]) -> bool:
    """Tell whether the tagger heard what is typical of a label's recordings."""
    return any(heard.get(typical.get(label, ""), 0.0) > _MAYBE for label in concept.labels)


def _is_kind(labels: Sequence[str], concept: Concept) -> bool:
    """Tell whether a label without tags is surely of the concept's class: a siren is an alarm."""
    if concept.class_name is None:
        return False
    made = [kind for alarm in ALARMS.values() if alarm.labels[0] in labels
            for kind in (*alarm.labels, *alarm.hypernyms)]  # fmt: skip
    keys = {name_key(name) for name in (*labels, *made)}
    return name_key(concept.text) in keys


def _near(ontology: Ontology, label: str, text: str) -> bool:
    return any(
        may_be_confused(name, text) or ontology.related(name, text) for name in label_texts(label)
    )


def _content(text: str) -> frozenset[str]:
    return frozenset(name_key(text).split()) - _EMPTY
