"""Soft tags, the concepts, and what a recording says about each."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from listen_edge.errors import AudioError
from listen_edge.ontology import Ontology
from listen_edge.train.datasets import Row
from listen_edge.train.datasets.soft_tags import find_soft_tags, merged, read_soft_tags
from listen_edge.train.targets import (
    Concept,
    build_targets,
    build_vocabulary,
    class_texts,
    described,
)
from tests.small_ontology import write_ontology


@pytest.mark.parametrize("name", ["tags.tsv", "tags.tsv.gz"])
def test_soft_tags_are_found_beside_a_data_set(tmp_path: Path, name: str) -> None:
    text = (
        'filename\tclass\tprobability\na.ogg\tDog\t0.75\na.ogg\t"Bark, loud"\t0.5\nb.ogg\tDog\t0\n'
    )
    data = text.encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    assert find_soft_tags(tmp_path) == {
        "a.ogg": {"Dog": 0.75, "Bark, loud": 0.5},
        "b.ogg": {"Dog": 0},
    }


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("filename,class,probability\n", "separated by tabs"),
        ("", "separated by tabs"),
        ("filename\tclass\tprobability\na.ogg\tDog\n", "line 2.*expected a file name"),
        ("filename\tclass\tprobability\na.ogg\tDog\t1.5\n", "a probability from 0 to 1"),
        ("filename\tclass\tprobability\na.ogg\tDog\tnan\n", "a probability from 0 to 1"),
    ],
)
def test_a_table_without_tags_is_one_line(tmp_path: Path, text: str, error: str) -> None:
    (tmp_path / "tags.tsv").write_text(text)
    with pytest.raises(AudioError, match=error):
        read_soft_tags(tmp_path / "tags.tsv")


def test_two_taggers_are_averaged_where_both_heard_a_recording() -> None:
    tags = merged([{"a": {"Dog": 0.8}, "b": {"Cat": 0.4}}, {"a": {"Dog": 0.4, "Cat": 0.2}}])
    assert tags == {"a": {"Dog": pytest.approx(0.6), "Cat": 0.1}, "b": {"Cat": 0.4}}


def test_a_class_is_named_by_its_parts_or_with_its_brackets(tmp_path: Path) -> None:
    ontology = Ontology.read(write_ontology(tmp_path / "ontology.json"))
    texts = {name: class_texts(one) for name in ("Baby cry, infant cry", "Ambulance (siren)")
             if (one := ontology.find(name))}  # fmt: skip
    assert texts == {
        "Baby cry, infant cry": ("baby cry", "infant cry"),
        "Ambulance (siren)": ("ambulance siren",),
    }


TAGS = {
    "bark.wav": {"Dog": 0.9, "Bark": 0.8, "Animal": 0.9, "Train": 0.02},
    "meow.wav": {"Cat": 0.7, "Meow": 0.6, "Animal": 0.8},
    "odd.wav": {"Violin, fiddle": 0.6, "Dog": 0.05, "Alarm": 0.03, "Siren": 0.01},
}
ROWS = [
    Row(Path("bark.wav"), ("dog barking",)),
    Row(Path("meow.wav"), ("cat meowing",)),
    Row(Path("odd.wav"), ("dog barking",)),
    Row(Path("made.wav"), ("smoke alarm",)),
    Row(Path("quiet.wav"), ()),
    Row(Path("mined.wav"), (), absent=("dog", "smoke alarm")),
    Row(Path("both.wav"), ("cat meowing",), absent=("siren",)),
]


def _targets(tmp_path: Path, without: tuple[str, ...] = ()) -> dict[tuple[str, str], float | None]:
    """Return each pair's probability, None where it is not known."""
    ontology = Ontology.read(write_ontology(tmp_path / "ontology.json"))
    concepts = build_vocabulary(ROWS, TAGS, ontology, without)
    targets = build_targets(ROWS, concepts, TAGS, ontology)
    return {
        (row.path.stem, concept.text): (
            float(targets.probability[r, c]) if targets.known[r, c] else None
        )
        for r, row in enumerate(ROWS)
        for c, concept in enumerate(concepts)
    }


