"""The exported graph answers as the trained networks do, or the export stops."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from listen_edge.bundle.opening import open_bundle
from listen_edge.errors import BundleError, ListenEdgeError, ParityError
from listen_edge.evaluation.esc50 import clips_of_folds
from listen_edge.export import build, graphs
from listen_edge.export.build import BundleConfig, export_bundle
from listen_edge.export.encoder import EncoderGraph, export_encoder
from listen_edge.export.graphs import export_run_encoder
from listen_edge.export.parity import Gate, Rung, check_parity
from listen_edge.export.precisions import STATIC, measure_precisions, table_lines
from listen_edge.export.presets import PRESETS
from listen_edge.runtime.encoder_session import EncoderSession
from listen_edge.runtime.engine import Engine
from listen_edge.train.adapter import Adapter, AdapterConfig
from listen_edge.train.backbones import WhisperTaps, load_whisper_encoder

N_SAMPLES = 16_000


@pytest.fixture(scope="module")
def graph(whisper_checkpoint: Path) -> EncoderGraph:
    torch.manual_seed(0)
    taps = WhisperTaps(load_whisper_encoder(str(whisper_checkpoint)), [1, 2])
    adapter = Adapter(AdapterConfig(taps=(1, 2), d_encoder=32, n_embd=32, d_qformer=32, n_heads=2))
    return EncoderGraph(taps, adapter.eval())


@pytest.fixture()
def bundle_config(llama_gguf: Path, esc50_folder: Path) -> BundleConfig:
    return BundleConfig(
        name="test",
        gguf=llama_gguf,
        esc50=esc50_folder,
        held_out=4,
        gguf_quantization="f32",
        quantization="f32",
        examples=(esc50_folder / "audio/4-0.wav", esc50_folder / "audio/4-2.wav"),
        example_questions=("hum?", "hiss?"),
    )


def test_the_graph_equals_torch_from_samples_on(graph: EncoderGraph, tmp_path: Path) -> None:
    export_encoder(graph.taps, graph.adapter, N_SAMPLES, tmp_path / "e.onnx")
    session = EncoderSession(
        (tmp_path / "e.onnx").read_bytes(), N_SAMPLES, backend="cpu", n_threads=1
    )
    rng = np.random.default_rng(0)
    for scale in (0.5, 1e-3, 0.0):  # loud, faint, blank
        samples = (scale * rng.normal(0, 1, N_SAMPLES)).astype(np.float32)
        with torch.inference_mode():
            expected = graph(torch.from_numpy(samples)[None])[0].numpy()
        np.testing.assert_allclose(session.embed(samples), expected, atol=1e-4)


def test_the_graph_tells_nothing_of_the_machine_it_was_made_on(
    graph: EncoderGraph, tiny_folder: Path, tmp_path: Path
) -> None:
    export_encoder(graph.taps, graph.adapter, N_SAMPLES, tmp_path / "e.onnx")
    for path in (tmp_path / "e.onnx", tiny_folder / "encoder.int8.onnx"):
        data = path.read_bytes()
        assert b'File "' not in data and b"site-packages" not in data
        assert str(Path(__file__).parent.parent).encode() not in data


def test_int8_quantises_every_weight_of_matmul_and_no_convolution(
    graph: EncoderGraph, tmp_path: Path
) -> None:
    export_encoder(graph.taps, graph.adapter, N_SAMPLES, tmp_path / "q.onnx", "x86-avx2")
    model = onnx.load(tmp_path / "q.onnx").graph
    weights = {tensor.name for tensor in model.initializer}
    kinds = [node.op_type for node in model.node]
    assert "ConvInteger" not in kinds and kinds.count("MatMulInteger") >= 10
    assert kinds.count("MultiHeadAttention") == 2 and "Erf" not in kinds  # one operator each
    assert not [n for n in model.node if n.op_type == "MatMul" and n.input[1] in weights]


def test_a_session_refuses_another_window(graph: EncoderGraph, tmp_path: Path) -> None:
    export_encoder(graph.taps, graph.adapter, N_SAMPLES, tmp_path / "e.onnx")
    with pytest.raises(BundleError, match="the manifest says"):
        EncoderSession((tmp_path / "e.onnx").read_bytes(), 80_000, backend="cpu", n_threads=1)


def test_parity_names_every_failing_rung() -> None:
    first = Rung("torch", 0.98, 0.02, 0.0, 0.0, 0.0, 4.0, ("a.wav",))
    good = replace(first, name="onnx fp32", median_shift=0.01)
    check_parity([first, good])
    worse = replace(first, name="onnx int8", auroc=0.90, worst_clips=("b.wav", "c.wav"))
    flipped = replace(first, name="gguf", flips=0.2)
    vague = replace(first, name="q2", ece=0.1)
    expected = r"onnx int8: AUROC loss 0\.0800.*b\.wav, c\.wav; gguf: .*flips.*; q2: .*rise 0\.080"
    with pytest.raises(ParityError, match=expected):
        check_parity([first, good, worse, flipped, vague], Gate())


def test_a_run_becomes_a_bundle_that_answers(
    llm_run: Path, bundle_config: BundleConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Random weights have no AUROC to lose: the ladder is climbed, the gate is tested above.
    monkeypatch.setattr("listen_edge.export.graphs.check_parity", lambda rungs: None)
    both = replace(bundle_config, presets=("x86-avx2", "jetson-fp16"))
    export_bundle(llm_run, tmp_path / "first", both)
    bundle = open_bundle(str(tmp_path / "first"))
    assert bundle.backends == ("cpu", "cuda", "tensorrt")
    assert bundle.manifest.calibration.concepts == ("beep", "hiss", "hum")
    assert [rung["name"] for rung in bundle.manifest.raw["parity"]] == [
        "encoder torch, LLM torch",
        "encoder onnx fp32, LLM torch",
        "encoder onnx x86-avx2, LLM torch",
        "encoder onnx jetson-fp16, LLM torch",
        "encoder onnx x86-avx2, LLM gguf",
        "encoder onnx jetson-fp16, LLM gguf",
    ]
    fp32 = bundle.manifest.raw["parity"][1]
    assert fp32["max_shift"] < 1e-3  # the same arithmetic, in another order
    expected = json.loads((tmp_path / "first/expected.json").read_text())
    assert len(expected) == 4
    with Engine(bundle, n_threads=1) as engine:
        assert engine.window_s == 1.0
    carried = replace(bundle_config, calibration=tmp_path / "first", held_out=5, name="second")
    export_bundle(llm_run, tmp_path / "second", carried)
    second = open_bundle(str(tmp_path / "second"))
    assert second.manifest.calibration == bundle.manifest.calibration


def test_the_network_is_traced_once_and_fp32_written_once(
    llm_run: Path, bundle_config: BundleConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def count(function: Callable[..., Any], *arguments: Any) -> Any:
        calls.append(" ".join([function.__name__, *(a for a in arguments if isinstance(a, str))]))
        return function(*arguments)

    counted = (
        (graphs, graphs.trace_encoder),
        (graphs, graphs.write_encoder),
        (build, build.sha256_of),
    )
    for module, function in counted:
        monkeypatch.setattr(module, function.__name__, functools.partial(count, function))
    monkeypatch.setattr(graphs, "check_parity", lambda rungs: None)
    for presets, written in (
        (("x86-avx2", "jetson-fp16"), ["fp32", "x86-avx2", "jetson-fp16"]),
        (("fp32",), ["fp32"]),
    ):
        calls.clear()
        export_bundle(llm_run, tmp_path / presets[0], replace(bundle_config, presets=presets))
        writes = [f"write_encoder {preset}" for preset in written]
        assert calls == ["sha256_of", "trace_encoder", *writes]  # the GGUF is hashed once, too
    rungs = open_bundle(str(tmp_path / "fp32")).manifest.raw["parity"]
    assert rungs[-1]["name"] == "encoder onnx fp32, LLM gguf"


def test_a_failing_gate_writes_nothing(
    llm_run: Path, bundle_config: BundleConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(rungs: object) -> None:
        raise ParityError("the exported answers differ")

    monkeypatch.setattr("listen_edge.export.graphs.check_parity", fail)
    with pytest.raises(ParityError):
        export_bundle(llm_run, tmp_path / "bundle", bundle_config)
    assert list(tmp_path.iterdir()) == []


def test_one_graph_of_a_run(llm_run: Path, tmp_path: Path) -> None:
    export_run_encoder(llm_run, tmp_path / "a.onnx", "fp32")
    export_run_encoder(llm_run, tmp_path / "b.onnx", "x86-avx2")
    assert (tmp_path / "b.onnx").stat().st_size < (tmp_path / "a.onnx").stat().st_size
    with pytest.raises(ListenEdgeError, match="cannot be written"):
        export_run_encoder(llm_run, tmp_path / "missing/a.onnx", "fp32")
    with pytest.raises(BundleError, match="run listen-edge train"):
        export_run_encoder(tmp_path, tmp_path / "c.onnx", "fp32")


def test_presets_of_a_bundle_share_no_backend(bundle_config: BundleConfig) -> None:
    with pytest.raises(BundleError, match="two are for the same backend"):
        replace(bundle_config, presets=("x86-avx2", "arm64"))
    with pytest.raises(BundleError, match="preset none, expected some of fp32"):
        replace(bundle_config, presets=())


def test_every_precision_is_measured_beside_the_first(
    llm_run: Path, llama_gguf: Path, esc50_folder: Path
) -> None:
    clips, others = (clips_of_folds(esc50_folder, [fold]) for fold in (5, 4))
    rows = list(
        measure_precisions(
            llm_run, llama_gguf, clips, others, n_threads=1, gguf_types=("f16", "q8_0")
        )
    )
    assert [row.encoder for row in rows[::2]] == [*PRESETS, STATIC]
    assert (rows[0].flips, [row.is_default for row in rows].count(True)) == (0.0, 1)
    assert all(row.encode_ms < row.window_ms and row.peak_mb > 30 for row in rows)
    lines = list(table_lines(rows))
    assert len(lines) == len(rows) + 2
    assert sum("**x86-avx2** | **f16**" in line for line in lines) == 1
