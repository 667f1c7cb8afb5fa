"""The ablation trains every arm once per seed, shares warm starts, and goes on where it stopped."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from listen_edge.prompt import Prompt
from listen_edge.train import ablation
from listen_edge.train.ablation import ARMS, ablation_questions, run_ablation
from listen_edge.train.ablation_report import draw_figures, table_lines
from listen_edge.train.config import TrainConfig
from listen_edge.train.throughput import measure_training


def _texts(folder: Path) -> str:
    folder.mkdir()
    lines = [
        {"tags": [tag], "path": "", "kind": kind, "prompt": "Replay.", "text": f"{kind} {tag}."}
        for tag in ("hum", "hiss")
        for kind in ("positive", "negative", "combined")
    ]
    (folder / "0.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(folder)


def test_every_arm_is_trained_asked_and_drawn(
    train_config: TrainConfig,
    prompt: Prompt,
    esc50_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = replace(
        train_config,
        texts=_texts(tmp_path / "texts"),
        left_out_labels=("beep",),
        warm_steps=2,
        steps=2,
        n_mixed=0,
    )
    questions = ablation_questions(esc50_folder, 5, ("beep",), None, tmp_path)
    assert {q.concept for q in questions["held-out classes"] if q.is_present} == {"beep"}
    assert all(q.concept != "beep" or not q.is_present for q in questions["random"])
    figures = run_ablation(config, tmp_path / "out", questions, seeds=(0, 1), prompt=prompt)
    assert len(figures) == len(ARMS) * 3
    assert all(len(figure.accuracy) == 2 for figure in figures)
    runs = sorted(path.name for path in (tmp_path / "out").glob("*-?"))
    assert runs == ["a-0", "a-1", "b-0", "b-1", "c-0", "c-1", "d-0", "d-1", "warm-0", "warm-1"]
    trained = json.loads((tmp_path / "out/d-0/trained.json").read_text())
    assert "beep" not in trained["labels"]
    draw_figures(figures, tmp_path / "ablation.png")
    assert (tmp_path / "ablation.png").read_bytes().startswith(b"\x89PNG")
    assert len(list(table_lines(figures))) == 1 + len(ARMS)

    monkeypatch.setattr(ablation, "train", None)  # nothing is trained a second time
    again = run_ablation(config, tmp_path / "out", questions, seeds=(0, 1), prompt=prompt)
    assert again == figures


def test_throughput_compares_both_ways(llama_gguf: Path) -> None:
    figures = measure_training(str(llama_gguf), 1, 1)
    assert figures["packed_over_plain"] == pytest.approx(
        figures["packed_questions_per_s"] / figures["plain_questions_per_s"]
    )
    assert figures["share_of_matrix_rate"] > 0