@pytest.mark.parametrize(
    ("recording", "concept", "probability"),
    [
        ("bark", "dog barking", 1.0),  # its own label
        ("bark", "dog", 0.9),  # the tagger's class
        ("bark", "train", 0.02),
        ("bark", "cat", 0.0),  # not listed: below the tagger's least
        ("bark", "cat meowing", 0.0),  # another label
        ("bark", "smoke alarm", 0.0),
        ("odd", "dog", None),  # the tagger contradicts the label
        ("odd", "violin", 0.6),
        ("made", "smoke alarm", 1.0),
        ("made", "smoke detector", 1.0),  # another name of a made alarm
        ("made", "alarm", 1.0),  # what the alarm is a kind of
        ("made", "siren", None),  # another alarm
        ("made", "dog", 0.0),
        ("made", "dog barking", 0.0),
        ("quiet", "dog", None),
        ("quiet", "dog barking", None),
        ("mined", "dog", 0.0),  # it says so
        ("mined", "dog barking", 0.0),  # what a dog is called too
        ("mined", "smoke alarm", 0.0),
        ("mined", "smoke detector", 0.0),  # another name of a made alarm
        ("mined", "siren", None),  # without a label of all else nothing is known
        ("mined", "cat meowing", None),
        ("both", "siren", 0.0),
        ("both", "cat meowing", 1.0),
        ("both", "dog", 0.0),  # another label, as ever
    ],
)
def test_what_a_recording_says_about_a_concept(
    tmp_path: Path, recording: str, concept: str, probability: float | None
) -> None:
    found = _targets(tmp_path)[recording, concept]
    assert found == (None if probability is None else pytest.approx(probability))


def test_a_class_is_described_once_beside_its_first_name(tmp_path: Path) -> None:
    ontology = Ontology.read(write_ontology(tmp_path / "ontology.json"))
    rows = [("hum", None), ("train", "Train"), ("railway", "Train"), ("cat", "Cat")]
    concepts = [Concept(text, class_name, frozenset()) for text, class_name in rows]
    assert described(concepts, ontology) == [(1, "the sound of a locomotive on rails")]


def test_a_mixture_holds_what_any_of_its_recordings_holds(tmp_path: Path) -> None:
    ontology = Ontology.read(write_ontology(tmp_path / "ontology.json"))
    concepts = build_vocabulary(ROWS, TAGS, ontology)
    targets = build_targets(ROWS, concepts, TAGS, ontology)
    probability, known = targets.of([0, 1, 2], [False] * 3)
    found = {c.text: (p, k) for c, p, k in zip(concepts, probability, known, strict=True)}
    assert found["animal"] == (pytest.approx(1 - 0.1 * 0.2), True)
    assert found["dog"] == (pytest.approx(0.9), True)  # surely in one, doubted in another
    assert found["cat meowing"] == (1.0, True)
    assert found["smoke alarm"] == (0.0, True)


def test_left_out_classes_take_all_phrases_with_their_words_along(tmp_path: Path) -> None:
    texts = {concept for _, concept in _targets(tmp_path, ("Dog", "Alarm"))}
    assert texts.isdisjoint({"dog", "dog barking", "alarm", "smoke alarm"})
    assert {"cat", "bark", "violin", "train", "smoke detector"} <= texts


def test_what_a_faint_recording_holds_is_unknown(tmp_path: Path) -> None:
    ontology = Ontology.read(write_ontology(tmp_path / "ontology.json"))
    concepts = build_vocabulary(ROWS, TAGS, ontology)
    targets = build_targets(ROWS, concepts, TAGS, ontology)
    probability, known = targets.of([0, 1], [True, False])
    found = {c.text: (p, k) for c, p, k in zip(concepts, probability, known, strict=True)}
    assert not found["dog"][1] and not found["dog barking"][1]
    assert found["animal"] == (pytest.approx(0.8), True)  # the clear one holds it too
    assert found["cat meowing"] == (1.0, True)
    assert found["train"] == (pytest.approx(0.02), True)
