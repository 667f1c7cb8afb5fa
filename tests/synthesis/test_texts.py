"""What is written for which recordings: the plan, the texts and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from listen_edge.chat import Completion
from listen_edge.ontology import Ontology
from listen_edge.train.datasets import Row
from listen_edge.train.texts.assignments import SynthesisConfig, plan
from listen_edge.train.texts.knowledge import Knowledge
from tests.chat_server import obedient, said
from tests.synthesis.runs import CONFIG, LABELS, Rows, bytes_of, run, served, texts_of, write_good


def test_texts_are_written_once_per_tags_and_not_per_clip(
    rows: Rows, ontology: Ontology, tmp_path: Path
) -> None:
    report = run(rows, ontology, tmp_path)
    lines = texts_of(tmp_path)
    positive = [line for line in lines if line["kind"] == "positive"]
    assert len(positive) == 2 * 5  # 9 clips, 5 different tags
    assert report["texts"] == len(lines)
    assert {line["n_clips"] for line in lines if line["tags"] == ["dog"]} == {2}
    assert {line["path"] for line in lines if line["tags"] == ["dog"]} == {"audio/0-dog.wav"}


def test_line_has_the_agreed_fields(rows: Rows, ontology: Ontology, tmp_path: Path) -> None:
    config = SynthesisConfig(kinds=("positive", "yes_no"), template_share=0.0)
    run(rows[:1] + rows[1:2], ontology, tmp_path, config=config)
    first, *_, asked = texts_of(tmp_path)
    assert {name: first[name] for name in ("v", "dataset", "path", "tags", "kind", "prompt")} == {
        "v": 1,
        "dataset": "labelled",
        "path": "audio/0-dog.wav",
        "tags": ["dog"],
        "kind": "positive",
        "prompt": "Replay the audio.",
    }
    assert first["text"] == f"This is dog, number {first['seed']}."
    assert (first["source"], first["answer"], first["concept"]) == ("llm", None, None)
    assert asked["prompt"] == f"Can you hear {asked['concept']} in this recording?"
    assert (asked["text"], asked["answer"]) == ("No.", "no")


def test_absent_names_are_labels_that_are_not_there(
    rows: Rows, ontology: Ontology, tmp_path: Path
) -> None:
    run(rows, ontology, tmp_path)
    for line in texts_of(tmp_path):
        assert not {*line["absent"]} & {*line["tags"]}
        assert {*line["absent"]} <= {*LABELS}
        if line["kind"] in ("negative", "combined"):
            assert 1 <= len(line["absent"]) <= CONFIG.n_absent


def test_questions_are_half_yes_and_half_no(rows: Rows, ontology: Ontology, tmp_path: Path) -> None:
    run(rows, ontology, tmp_path)
    yes_no = [line["answer"] for line in texts_of(tmp_path) if line["kind"] == "yes_no"]
    assert yes_no.count("yes") == yes_no.count("no") == 10


@pytest.mark.parametrize("kind", ["synonym", "hypernym"])
def test_labels_without_other_names_or_kinds_are_asked_neither_way(
    ontology: Ontology, kind: str
) -> None:
    rows = [(Row(Path(name), (name,)), name) for name in ("xyzzy", "dog", "train", "violin")]
    knowledge = Knowledge(ontology, {name for _, name in rows})
    planned = plan(rows, SynthesisConfig(kinds=(kind,)), knowledge)
    assert [(one.tags[0], one.answer) for one in planned].count(("dog", "yes")) == 1
    assert "xyzzy" not in {one.tags[0] for one in planned}
    answers = [one.answer for one in planned]
    assert answers.count("yes") == answers.count("no") == 3


def test_what_any_caption_of_a_clip_names_is_not_absent(ontology: Ontology) -> None:
    def row(name: str, caption: str) -> tuple[Row, str]:
        return Row(Path(name), (), caption, dataset="clotho"), name

    rows = [row("a.wav", "A dog barks"), row("a.wav", "A train is near"), row("b.wav", "A piano")]
    knowledge = Knowledge(ontology, ())
    planned = plan(rows, SynthesisConfig(n_per_row=4), knowledge)
    heard = [one for one in planned if one.caption == "A dog barks"]
    assert {one.kind for one in heard} >= {"positive", "negative", "combined"}
    assert {name for one in heard for name in one.absent} == {"piano"}


def test_refused_text_is_tried_with_another_seed(
    rows: Rows, ontology: Ontology, tmp_path: Path
) -> None:
    seeds: dict[str, list[int]] = {}

    def write(messages: list[dict[str, Any]], seed: int) -> Completion:
        asked = seeds.setdefault(messages[-1]["content"], [])
        asked.append(seed)
        return Completion("") if len(asked) == 1 else write_good(messages, seed)

    config = SynthesisConfig(kinds=("positive",), ratios={"positive": 1}, template_share=0.0)
    report = run(rows, ontology, tmp_path, write, config=config)
    assert all(second == first + 1 for first, second in seeds.values())
    assert report["backends"]["test"] == {
        "n_tries": 10,
        "n_refused": 5,
        "rejection_rate": 0.5,
        "rate_by_reason": {"empty": 0.5},
    }
    assert report["by_source"] == {"llm": 5}


def test_text_refused_too_often_is_a_templates(
    rows: Rows, ontology: Ontology, tmp_path: Path
) -> None:
    def deny(messages: list[dict[str, Any]], seed: int) -> Completion:
        return Completion("There is no dog and no train and no violin and no baby crying.")

    report = run(rows, ontology, tmp_path, deny)
    assert {line["source"] for line in texts_of(tmp_path)} <= {"template", "ontology"}
    assert report["backends"]["test"]["rejection_rate"] == 1.0
    assert report["by_kind"]["negative"]["rejection_rate"] == 1.0
    assert report["refused_examples"]["denies a present sound"][0].endswith("and no baby crying.")


def test_share_of_templates_from_the_start_is_kept(
    rows: Rows, ontology: Ontology, tmp_path: Path
) -> None:
    config = SynthesisConfig(n_per_row=10, template_share=0.25)
    report = run(rows, ontology, tmp_path, config=config)
    share = 1 - report["by_source"]["llm"] / report["texts"]
    assert share == pytest.approx(0.25, abs=0.05)
    assert report["backends"]["test"]["n_refused"] == 0


def test_bytes_do_not_depend_on_concurrency_or_order(
    rows: Rows, ontology: Ontology, tmp_path: Path
) -> None:
    with served(lambda number, body: said(obedient(body))) as writer:
        run(rows, ontology, tmp_path / "eight", writer, concurrency=8)
    run(rows[::-1], ontology, tmp_path / "one")
    assert bytes_of(tmp_path / "eight") == bytes_of(tmp_path / "one")
    assert len(list((tmp_path / "one").glob("*.jsonl"))) > 3


def test_another_seed_writes_other_texts(rows: Rows, ontology: Ontology, tmp_path: Path) -> None:
    run(rows, ontology, tmp_path / "a")
    run(rows, ontology, tmp_path / "b", config=SynthesisConfig(shard_size=10, seed=6))
    assert texts_of(tmp_path / "a") != texts_of(tmp_path / "b")
