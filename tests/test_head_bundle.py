"""A bundle with a question head: exported, loaded, and answered by two readers."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from listen_edge.audio import read_window
from listen_edge.bundle.head import Fusion, Reading
from listen_edge.bundle.opening import Bundle, open_bundle
from listen_edge.bundle.writing import describe_file, write_manifest
from listen_edge.errors import BundleError
from listen_edge.export.build import BundleConfig, export_bundle
from listen_edge.export.head import HEAD_FILE
from listen_edge.export.runs import read_head_run
from listen_edge.prompt import Prompt
from listen_edge.runtime.engine import Engine
from listen_edge.runtime.head import Head, logits
from listen_edge.runtime.llama.question_encoder import QuestionEncoder
from listen_edge.runtime.llama.session import LlamaSession
from listen_edge.train.backbones import WhisperTaps, load_whisper_encoder
from listen_edge.train.ears import load_ears

N_SAMPLES = 16_000
OTHER = "train on a bridge"  # not in the vocabulary
KNOWN_TO_LLM = "hum"


@pytest.fixture(scope="module")
def bundle(headed_folder: Path) -> Bundle:
    return open_bundle(str(headed_folder))


@pytest.fixture(scope="module")
def plain(
    llm_run: Path, headed_config: BundleConfig, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The same bundle without a head."""
    folder = tmp_path_factory.mktemp("bundles") / "plain"
    export_bundle(llm_run, folder, replace(headed_config, head=None))
    return folder


@pytest.fixture()
def window(esc50_folder: Path) -> np.ndarray:
    return read_window(esc50_folder / "audio/4-0.wav", N_SAMPLES)


def test_the_device_gives_the_trained_head_s_logits(
    bundle: Bundle, head_run: Path, window: np.ndarray, llama_gguf: Path, prompt: Prompt
) -> None:
    trained = load_ears(head_run)
    session = LlamaSession(llama_gguf, prompt, n_threads=1)
    vectors = torch.from_numpy(QuestionEncoder(session, prompt, 4)([OTHER]))
    session.close()
    with Engine(bundle, n_threads=1) as engine, torch.inference_mode():
        taps = _taps(head_run)(torch.from_numpy(window)[None])
        found = engine.read(window, [*trained.texts, OTHER])
        known = trained.ears(taps, trained.vectors)[0]
        other = trained.ears(taps, vectors)[0]
    expected = torch.cat([known, other]).numpy()
    # weights and reference windows are float16 in the file
    np.testing.assert_allclose([r.logit for r in found.values()], expected, atol=2e-2)


def test_the_manifest_says_what_the_head_rests_on(bundle: Bundle) -> None:
    manifest = bundle.manifest
    assert manifest.head is not None and manifest.events is not None
    assert {*manifest.head.vocabulary} == {"hum", "beep", "hiss", "train", "piano"}
    assert manifest.head.support == (("beep", 1, 1), ("hiss", 1, 1), ("hum", 1, 1))
    assert manifest.calibration.concepts == ()  # of one source each
    assert manifest.events.confirm == (2, 3)


def test_a_question_has_one_answer_whatever_else_is_asked(
    bundle: Bundle, window: np.ndarray
) -> None:
    with Engine(bundle, n_threads=1) as engine:
        together = engine.read(window, ["hum", OTHER, "piano", "beep"])
        for concept in ("beep", OTHER):
            alone = engine.read(window, [concept])[concept]
            assert alone.logit == pytest.approx(together[concept].logit, abs=1e-4)
            assert alone.usual == pytest.approx(together[concept].usual, abs=1e-4)


