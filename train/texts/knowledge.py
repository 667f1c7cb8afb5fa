"""Which sounds a text names, and which names may be true of a recording with given labels.

Both err on the safe side: a name that might be meant is found, and one that might hold, holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

from listen_edge.concepts import may_be_confused
from listen_edge.ontology import Ontology, name_key
from listen_edge.train.texts.kinds import KINDS
from listen_edge.train.texts.names import OTHER_NAMES
from listen_edge.train.texts.templates import Facts, facts_of

# Branches of the ontology that tell how or where something sounds, not what it is.
_HOW_IT_SOUNDS = (
    "Source-ambiguous sounds",
    "Channel, environment and background",
    "Musical concepts",
    "Music role",
    "Music mood",
)
# Names of classes that everyday sentences use for something else.
_EVERYDAY = (
    "run tap roll country fill stir hand bay swing fly chop whip flap burst pop boom "
    "crack snap loop tick wood liquid tool walk shuffle writing hum rattle growl howl "
    "hiss roar crackle buzz chirp croak whistle grunt wail moan whimper squeak slam ding "
    "patter mechanism trickle gush drip pour arrow camera silence steam splinter whisper "
    "sigh gasp pant chant song toot honk chime bleat coo caw moo oink cluck purr neigh "
    "quack hoot squawk effect"
)
# Of labels' words, those that do not tell which sound it is.
_GENERIC = (
    "sound person playing being with running passing ringing hard soft heavy noise falling flying"
    " metal wood calling moving driving going down past slowing taking recording"
)
_DOUBLED = re.compile(r"([bdgmnprt])\1$")
_LONGEST_NAME = 8  # words


class Knowledge:
    """What holds for which label, and how it is named.

    Args:
        labels: of the data at hand; without any the ontology's names are left.

    Attributes:
        tabled: all that the tables say of the labels without the ontology.
    """

    def __init__(self, ontology: Ontology, labels: Iterable[str]) -> None:
        self.ontology = ontology
        self.labels = sorted(set(labels))
        self.facts = cache(lambda label: facts_of(label, ontology))
        self.holds = cache(self._holds)
        tables = [facts_of(label) for label in self.labels]
        self.tabled = {text for f in tables for text in (*f.names, *f.kinds, *f.sounds_like)}
        self._names: dict[str, str] = {}
        for label in self.labels:
            facts = self.facts(label)
            self._add((*facts.names, *facts.kinds))
        how = {below for name in _HOW_IT_SOUNDS for below in (name, *ontology.hyponyms(name))}
        for one in ontology.classes.values():
            if one.name not in how:
                self._add(one.names)
        self._add(KINDS)
        self._add(other for others in OTHER_NAMES.values() for other in others)

    def mentions(self, text: str) -> list[str]:
        """Return the sounds and things that a text names, in its order, the longest names only."""
        words = [stem(word) for word in re.findall(r"[a-z']+", text.lower().replace("-", " "))]
        found, start = [], 0
        while start < len(words):
            for n_words in range(_LONGEST_NAME, 0, -1):
                name = self._names.get(" ".join(words[start : start + n_words]))
                if name is not None and start + n_words <= len(words):
                    found.append(name)
                    start += n_words - 1
                    break
            start += 1
        return list(dict.fromkeys(found))

    def is_said_of(self, labels: Iterable[str], name: str) -> bool:
        """Tell whether a name is known to be true of one of the labels, not merely possible."""
        words = {*stems(name).split()}
        return any(
            self._is_known(label, name) or words <= {*stems(label).split()} for label in labels
        )

    def own_words(self, labels: Iterable[str]) -> set[str]:
        """Return the stems of the words that the labels and their other names consist of."""
        names = [name for label in labels for name in self.facts(label).names]
        words = {word for name in names for word in stems(name).split()}
        return {word for word in words if len(word) > 3} - _GENERIC_STEMS

    def holds_any(self, labels: Iterable[str], name: str) -> bool:
        """Tell whether a name may be true of a recording with these labels."""
        return any(self.holds(label, name) for label in labels)

    def _holds(self, label: str, name: str) -> bool:
        return may_be_confused(label, name) or self._is_known(label, name)

    def _is_known(self, label: str, name: str) -> bool:
        facts: Facts = self.facts(label)
        said = {stems(text) for text in (*facts.names, *facts.kinds, *facts.sounds_like)}
        return stems(name) in said or any(self.ontology.related(n, name) for n in facts.names)

    def _add(self, names: Iterable[str]) -> None:
        for name in names:
            key = stems(name)
            if key not in _EVERYDAY_STEMS and len(key) > 2:
                self._names.setdefault(key, name.lower())


def stems(name: str) -> str:
    """Return a name's words without their endings: "barking dogs" -> "bark dog"."""
    return " ".join(stem(word) for word in name_key(name).split())


def stem(word: str) -> str:
    """Return a word of lower case without the endings of number, tense and gerund."""
    word = name_key(word)
    for ending in ("ing", "ed"):
        root = word.removesuffix(ending)
        if root != word and len(root) > 2 and re.search("[aeiouy]", root):
            return _DOUBLED.sub(r"\1", root).removesuffix("e")
    return word[:-1] if len(word) > 4 and word.endswith("e") else word


_EVERYDAY_STEMS = frozenset(stem(word) for word in _EVERYDAY.split())
_GENERIC_STEMS = frozenset(stem(word) for word in _GENERIC.split())
