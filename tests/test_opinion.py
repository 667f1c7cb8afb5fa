"""The LLM's yes or no from the head's own adapter: what it is asked, trained and exported."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from listen_edge.audio import read_window
from listen_edge.bundle.opening import open_bundle
from listen_edge.errors import BundleError
from listen_edge.export.build import BundleConfig, export_bundle
from listen_edge.export.runs import trained_parts
from listen_edge.prompt import Prompt
from listen_edge.runtime.engine import Engine
from listen_edge.train.ears import Ears, load_ears
from listen_edge.train.head_config import HeadConfig
from listen_edge.train.head_loop import train_head
from listen_edge.train.opinion import draw_asked
from listen_edge.train.run_log import read_log
from tests.killed_head import train_killed_head


@pytest.fixture(scope="module")
def joint_config(head_config: HeadConfig) -> HeadConfig:
    return replace(
        head_config, steps=12, align_steps=4, opinion_scenes=3, opinion_questions=4, spliced=0.25
    )


@pytest.fixture(scope="module")
def joint_run(
    joint_config: HeadConfig, prompt: Prompt, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("joint") / "run"
    train_head(joint_config, folder, prompt)
    return folder


@given(seed=st.integers(0, 1000), n_questions=st.integers(2, 8))
def test_only_what_is_known_is_asked_and_absent_is_what_another_scene_holds(
    seed: int, n_questions: int
) -> None:
    rng = np.random.default_rng(seed)
    probability = rng.choice([0.0, 0.3, 0.9], (5, 12)).astype(np.float32)
    known = rng.uniform(size=(5, 12)) < 0.7
    asked = draw_asked(probability, known, n_questions, rng)
    elsewhere = [{k for k, there in row if there} for row in asked]
    for row, questions in enumerate(asked):
        places = [k for k, _ in questions]
        assert len({*places}) == len(places) <= n_questions
        for k, there in questions:
            assert known[row, k] and probability[row, k] == np.float32(0.9 if there else 0.0)
            assert there or any(k in other for other in elsewhere)
        assert sum(there for _, there in questions) <= n_questions // 2


def test_a_joint_run_that_was_killed_goes_on_to_the_same(
    joint_config: HeadConfig,
    joint_run: Path,
    prompt: Prompt,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    train_killed_head(joint_config, tmp_path / "run", prompt, monkeypatch)
    whole, killed = (load_ears(folder).ears for folder in (joint_run, tmp_path / "run"))
    for a, b in zip(whole.parameters(), killed.parameters(), strict=True):
        np.testing.assert_allclose(a.detach(), b.detach(), atol=1e-6)
    assert whole.to_llm is not None and killed.to_llm is not None
    figures = read_log(tmp_path / "run")[-1]
    assert 0 <= figures["LLM's margin: auroc"] <= 1


def test_the_llm_teaches_the_adapter(
    joint_config: HeadConfig, prompt: Prompt, tmp_path: Path
) -> None:
    first = replace(joint_config, steps=1, align_steps=0, average=0.0, warm_up=0)
    ears: list[Ears] = []
    for weight in (0.0, 1.0):
        folder = tmp_path / str(weight)
        train_head(replace(first, opinion_weight=weight), folder, prompt)
        ears.append(load_ears(folder).ears)
    without, taught = ears
    for part in ("adapter.query_tokens", "to_llm.weight"):
        assert not torch.equal(without.state_dict()[part], taught.state_dict()[part])


def test_a_joint_run_becomes_a_bundle_with_one_adapter(
    joint_run: Path,
    headed_config: BundleConfig,
    headed_folder: Path,
    tmp_path: Path,
    esc50_folder: Path,
) -> None:
    config = replace(headed_config, head=None)
    export_bundle(joint_run, tmp_path / "joint", config)
    joint = open_bundle(str(tmp_path / "joint"))
    assert joint.manifest.head is not None
    assert {*joint.manifest.head.asked} == {"hum", "beep", "hiss", "train", "piano"}
    window = read_window(esc50_folder / "audio/4-0.wav", 16_000)
    parts = trained_parts(joint_run)
    with torch.inference_mode():
        expected = parts.adapter(parts.taps(torch.from_numpy(window)[None]))[0]
    with Engine(joint, n_threads=1, llm="always") as engine:
        np.testing.assert_allclose(engine.embed(window), expected, atol=5e-3)
        reading = engine.read(window, ["hum"])["hum"]
        assert reading.margin is not None and reading.logit is not None
    both = headed_folder / next(headed_folder.glob("*.onnx")).name
    one = next((tmp_path / "joint").glob("*.onnx"))
    assert one.stat().st_size < both.stat().st_size


def test_runs_that_do_not_belong_together(
    joint_run: Path, head_run: Path, headed_config: BundleConfig, tmp_path: Path
) -> None:
    with pytest.raises(BundleError, match="has a head of its own"):
        export_bundle(joint_run, tmp_path / "a", headed_config)
    with pytest.raises(BundleError, match="without opinion_scenes"):
        export_bundle(head_run, tmp_path / "a", replace(headed_config, head=None))
    assert not (tmp_path / "a").exists()
