"""What a run trains on: scenes, questions about them and texts that the LLM wrote."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from listen_edge.alarms import ALARMS
from listen_edge.concepts import may_be_confused
from listen_edge.errors import ListenEdgeError
from listen_edge.ontology import Ontology
from listen_edge.train.config import TrainConfig
from listen_edge.train.datasets import read_dataset, readable
from listen_edge.train.questions import QuestionBank
from listen_edge.train.scenes import Scene, draw_scenes
from listen_edge.train.templates import Facts, facts_of

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
    texts: Texts


class Texts:
    """Synthesised texts by the tags they are about.

    Args:
        folder: shards of `listen-edge synthesize`, one JSON object a line; None for no texts.
        kinds: which kinds of text are used.
        left_out_labels: texts that name one of them are not used.

    Raises:
        ListenEdgeError: no shard there, or a line that is none of theirs.
    """

    def __init__(
        self, folder: Path | None, kinds: Sequence[str], left_out_labels: Sequence[str] = ()
    ) -> None:
        self._kinds = tuple(kinds)
        self._texts: dict[tuple[tuple[str, ...], str], list[tuple[str, str]]] = {}
        if folder is None:
            return
        shards = sorted(folder.glob("*.jsonl"))
        if not shards:
            raise ListenEdgeError(f"{folder}: no shards (*.jsonl); run listen-edge synthesize")
        for shard in shards:
            for number, line in enumerate(shard.read_text().splitlines(), start=1):
                try:
                    text = json.loads(line)
                    key = (tuple(sorted(text["tags"])), text["kind"])
                    if not any(label in text["text"].lower() for label in left_out_labels):
                        self._texts.setdefault(key, []).append((text["prompt"], text["text"]))
                except (ValueError, KeyError, TypeError) as err:
                    raise ListenEdgeError(
                        f"{shard}:{number}: not a line of listen-edge synthesize ({err})"
                    ) from err

    def draw(
        self, labels: Sequence[str], n_texts: int, rng: np.random.Generator
    ) -> list[tuple[str, str]]:
        """Return up to n_texts (instruction, answer) pairs about a scene, its kinds in turn."""
        tags, drawn = tuple(sorted(labels)), []
        first = int(rng.integers(len(self._kinds))) if self._kinds else 0
        for k in range(n_texts):
            kind = self._kinds[(first + k) % len(self._kinds)]
            texts = self._texts.get((tags, kind))
            if texts:
                drawn.append(texts[int(rng.integers(len(texts)))])
        return drawn


def read_material(config: TrainConfig) -> Material:
    """Read the data sets and draw the scenes.

    Unreadable recordings are left out, counted and named in the log.

    Raises:
        AudioError: a data set is not where it should be.
        ListenEdgeError: nothing to train on, or nothing held out.
    """
    rows = [
        row
        for spec in config.data
        for row in read_dataset(spec)
        if not _is_left_out(row.tags, config.left_out_labels)
    ]
    rows.sort(key=lambda row: row.path.name)  # whatever the order of --data, the same scenes
    rows, unreadable = readable(rows)
    if unreadable:
        named = ", ".join(path.name for path in unreadable[:5])
        logger.warning("%d recordings cannot be read and are left out: %s", len(unreadable), named)
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
    ontology = Ontology.read(Path(config.ontology)) if config.ontology else None
    trained = {*train_rows}
    counts = Counter(tag for k in plain if k in trained for tag in scenes[k].labels)
    held_labels = {tag for k in held_out_rows for tag in scenes[k].labels}
    facts = {label: _facts(label, ontology) for label in sorted({*counts, *held_labels})}
    return Material(
        scenes=scenes,
        train_rows=train_rows,
        single_rows=[k for k in train_rows if len(scenes[k].labels) == 1],
        held_out_rows=held_out_rows,
        bank=QuestionBank(counts, facts),
        texts=Texts(
            Path(config.texts) if config.texts else None,
            config.text_kinds,
            config.left_out_labels,
        ),
    )


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
