"""The Synonym and Hypernym Test, on a made-up ontology and a made-up WordNet."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from listen_edge.cli.eval import eval_group
from listen_edge.concepts import ESC50
from listen_edge.evaluation.esc50 import Esc50Clip
from listen_edge.evaluation.questions import BenchmarkError, Reply
from listen_edge.evaluation.senses import KINDS, SENSES, UNASKED
from listen_edge.evaluation.synonyms import (
    are_related,
    build_questions,
    may_hold,
    names_of_labels,
    synonym_reports,
)
from listen_edge.evaluation.wordnet import DEBIAN_FOLDER, WordNet
from listen_edge.ontology import Ontology
from tests.listening import FakeEngine, record

CLASSES = {  # name: children
    "Animal": ["Domestic animals, pets"],
    "Domestic animals, pets": ["Dog", "Cat"],
    "Dog": [],
    "Cat": [],
    "Sounds of things": ["Vehicle", "Alarm"],
    "Vehicle": ["Aircraft"],
    "Aircraft": ["Fixed-wing aircraft, airplane", "Helicopter"],
    "Fixed-wing aircraft, airplane": [],
    "Helicopter": [],
    "Alarm": ["Siren"],
    "Siren": [],
}
LABELS = ["dog", "cat", "airplane", "siren", "rain", "helicopter"]


@dataclass
class Word:
    """One synset to write: its lemmas and the keys of what stands above it."""

    lemmas: tuple[str, ...]
    above: tuple[str, ...] = ()


WORDS = {
    "entity": Word(("entity",)),
    "animal": Word(("animal", "creature"), ("entity",)),
    "canine": Word(("canine", "canid"), ("animal",)),
    "dog": Word(("dog", "domestic_dog", "Canis_familiaris"), ("canine", "animal")),
    "cat": Word(("cat", "true_cat"), ("animal",)),
    "vehicle": Word(("vehicle",), ("entity",)),
    "aircraft": Word(("aircraft",), ("vehicle",)),
    "airplane": Word(("airplane", "aeroplane", "plane"), ("aircraft",)),
    "helicopter": Word(("helicopter", "chopper"), ("aircraft",)),
    "alarm": Word(("alarm",), ("entity",)),
    "nymph": Word(("siren",), ("entity",)),
    "woman": Word(("enchantress", "siren"), ("entity",)),
    "signal": Word(("siren",), ("alarm",)),
    "siren": Word(("siren",), ("alarm",)),
    "weather": Word(("weather",), ("entity",)),
    "rain": Word(("rain", "rainfall"), ("weather",)),
}


def _write_wordnet(folder: Path) -> None:
    """Write WORDS in the format of wndb(5WN); senses are numbered in the order of WORDS."""

    def line(key: str, offsets: dict[str, int]) -> str:
        word = WORDS[key]
        lemmas = " ".join(f"{lemma} 0" for lemma in word.lemmas)
        pointers = "".join(f" @ {offsets.get(high, 0):08d} n 0000" for high in word.above)
        head = f"{offsets.get(key, 0):08d} 03 n {len(word.lemmas):02x} {lemmas}"
        return f"{head} {len(word.above):03d}{pointers} | what {key} means  \n"

    licence = "  1 A licence.  \n"
    offsets, end = {}, len(licence)
    for key in WORDS:
        offsets[key] = end
        end += len(line(key, {}))
    (folder / "data.noun").write_text(licence + "".join(line(key, offsets) for key in WORDS))
    senses: dict[str, list[int]] = {}
    for key, word in WORDS.items():
        for lemma in word.lemmas:
            senses.setdefault(lemma.lower(), []).append(offsets[key])
    index = [
        f"{lemma} n {len(found)} 1 @ {len(found)} 0 " + " ".join(f"{o:08d}" for o in found) + "  \n"
        for lemma, found in sorted(senses.items())
    ]
    (folder / "index.noun").write_text(licence + "".join(index))


@pytest.fixture()
def wordnet_folder(tmp_path: Path) -> Path:
    (tmp_path / "wordnet").mkdir()
    _write_wordnet(tmp_path / "wordnet")
    return tmp_path / "wordnet"


@pytest.fixture()
def ontology_file(tmp_path: Path) -> Path:
    classes = [
        {"id": name, "name": name, "child_ids": children} for name, children in CLASSES.items()
    ]
    (tmp_path / "ontology.json").write_text(json.dumps(classes))
    return tmp_path / "ontology.json"


def _clips() -> list[Esc50Clip]:
    return [
        Esc50Clip(Path(f"{k}.wav"), label, 5, 0)
        for k, label in enumerate(label for label in LABELS for _ in range(8))
    ]


def test_wordnet_finds_numbered_senses_and_what_stands_above(wordnet_folder: Path) -> None:
    wordnet = WordNet(wordnet_folder)
    dog = wordnet.sense("dog.1")
    assert dog.lemmas == ("dog", "domestic dog", "Canis familiaris")
    assert dog.gloss == "what dog means"
    above = [high.lemmas[0] for high in wordnet.ancestors(dog)]
    assert above == ["canine", "animal", "entity"]  # the nearest first, each once
    assert [synset.lemmas[0] for synset in wordnet.senses("siren")] == [
        "siren", "enchantress", "siren", "siren",
    ]  # fmt: skip
    assert wordnet.senses("unicorn") == []


def test_a_missing_wordnet_is_one_line_with_the_package(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="apt-get install wordnet-base"):
        WordNet(tmp_path)


def test_a_sense_this_wordnet_lacks_is_an_error(wordnet_folder: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"no noun sense 'dog\.2'"):
        WordNet(wordnet_folder).sense("dog.2")


def test_names_come_from_both_sources_and_nobody_asks_for_an_entity(
    ontology_file: Path, wordnet_folder: Path
) -> None:
    names = names_of_labels(LABELS, Ontology.read(ontology_file), WordNet(wordnet_folder))
    assert names["dog"].synonyms == ("domestic dog",)
    assert names["dog"].hypernyms == ("animal", "canine", "pets")
    assert names["cat"].synonyms == ()  # "true cat" is for experts
    assert names["airplane"].synonyms == ("aeroplane", "fixed-wing aircraft", "plane")
    assert names["airplane"].hypernyms == ("aircraft", "vehicle")
    assert names["siren"].hypernyms == ("alarm",)  # of the fourth sense, not of the nymph
    assert {"entity", "canid", "creature"} <= names["dog"].holds


def test_absent_names_hold_for_nothing_in_the_clip(
    ontology_file: Path, wordnet_folder: Path
) -> None:
    ontology = Ontology.read(ontology_file)
    names = names_of_labels(LABELS, ontology, WordNet(wordnet_folder))
    clips = _clips()
    label = {clip.path: clip.label for clip in clips}
    questions = build_questions(clips, names, ontology)
    for question in questions:
        own = names[label[question.audio]]
        assert question.is_present == (question.concept in own.synonyms + own.hypernyms)
        if not question.is_present:
            assert not may_hold(own, question.concept)
    asked_of = Counter((label[q.audio], q.concept) for q in questions if not q.is_present)
    for pair in [
        ("dog", "animal"), ("cat", "animal"), ("cat", "pets"), ("airplane", "chopper"),
        ("siren", "vehicle"), ("rain", "weather"),
    ]:  # fmt: skip
        assert asked_of[pair] == 0
    assert asked_of["dog", "alarm"] > 0


def test_as_many_names_are_absent_as_present_and_the_seed_decides_which(
    ontology_file: Path, wordnet_folder: Path
) -> None:
    ontology = Ontology.read(ontology_file)
    names = names_of_labels(LABELS, ontology, WordNet(wordnet_folder))
    questions = build_questions(_clips(), names, ontology)
    counts = Counter((question.group, question.is_present) for question in questions)
    assert counts["synonym", True] == 8 * (1 + 3 + 1 + 1)
    assert counts["synonym", False] == 8 * (1 + 2 + 1 + 1)  # two hold for no aeroplane
    assert counts["hypernym", True] == counts["hypernym", False]
    assert questions == build_questions(_clips(), names, ontology)
    assert questions != build_questions(_clips(), names, ontology, seed=1)


def test_labels_above_or_beside_each_other_are_related(
    ontology_file: Path, wordnet_folder: Path
) -> None:
    ontology = Ontology.read(ontology_file)
    names = names_of_labels(LABELS, ontology, WordNet(wordnet_folder))
    assert are_related(names["airplane"], names["helicopter"], ontology)  # one group of engines
    assert not are_related(names["dog"], names["airplane"], ontology)
    with pytest.raises(BenchmarkError, match="'hum' has no sense"):
        names_of_labels(["hum"], ontology, WordNet(wordnet_folder))


def test_figures_are_split_by_what_training_asked(
    ontology_file: Path, wordnet_folder: Path
) -> None:
    ontology = Ontology.read(ontology_file)
    names = names_of_labels(LABELS, ontology, WordNet(wordnet_folder))
    questions = build_questions(_clips(), names, ontology)
    replies = [Reply(0.9 if q.is_present else 0.1, q.is_present) for q in questions]
    plain = [report.name for report in synonym_reports(questions, replies, None)]
    assert plain == ["all", "hypernym", "synonym"] or plain == ["all", "synonym", "hypernym"]
    split = synonym_reports(questions, replies, ["animal", "vehicle"])
    assert {"asked in training", "never asked"} == {report.name for report in split[3:]}
    n_asked = sum(question.concept in ("animal", "vehicle") for question in questions)
    by_name = {report.name: report.metrics.n_questions for report in split}
    assert by_name["asked in training"] == n_asked


def test_the_command_writes_a_test_and_asks_it(
    ontology_file: Path,
    wordnet_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    record(tmp_path / "audio", "dog.wav", "siren.wav")
    (tmp_path / "meta.csv").write_text(
        "filename,fold,target,category\ndog.wav,5,0,dog\nsiren.wav,5,42,siren\n"
    )
    engine = FakeEngine({("dog.wav", "canine"): 0.9})
    monkeypatch.setattr("listen_edge.cli.eval_options.load_engine", lambda **_: engine)
    sources = ["--ontology", str(ontology_file), "--wordnet", str(wordnet_folder)]
    test = str(tmp_path / "test.tsv")
    written = CliRunner().invoke(eval_group, ["synonyms", str(tmp_path), *sources, "--write", test])
    assert written.exit_code == 0, written.output
    arguments = ["synonyms", str(tmp_path), "--questions", test, "--format", "json"]
    asked = CliRunner().invoke(eval_group, arguments)
    assert asked.exit_code == 0, asked.output
    assert json.loads(asked.stdout)["reports"][0]["name"] == "all"
    bare = CliRunner().invoke(eval_group, ["synonyms", str(tmp_path)])
    assert bare.exit_code == 2 and "needs --ontology" in bare.output


def test_every_class_of_esc50_has_an_entry_and_kinds_are_not_refused() -> None:
    assert set(SENSES) == set(ESC50)
    assert not KINDS & UNASKED


@pytest.mark.skipif(not DEBIAN_FOLDER.exists(), reason="Debian's wordnet-base is not installed")
def test_every_sense_of_the_table_is_in_wordnet() -> None:
    wordnet = WordNet(DEBIAN_FOLDER)
    for sense in SENSES.values():
        for name in (sense.noun, sense.source):
            if name is not None:
                word = name.partition(".")[0]
                assert word in {lemma.lower() for lemma in wordnet.sense(name).lemmas}
