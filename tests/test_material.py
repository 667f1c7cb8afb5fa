"""What is trained on: scenes, how they are rendered, what is asked and written of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import soundfile

from listen_edge.concepts import ESC50, may_be_confused, names_of
from listen_edge.errors import ListenEdgeError
from listen_edge.train.alignment import description
from listen_edge.train.augmentation import Recording
from listen_edge.train.config import TrainConfig
from listen_edge.train.datasets import Row
from listen_edge.train.material import read_material
from listen_edge.train.questions import QuestionBank
from listen_edge.train.scenes import Placement, Scene, draw_scenes, render
from listen_edge.train.texts.library import TextLibrary
from listen_edge.train.texts.templates import Facts


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


def test_left_out_labels_are_neither_heard_nor_asked_about(train_config: TrainConfig) -> None:
    material = read_material(replace(train_config, left_out_labels=("beep",)))
    assert material.bank.labels == ["hiss", "hum"]
    assert not any("beep" in concept for concept in material.bank.concepts())
    assert all("beep" not in scene.labels for scene in material.scenes)


def test_scenes_are_spliced_with_training_scenes_of_the_same_sounds(
    train_config: TrainConfig,
) -> None:
    material = read_material(train_config)
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
    train_config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its logger is watched itself: torch's exporter, in other tests, leaves logging changed."""
    log = Mock()
    monkeypatch.setattr("listen_edge.train.material.logger", log)
    (tmp_path / "audio").mkdir()
    (tmp_path / "meta.csv").write_text("filename,label\nbroken.wav,dog\n")
    (tmp_path / "audio/broken.wav").write_bytes(b"RIFF")
    material = read_material(
        replace(train_config, data=(*train_config.data, f"labelled:{tmp_path}"))
    )
    message, *values = log.warning.call_args.args
    assert message % tuple(values) == "1 recordings cannot be read and are left out: broken.wav"
    assert "dog" not in material.bank.labels


def write_texts(folder: Path) -> Path:
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
    texts = TextLibrary(write_texts(tmp_path / "texts"), ("positive", "negative"), ("beep",))
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
    train_config: TrainConfig, tmp_path: Path
) -> None:
    line = {"tags": [], "path": "audio/a.wav", "kind": "yes_no", "prompt": "Any rain?",
            "text": "Yes.", "concept": "rain", "answer": "yes"}  # fmt: skip
    (tmp_path / "0.jsonl").write_text(json.dumps(line) + "\n")
    material = read_material(replace(train_config, texts=str(tmp_path)))
    rng = np.random.default_rng(0)
    assert material.questions(_scene(), 4, rng) == [("rain", True)]
    assert material.questions(_scene(name="b.wav"), 4, rng) == []
    assert {present for _, present in material.questions(Scene(()), 2, rng)} == {False}
