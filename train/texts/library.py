"""The shards of `listen-edge synthesize`, read back: what may be said and asked about a scene."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from listen_edge.errors import ListenEdgeError
from listen_edge.train.scenes import Scene

Key = tuple[str, ...]


class TextLibrary:
    """Synthesised texts by the tags they are about, or by the recording where it has none.

    Args:
        folder: of the shards, one JSON object a line; None for no texts.
        kinds: which kinds of text are drawn.
        left_out_labels: texts that name one of them are not used.

    Raises:
        ListenEdgeError: no shard there, or a line that is none of theirs.
    """

    def __init__(
        self, folder: Path | None, kinds: Sequence[str], left_out_labels: Sequence[str] = ()
    ) -> None:
        self._kinds, self._left_out = tuple(kinds), tuple(left_out_labels)
        self._texts: dict[tuple[Key, str], list[tuple[str, str]]] = {}
        self._questions: dict[Key, list[tuple[str, bool]]] = {}
        if folder is None:
            return
        shards = sorted(folder.glob("*.jsonl"))
        if not shards:
            raise ListenEdgeError(f"{folder}: no shards (*.jsonl); run listen-edge synthesize")
        for shard in shards:
            for number, line in enumerate(shard.read_text().splitlines(), start=1):
                try:
                    self._add(json.loads(line))
                except (ValueError, KeyError, TypeError) as err:
                    raise ListenEdgeError(
                        f"{shard}:{number}: not a line of listen-edge synthesize ({err})"
                    ) from err

    def draw(self, scene: Scene, n_texts: int, rng: np.random.Generator) -> list[tuple[str, str]]:
        """Return up to n_texts (instruction, answer) pairs about a scene, its kinds in turn."""
        key, drawn = _key_of(scene), []
        first = int(rng.integers(len(self._kinds))) if self._kinds else 0
        for k in range(n_texts):
            texts = self._texts.get((key, self._kinds[(first + k) % len(self._kinds)]))
            if texts:
                drawn.append(texts[int(rng.integers(len(texts)))])
        return drawn

    def questions(
        self, scene: Scene, n_questions: int, rng: np.random.Generator
    ) -> list[tuple[str, bool]]:
        """Return up to n_questions (concept, is_present) pairs that were written about a scene."""
        written = self._questions.get(_key_of(scene), [])
        kept = rng.permutation(len(written))[:n_questions]
        return list({written[k][0]: written[k] for k in kept.tolist()}.values())

    def _add(self, line: dict[str, object]) -> None:
        text, tags = str(line["text"]), line["tags"]
        if not isinstance(tags, list):
            raise TypeError("tags are no list")
        key = _key(tags, str(line["path"]))
        if any(label in text.lower() for label in self._left_out):
            return
        if line.get("concept") is None:
            self._texts.setdefault((key, str(line["kind"])), []).append((str(line["prompt"]), text))
        else:
            asked = (str(line["concept"]), line["answer"] == "yes")
            self._questions.setdefault(key, []).append(asked)


def _key(tags: Sequence[str], path: str) -> Key:
    return tuple(sorted(tags)) or (f"file {Path(path).name}",)


def _key_of(scene: Scene) -> Key:
    paths = [placement.row.path.name for placement in scene.placements]
    return _key(scene.labels, paths[0] if len(paths) == 1 else "")
