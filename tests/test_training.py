"""Training learns, repeats itself, survives being killed, and fails in one line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from listen_edge.audio import read_audio
from listen_edge.errors import BundleError, ListenEdgeError
from listen_edge.prompt import Prompt
from listen_edge.runtime.llama.gguf_file import Vocabulary
from listen_edge.train import checkpoint
from listen_edge.train.adapter import Adapter, AdapterConfig
from listen_edge.train.alignment import WarmStart
from listen_edge.train.backbones import WhisperTaps, load_llama, load_whisper_encoder
from listen_edge.train.config import PRESETS, TrainConfig
from listen_edge.train.datasets import read_dataset
from listen_edge.train.loop import train
from listen_edge.train.report import draw_report
from listen_edge.train.run_log import read_log
from listen_edge.train.texts.templates import Facts
from tests.test_material import write_texts


@pytest.fixture()
def config(train_config: TrainConfig) -> TrainConfig:
    return train_config


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    return dict(checkpoint.load_adapter(folder).state_dict())


def test_the_warm_start_writes_the_name_of_what_is_heard(
    config: TrainConfig, prompt: Prompt, tmp_path: Path
) -> None:
    """On a fold it never trained on, as far as random-weight backbones let it."""
    train(replace(config, warm_steps=150, steps=1), tmp_path / "run", prompt)
    adapter = checkpoint.load_adapter(tmp_path / "run")
    taps = WhisperTaps(load_whisper_encoder(config.whisper), config.taps)
    rows = [row for row in read_dataset(config.data[0]) if row.split in config.held_out]
    with Vocabulary(Path(config.llm)) as vocabulary, torch.inference_mode():
        targets = WarmStart(
            {row.tags[0]: Facts(row.tags, (), ()) for row in rows},
            vocabulary.tokenize,
            load_llama(config.llm).get_input_embeddings().weight,
            config.n_query,
        )
        right, wrong = [], []
        for row in rows:
            embeddings = adapter(taps(torch.from_numpy(read_audio(row.path))[None]))
            for other in rows:
                losses = right if other.tags == row.tags else wrong
                losses.append(float(targets.loss(embeddings, other.tags)))
    assert np.mean(right) < np.mean(wrong) / 2


@pytest.mark.parametrize("kill_at", [1, 2, 3], ids=["warm start", "between", "main"])
def test_a_killed_run_goes_on_to_the_same_result(
    config: TrainConfig,
    prompt: Prompt,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kill_at: int,
) -> None:
    train(config, tmp_path / "whole", prompt)
    saved, save = 0, checkpoint.save_checkpoint

    def killed(*args: object) -> None:
        nonlocal saved
        saved += 1
        save(*args)  # type: ignore[arg-type]
        if saved == kill_at:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save_checkpoint", killed)
        with pytest.raises(KeyboardInterrupt):
            train(config, tmp_path / "killed", prompt)
    assert not (tmp_path / "killed" / checkpoint.ADAPTER_FILE).exists()
    train(config, tmp_path / "killed", prompt)
    whole, killed_weights = _weights(tmp_path / "whole"), _weights(tmp_path / "killed")
    assert all(torch.equal(whole[name], killed_weights[name]) for name in whole)


def test_a_run_does_not_go_on_with_another_config(
    config: TrainConfig, prompt: Prompt, tmp_path: Path
) -> None:
    checkpoint.write_config(tmp_path / "run", {"seed": 0}, {})
    with pytest.raises(ListenEdgeError, match="holds a run with another config"):
        train(config, tmp_path / "run", prompt)


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"held_out": ("fold5",)}, "fold5 is held out and left out"),
        ({"objectives": ("captions",)}, "objectives captions, expected some of positive"),
        ({"objectives": ("positive",)}, "need texts; run listen-edge synthesize"),
        ({"dtype": "int8"}, "expected float32 or bfloat16"),
        ({"llm": "folder"}, "name its GGUF as vocabulary"),
    ],
)
def test_impossible_configs_are_refused(
    config: TrainConfig, fields: dict[str, object], match: str
) -> None:
    with pytest.raises(ListenEdgeError, match=match):
        replace(config, **fields)  # type: ignore[arg-type]


def test_damaged_checkpoints_are_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / checkpoint.ADAPTER_FILE).write_bytes(b"\x10\0\0\0\0\0\0\0{}")
    with pytest.raises(BundleError, match="missing or damaged"):
        checkpoint.load_adapter(tmp_path)
    adapter = Adapter(AdapterConfig(d_encoder=8, n_embd=8, d_qformer=8, n_heads=2))
    checkpoint.save_adapter(tmp_path, adapter)
    assert checkpoint.load_adapter(tmp_path).config == adapter.config


def test_adapter_has_the_size_its_config_says() -> None:
    adapter = Adapter(AdapterConfig(taps=(1, 2, 3), d_encoder=24, n_embd=40, n_query=5))
    assert adapter(torch.randn(2, 3, 50, 24)).shape == (2, 5, 40)
    weights = adapter.tap_weights.softmax(dim=0)
    assert torch.allclose(weights, torch.full((3, 5), 1 / 3))  # all taps weigh the same at first
    with pytest.raises(ListenEdgeError, match="not a multiple of n_heads"):
        AdapterConfig(d_qformer=30)


def test_texts_and_questions_are_learnt_together(
    config: TrainConfig, prompt: Prompt, tmp_path: Path
) -> None:
    texts = str(write_texts(tmp_path / "texts"))
    both = ("positive", "negative", "yes_no")
    longer = replace(config, objectives=both, texts=texts, steps=80, lr=3e-3)
    train(longer, tmp_path / "run", prompt)
    losses = [line["loss"] for line in read_log(tmp_path / "run") if line["phase"] == "main"
              and "loss" in line]  # fmt: skip
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])


def test_a_run_starts_from_anothers_adapter(
    config: TrainConfig, prompt: Prompt, tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    train(config, first, prompt)
    train(replace(config, init=str(first), warm_steps=0, steps=1, lr=1e-9), second, prompt)
    before, after = _weights(first), _weights(second)
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name in before)
    with pytest.raises(BundleError, match="train it with the same taps and sizes"):
        train(replace(config, init=str(first), n_query=5), tmp_path / "third", prompt)


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_its_checkpoint(
    config: TrainConfig, prompt: Prompt, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    # The first evaluation and checkpoint are good; then the learning rate blows up the weights.
    with pytest.raises(ListenEdgeError, match=r"training has diverged .* lower lr"):
        train(replace(config, lr=1e30, clip_norm=1e30), folder, prompt)
    assert not (folder / checkpoint.ADAPTER_FILE).exists()
    adapter = Adapter(AdapterConfig(taps=(1, 2), d_encoder=32, n_embd=32, n_query=4, d_qformer=32))
    progress = checkpoint.load_checkpoint(folder, adapter, torch.optim.AdamW(adapter.parameters()))
    assert progress is not None and progress.warm_step == config.warm_steps
    assert all(torch.isfinite(weight).all() for weight in adapter.state_dict().values())


def test_the_log_of_a_resumed_run_has_every_step_once(
    config: TrainConfig, prompt: Prompt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, save = tmp_path / "run", checkpoint.save_checkpoint

    def killed(*args: object) -> None:
        save(*args)  # type: ignore[arg-type]
        if args[-1] == checkpoint.Progress(10, 10):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save_checkpoint", killed)
        with pytest.raises(KeyboardInterrupt):
            train(replace(config, checkpoint_every=10), folder, prompt)
    with (folder / "log.jsonl").open("a") as file:
        file.write('{"phase": "main", "step": 11, "loss": 9.0}\n{"phase": "ma')
    train(replace(config, checkpoint_every=10), folder, prompt)
    steps = [line["step"] for line in read_log(folder) if line["phase"] == "main"
             and "loss" in line]  # fmt: skip
    assert steps == list(range(1, 13))


def test_the_report_draws_runs_and_says_where_they_stand(
    config: TrainConfig, prompt: Prompt, tmp_path: Path
) -> None:
    train(config, tmp_path / "run", prompt)
    (line,) = draw_report([tmp_path / "run"], tmp_path / "report.png")
    assert line.startswith("run, warm step 10 loss") and "main step 12 held_out_auroc" in line
    assert (tmp_path / "report.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ListenEdgeError, match="no log there"):
        list(draw_report([tmp_path], tmp_path / "report.png"))


def test_presets_are_fields_of_a_run(config: TrainConfig) -> None:
    assert PRESETS["tiny"] == {}
    fields = {**PRESETS["listen-8b"], "objectives": ("yes_no",), "device": "cpu"}
    paper = replace(config, **fields, vocabulary=config.llm)
    assert (paper.n_query, paper.taps, paper.shard_llm) == (64, (3, 6, 9, 12), True)


def test_the_config_lies_beside_the_checkpoint(
    config: TrainConfig, prompt: Prompt, tmp_path: Path
) -> None:
    train(config, tmp_path / "run", prompt)
    written = json.loads((tmp_path / "run" / checkpoint.CONFIG_FILE).read_text())
    assert written["steps"] == config.steps
    assert Prompt.from_json(written["prompt"]) == prompt
