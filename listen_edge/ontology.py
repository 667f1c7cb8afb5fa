"""The AudioSet ontology: 632 classes of sounds, what else they are called and what stands above.

Reads Google's `ontology.json`, which is not part of this package (CC BY-SA 4.0).
Knows nothing of data sets or questions.

Source: Gemmeke et al., Audio Set (ICASSP 2017); github.com/audioset/ontology.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from listen_edge.errors import ListenEdgeError

# Nodes that order the tree and say nothing about what is heard.
_SAYS_NOTHING = frozenset(
    [
        "Natural sounds",
        "Sounds of things",
        "Source-ambiguous sounds",
        "Miscellaneous sources",
        "Specific impact sounds",
        "Generic impact sounds",
        "Surface contact",
        "Deformable shell",
        "Onomatopoeia",
        "Other sourceless",
        "Channel, environment and background",
        "Acoustic environment",
        "Sound reproduction",
        "Sound equipment",
        "Human locomotion",
        "Human group actions",
        "Digestive",
        "Musical concepts",
        "Music role",
        "Music mood",
        "Light engine (high frequency)",
        "Medium engine (mid frequency)",
        "Heavy engine (low frequency)",
    ]
)
# Display names that list members of a class, not other names of one thing.
_LISTS_MEMBERS = frozenset(
    [
        "Canidae, dogs, wolves",
        "Rodents, rats, mice",
        "Bee, wasp, etc.",
        "Chicken, rooster",
        "Marimba, xylophone",
        "Rowboat, canoe, kayak",
        "Dishes, pots, and pans",
        "Bird vocalization, bird call, bird song",
        "Vehicle horn, car horn, honking",
        "Traffic noise, roadway noise",
    ]
)
_IRREGULAR = {
    "wolves": "wolf",
    "mice": "mouse",
    "leaves": "leaf",
    "teeth": "tooth",
    "geese": "goose",
}
_KEPT_S = ("ss", "us", "is")


@dataclass(frozen=True)
class SoundClass:
    """One class.

    Attributes:
        id: such as "/m/0bt9lr".
        name: as displayed, such as "Baby cry, infant cry".
        names: its comma parts without brackets: "Baby cry", "infant cry".
        bracketed: the parts that stand in brackets: "siren" of "Ambulance (siren)".
    """

    id: str
    name: str
    names: tuple[str, ...]
    bracketed: tuple[str, ...]
    description: str
    child_ids: tuple[str, ...]


class Ontology:
    """The tree, found by names.

    Args:
        classes: all of them.
    """

    def __init__(self, classes: Iterable[SoundClass]) -> None:
        self.classes = {one.id: one for one in classes}
        self._children = {one.id: list(one.child_ids) for one in self.classes.values()}
        self._parents: dict[str, list[str]] = {}
        self._all_below: dict[str, list[str]] = {}
        for one in self.classes.values():
            for child in one.child_ids:
                self._parents.setdefault(child, []).append(one.id)
        self._index: dict[str, list[str]] = {}  # key -> ids, the best match first
        for names_at in (_whole, _first, lambda one: one.names, lambda one: one.bracketed):
            for one in self.classes.values():
                for name in names_at(one):
                    ids = self._index.setdefault(name_key(name), [])
                    if one.id not in ids:
                        ids.append(one.id)

    @classmethod
    def read(cls, path: Path) -> Ontology:
        """Read `ontology.json`.

        Raises:
            ListenEdgeError: it cannot be read, or is no such file.
        """
        try:
            nodes = json.loads(path.read_text(encoding="utf-8"))
            classes = [_sound_class(node) for node in nodes]
        except OSError as err:
            raise ListenEdgeError(
                f"{path}: cannot be read ({err.strerror}); get ontology.json from "
                "github.com/audioset/ontology"
            ) from err
        except (ValueError, KeyError, TypeError) as err:
            raise ListenEdgeError(
                f"{path}: not AudioSet's ontology; expected a JSON list of objects with id, name "
                "and child_ids"
            ) from err
        return cls(classes)

    def find(self, name: str) -> SoundClass | None:
        """Return the class with this name or part of a name, whatever its case and number."""
        ids = self._index.get(name_key(name))
        return self.classes[ids[0]] if ids else None

    def synonyms(self, name: str) -> tuple[str, ...]:
        """Return the class's other names; none where its display name lists its members."""
        one = self.find(name)
        if one is None or one.name in _LISTS_MEMBERS:
            return ()
        return tuple(other for other in one.names if name_key(other) != name_key(name))

    def hypernyms(self, name: str) -> tuple[str, ...]:
        """Return the display names of all classes above that say something, the nearest first."""
        one = self.find(name)
        above = self._reachable(one.id, self._parents) if one else []
        names = [self.classes[key].name for key in above]
        return tuple(high for high in names if high not in _SAYS_NOTHING)

    def hyponyms(self, name: str) -> tuple[str, ...]:
        """Return the display names of all classes below, the nearest first."""
        one = self.find(name)
        return tuple(self.classes[key].name for key in self._below(one.id)) if one else ()

    def related(self, a: str, b: str) -> bool:
        """Tell whether one name may mean the same as the other, or stand above or below it.

        A name with several meanings is related by any of them: "siren" is a part of "Ambulance
        (siren)" as well.
        """
        if name_key(a) == name_key(b):
            return True
        of_a, of_b = self._index.get(name_key(a), []), self._index.get(name_key(b), [])
        return any(
            one == other or other in self._below(one) or one in self._below(other)
            for one in of_a
            for other in of_b
        )

    def _below(self, key: str) -> list[str]:
        if key not in self._all_below:
            self._all_below[key] = self._reachable(key, self._children)
        return self._all_below[key]

    def _reachable(self, key: str, edges: dict[str, list[str]]) -> list[str]:
        found: dict[str, None] = {}
        level = [key]
        while level:
            level = [n for k in level for n in edges.get(k, []) if n in self.classes]
            level = [k for k in dict.fromkeys(level) if k not in found and k != key]
            found.update(dict.fromkeys(level))
        return list(found)


def name_key(name: str) -> str:
    """Return what names of one thing share: lower case, no punctuation, every word singular."""
    words = re.findall(r"[a-z0-9']+", name.lower().replace("-", " ").replace("_", " "))
    return " ".join(_singular(word) for word in words)


def _singular(word: str) -> str:
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if len(word) < 4 or word.endswith(_KEPT_S) or not word.endswith("s"):
        return word
    if word.endswith("ies"):
        return f"{word[:-3]}y"
    return word[:-2] if word.endswith(("shes", "ches", "xes", "sses")) else word[:-1]


def _sound_class(node: dict[str, object]) -> SoundClass:
    name, children = node["name"], node["child_ids"]
    if not isinstance(name, str) or not isinstance(children, list):
        raise TypeError(name)
    outside = re.sub(r"\([^)]*\)", "", name)
    inside = ",".join(re.findall(r"\(([^)]*)\)", name))
    return SoundClass(
        id=str(node["id"]),
        name=name,
        names=_parts(outside) or (name,),
        bracketed=_parts(inside),
        description=str(node.get("description", "")),
        child_ids=tuple(map(str, children)),
    )


def _whole(one: SoundClass) -> tuple[str, ...]:
    return (one.name,)


def _first(one: SoundClass) -> tuple[str, ...]:
    return () if one.bracketed else one.names[:1]


def _parts(name: str) -> tuple[str, ...]:
    parts = [part.strip().removeprefix("and ") for part in name.split(",")]
    return tuple(part for part in parts if part and part != "etc.")
