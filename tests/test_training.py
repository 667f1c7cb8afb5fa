"""Training learns, repeats itself, survives being killed, and fails in one line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import soundfile
import torch

from listen_edge.audio import read_audio
from listen_edge.concepts import ESC50, may_be_confused, names_of
from listen_edge.errors import BundleError, ListenEdgeError
from listen_edge.prompt import Prompt
from listen_edge.runtime.llama.gguf_file import Vocabulary
from listen_edge.train import checkpoint
from listen_edge.train.adapter import Adapter, AdapterConfig
from listen_edge.train.alignment import WarmStart, description
from listen_edge.train.augmentation import Recording
from listen_edge.train.backbones import WhisperTaps, load_llama, load_whisper_encoder
from listen_edge.train.config import PRESETS, TrainConfig
from listen_edge.train.datasets import Row, read_dataset
from listen_edge.train.loop import train
from listen_edge.train.material import read_material
from listen_edge.train.questions import QuestionBank
from listen_edge.train.report import draw_report
from listen_edge.train.run_log import read_log
from listen_edge.train.scenes import Placement, Scene, draw_scenes, render
from listen_edge.train.texts.library import TextLibrary
from listen_edge.train.texts.templates import Facts


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


def test_scenes_mix_within_a_fold_and_never_what_may_be_confused(tmp_path: Path) -> None:
    rows = [
        Row(tmp_path / f"{split}-{k}.wav", (label,), split=split, dataset="esc50")
        for split in ("", "fold1", "fold2")
        for k, label in enumerate(("dog", "siren", "rain", "puppy barking"))
    ]
    scenes, again = (
        draw_scenes(
            rows,
            n_augmented=1,
            n_mixed=200,
            seed=0,
            may_mix=lambda a, b: not may_be_confused(a, b),
        )
        for _ in range(2)
    )
    assert scenes == again
    mixed = [scene for scene in scenes if len(scene.placements) == 2]
    assert len(mixed) == 200
    for scene in mixed:
        assert len(scene.splits - {""}) <= 1
        assert not may_be_confused(*scene.labels)
    assert sum(scene.is_plain for scene in scenes if scene.placements) == len(rows)
    assert any(not scene.placements for scene in scenes)


def test_scenes_of_recordings_that_may_not_be_mixed_are_left_out(tmp_path: Path) -> None:
    captions = [Row(tmp_path / f"{k}.wav", ()) for k in range(3)]
    scenes = draw_scenes(captions, n_augmented=0, n_mixed=5, seed=0, may_mix=lambda a, b: True)
    assert len(scenes) == 3


def _row(tmp_path: Path, samples: np.ndarray) -> Row:
    soundfile.write(tmp_path / "clip.wav", samples, 16_000, "FLOAT")
    return Row(tmp_path / "clip.wav", ("dog",))


@pytest.mark.parametrize("shift", [0.0, 0.5, 1.0])
def test_rendering_keeps_the_loudest_half_second_in_the_window(
    tmp_path: Path, shift: float
) -> None:
    samples = np.full(32_000, 0.01)
    samples[20_000:28_000] = 0.5
    row = _row(tmp_path, samples)
    window = render(Scene((Placement(row, shift=shift, gain_db=-20),)), 16_000)
    start = round(shift * 8_000)
    np.testing.assert_allclose(window[start : start + 8_000], 0.05, rtol=1e-4)
    assert np.abs(np.delete(window, np.arange(start, start + 8_000))).max() < 0.002


def test_rendering_records_as_told_and_fills_noise_windows(tmp_path: Path) -> None:
    row = _row(tmp_path, np.full(16_000, 0.5))
    recorded = render(Scene((Placement(row),), Recording(gain_db=-20)), 16_000)
    np.testing.assert_allclose(recorded, 0.05, rtol=1e-4)
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


FACTS = {
    "dog": Facts(("dog", "hound"), ("animal",), ("barking",)),
    "cat": Facts(("cat",), ("animal",), ("meowing",)),
    "siren": Facts(("siren",), ("alarm",), ("wailing",)),
    "rain": Facts(("rain",), ("weather",), ()),
    "puppy barking": Facts(("puppy barking",), (), ()),
}


def _bank() -> QuestionBank:
    return QuestionBank({"dog": 3, "cat": 2, "siren": 1, "rain": 2, "puppy barking": 1}, FACTS)


@pytest.mark.parametrize("labels", [("dog",), ("dog", "rain"), ("puppy barking",), ()], ids=str)
def test_questions_ask_what_is_there_and_nothing_that_could_be(labels: tuple[str, ...]) -> None:
    bank, rng = _bank(), np.random.default_rng(0)
    for _ in range(100):
        asked = dict(bank.draw(labels, 6, rng))
        present = {name for name, is_present in asked.items() if is_present}
        absent = set(asked) - present
        true = {t for name in labels for t in (*FACTS[name].names, *FACTS[name].kinds,
                                               *FACTS[name].sounds_like)}  # fmt: skip
        assert present <= true and absent.isdisjoint(true)
        assert all(present & {*FACTS[label].names} for label in labels)
        if "puppy barking" in labels:  # nobody said what kind of thing that is
            assert not absent & {"animal", "alarm", "weather", "dog"}


def test_absent_questions_are_often_near_the_sound() -> None:
    bank, rng = _bank(), np.random.default_rng(0)
    asked = [dict(bank.draw(("dog",), 4, rng)) for _ in range(200)]
    near = np.mean([row.get("cat") is False for row in asked])
    assert near > 0.5


def test_descriptions_say_name_other_name_and_kind_as_far_as_they_fit() -> None:
    def tokenize(text: str) -> list[int]:
        return [ord(word[0]) for word in text.replace(",", " ,").split()]

    facts = Facts(("dog", "hound"), ("animal", "pet"), ())
    assert "".join(map(chr, description(facts, tokenize, 8))) == "d,h,a,p,"
    assert "".join(map(chr, description(facts, tokenize, 7))) == "d,a,p,d"
    assert "".join(map(chr, description(facts, tokenize, 4))) == "d,p,"
    assert "".join(map(chr, description(facts, tokenize, 3))) == "d,d"


def test_left_out_labels_are_neither_heard_nor_asked_about(config: TrainConfig) -> None:
    material = read_material(replace(config, left_out_labels=("beep",)))
    assert material.bank.labels == ["hiss", "hum"]
    assert not any("beep" in concept for concept in material.bank.concepts())
    assert all("beep" not in scene.labels for scene in material.scenes)


def test_scenes_are_spliced_with_training_scenes_of_the_same_sounds(config: TrainConfig) -> None:
    material = read_material(config)
    rng = np.random.default_rng(0)
    for row in material.train_rows:
        partners = {material.partner(row, rng) for _ in range(20)}
        assert partners <= {*material.train_rows}
        labels = {tuple(sorted(material.scenes[partner].labels)) for partner in partners}
        assert labels == {tuple(sorted(material.scenes[row].labels))}
    assert any(material.partner(row, rng) != row for row in material.single_rows)
    untagged = replace(material, scenes=[_scene(), *material.scenes[1:]])
    assert untagged.partner(0, rng) == 0


def test_a_label_of_the_held_out_split_alone_was_not_asked_in_training() -> None:
    bank = QuestionBank({"dog": 3}, FACTS)
    assert bank.concepts() == sorted({*FACTS["dog"].names, *FACTS["dog"].kinds, "barking"})


def test_unreadable_recordings_are_left_out_counted_and_named(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its logger is watched itself: torch's exporter, in other tests, leaves logging changed."""
    log = Mock()
    monkeypatch.setattr("listen_edge.train.material.logger", log)
    (tmp_path / "audio").mkdir()
    (tmp_path / "meta.csv").write_text("filename,label\nbroken.wav,dog\n")
    (tmp_path / "audio/broken.wav").write_bytes(b"RIFF")
    material = read_material(replace(config, data=(*config.data, f"labelled:{tmp_path}")))
    message, *values = log.warning.call_args.args
    assert message % tuple(values) == "1 recordings cannot be read and are left out: broken.wav"
    assert "dog" not in material.bank.labels


