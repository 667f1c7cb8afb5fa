"""What is known of a folder of recordings beforehand: labels, soft tags, names of sub-folders.

Mining asks no question about a recording that may hold its sound, or what could be taken for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from listen_edge.concepts import may_be_confused
from listen_edge.ontology import Ontology
from listen_edge.train.datasets.row import plain_name, read_table
from listen_edge.train.datasets.soft_tags import SoftTags, find_soft_tags, merged, read_soft_tags

MAY_HOLD = 0.05  # probability of a tag from which its sound may be there, as in train/targets.py


@dataclass(frozen=True)
class KnownHours:
    """What is known; all but the folder and the ontology by file name, as in soft tags.

    Attributes:
        folder: of the recordings.
        labels: names of sounds that a table gives.
        licences: as the table says.
        tags: of a tagger.
        ontology: which sounds are related; None: those whose names tell.
    """

    folder: Path
    labels: dict[str, tuple[str, ...]]
    licences: dict[str, str]
    tags: SoftTags
    ontology: Ontology | None

    def may_hold(self, path: Path, concept: str) -> bool:
        """Tell whether a recording may hold a sound, or one that could be taken for it."""
        folders = path.relative_to(self.folder).parts[:-1]
        heard = self.tags.get(path.name, {})
        names = (
            *map(plain_name, folders),
            *self.labels.get(path.name, ()),
            *(name.lower() for name, probability in heard.items() if probability >= MAY_HOLD),
        )
        return any(self._is_near(name, concept) for name in names)

    def licence(self, path: Path) -> str:
        """Return a recording's licence, "" where none is known."""
        return self.licences.get(path.name, "")

    @cached_property
    def _is_near(self) -> Callable[[str, str], bool]:
        ontology = self.ontology

        @lru_cache(maxsize=1 << 16)
        def is_near(name: str, concept: str) -> bool:
            is_related = ontology is not None and ontology.related(name, concept)
            return is_related or may_be_confused(name, concept)

        return is_near


def read_known_hours(
    folder: Path, tags: Sequence[Path] = (), ontology: Path | None = None
) -> KnownHours:
    """Return what lies beside recordings: `meta.csv` and soft tags, both optional.

    Args:
        folder: its `meta.csv` has a column filename; label (or category) and licence are used.
        tags: further files of soft tags, see read_soft_tags; two taggers are averaged.
        ontology: AudioSet's file.

    Raises:
        AudioError: a table that cannot be read.
        ListenEdgeError: an ontology that cannot be read.
    """
    labels: dict[str, tuple[str, ...]] = {}
    licences: dict[str, str] = {}
    table = folder / "meta.csv"
    for row in read_table(table, ("filename",)) if table.is_file() else ():
        name, label = Path(row["filename"]).name, row.get("label") or row.get("category")
        licences[name] = row.get("licence") or ""
        if label:
            labels[name] = (*labels.get(name, ()), plain_name(label))
    heard = merged([find_soft_tags(folder), *map(read_soft_tags, tags)])
    relations = None if ontology is None else Ontology.read(ontology)
    return KnownHours(folder, labels, licences, heard, relations)
