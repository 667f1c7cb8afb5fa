"""What is known of a label without any LLM: its other names, the kinds it belongs to, its sound.

Three sources, in this order: listen_edge.concepts, the tables of kinds.py, names.py and verbs.py,
the AudioSet ontology. The tables go by words, so that "wolves howling" is found by "wolf" and a
label never seen before still by its noun: the longest phrase counts, and the earlier of two equally
long ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from listen_edge.concepts import names_of
from listen_edge.ontology import Ontology, name_key
from listen_edge.train.texts.kinds import KINDS, KINDS_ABOVE, PLAIN_KINDS
from listen_edge.train.texts.names import OTHER_NAMES, UNUSUAL_NAMES
from listen_edge.train.texts.verbs import SILENT_VERBS, SOUNDS_LIKE


@dataclass(frozen=True)
class Facts:
    """What may be said of a label's recordings.

    Attributes:
        names: the label first, then what else it is called.
        kinds: of thing, in plain words, the narrowest first: "bird", "animal".
        sounds_like: what it is heard to do: "barking".
    """

    names: tuple[str, ...]
    kinds: tuple[str, ...] = ()
    sounds_like: tuple[str, ...] = ()


def facts_of(label: str, ontology: Ontology | None = None) -> Facts:
    """Return what is known of a label; of an unknown one, its name alone.

    Args:
        label: lower case with spaces, such as "crying baby".
        ontology: adds the other names of the class of that name, and its kinds if the tables have
            none; None leaves the tables alone.
    """
    key = name_key(label)
    names = [*names_of(label), *OTHER_NAMES.get(key, ())]
    noun, _, verb = label.rpartition(" ")
    has_verb = noun != "" and verb.endswith("ing")
    if has_verb and name_key(noun) in KINDS:
        names.append(noun)
    kinds = [above for kind in _entry(key, KINDS) for above in (kind, *KINDS_ABOVE[kind])]
    if ontology is not None and (known := next(filter(ontology.find, names), None)) is not None:
        others = [name.lower() for name in ontology.synonyms(known)]
        names += [name for name in others if name not in UNUSUAL_NAMES]
        high = ontology.hypernyms(known)
        kinds = kinds or [PLAIN_KINDS[name] for name in high if name in PLAIN_KINDS]
    asked = {name_key(name) for name in names}
    return Facts(
        tuple(dict.fromkeys(names)),
        tuple(kind for kind in dict.fromkeys(kinds) if name_key(kind) not in asked),
        (verb,) if has_verb and verb not in SILENT_VERBS else _entry(key, SOUNDS_LIKE),
    )


def _entry(key: str, table: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Return a table's entry for the longest and earliest phrase of the label."""
    words = key.split()
    for n_words in range(len(words), 0, -1):
        for start in range(len(words) - n_words + 1):
            entry = table.get(" ".join(words[start : start + n_words]))
            if entry is not None:
                return entry
    return ()
