"""Encoder graphs for every Whisper and every device; a session runs where it was asked to."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from transformers import WhisperConfig, WhisperModel
from whisper.model import AudioEncoder

from listen_edge.bundle.opening import open_bundle
from listen_edge.bundle.writing import describe_file, write_manifest
from listen_edge.errors import BackendError, BundleError
from listen_edge.export import encoder as export
from listen_edge.export.encoder import EncoderGraph, export_encoder, trace_encoder, write_encoder
from listen_edge.export.presets import PRESETS
from listen_edge.runtime import backends
from listen_edge.runtime import encoder_session as sessions
from listen_edge.runtime.encoder_session import EncoderSession
from listen_edge.runtime.engine import Engine
from listen_edge.train.adapter import Adapter, AdapterConfig
from listen_edge.train.backbones import WhisperTaps, load_whisper_encoder

N_SAMPLES = 16_000


def _graph(encoder: AudioEncoder, taps: tuple[int, ...] = (1, 2)) -> EncoderGraph:
    torch.manual_seed(0)
    width = encoder.conv1.out_channels
    sizes = AdapterConfig(taps=taps, d_encoder=width, n_embd=32, d_qformer=32, n_heads=2)
    return EncoderGraph(WhisperTaps(encoder, taps), Adapter(sizes).eval())


@pytest.fixture(scope="module")
def graph(whisper_checkpoint: Path) -> EncoderGraph:
    return _graph(load_whisper_encoder(str(whisper_checkpoint)))


@pytest.fixture(scope="module")
def exported(
    graph: EncoderGraph, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """The graph as a preset wants it, from a trace of its own; made once, nobody writes to it."""

    @cache
    def of(preset: str) -> Path:
        folder = tmp_path_factory.mktemp(preset)
        export_encoder(graph.taps, graph.adapter, N_SAMPLES, folder / "e.onnx", preset)
        assert list(folder.iterdir()) == [folder / "e.onnx"]
        return folder / "e.onnx"

    return of


def _embed(path: Path, samples: np.ndarray) -> np.ndarray:
    session = EncoderSession(path.read_bytes(), len(samples), backend="cpu", n_threads=1)
    return session.embed(samples)


def _expected(graph: EncoderGraph, samples: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return graph(torch.from_numpy(samples)[None])[0].numpy()


def _adds_eight_bits_safely() -> bool:
    """Tell whether this processor is one that eight-bit weights are for."""
    return platform.machine() == "aarch64" or "vnni" in Path("/proc/cpuinfo").read_text()


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_answers_as_torch_does(
    graph: EncoderGraph, exported: Callable[[str], Path], preset: str
) -> None:
    samples = np.random.default_rng(0).normal(0, 0.1, N_SAMPLES).astype(np.float32)
    ours, theirs = _embed(exported(preset), samples), _expected(graph, samples)
    error = np.abs(ours - theirs).max() / np.abs(theirs).max()
    if PRESETS[preset].precision == "int8" and PRESETS[preset].weight_bits == 8:
        assert error < 0.1 or not _adds_eight_bits_safely()  # 0.54 where the sums overflow
    else:
        assert error < {"fp32": 1e-4, "fp16": 0.01, "int8": 0.1}[PRESETS[preset].precision]


def test_one_trace_serves_every_preset_in_any_order(
    graph: EncoderGraph, exported: Callable[[str], Path], tmp_path: Path
) -> None:
    traced = trace_encoder(graph.taps, graph.adapter, N_SAMPLES)
    for preset in ("jetson-fp16", "fp32", "x86-avx2", "fp32", "jetson-fp16"):
        write_encoder(traced, tmp_path / "shared.onnx", preset)
        assert (tmp_path / "shared.onnx").read_bytes() == exported(preset).read_bytes()
        model = onnx.load(tmp_path / "shared.onnx")
        onnx.checker.check_model(model)
        domains = {entry.domain: entry.version for entry in model.opset_import}
        assert domains[""] == PRESETS[preset].opset
        if not PRESETS[preset].is_fused:  # what TensorRT reads
            assert list(domains) == [""]
            assert not {"Gelu", "MultiHeadAttention"} & {n.op_type for n in model.graph.node}


def test_half_precision_keeps_the_spectrogram_in_float32(
    graph: EncoderGraph, exported: Callable[[str], Path]
) -> None:
    """Powers of 1e-10 and of loud clipping have no place in float16."""
    path = exported("jetson-fp16")
    weights = {tensor.name: tensor for tensor in onnx.load(path).graph.initializer}
    kernels = [t for t in weights.values() if list(t.dims) == [402, 1, 400]]
    assert [t.data_type for t in kernels] == [onnx.TensorProto.FLOAT]
    matrices = [t for t in weights.values() if list(t.dims) == [32, 128]]
    assert matrices and all(t.data_type == onnx.TensorProto.FLOAT16 for t in matrices)
    for scale in (1.0, 0.0):
        square = scale * np.sign(np.sin(np.arange(N_SAMPLES) / 20)).astype(np.float32)
        ours, theirs = _embed(path, square), _expected(graph, square)
        np.testing.assert_allclose(ours, theirs, atol=0.01 * np.abs(theirs).max())


def test_seven_bit_weights_leave_one_bit_unused(exported: Callable[[str], Path]) -> None:
    for preset, largest in (("x86-avx2", 64), ("x86-avx512-vnni", 127), ("arm64", 127)):
        weights = [
            onnx.numpy_helper.to_array(tensor)
            for tensor in onnx.load(exported(preset)).graph.initializer
            if tensor.data_type == onnx.TensorProto.INT8 and len(tensor.dims) == 2
        ]
        assert max(np.abs(w.astype(int)).max() for w in weights) == largest


def test_whisper_large_v3_has_128_mel_bins_and_windows_up_to_30_s(tmp_path: Path) -> None:
    """Its official sizes with one of 32 blocks, as transformers saves them."""
    config = WhisperConfig(
        d_model=1280, encoder_layers=1, encoder_attention_heads=20, encoder_ffn_dim=5120,
        num_mel_bins=128, decoder_layers=1, decoder_attention_heads=1, decoder_ffn_dim=8,
        vocab_size=64, pad_token_id=0, bos_token_id=0, eos_token_id=0, decoder_start_token_id=0,
    )  # fmt: skip
    torch.manual_seed(1)
    WhisperModel(config).save_pretrained(tmp_path / "large")
    graph = _graph(load_whisper_encoder(str(tmp_path / "large")), taps=(1,))
    samples = np.random.default_rng(0).normal(0, 0.1, 30 * N_SAMPLES).astype(np.float32)
    export_encoder(graph.taps, graph.adapter, len(samples), tmp_path / "e.onnx")
    ours, theirs = _embed(tmp_path / "e.onnx", samples), _expected(graph, samples)
    np.testing.assert_allclose(ours, theirs, atol=1e-3)
    with pytest.raises(BundleError, match="has 1550 frames, this Whisper has positions for 1500"):
        export_encoder(graph.taps, graph.adapter, 31 * N_SAMPLES, tmp_path / "f.onnx")


def test_weights_above_two_gigabytes_need_a_smaller_precision(
    graph: EncoderGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "_MAX_FILE_BYTES", 10_000)
    with pytest.raises(BundleError, match=r"do not fit one ONNX file.*int8 or fp16"):
        export_encoder(graph.taps, graph.adapter, N_SAMPLES, tmp_path / "e.onnx", "fp32")
    assert not list(tmp_path.iterdir())
    export_encoder(graph.taps, graph.adapter, N_SAMPLES, tmp_path / "e.onnx", "x86-avx2")


def test_an_unknown_preset(graph: EncoderGraph, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="expected one of fp32, x86-avx2"):
        export_encoder(graph.taps, graph.adapter, N_SAMPLES, tmp_path / "e.onnx", "riscv")


def test_a_graph_whose_weights_are_elsewhere_is_one_clear_error(
    exported: Callable[[str], Path], tmp_path: Path
) -> None:
    model = onnx.load(exported("fp32"))
    onnx.save_model(model, tmp_path / "f.onnx", save_as_external_data=True, location="f.data")
    with pytest.raises(BundleError, match="onnxruntime cannot load it"):
        EncoderSession((tmp_path / "f.onnx").read_bytes(), N_SAMPLES, backend="cpu", n_threads=1)


def test_a_bundle_without_a_graph_for_the_backend_says_so(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = open_bundle("tiny")
    assert bundle.backends == ("cpu",)
    monkeypatch.setattr(backends, "gpu_is_supported", lambda: True)
    with pytest.raises(BundleError, match="no encoder for cuda, only for cpu; use --backend cpu"):
        Engine(bundle, backend="cuda", n_threads=1)
    # auto takes what the bundle has, though onnxruntime offers more
    monkeypatch.setattr(backends, "available_backends", lambda: ["tensorrt", "cuda", "cpu"])
    assert backends.choose_backend("auto", bundle.backends) == ("cpu", -1)
    assert backends.choose_backend("auto", ("cpu", "cuda")) == ("cuda", -1)


def test_each_backend_has_its_own_graph(tiny_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "two"
    shutil.copytree(tiny_folder, folder)
    (folder / "encoder.fp16.onnx").write_bytes(b"for a GPU")
    raw = open_bundle("tiny").manifest.raw
    entry = describe_file(folder, "encoder.fp16.onnx", "encoder", "fp16")
    raw["files"].append({**entry, "backends": ["cuda", "tensorrt"]})
    write_manifest(folder, raw)
    bundle = open_bundle(str(folder))
    assert bundle.backends == ("cpu", "cuda", "tensorrt")
    assert bundle.encoder("tensorrt") == b"for a GPU"
    assert bundle.encoder("cpu") == open_bundle("tiny").encoder("cpu")
    (folder / "encoder.fp16.onnx").write_bytes(b"for no GPU")
    with pytest.raises(BundleError, match="differ from the"):
        bundle.encoder("cuda")


class _GpuRuntime:
    """Stands in for an onnxruntime-gpu whose CUDA libraries are missing: it falls back."""

    def __init__(self, model: bytes, options: Any, providers: list[Any]) -> None:
        self.providers = providers
        self.no_fallback = options.get_session_config_entry("session.disable_cpu_ep_fallback")
        _GpuRuntime.last = self

    last: _GpuRuntime

    def get_providers(self) -> list[str]:
        return ["CPUExecutionProvider"]


@pytest.mark.parametrize("backend", ["cuda", "tensorrt"])
def test_a_gpu_session_that_ends_up_on_the_cpu_is_an_error(
    monkeypatch: pytest.MonkeyPatch, shared_cache: Path, backend: str
) -> None:
    monkeypatch.setattr(
        onnxruntime, "get_available_providers", lambda: list(sessions.PROVIDERS.values())
    )
    monkeypatch.setattr(onnxruntime, "InferenceSession", _GpuRuntime)
    with pytest.raises(BackendError, match="runs on CPUExecutionProvider"):
        EncoderSession(b"", N_SAMPLES, backend=backend, n_threads=1)
    session = _GpuRuntime.last
    assert session.no_fallback == "1"
    names = [name for name, _ in session.providers]
    assert "CPUExecutionProvider" not in names and names[-1] == "CUDAExecutionProvider"
    if backend == "tensorrt":
        assert Path(session.providers[0][1]["trt_engine_cache_path"]).is_dir()


def test_a_wheel_for_another_gpu_is_one_clear_error(exported: Callable[[str], Path]) -> None:
    encoder = exported("fp32").read_bytes()
    session = EncoderSession(encoder, N_SAMPLES, backend="cpu", n_threads=1)
    with pytest.raises(BackendError, match=r"cannot compute the encoder there.*--backend cpu"):
        session.embed(np.zeros(N_SAMPLES // 2, np.float32))  # what fails does not matter