def test_the_llm_is_loaded_when_it_is_needed(
    bundle: Bundle, window: np.ndarray, n_loaded: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Engine(bundle, n_threads=1, llm="never") as engine:
        assert engine.read(window, ["piano", KNOWN_TO_LLM])[KNOWN_TO_LLM].margin is None
        assert not n_loaded
        engine.read(window, [f"{OTHER} at night"])  # a phrase that it must read, once
        engine.read(window, [f"{OTHER} at night"])
        assert not engine.has_llm
    with Engine(bundle, n_threads=1, llm="never") as engine:
        engine.read(window, [f"{OTHER} at night"])  # kept on disk
    assert n_loaded == {"loaded": 1}
    with Engine(bundle, n_threads=1, llm="always") as engine:
        found = engine.read(window, ["piano", KNOWN_TO_LLM])
        assert found["piano"].margin is None  # its adapter was not trained on it
        assert found[KNOWN_TO_LLM].margin is not None
        assert engine.has_llm


@pytest.mark.parametrize(("asked_from", "is_asked"), [(0.0, True), (1.1, False)])
def test_the_llm_is_asked_where_the_head_suspects_something(
    bundle: Bundle, window: np.ndarray, asked_from: float, is_asked: bool
) -> None:
    head = bundle.manifest.head
    assert head is not None
    fusion = replace(head.fusion, asked_from=asked_from)
    manifest = replace(bundle.manifest, head=replace(head, fusion=fusion))
    with Engine(replace(bundle, manifest=manifest), n_threads=1) as engine:
        answer = engine.ask(window, "hum?")[0]
        assert answer.head_logit is not None
        assert (answer.logit_margin is not None) == is_asked


def test_a_phrase_far_from_the_vocabulary_is_unfamiliar(bundle: Bundle, window: np.ndarray) -> None:
    head = bundle.manifest.head
    assert head is not None
    with Engine(bundle, n_threads=1) as engine:
        distances = engine._readers.head.questions(["hum", "thunder"]).distance  # type: ignore[union-attr]
        assert distances[0] == 0 < distances[1]
    for within, state in ((distances[1] * 0.99, "unknown"), (distances[1] * 1.01, None)):
        near = replace(head, familiar_within=float(within))
        changed = replace(bundle, manifest=replace(bundle.manifest, head=near))
        with Engine(changed, n_threads=1) as engine:
            (answer,) = engine.ask(window, "thunder?")
            assert (answer.reason == "unfamiliar") == (state == "unknown")
            assert answer.presence is not None  # a score
            (gated,) = engine.unheard(["thunder?"], "below_gate", window_s=(0.0, 5.0))
            assert gated.reason == ("below_gate" if state is None else "unfamiliar")


def test_presence_is_of_both_where_both_were_asked() -> None:
    fusion = Fusion((4.0, 0.25), (1.0, 2.0, -1.0, 0.0), 0.05)
    alone = Reading(logit=2.0, usual=1.0, deviation=2.0)
    assert fusion.presence(alone) == pytest.approx(1 / (1 + np.exp(-2.25)))
    both = replace(alone, margin=1.0, prior=0.5)
    assert fusion.presence(both) == pytest.approx(1 / (1 + np.exp(-2.0)))


def test_many_phrases_take_bounded_memory(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("listen_edge.runtime.head._MAX_KEPT", 3)
    manifest = bundle.manifest
    assert manifest.head is not None

    def read(concepts: Any) -> np.ndarray:
        return np.stack([np.full(64, len(concept), np.float32) for concept in concepts])

    head = Head(bundle.head(), manifest.head.vocabulary, read)
    first = head.questions(["a", "bb"])
    for name in ("ccc", "dddd", "eeeee"):
        head.questions([name, "hum"])
        assert len(head._kept) <= 3
    np.testing.assert_allclose(head.questions(["a", "bb"]).queries, first.queries, atol=1e-6)


def test_attention_is_stable_for_large_scores() -> None:
    keys = np.full((2, 4, 8), 1e3, np.float32)
    queries = np.ones((3, 8), np.float32)
    found = logits(keys, np.ones((2, 4, 8), np.float32), queries, np.zeros(3, np.float32))
    np.testing.assert_allclose(found, np.full((2, 3), 8.0))


def test_only_a_bundle_with_a_head_can_do_without_its_llm(plain: Path) -> None:
    with pytest.raises(BundleError, match="has no question head"):
        Engine(open_bundle(str(plain)), n_threads=1, llm="never")


@pytest.mark.parametrize(
    ("damage", "error"),
    [
        (lambda head: b"no archive", "head file: cannot be read"),
        (lambda head: head[: len(head) // 2], "head file: cannot be read"),
        (lambda head: _with(head, queries=None), "head file: cannot be read"),
        (lambda head: _with(head, biases=np.zeros(1, np.float32)), "biases: not the sizes"),
        (lambda head: _with(head, mean=np.full(64, np.nan, np.float32)), "not finite"),
        (lambda head: _with(head, mean=np.array(["a"] * 64)), "an array of <U1"),
    ],
)
def test_a_damaged_head_is_one_line(
    headed_folder: Path, tmp_path: Path, damage: Any, error: str
) -> None:
    bundle = _changed(headed_folder, tmp_path, damage)
    with pytest.raises(BundleError, match=error):
        Engine(bundle, n_threads=1)


def test_a_head_file_is_read_or_refused_whatever_its_bytes(bundle: Bundle) -> None:
    assert bundle.manifest.head is not None
    whole, rng = bundle.head(), np.random.default_rng(0)
    for _ in range(300):
        changed = bytearray(whole)
        place = int(rng.integers(len(changed) - 2000, len(changed)))  # the archive's directory
        changed[place] = int(rng.integers(256))
        changed[int(rng.integers(400))] = int(rng.integers(256))
        with suppress(BundleError):
            Head(bytes(changed), bundle.manifest.head.vocabulary, None)


def test_a_head_needs_an_encoder_graph_for_it(
    headed_folder: Path, plain: Path, tmp_path: Path
) -> None:
    graph = (plain / "encoder.fp32.onnx").read_bytes()
    bundle = _changed(headed_folder, tmp_path, lambda _: graph, "encoder.fp32.onnx", "encoder")
    with pytest.raises(BundleError, match="encoder graph for a head of width None"):
        Engine(bundle, n_threads=1)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda head: head.update(path="other.npz"), "not in its list of files"),
        (lambda head: head.update(vocabulary=["hum", "hum"]), "holds a name twice"),
        (lambda head: head.update(shown=["whale"]), "not all shown"),
        (lambda head: head.update(vocabulary=[7]), "head: missing or malformed"),
        (lambda head: head.update(support={"hum": [1]}), "missing or malformed"),
        (lambda head: head["fusion"].update(alone=[1.0]), "head: missing or malformed"),
        (lambda head: head["fusion"].update(both=[1e30] * 4), "weights of at most"),
        (lambda head: head["fusion"].update(asked_from=2), "asked_from of 0 to 1"),
        (lambda head: head.pop("fusion"), "'fusion' is missing or malformed"),
    ],
)
def test_an_impossible_head(headed_folder: Path, tmp_path: Path, change: Any, error: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(headed_folder, copy)
    raw = json.loads((copy / "manifest.json").read_text())
    change(raw["head"])
    (copy / "manifest.json").write_text(json.dumps(raw))
    with pytest.raises(BundleError, match=error):
        open_bundle(str(copy))


def test_adapters_on_other_taps_do_not_go_together(
    llm_run: Path, headed_config: BundleConfig, head_run: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for path in head_run.iterdir():
        text = path.read_bytes()
        (other / path.name).write_bytes(text.replace(b'"n_query": 4', b'"n_query": 5'))
    with pytest.raises(BundleError, match="train it with the same"):
        export_bundle(llm_run, tmp_path / "out", replace(headed_config, head=other))


def _taps(head_run: Path) -> Any:
    run = read_head_run(head_run).config
    return WhisperTaps(load_whisper_encoder(run.whisper), run.taps, run.frame_pool)


def _with(head: bytes, **changed: Any) -> bytes:
    """Return a head file with other arrays; None leaves one out."""
    with np.load(BytesIO(head)) as loaded:
        arrays = {name: loaded[name] for name in loaded.files} | changed
    out = BytesIO()
    np.savez(out, **{name: array for name, array in arrays.items() if array is not None})
    return out.getvalue()


def _changed(
    headed_folder: Path, tmp_path: Path, change: Any, name: str = HEAD_FILE, role: str = "head"
) -> Bundle:
    """Return a copy of a bundle, one of its files changed and its hash with it."""
    copy = tmp_path / "copy"
    shutil.copytree(headed_folder, copy)
    (copy / name).write_bytes(change((copy / name).read_bytes()))
    raw = json.loads((copy / "manifest.json").read_text())
    described = describe_file(copy, name, role)
    raw["files"] = [
        {**file, **described} if file["path"] == name else file for file in raw["files"]
    ]
    write_manifest(copy, raw)
    return open_bundle(str(copy))
