"""The question head, its figures, and a run of a few steps."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from numpy.typing import NDArray
from rich.progress import Progress

from listen_edge.cli.root import cli
from listen_edge.errors import BundleError, ListenEdgeError
from listen_edge.prompt import Prompt
from listen_edge.train import head_loop
from listen_edge.train.datasets import Row
from listen_edge.train.ears import EARS_FILE, Averaged, Ears, copy_ears, load_ears
from listen_edge.train.head import HeadSizes, QuestionHead
from listen_edge.train.head_config import HeadConfig
from listen_edge.train.head_figures import all_figures
from listen_edge.train.head_loop import train_head
from listen_edge.train.head_material import HeldOut, is_of, read_head_material
from listen_edge.train.mixtures import Mixture
from listen_edge.train.run_log import read_log
from tests.conftest import CLASSES
from tests.killed_head import train_killed_head

SIZES = HeadSizes(n_embd=12, d_vector=24, d_head=8, d_query=16, d_bias=4, dropout=0.5)


def test_a_logit_is_the_attended_value_times_the_query_plus_the_bias() -> None:
    torch.manual_seed(0)
    head = QuestionHead(SIZES).eval()
    prefix, vectors = torch.randn(3, 5, 12), torch.randn(7, 24)
    head.standardise_on(vectors)
    queries, biases = head.questions(vectors)
    normed = head.norm(prefix)
    for b in range(3):
        for k in range(7):
            weights = (head.key(normed[b]) @ queries[k]).softmax(dim=0)
            attended = weights @ head.value(normed[b])
            expected = attended @ queries[k] + biases[k]
            torch.testing.assert_close(head(prefix, vectors)[b, k], expected)


def test_a_question_is_answered_alike_whatever_else_is_asked() -> None:
    torch.manual_seed(0)
    head = QuestionHead(SIZES).eval()
    prefix, vectors = torch.randn(2, 5, 12), torch.randn(9, 24)
    torch.testing.assert_close(head(prefix, vectors)[:, 4:5], head(prefix, vectors[4:5]))


def test_the_average_ends_where_the_weights_stay() -> None:
    torch.manual_seed(0)
    ears = Ears(torch.nn.Linear(2, 2), QuestionHead(SIZES))  # type: ignore[arg-type]
    averaged = Averaged(ears, 0.5)
    with torch.no_grad():
        ears.head.norm.weight.fill_(3.0)
    for _ in range(40):
        averaged.update(ears)
    torch.testing.assert_close(averaged.module.head.norm.weight, torch.full((12,), 3.0))


@pytest.mark.parametrize(
    ("split", "splits", "is_one"),
    [
        ("fold5", ("fold5",), True),
        ("fold1", ("fold10",), False),
        ("Debian Hedgewars-data 1.0", ("hedgewars",), True),
        ("Debian bzflag", ("hedgewars", "fold5"), False),
    ],
)
def test_splits_are_folds_or_parts_of_a_source(
    split: str, splits: tuple[str, ...], is_one: bool
) -> None:
    assert is_of(Row(Path("a.wav"), (), split=split), splits) == is_one


def test_figures_are_of_each_recording_s_strongest_window() -> None:
    rows = [Row(Path(f"{k}.wav"), (label,)) for k, label in enumerate(["dog", "siren"] * 20)]
    group = HeldOut("held out folds", rows, owners=[k // 2 for k in range(80)])

    def listen(group: HeldOut, texts: Sequence[str]) -> NDArray[np.float32]:
        logits = np.full((80, len(texts)), -9.0, np.float32)
        for k, owner in enumerate(group.owners):
            if k % 2:  # heard in the second window alone, and a tenth of the recordings never
                heard = "nothing" if owner in (3, 7, 10, 14) else rows[owner].tags[0]
                logits[k] = [-1.0 if text == heard else -5.0 for text in texts]
        return logits

    figures = all_figures([group], {"dog"}, listen, lambda texts: np.zeros((2, len(texts))))
    assert figures["held out folds: auroc"] == pytest.approx(0.95)
    assert figures["held out folds: balanced"] == pytest.approx(0.95)
    assert figures["held out folds, trained: n"] == figures["held out folds, never: n"] == 40
    assert -5 < -figures["bias"] / figures["scale"] < -1


def test_a_killed_run_goes_on_to_the_same_ears(
    tmp_path: Path, head_config: HeadConfig, prompt: Prompt, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_head(head_config, tmp_path / "whole", prompt)
    train_killed_head(head_config, tmp_path / "killed", prompt, monkeypatch)
    whole, killed = (load_ears(tmp_path / name) for name in ("whole", "killed"))
    assert whole.texts == killed.texts
    assert {*CLASSES, "train", "piano"} == {*whole.texts}
    for a, b in zip(whole.ears.parameters(), killed.ears.parameters(), strict=True):
        torch.testing.assert_close(a, b)
    steps = [line["step"] for line in read_log(tmp_path / "killed") if "loss" in line]
    assert steps == list(range(1, 13))
    assert json.loads((tmp_path / "whole/config.json").read_text())["n_mixtures"] == 8


def test_a_head_learns_to_tell_made_up_sounds_apart(
    tmp_path: Path, head_config: HeadConfig, prompt: Prompt
) -> None:
    config = replace(head_config, steps=300, lr=3e-3, average=0.9, evaluate_every=300)
    assert train_head(config, tmp_path / "run", prompt) > 0.9
    figures = read_log(tmp_path / "run")[-1]
    assert figures["left out folds: auroc"] > 0.9
    assert figures["held out folds, trained: balanced"] > 0.8


def test_a_question_that_is_usually_answered_high_or_widely_is_levelled() -> None:
    rows = [Row(Path(f"{k}.wav"), (label,)) for k, label in enumerate(["dog", "siren"] * 20)]
    group = HeldOut("held out sources", rows, owners=[*range(40)])
    usual, wide = {"dog": 0.0, "siren": 5.0}, {"dog": 1.0, "siren": 4.0}

    def listen(group: HeldOut, texts: Sequence[str]) -> NDArray[np.float32]:
        noise = np.random.default_rng(0).normal(0, 0.5, (40, len(texts)))
        heard = np.array([[3.0 * (text in row.tags) for text in texts] for row in rows])
        high, width = ([of[text] for text in texts] for of in (usual, wide))
        return np.asarray(high + (heard + noise) * width, np.float32)

    def refer(texts: Sequence[str]) -> NDArray[np.float32]:
        return np.array([[usual[t] + at * wide[t] for t in texts] for at in (-1, 1)], np.float32)

    figures = all_figures([group], set(), listen, refer)
    assert figures["held out sources: auroc"] > 0.99
    assert figures["held out sources: balanced"] > 0.95


def test_a_run_starts_from_another_run_s_ears(
    tmp_path: Path, head_config: HeadConfig, prompt: Prompt
) -> None:
    train_head(replace(head_config, steps=5), tmp_path / "first", prompt)
    first_run = str(tmp_path / "first")
    again = replace(head_config, steps=1, lr=1e-9, average=0.0, vector_dropout=0.1, init=first_run)
    train_head(again, tmp_path / "again", prompt)
    first, second = (load_ears(tmp_path / name).ears for name in ("first", "again"))
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=0)
    mean = load_ears(tmp_path / "again").ears
    copy_ears([tmp_path / "first", tmp_path / "again"], mean)
    torch.testing.assert_close(mean.head.norm.weight, first.head.norm.weight, atol=1e-6, rtol=0)
    with pytest.raises(BundleError, match="train it with the same sizes"):
        train_head(replace(again, d_head=8), tmp_path / "other", prompt)


def test_a_file_that_holds_no_ears_is_one_line(tmp_path: Path) -> None:
    (tmp_path / EARS_FILE).write_bytes(b"no tensors")
    with pytest.raises(BundleError, match="missing or damaged"):
        load_ears(tmp_path)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"held_out": ("fold5",)}, "fold5 is held out and left out"),
        ({"left_out_share": 1.0}, "left_out_share is 1.0"),
        ({"frames_kept": 0.0}, "frames_kept is 0.0"),
    ],
)
def test_a_run_that_makes_no_sense_is_refused(
    head_config: HeadConfig, fields: dict[str, object], error: str
) -> None:
    with pytest.raises(ListenEdgeError, match=error):
        replace(head_config, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("more", "error"),
    [('{"stepps": 3}', "HeadConfig has no field stepps"), ("[]", "expected a JSON object")],
)
def test_the_command_refuses_what_is_no_field(
    head_config: HeadConfig, tmp_path: Path, more: str, error: str
) -> None:
    options = [
        "train-head",
        "--whisper",
        head_config.whisper,
        "--llm",
        head_config.llm,
        "--data",
        "esc50:x",
    ]
    options += ["--ontology", head_config.ontology, "--out", str(tmp_path), "--config", more]
    done = CliRunner().invoke(cli, options)
    assert error in str(done.exception)


def test_the_command_trains_and_tells_the_auroc(
    head_config: HeadConfig, tmp_path: Path, prompt: Prompt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(head_loop.train_head, "__defaults__", (prompt,))
    options = [
        "train-head",
        "--whisper",
        head_config.whisper,
        "--llm",
        head_config.llm,
        "--mixtures",
        "4",
    ]
    options += ["--data", head_config.data[0], "--tags", head_config.tags[0], "--steps", "2"]
    options += ["--ontology", head_config.ontology, "--out", str(tmp_path / "run")]
    options += ["--hold-out", "fold3", "--leave-out", "fold4", "--leave-out", "fold5"]
    options += ["--config", '{"taps": [1, 2], "window_s": 1.0, "d_qformer": 32, "batch": 2}']
    done = CliRunner().invoke(cli, options)
    assert done.exit_code == 0, done.exception
    assert "run: held-out AUROC 0." in done.stdout or "AUROC 1.0" in done.stdout
    config = json.loads((tmp_path / "run/config.json").read_text())
    assert config["held_out"] == ["fold3"] and config["left_out"] == ["fold4", "fold5"]
    assert load_ears(tmp_path / "run").ears.adapter.config.d_qformer == 32


def test_rows_that_say_what_is_absent_are_heard_as_they_are(
    tmp_path: Path, head_config: HeadConfig, esc50_folder: Path, prompt: Prompt
) -> None:
    before = read_head_material(head_config)
    mined = tmp_path / "mined"
    (mined / "audio").mkdir(parents=True)
    shutil.copy(esc50_folder / "audio/1-0.wav", mined / "audio/z.wav")
    (mined / "meta.csv").write_text("filename,label,absent\nz.wav,,beep\n")
    config = replace(head_config, data=(*head_config.data, f"labelled:{mined}"))
    after = read_head_material(config)
    mixtures = [scene for scene in after.scenes if isinstance(scene, Mixture)]
    assert mixtures == [scene for scene in before.scenes if isinstance(scene, Mixture)]
    assert [row.absent for row in after.rows if row.absent] == [("beep",)]
    assert len(after.scenes) == len(before.scenes) + 1
    assert 0 <= train_head(replace(config, steps=2), tmp_path / "run", prompt) <= 1


def test_a_step_holds_its_share_of_each_kind_of_scene(
    tmp_path: Path, head_config: HeadConfig, prompt: Prompt
) -> None:
    config = replace(head_config, batch=10, plain=0.4, asked=0.2, n_asked_mixtures=6)
    labels = frozenset(CLASSES)
    with pytest.MonkeyPatch.context() as patch, Progress(disable=True) as progress:
        patch.setattr("listen_edge.train.head_material.MOST_ASKED", labels)
        run = head_loop._Run(config, tmp_path / "run", prompt, progress)
    n_scenes, n_excerpts = len(run._material.scenes), run._material.n_excerpts
    assert n_scenes == n_excerpts + 8 + 6
    for seed in range(20):
        drawn = np.array(run._draw(np.random.default_rng(seed)))
        n_asked = (drawn >= n_scenes - 6).sum()
        assert ((drawn < n_excerpts).sum(), n_asked, len(drawn)) == (4, 2, 10)
