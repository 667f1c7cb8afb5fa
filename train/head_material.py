"""What a head is trained on and measured with: scenes, and windows of held-out recordings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile

from listen_edge.concepts import names_of
from listen_edge.errors import ListenEdgeError
from listen_edge.safety_sounds import MOST_ASKED
from listen_edge.train.datasets import Row, read_dataset
from listen_edge.train.datasets.soft_tags import SoftTags, find_soft_tags, merged, read_soft_tags
from listen_edge.train.excerpts import Excerpt, excerpts
from listen_edge.train.head_config import HeadConfig
from listen_edge.train.mixtures import Mixture, draw_mixtures


@dataclass(frozen=True)
class HeldOut:
    """Recordings that are not trained on, each with all its windows.

    Attributes:
        name: "held out" or "left out", and "folds" or "sources".
        rows: the recordings.
        windows: of all of them, in order.
        owners: of each window, its recording's place in `rows`.
    """

    name: str
    rows: list[Row]
    windows: list[Excerpt] = field(default_factory=list)
    owners: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class HeadMaterial:
    """Rows and scenes.

    Attributes:
        rows: that are trained on.
        scenes: of these rows: excerpts, then mixtures, then excerpts of rows that say only what is
            absent, then mixtures with a sound that is asked most: what was added later does not
            move the others in the cache.
        n_excerpts: how many of the first.
        held_out: groups to measure with.
    """

    rows: list[Row]
    scenes: list[Excerpt | Mixture]
    n_excerpts: int
    held_out: list[HeldOut]


def read_head_material(config: HeadConfig) -> HeadMaterial:
    """Read the data sets and draw the scenes.

    Raises:
        AudioError: a data set is not where it should be.
        ListenEdgeError: nothing to train on.
    """
    rows = [row for spec in config.data for row in read_dataset(spec)]
    rows = sorted({row.path: row for row in rows}.values(), key=lambda row: row.path.name)
    unseen = (*config.held_out, *config.left_out)
    trained = [row for row in rows if not is_of(row, unseen)]
    if not trained:
        raise ListenEdgeError(f"nothing to train on: all data is of {', '.join(unseen)}")
    # A mixture with a recording that says only what is absent would know of nothing else.
    says_only_absent = [bool(row.absent and not row.tags) for row in trained]
    trained = [row for _, row in sorted(zip(says_only_absent, trained, strict=True), key=_first)]
    n_mixed = says_only_absent.count(False)
    scenes: list[Excerpt | Mixture] = []
    for k, row in enumerate(trained[:n_mixed]):
        scenes += _excerpts_of(row, config, k)
    n_excerpts = len(scenes)
    scenes += draw_mixtures(trained[:n_mixed], config.n_mixtures, config.seed)
    for k, row in enumerate(trained[n_mixed:], start=n_mixed):
        scenes += _excerpts_of(row, config, k)
    if config.n_asked_mixtures:
        labels = {tag for row in trained for tag in row.tags if {*names_of(tag)} & {*MOST_ASKED}}
        scenes += draw_mixtures(trained[:n_mixed], config.n_asked_mixtures, config.seed + 1, labels)
    return HeadMaterial(trained, scenes, n_excerpts, list(_held_out(rows, config)))


def _first(pair: tuple[bool, Row]) -> bool:
    return pair[0]


def is_of(row: Row, splits: Sequence[str]) -> bool:
    """Tell whether a row is of one of the splits, whole folds or parts of a source's name."""
    return any(
        row.split == split or (not split.startswith("fold") and split.lower() in row.split.lower())
        for split in splits
    )


def _excerpts_of(row: Row, config: HeadConfig, k: int) -> list[Excerpt]:
    """Return its first window, and further ones where it is longer than a window."""
    longer_s = soundfile.info(row.path).duration - config.window_s
    rng = np.random.default_rng((config.seed, 1, k))
    n_further = config.n_excerpts - 1 if longer_s > 1 else 0
    return [
        Excerpt(row),
        *(Excerpt(row, float(s)) for s in rng.uniform(0, max(longer_s, 0), n_further)),
    ]


def _held_out(rows: Sequence[Row], config: HeadConfig) -> list[HeldOut]:
    groups = []
    for name, splits in (("held out", config.held_out), ("left out", config.left_out)):
        for kind in ("folds", "sources"):
            chosen = [split for split in splits if split.startswith("fold") == (kind == "folds")]
            group = HeldOut(f"{name} {kind}", [row for row in rows if is_of(row, chosen)])
            for k, row in enumerate(group.rows):
                windows = excerpts(row, config.window_s)
                group.windows.extend(windows)
                group.owners.extend([k] * len(windows))
            if group.rows:
                groups.append(group)
    return groups


def read_tags(config: HeadConfig) -> SoftTags:
    """Return the tags beside the data sets and in the files named; two taggers are averaged."""
    folders = [Path(spec.partition(":")[2]) for spec in config.data]
    files = [find_soft_tags(folder) for folder in folders]
    return merged([*files, *(read_soft_tags(Path(path)) for path in config.tags)])


def draw_left_out(config: HeadConfig, tags: SoftTags) -> frozenset[str]:
    """Return the classes that are not trained on, drawn from a seed of their own."""
    names = sorted({name for heard in tags.values() for name in heard})
    rng = np.random.default_rng((config.seed, 3))
    n = round(config.left_out_share * len(names))
    return frozenset(rng.choice(names, n, replace=False).tolist()) if n else frozenset()