def _write_texts(folder: Path) -> Path:
    lines = [
        {"tags": [name], "path": "", "kind": kind, "prompt": "Replay.", "text": f"{kind} {name}."}
        for name in ("hum", "beep", "hiss")
        for kind in ("positive", "negative")
    ]
    folder.mkdir()
    (folder / "0.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def _scene(*tags: str, name: str = "a.wav") -> Scene:
    return Scene((Placement(Row(Path(name), tags)),))


def test_texts_are_drawn_by_tags_kind_after_kind(tmp_path: Path) -> None:
    texts = TextLibrary(_write_texts(tmp_path / "texts"), ("positive", "negative"), ("beep",))
    rng = np.random.default_rng(0)
    drawn = texts.draw(_scene("hum"), 2, rng)
    assert sorted(drawn) == [("Replay.", "negative hum."), ("Replay.", "positive hum.")]
    assert texts.draw(_scene("beep"), 2, rng) == []
    assert texts.draw(_scene("hum", "hiss"), 2, rng) == []
    with pytest.raises(ListenEdgeError, match="no shards"):
        TextLibrary(tmp_path, ("positive",))
    (tmp_path / "texts/1.jsonl").write_text('{"tags": ["hum"]}\n')
    with pytest.raises(ListenEdgeError, match=r"1\.jsonl:1: not a line of listen-edge synthesize"):
        TextLibrary(tmp_path / "texts", ("positive",))


def test_a_recording_without_tags_is_asked_what_was_written_about_it_alone(
    config: TrainConfig, tmp_path: Path
) -> None:
    line = {"tags": [], "path": "audio/a.wav", "kind": "yes_no", "prompt": "Any rain?",
            "text": "Yes.", "concept": "rain", "answer": "yes"}  # fmt: skip
    (tmp_path / "0.jsonl").write_text(json.dumps(line) + "\n")
    material = read_material(replace(config, texts=str(tmp_path)))
    rng = np.random.default_rng(0)
    assert material.questions(_scene(), 4, rng) == [("rain", True)]
    assert material.questions(_scene(name="b.wav"), 4, rng) == []
    assert {present for _, present in material.questions(Scene(()), 2, rng)} == {False}


def test_texts_and_questions_are_learnt_together(
    config: TrainConfig, prompt: Prompt, tmp_path: Path
) -> None:
    texts = str(_write_texts(tmp_path / "texts"))
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
