"""Names, what stands above and below them, and facts about labels."""

from __future__ import annotations

from pathlib import Path

import pytest

from listen_edge.errors import ListenEdgeError
from listen_edge.ontology import Ontology, name_key
from listen_edge.train.texts.templates import Facts, facts_of
from tests.small_ontology import write_ontology


@pytest.fixture(scope="module")
def ontology(tmp_path_factory: pytest.TempPathFactory) -> Ontology:
    return Ontology.read(write_ontology(tmp_path_factory.mktemp("ontology") / "ontology.json"))


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("dog", "Dog"),
        ("DOGS", "Dog"),
        ("wolf", "Canidae, dogs, wolves"),
        ("pets", "Domestic animals, pets"),
        ("pet", "Domestic animals, pets"),
        ("fiddle", "Violin, fiddle"),
        ("ambulance", "Ambulance (siren)"),
        ("siren", "Siren"),
        ("smoke alarms", "Smoke detector, smoke alarm"),
    ],
)
def test_class_answers_to_its_parts_and_number(ontology: Ontology, name: str, found: str) -> None:
    one = ontology.find(name)
    assert one is not None
    assert one.name == found


def test_unknown_name_is_none(ontology: Ontology) -> None:
    assert ontology.find("kazoo") is None
    assert ontology.hypernyms("kazoo") == ontology.hyponyms("kazoo") == ()


def test_synonyms_are_the_other_parts(ontology: Ontology) -> None:
    assert ontology.synonyms("fiddle") == ("Violin",)
    assert ontology.synonyms("violins") == ("fiddle",)
    assert ontology.synonyms("dog") == ()


def test_members_of_a_list_are_no_synonyms(ontology: Ontology) -> None:
    assert ontology.synonyms("wolves") == ()


def test_hypernyms_come_nearest_first_and_say_something(ontology: Ontology) -> None:
    assert ontology.hypernyms("ambulance") == ("Siren", "Vehicle", "Alarm")
    assert ontology.hypernyms("clang") == ()


def test_hyponyms_come_nearest_first(ontology: Ontology) -> None:
    assert ontology.hyponyms("pets") == ("Dog", "Cat", "Bark", "Howl", "Meow")


@pytest.mark.parametrize(
    ("a", "b", "are_related"),
    [
        ("dog", "dogs", True),
        ("bark", "animal", True),
        ("animal", "bark", True),
        ("violin", "fiddle", True),
        ("siren", "ambulance", True),
        ("dog", "cat", False),
        ("dog", "train", False),
        ("kazoo", "kazoos", True),
        ("kazoo", "dog", False),
    ],
)
def test_related_is_up_down_or_the_same(
    ontology: Ontology, a: str, b: str, are_related: bool
) -> None:
    assert ontology.related(a, b) is are_related


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not AudioSet's ontology"),
        ("[1]", "not AudioSet's"),
        ('[{"id": 1}]', "not AudioSet's"),
    ],
)
def test_damaged_file_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "ontology.json"
    path.write_text(text)
    with pytest.raises(ListenEdgeError, match=message):
        Ontology.read(path)


def test_missing_file_says_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ListenEdgeError, match=r"ontology\.json from github\.com/audioset"):
        Ontology.read(tmp_path / "no.json")


def test_singular_keeps_words_that_only_end_in_s() -> None:
    assert name_key("Glass, foxes & puppies_wolves") == "glass fox puppy wolf"


def test_facts_of_a_known_label() -> None:
    assert facts_of("dog") == Facts(
        ("dog", "dog barking", "barking dog", "bark"),
        ("pet", "domestic animal", "animal"),
        ("barking",),
    )


def test_facts_of_a_new_label_come_from_its_noun() -> None:
    assert facts_of("cello solo").kinds[0] == "bowed instrument"
    assert facts_of("wolf growling") == Facts(
        ("wolf growling", "wolf"), ("wild animal", "animal"), ("growling",)
    )


def test_longest_phrase_decides_the_kind() -> None:
    assert "animal" in facts_of("sea lion barking").kinds
    assert "big cat" not in facts_of("sea lion barking").kinds
    assert facts_of("bicycle bell").kinds == ("bell",)


def test_facts_of_an_unknown_label_are_its_name() -> None:
    assert facts_of("xyzzy") == Facts(("xyzzy",))


def test_ontology_adds_names_and_kinds_to_unknown_labels(ontology: Ontology) -> None:
    assert facts_of("smoke detector", ontology).names == ("smoke detector", "smoke alarm")
    assert facts_of("smoke detector", ontology).kinds == ("alarm",)
