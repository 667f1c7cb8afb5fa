"""Training learns, repeats itself, survives being killed, and fails in one line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from listen_edge.audio import read_audio
from listen_edge.errors import AudioError, BundleError, ListenEdgeError
from listen_edge.prompt import Prompt
from listen_edge.runtime.llama import Vocabulary
from listen_edge.train import checkpoint
from listen_edge.train.adapter import Adapter, AdapterConfig
from listen_edge.train.alignment import NameTargets
from listen_edge.train.backbones import WhisperTaps, load_llama, load_whisper_encoder
from listen_edge.train.concepts import ESC50, draw_questions, may_be_confused, names_of
from listen_edge.train.datasets import Clip, read_esc50, read_labelled
from listen_edge.train.loop import TrainConfig, train
from listen_edge.train.scenes import Placement, Scene, draw_scenes, render


@pytest.fixture()
def config(whisper_checkpoint: Path, llama_gguf: Path, esc50_folder: Path) -> TrainConfig:
    return TrainConfig(
        whisper=str(whisper_checkpoint),
        llm=str(llama_gguf),
        esc50=str(esc50_folder),
        folds=(1, 2, 3),
        held_out=4,
        taps=(1, 2),
        n_query=4,
        d_qformer=32,
        window_s=1.0,
        n_mixed=10,
        warm_steps=10,
        warm_batch=4,
        steps=12,
        batch=4,
        n_questions=2,
        checkpoint_every=5,
        evaluate_every=100,
        dtype="float32",
    )


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    return dict(checkpoint.load_adapter(folder).state_dict())


def test_the_warm_start_writes_the_name_of_what_is_heard(
    config: TrainConfig, prompt: Prompt, tmp_path: Path
) -> None:
    """On a fold it never trained on, as far as random-weight backbones let it."""
    longer = TrainConfig(**{**config.__dict__, "warm_steps": 150, "steps": 1})
    train(longer, tmp_path / "run", prompt)
    adapter = checkpoint.load_adapter(tmp_path / "run")
    taps = WhisperTaps(load_whisper_encoder(config.whisper), config.taps)
    clips = [clip for clip in read_esc50(Path(config.esc50)) if clip.fold == config.held_out]
    with Vocabulary(Path(config.llm)) as vocabulary, torch.inference_mode():
        targets = NameTargets(
            {clip.label: vocabulary.tokenize(f" {clip.label},") for clip in clips},
            load_llama(config.llm).get_input_embeddings().weight,
            config.n_query,
        )
        right, wrong = [], []
        for clip in clips:
            embeddings = adapter(taps(torch.from_numpy(read_audio(clip.path))[None]))
            for other in clips:
                losses = right if other.label == clip.label else wrong
                losses.append(float(targets.loss(embeddings, [other.label])))
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
    checkpoint.write_config(tmp_path / "run", {"seed": 0})
    with pytest.raises(ListenEdgeError, match="holds a run with another config"):
        train(config, tmp_path / "run", prompt)


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"held_out": 3}, "held_out fold 3 is also trained on"),
        ({"dtype": "int8"}, "expected float32 or bfloat16"),
        ({"llm": "folder"}, "name its GGUF as vocabulary"),
    ],
)
def test_impossible_configs_are_refused(
    config: TrainConfig, fields: dict[str, object], match: str
) -> None:
    with pytest.raises(ListenEdgeError, match=match):
        TrainConfig(**{**config.__dict__, **fields})  # type: ignore[arg-type]


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


def test_scenes_mix_within_a_fold_and_never_what_may_be_confused(tmp_path: Path) -> None:
    clips = [
        Clip(tmp_path / f"{fold}-{k}.wav", label, fold)
        for fold in (0, 1, 2)
        for k, label in enumerate(("dog", "siren", "rain", "puppy barking"))
    ]
    scenes = draw_scenes(clips, n_augmented=1, n_mixed=200, seed=0)
    assert scenes == draw_scenes(clips, n_augmented=1, n_mixed=200, seed=0)
    mixed = [scene for scene in scenes if len(scene.placements) == 2]
    assert len(mixed) == 200
    for scene in mixed:
        first, second = (placement.clip for placement in scene.placements)
        assert first.fold == second.fold or 0 in (first.fold, second.fold)
        assert not may_be_confused(first.label, second.label)
    assert sum(scene.is_plain for scene in scenes if scene.placements) == len(clips)
    assert any(not scene.placements for scene in scenes)


def test_rendering_places_scales_and_adds_noise(tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    soundfile.write(path, np.full(8_000, 0.5), 16_000, "FLOAT")
    clip = Clip(path, "dog", 1)
    window = render(Scene((Placement(clip, shift=0.5, gain_db=-20),)), 16_000)
    np.testing.assert_allclose(window[4_000:12_000], 0.05, rtol=1e-5)
    assert not window[:4_000].any() and not window[12_000:].any()
    noise = render(Scene((), noise_db=-40, seed=3), 16_000)
    assert 20 * np.log10(np.sqrt(np.mean(noise**2))) == pytest.approx(-40, abs=0.1)


def test_names_that_may_be_confused() -> None:
    assert may_be_confused("dog", "dog barking")
    assert may_be_confused("siren", "nuclear alarm siren")
    assert may_be_confused("chirping birds", "canary singing")
    assert not may_be_confused("dog", "rain")
    assert not may_be_confused("glass breaking", "siren")
    assert len(ESC50) == 50
    assert all(names_of(label)[0] == label for label in ESC50)


def test_questions_ask_what_is_there_and_nothing_that_could_be() -> None:
    vocabulary = ["dog", "siren", "rain", "cat", "puppy barking", "glass breaking"]
    rng = np.random.default_rng(0)
    for labels in (["dog"], ["dog", "rain"], []):
        for _ in range(50):
            asked = draw_questions(labels, vocabulary, 4, rng)
            present = {name for name, is_present in asked if is_present}
            assert len(asked) == 4
            assert present <= {name for label in labels for name in names_of(label)}
            assert len(present) >= len(labels)
            for name, is_present in asked:
                label = next(other for other in vocabulary if name in names_of(other))
                confused = any(may_be_confused(heard, label) for heard in labels)
                assert confused == is_present


def test_labelled_clips_need_their_table(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="expected a table with filename and label"):
        read_labelled(tmp_path)
    (tmp_path / "meta.csv").write_text("filename,label\na.ogg,dog\n")
    assert read_labelled(tmp_path) == [Clip(tmp_path / "audio/a.ogg", "dog", 0)]


def test_the_config_lies_beside_the_checkpoint(
    config: TrainConfig, prompt: Prompt, tmp_path: Path
) -> None:
    train(config, tmp_path / "run", prompt)
    written = json.loads((tmp_path / "run" / checkpoint.CONFIG_FILE).read_text())
    assert written["steps"] == config.steps
    assert Prompt.from_json(written["prompt"]) == prompt
