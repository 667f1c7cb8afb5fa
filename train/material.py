"""What a run trains on: scenes, questions about them and texts that the LLM wrote."""

from __future__ import annotations

import functools
import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from listen_edge.alarms import ALARMS
from listen_edge.concepts import may_be_confused
from listen_edge.errors import ListenEdgeError
from listen_edge.ontology import Ontology
from listen_edge.train.config import TrainConfig
from listen_edge.train.datasets import Row, read_dataset, readable
from listen_edge.train.questions import QuestionBank
from listen_edge.train.scenes import Scene, draw_scenes
from listen_edge.train.texts.library import TextLibrary
from listen_edge.train.texts.templates import Facts, facts_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Material:
    """Scenes and what may be asked about them.

    Attributes:
        scenes: of all splits but those left out for good.
        train_rows: scenes trained on, none of a held-out or left-out split.
        single_rows: those of them with a single label, for the warm start.
        held_out_rows: plain scenes of the held-out splits.
        bank: draws questions.
        texts: draws texts; empty without text objectives.
    """

    scenes: list[Scene]
    train_rows: list[int]
    single_rows: list[int]
    held_out_rows: list[int]
    bank: QuestionBank
    texts: TextLibrary

    def partner(self, row: int, rng: np.random.Generator) -> int:
        """Return a training scene of the same sounds, often another; of untagged ones itself."""
        alike = self._by_labels.get(_labels_known(self.scenes[row]), [row])
        return alike[int(rng.integers(len(alike)))]

    @functools.cached_property
    def _by_labels(self) -> dict[tuple[str, ...] | None, list[int]]:
        by_labels: dict[tuple[str, ...] | None, list[int]] = {}
        for row in self.train_rows:
            by_labels.setdefault(_labels_known(self.scenes[row]), []).append(row)
        by_labels.pop(None, None)
        return by_labels

    def questions(
        self, scene: Scene, n_questions: int, rng: np.random.Generator
    ) -> list[tuple[str, bool]]:
        """Return (concept, is_present) pairs; of untagged recordings only what was written."""
        if (labels := _labels_known(scene)) is not None:
            return self.bank.draw(labels, n_questions, rng)
        return self.texts.questions(scene, n_questions, rng)


def read_material(config: TrainConfig) -> Material:
    """Read the data sets and draw the scenes.

    Unreadable recordings are left out, counted and named in the log.

    Raises:
        AudioError: a data set is not where it should be.
        ListenEdgeError: nothing to train on, or nothing held out.
    """
    rows = _readable_rows(config)
    folds = {row.split for row in rows if row.split.startswith("fold")}
    kept = [row for row in rows if row.split in folds or row.split not in config.left_out]
    scenes = draw_scenes(
        kept,
        n_augmented=config.n_augmented,
        n_mixed=config.n_mixed,
        seed=config.seed,
        may_mix=lambda a, b: not may_be_confused(a, b),
    )
    unseen = {*config.held_out, *config.left_out}
    train_rows = [k for k, scene in enumerate(scenes) if not scene.splits & unseen]
    plain = [k for k, scene in enumerate(scenes) if scene.placements and scene.is_plain]
    held_out_rows = [k for k in plain if scenes[k].splits & {*config.held_out}]
    if not train_rows or not held_out_rows:
        splits = sorted({row.split for row in rows})
        raise ListenEdgeError(
            f"nothing to train on or nothing of {', '.join(config.held_out)} held out; "
            f"the data has the splits {', '.join(splits)}"
        )
    trained = {*train_rows}
    counts = Counter(tag for k in plain if k in trained for tag in scenes[k].labels)
    held_labels = {tag for k in held_out_rows for tag in scenes[k].labels}
    return Material(
        scenes=scenes,
        train_rows=train_rows,
        single_rows=[k for k in train_rows if len(scenes[k].labels) == 1],
        held_out_rows=held_out_rows,
        bank=QuestionBank(counts, _facts_of({*counts, *held_labels}, config.ontology)),
        texts=TextLibrary(
            Path(config.texts) if config.texts else None,
            config.text_kinds,
            config.left_out_labels,
        ),
    )


def _readable_rows(config: TrainConfig) -> list[Row]:
    """Return what the data sets have that is to be heard, the same in whatever order of --data."""
    rows = [
        row
        for spec in config.data
        for row in read_dataset(spec)
        if not _is_left_out(row.tags, config.left_out_labels)
    ]
    rows, unreadable = readable(sorted(rows, key=lambda row: row.path.name))
    if unreadable:
        named = ", ".join(path.name for path in unreadable[:5])
        logger.warning("%d recordings cannot be read and are left out: %s", len(unreadable), named)
    return rows


def _labels_known(scene: Scene) -> tuple[str, ...] | None:
    """Return what is heard in a scene, sorted; None if a recording in it has no tags."""
    if all(placement.row.tags for placement in scene.placements):
        return tuple(sorted(scene.labels))
    return None


def _facts_of(labels: Iterable[str], ontology_path: str | None) -> dict[str, Facts]:
    ontology = Ontology.read(Path(ontology_path)) if ontology_path else None
    return {label: _facts(label, ontology) for label in sorted(labels)}


def _facts(label: str, ontology: Ontology | None) -> Facts:
    """Return what is known of a label; alarms made here bring their own other names and kinds."""
    facts = facts_of(label, ontology)
    made = [alarm for alarm in ALARMS.values() if alarm.labels[0] == label]
    return Facts(
        tuple(dict.fromkeys([*facts.names, *(n for alarm in made for n in alarm.labels)])),
        tuple(dict.fromkeys([*(k for alarm in made for k in alarm.hypernyms), *facts.kinds])),
        facts.sounds_like,
    )


def _is_left_out(tags: Sequence[str], labels: Sequence[str]) -> bool:
    return any(may_be_confused(tag, label) for tag in tags for label in labels)
