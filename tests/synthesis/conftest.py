"""Recordings and an ontology to write texts for."""

from __future__ import annotations

from pathlib import Path

import pytest

from listen_edge.ontology import Ontology
from listen_edge.train.datasets import Row
from tests.small_ontology import write_ontology
from tests.synthesis.runs import LABELS, Rows


@pytest.fixture(scope="module")
def ontology_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ontology(tmp_path_factory.mktemp("ontology") / "ontology.json")


@pytest.fixture(scope="module")
def ontology(ontology_path: Path) -> Ontology:
    return Ontology.read(ontology_path)


@pytest.fixture
def rows() -> Rows:
    """Two clips of each label, and one with two labels."""
    named = [(f"audio/{k}-{label}.wav", (label,)) for k in range(2) for label in LABELS]
    named.append(("audio/both.wav", ("train", "dog")))
    return [(Row(Path(name), tags, dataset="labelled"), name) for name, tags in named]


@pytest.fixture
def labelled(tmp_path: Path, rows: Rows) -> str:
    """The same clips as a folder; nothing but their names is read."""
    folder = tmp_path / "clips"
    (folder / "audio").mkdir(parents=True)
    lines = ["filename,label"]
    for row, name in rows[:8]:
        (folder / name).write_bytes(b"")
        lines.append(f"{Path(name).name},{row.tags[0]}")
    (folder / "meta.csv").write_text("\n".join(lines) + "\n")
    return f"labelled:{folder}"
