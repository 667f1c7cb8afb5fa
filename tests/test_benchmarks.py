"""Benchmarks in their official formats, on made-up lists and recordings."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from listen_edge.cli.eval import eval_group
from listen_edge.concepts import may_be_confused
from listen_edge.evaluation import clotho_aqa, hallucination, labelled
from listen_edge.evaluation.questions import (
    BenchmarkError,
    Question,
    Reply,
    ask_engine,
    read_questions,
    write_questions,
)
from tests.listening import FakeEngine, record

HEADER = "entry_id\taudio_index\tprompt_text\tobject\tattribute\tlabel\tsampling"
RANDOM = [
    ("Yab_c", "Is there a sound of dog in the audio?", "dog", "positive", "Yes"),
    ("Yab_c", "Is there a sound of rain in the audio?", "rain", "negative", "No"),
    ("Yde-f", "Does the audio contain the sound of rain?", "rain", "positive", "Yes"),
    ("Yde-f", "Does the audio contain the sound of siren?", "siren", "negative", "No"),
]
POPULAR = [
    ("Yab_c", "Is there a sound of rain in the audio?", "rain", "positive", "Yes"),  # it is not
    ("Yab_c", "Is there a sound of dog in the audio?", "dog", "negative", "No"),  # it is
    ("Yde-f", "Does the audio contain the sound of dog?", "dog", "negative", "No"),
]


def _write_released(path: Path, rows: Sequence[tuple[str, ...]], sampling: str) -> None:
    lines = ["# Test Split", f"# Total samples: {len(rows)}", "", HEADER]
    lines += ["\t".join([str(k), *row, sampling]) for k, row in enumerate(rows)]
    path.write_bytes(gzip.compress("\n".join(lines).encode()))


@pytest.fixture()
def lists(tmp_path: Path) -> Path:
    _write_released(tmp_path / "random_released.tsv.gz", RANDOM, "random")
    _write_released(tmp_path / "popular_released.tsv.gz", POPULAR, "popular")
    return tmp_path


@pytest.fixture()
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    engine = FakeEngine({("ab_c_30.wav", "dog"): 0.9, ("Yde-f.flac", "rain"): 0.8})
    monkeypatch.setattr("listen_edge.cli.eval_options.load_engine", lambda **_: engine)
    return engine


def run(*arguments: object) -> Result:
    return CliRunner().invoke(eval_group, list(map(str, arguments)))


def test_a_rebuilt_list_has_the_random_positives_and_no_contradiction(lists: Path) -> None:
    released = hallucination.read_list(lists / "popular_released.tsv.gz")
    random = hallucination.read_list(lists / "random_released.tsv.gz")
    rows = hallucination.rebuilt(released, random)
    assert [(r.audio_index, r.object, r.label, r.sampling) for r in rows] == [
        ("Yab_c", "dog", "Yes", "popular"),
        ("Yde-f", "rain", "Yes", "popular"),
        ("Yde-f", "dog", "No", "popular"),
    ]


def test_rebuild_writes_lists_that_are_read_again(lists: Path) -> None:
    done = run("hallucination", lists, "--list", "popular", "--rebuild", lists / "out")
    assert done.exit_code == 0, done.output
    assert done.stdout.endswith("popular_rebuilt.tsv.gz, 3 of 3 questions\n")
    path = hallucination.list_path(lists / "out", "popular", "rebuilt")
    random = hallucination.read_list(lists / "random_released.tsv.gz")
    released = hallucination.read_list(lists / "popular_released.tsv.gz")
    assert hallucination.read_list(path) == hallucination.rebuilt(released, random)


def test_hallucination_reports_strict_and_official_figures(lists: Path, fake: FakeEngine) -> None:
    record(lists / "audio", "ab_c_30.wav", "Yde-f.flac")  # names as downloaders give them
    arguments = ["hallucination", lists, "--audio", lists / "audio", "--list", "random"]
    done = run(*arguments, "--version", "released", "--format", "json")
    assert done.exit_code == 0, done.output
    described = json.loads(done.stdout)
    (report,) = described["reports"]
    assert (described["bundle"], report["name"], report["version"]) == (
        "fake-1@0000", "random", "released",
    )  # fmt: skip
    assert report["metrics"]["accuracy"] == report["official_f1"] == 1.0
    assert set(report["f1_by_wording"]) == {"template 1", "template 2"}
    assert fake.asked == [("ab_c_30.wav", 2), ("Yde-f.flac", 2)]  # one call a recording


def test_missing_audio_is_an_error_that_says_where_to_get_it(lists: Path) -> None:
    record(lists / "audio", "ab_c_30.wav")
    rows = hallucination.read_list(lists / "random_released.tsv.gz")
    with pytest.raises(BenchmarkError, match=r"1 of 2 recordings.*Yde-f\.wav.*AudioCaps"):
        hallucination.to_questions(rows, lists / "audio")
    questions, n_left_out = hallucination.to_questions(rows, lists / "audio", allow_missing=True)
    assert (len(questions), n_left_out) == (2, 2)
    (lists / "empty").mkdir()
    with pytest.raises(BenchmarkError, match="2 of 2 recordings"):
        hallucination.to_questions(rows, lists / "empty", allow_missing=True)


def test_a_list_that_is_not_there_or_of_another_form_is_named(lists: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"no adversarial_released\.tsv.*kuanhuggingface"):
        hallucination.list_path(lists, "adversarial", "released")
    other = lists / "other.tsv"
    other.write_text("audio\tlabel\na\tYes\n")
    with pytest.raises(BenchmarkError, match=r"other\.tsv: column 'audio_index' is missing"):
        hallucination.read_list(other)
    other.write_text(f"{HEADER}\n0\tYa\tdog?\tdog\tpositive\tmaybe\trandom")
    with pytest.raises(BenchmarkError, match="row 1: label 'maybe'"):
        hallucination.read_list(other)
    (lists / "cut.tsv.gz").write_bytes((lists / "random_released.tsv.gz").read_bytes()[:60])
    with pytest.raises(BenchmarkError, match="cannot be read as a table"):
        hallucination.read_list(lists / "cut.tsv.gz")


@pytest.mark.parametrize(
    ("question", "concept"),
    [
        ("Are there waves?", "waves"),
        ("Is a dog barking?", "dog barking"),
        ("Are the birds chirping in the background?", "birds chirping"),
        ("Can you hear a siren?", "siren"),
        ("Is the area dry?", None),
        ("Is there more than one person?", None),
        ("Is it loud?", None),
        ("Is something moving?", None),
        ("Does the rain get heavier?", None),
        ("Is there ...", None),
    ],
)
def test_free_questions_are_asked_only_if_they_ask_for_presence(
    question: str, concept: str | None
) -> None:
    assert clotho_aqa.presence_concept(question) == concept


@pytest.fixture()
def aqa_table(tmp_path: Path) -> Path:
    asked = [
        ("sea.wav", "Are there waves?", ("yes", "yes", "yes")),
        ("sea.wav", "Is a dog barking?", ("no", "Yes", "no")),
        ("sea.wav", "Is the area dry?", ("no", "no", "no")),
        ("sea.wav", "How many birds?", ("two", "three", "two")),
    ]
    with (tmp_path / "test.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file_name", "QuestionText", "answer", "confidence"])
        table.writerows([name, q, a, "yes"] for name, q, answers in asked for a in answers)
    record(tmp_path / "audio", "sea.wav")
    return tmp_path / "test.csv"


def test_clotho_aqa_counts_majority_unanimity_and_what_it_cannot_ask(
    aqa_table: Path, fake: FakeEngine
) -> None:
    fake.heard[("sea.wav", "waves")] = 0.9
    done = run("clotho-aqa", aqa_table, "--audio", aqa_table.parent / "audio", "--format", "json")
    assert done.exit_code == 0, done.output
    described = json.loads(done.stdout)
    assert (described["questions"], described["unsupported"]) == (3, 1)
    majority, unanimous = described["reports"]
    assert majority["metrics"]["n_questions"] == 2 and majority["metrics"]["accuracy"] == 1.0
    assert majority["accuracy_of_all"] == pytest.approx(2 / 3)
    assert unanimous["metrics"]["n_questions"] == 1 and unanimous["supported"] == 0.5
    assert unanimous["metrics"]["auroc"] is None  # one kind of answer only


def test_clotho_aqa_writes_every_yes_no_question_for_other_systems(
    aqa_table: Path, tmp_path: Path
) -> None:
    audio = aqa_table.parent / "audio"
    done = run("clotho-aqa", aqa_table, "--audio", audio, "--write", tmp_path / "q.tsv")
    assert done.exit_code == 0, done.output
    texts = [question.text for question in read_questions(tmp_path / "q.tsv", audio)]
    assert texts == ["Are there waves?", "Is a dog barking?", "Is the area dry?"]


def test_clotho_aqa_names_missing_recordings_and_foreign_tables(
    aqa_table: Path, tmp_path: Path
) -> None:
    asked = clotho_aqa.read_clotho_aqa(aqa_table)
    with pytest.raises(BenchmarkError, match=r"1 of 1 recordings.*sea\.wav.*zenodo"):
        clotho_aqa.to_questions(asked, tmp_path, allow_missing=False, every=False)
    aqa_table.write_text("file_name,question\na.wav,x\n")
    with pytest.raises(BenchmarkError, match="column 'QuestionText' is missing"):
        clotho_aqa.read_clotho_aqa(aqa_table)


LABELS = ["dog", "rain", "siren", "guitar", "dog", "rain", "snoring", "hiccup"]


@pytest.fixture()
def labelled_folder(tmp_path: Path) -> Path:
    names = [f"{k}.wav" for k in range(len(LABELS))]
    record(tmp_path / "audio", *names)
    with (tmp_path / "meta.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["filename", "label", "licence", "source"])
        for k, (name, label) in enumerate(zip(names, LABELS, strict=True)):
            table.writerow([name, label, "CC0", "A pack, by x" if k < 4 else "B pack"])
    return tmp_path


def test_labelled_keeps_sources_and_names_those_there_are(labelled_folder: Path) -> None:
    clips = labelled.read_labelled(labelled_folder, ["b PACK"])
    assert [clip.label for clip in clips] == LABELS[4:]
    with pytest.raises(BenchmarkError, match="no recording of source 'zoo'; there are A pack"):
        labelled.read_labelled(labelled_folder, ["zoo"])


def test_labelled_never_asks_what_could_be_confused_as_absent(labelled_folder: Path) -> None:
    clips = labelled.read_labelled(labelled_folder)
    questions = labelled.labelled_questions(clips, None, n_absent=3)
    label = {clip.path: clip.label for clip in clips}
    absent = [q for q in questions if not q.is_present]
    assert len(absent) == 3 * len(clips)
    assert not any(may_be_confused(label[q.audio], q.concept) for q in absent)
    assert {q.concept for q in questions if q.is_present} == set(LABELS)
    assert questions == labelled.labelled_questions(clips, None, n_absent=3)
    assert questions != labelled.labelled_questions(clips, None, n_absent=3, seed=1)


def test_labels_that_could_all_be_confused_are_an_error(labelled_folder: Path) -> None:
    clips = [c for c in labelled.read_labelled(labelled_folder) if c.label == "dog"]
    with pytest.raises(BenchmarkError, match="keep more sources"):
        labelled.labelled_questions(clips, None)


def test_labelled_separates_trained_labels_and_counts_calibrated_answers(
    labelled_folder: Path, fake: FakeEngine, tmp_path: Path
) -> None:
    (tmp_path / "trained.txt").write_text("dog\nRain\n")
    fake.heard |= {(f"{k}.wav", label): 0.9 for k, label in enumerate(LABELS)}
    done = run(
        "labelled", labelled_folder, "--trained", tmp_path / "trained.txt", "--format", "json"
    )
    assert done.exit_code == 0, done.output
    reports = {report["name"]: report for report in json.loads(done.stdout)["reports"]}
    assert set(reports) == {"all", labelled.TRAINED, labelled.NEVER}
    assert reports["all"]["metrics"]["auroc"] == 1.0
    assert reports[labelled.NEVER]["calibrated"] == 0.0 < reports["all"]["calibrated"] < 1.0


def test_trained_labels_come_from_a_file_or_the_manifest(tmp_path: Path) -> None:
    assert labelled.trained_labels({}, None) is None
    assert labelled.trained_labels({"trained_labels": ["dog"]}, None) == ["dog"]
    with pytest.raises(BenchmarkError, match="expected a label a line"):
        labelled.trained_labels({}, tmp_path / "missing.txt")


def test_questions_survive_their_file(tmp_path: Path) -> None:
    questions = [
        Question(tmp_path / "a/b.wav", "Is there a dog?", "dog", True, "one"),
        Question(tmp_path / "c.wav", 'A "quoted"\ttext?', "quoted text", False),
    ]
    write_questions(tmp_path / "q.tsv", questions, tmp_path)
    assert read_questions(tmp_path / "q.tsv", tmp_path) == questions
    (tmp_path / "q.tsv").write_text(
        "audio\tquestion\tconcept\tanswer\tgroup\na\tb\tc\tperhaps\td\n"
    )
    with pytest.raises(BenchmarkError, match="row 1: answer 'perhaps'"):
        read_questions(tmp_path / "q.tsv", tmp_path)


def test_the_engine_hears_each_recording_once_and_replies_in_order(tmp_path: Path) -> None:
    record(tmp_path, "a.wav", "b.wav")
    engine: Any = FakeEngine({("a.wav", "dog"): 0.9, ("b.wav", "cat"): None})
    asked = [("a.wav", "dog"), ("b.wav", "cat"), ("a.wav", "cat"), ("b.wav", "dog")]
    questions = [Question(tmp_path / name, f"{c}?", c, True) for name, c in asked]
    replies = ask_engine(engine, questions)
    assert [reply.presence for reply in replies] == [0.9, None, 0.1, 0.1]
    assert [reply.says_yes for reply in replies] == [True, None, False, False]
    assert [reply.calibrated for reply in replies] == [True, False, False, True]
    assert engine.asked == [("a.wav", 2), ("b.wav", 2)]


def test_a_question_that_cannot_be_asked_has_no_answer(tmp_path: Path) -> None:
    record(tmp_path, "a.wav")
    engine: Any = FakeEngine({("a.wav", "dog"): 0.9})
    asked = [Question(tmp_path / "a.wav", text, "", True) for text in ("and pans?", "dog?")]
    assert ask_engine(engine, asked) == [
        Reply(None, None),
        Reply(0.9, True, calibrated=True, state="present"),
    ]


def test_far_field_reports_the_auroc_that_distance_costs(
    esc50_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from listen_edge.evaluation import esc50

    monkeypatch.setattr(
        "listen_edge.evaluation.far_field.far_field",
        lambda samples, seed: np.zeros_like(samples) + seed % 7 + 1,
    )

    class Deaf(FakeEngine):
        def ask(self, samples: Any, questions: Any, *, source: str) -> Any:
            self.otherwise = 0.5 if samples.max() >= 1 else 0.1  # afar all sounds are alike
            heard, self.heard = self.heard, {} if samples.max() >= 1 else self.heard
            answers = super().ask(samples, questions, source=source)
            self.heard = heard
            return answers

    clips = esc50.clips_of_folds(esc50_folder, [5])
    engine: Any = Deaf({(clip.path.name, clip.label): 0.9 for clip in clips})
    plain, far = esc50.far_field_reports(engine, clips)
    assert (plain.metrics.auroc, far.metrics.auroc) == (1.0, 0.5)
    assert far.extra["auroc_lost"] == (50.0, "points")
    assert len(set(engine.levels[len(clips) :])) > 1  # another seed per clip
