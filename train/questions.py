"""Which questions are asked about a scene, and which of them are answered yes.

Balanced by construction: a name is as likely to be asked when it is absent as when it is present,
so the question's text alone says nothing. Asked are names, other names, kinds of thing ("animal")
and ways to sound ("barking"); absent ones are drawn at random and from what is easily mistaken for
the sound (another ESC-50 class of the same super-category), the paper's hard negatives.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from listen_edge.concepts import ESC50, may_be_confused
from listen_edge.train.texts.templates import Facts

_OWN_NAME, _OTHER_NAME, _KIND = 0.5, 0.75, 0.9  # bounds of the draw; the rest is how it sounds
_NEAR = 0.35  # share of absent questions that are near the sound
_TRIES = 30

# ESC-50 classes whose recordings often hold the other one too: never each other's absence.
_TOGETHER = (
    {"rain", "thunderstorm", "water drops", "wind"},
    {"insects", "crickets"},
    {"water drops", "pouring water", "toilet flush"},
    {"chirping birds", "crow", "insects", "crickets", "wind"},
    {"hen", "rooster", "chirping birds"},
    {"sea waves", "wind"},
    {"engine", "train", "airplane", "helicopter"},
)


class QuestionBank:
    """Draws questions about scenes.

    Args:
        counts: recordings per label; absent names are drawn as often as they occur.
        facts: label -> what it is called, what kind of thing it is and how it sounds.
    """

    def __init__(self, counts: Mapping[str, int], facts: Mapping[str, Facts]) -> None:
        self.facts = dict(facts)
        self.labels = sorted(counts)
        weights = np.array([counts[label] for label in self.labels], float)
        self._shares = weights / weights.sum()
        self._near = {label: self._near_to(label) for label in self.facts}
        self._kinds = {kind for fact in self.facts.values() for kind in fact.kinds}
        self._holds = functools.cache(self._may_hold)

    def draw(
        self, labels: Sequence[str], n_questions: int, rng: np.random.Generator
    ) -> list[tuple[str, bool]]:
        """Return up to n_questions different (concept, is_present) pairs about a scene.

        Every label is asked by one of its names; at most half of the questions are about what is
        present.
        """
        asked = {self._name(label, rng): True for label in labels}
        n_present = min(n_questions // 2, max(len(labels) + 1, int(rng.integers(2, 4))))
        for _ in range(_TRIES if labels else 0):
            if len(asked) >= n_present:
                break
            asked[self._fact(labels[int(rng.integers(len(labels)))], rng)] = True
        for _ in range(_TRIES * n_questions):
            if len(asked) >= n_questions:
                break
            concept = self._absent(labels, rng)
            if concept is not None:
                asked.setdefault(concept, False)
        return list(asked.items())

    def unlike(self, label: str, others: Collection[str]) -> set[str]:
        """Return those of the other labels that could not be confused with this one."""
        return {other for other in others if not may_be_confused(label, other)}

    def concepts(self) -> list[str]:
        """Return everything that is asked of training scenes."""
        facts = [self.facts[label] for label in self.labels]
        return sorted({text for f in facts for text in (*f.names, *f.kinds, *f.sounds_like)})

    def _absent(self, labels: Sequence[str], rng: np.random.Generator) -> str | None:
        near = [other for label in labels for other in self._near[label]]
        if near and rng.uniform() < _NEAR:
            other = near[int(rng.integers(len(near)))]
            is_apart = all(other in self._near[label] for label in labels)
            return self._name(other, rng) if is_apart and other not in labels else None
        other = self.labels[int(rng.choice(len(self.labels), p=self._shares))]
        if any(may_be_confused(label, other) for label in labels):
            return None
        concept = self._fact(other, rng)
        return None if any(self._holds(label, concept) for label in labels) else concept

    def _may_hold(self, label: str, concept: str) -> bool:
        """Tell whether the concept may be true of the label; kinds are unknown for some labels."""
        facts = self.facts[label]
        if concept in self._kinds and not facts.kinds:
            return True
        return concept in (*facts.names, *facts.kinds, *facts.sounds_like) or may_be_confused(
            label, concept
        )

    def _name(self, label: str, rng: np.random.Generator) -> str:
        names = self.facts[label].names
        is_own = rng.uniform() < _OWN_NAME / _OTHER_NAME
        return names[0] if is_own else names[int(rng.integers(len(names)))]

    def _fact(self, label: str, rng: np.random.Generator) -> str:
        facts, chance = self.facts[label], rng.uniform()
        texts = facts.names
        if chance > _KIND and facts.sounds_like:
            texts = facts.sounds_like
        elif chance > _OTHER_NAME and facts.kinds:
            texts = facts.kinds
        elif chance < _OWN_NAME:
            texts = facts.names[:1]
        return texts[int(rng.integers(len(texts)))]

    def _near_to(self, label: str) -> list[str]:
        if label not in ESC50:
            return []
        category = ESC50[label][0]
        return [
            other
            for other in self.labels
            if other in ESC50
            and other != label
            and ESC50[other][0] == category
            and not any({label, other} <= together for together in _TOGETHER)
        ]
