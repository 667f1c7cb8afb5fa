"""Encoder taps and adapter -> one ONNX graph from samples to prefix embeddings, for one device.

The log-mel spectrogram is part of the graph, so the device has no second implementation of it.
"""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxscript.optimizer import optimize_ir
from torch import Tensor, nn
from whisper.model import MultiHeadAttention, disable_sdpa

from listen_edge.errors import BundleError, ListenEdgeError
from listen_edge.replacing import replacing
from listen_edge.train.adapter import Adapter
from listen_edge.train.backbones import WhisperTaps

INPUT, OUTPUT = "samples", "prefix_embeddings"
_FOLDED_BYTES = 1 << 28  # constants up to this size are folded
_MAX_FILE_BYTES = (1 << 31) - (1 << 20)  # of a protobuf; larger weights lie beside the graph


@dataclass(frozen=True)
class Preset:
    """What a device wants of its encoder graph.

    Attributes:
        precision: "fp32", "fp16" or "int8" (weights of MatMul, activations quantised as they come).
        backends: that the graph runs on.
        weight_bits: 8, or 7 where the processor adds pairs of 8-bit products in 16 bits, which
            eight bits overflow: x86 without VNNI. The answers are then the same on every device.
        is_fused: attention is onnxruntime's own operator, which TensorRT does not know, and GELU
            one operator instead of five.

    Source: optimum's AutoQuantizationConfig has the same table; moonshine-ai/moonshine#73 and #995
    of k2-fsa/icefall on what int8 may cost.
    """

    precision: str
    backends: tuple[str, ...]
    weight_bits: int = 8
    is_fused: bool = False

    @property
    def opset(self) -> int:
        return 20 if self.is_fused else 18  # the first with GELU; what TensorRT 8.6 reads


DEFAULT_PRESET = "x86-avx2"
PRESETS = {
    "fp32": Preset("fp32", ("cpu", "cuda", "tensorrt")),
    "x86-avx2": Preset("int8", ("cpu",), weight_bits=7, is_fused=True),
    "x86-avx512-vnni": Preset("int8", ("cpu",), is_fused=True),
    "arm64": Preset("int8", ("cpu",), is_fused=True),
    # GPUs have no kernel for activations quantised as they come.
    "jetson-fp16": Preset("fp16", ("cuda", "tensorrt")),
}


class EncoderGraph(nn.Module):
    """samples (1, n_samples) -> prefix embeddings (1, n_query, n_embd), both float32."""

    def __init__(self, taps: WhisperTaps, adapter: Adapter) -> None:
        super().__init__()
        self.taps, self.adapter = taps, adapter

    def forward(self, samples: Tensor) -> Tensor:
        prefix_embeddings: Tensor = self.adapter(self.taps(samples))
        return prefix_embeddings.float()

    def to_half(self) -> EncoderGraph:
        """Return a copy in float16, all but the spectrogram, whose range is wider, and norms."""
        graph = copy.deepcopy(self).half()
        graph.taps.log_mel = self.taps.log_mel
        for module in graph.taps.modules():
            if isinstance(module, nn.LayerNorm):  # Whisper's own compute in float32
                module.float()
        return graph


def export_encoder(
    taps: WhisperTaps, adapter: Adapter, n_samples: int, path: Path, preset: str = "fp32"
) -> None:
    """Write the graph for windows of n_samples as the preset wants it.

    Raises:
        BundleError: no such preset, a window too long for this Whisper, or a graph too large for
            one file.
        ListenEdgeError: the file cannot be written; nothing half-written is left.
    """
    if preset not in PRESETS:
        raise BundleError(f"preset {preset!r}, expected one of {', '.join(PRESETS)}")
    wanted = PRESETS[preset]
    taps.check_window(n_samples)
    graph = EncoderGraph(taps, adapter).eval()
    graph = graph.to_half() if wanted.precision == "fp16" else graph
    model = _export(graph, n_samples, wanted)
    try:
        with replacing(path) as temporary:
            if wanted.precision == "int8":
                with _saved(model) as source:
                    quantize_encoder(source, temporary, wanted.weight_bits)
            else:
                _refuse_large(model, path)
                temporary.write_bytes(model.SerializeToString())
    except OSError as err:
        raise ListenEdgeError(
            f"{path}: cannot be written ({err.strerror or err}); free some space or choose another"
            " folder"
        ) from err


def quantize_encoder(source: Path, target: Path, weight_bits: int) -> None:
    """Write the int8 form: weights of MatMul only, activations quantised as they come.

    Convolutions stay in float32: quantising them cost others their accuracy.

    Source: moonshine-ai/moonshine#73.
    """
    logging.getLogger().setLevel(logging.ERROR)  # it recommends a pre-processing step
    quantize_dynamic(
        source,
        target,
        op_types_to_quantize=["MatMul"],
        per_channel=True,
        weight_type=QuantType.QInt8,
        reduce_range=weight_bits == 7,
    )


def _export(graph: EncoderGraph, n_samples: int, preset: Preset) -> onnx.ModelProto:
    # The exporter reports on stdout and warns of its own deprecations; results own stdout here.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with (
        _fused_attention() if preset.is_fused else disable_sdpa(),
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        torch.inference_mode(),
    ):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            graph,
            (torch.zeros(1, n_samples),),
            input_names=[INPUT],
            output_names=[OUTPUT],
            opset_version=preset.opset,
            dynamo=True,
            verbose=False,
        )
    if program is None:
        raise ListenEdgeError("torch did not export the encoder's graph")
    # The exporter leaves large weights to be transposed at run time, where int8 misses them.
    optimize_ir(program.model, input_size_limit=_FOLDED_BYTES, output_size_limit=_FOLDED_BYTES)
    model = program.model_proto
    _forget_origin(model)
    return model


@contextlib.contextmanager
def _fused_attention() -> Iterator[None]:
    """Write Whisper's attention as onnxruntime's MultiHeadAttention, as long as the block lasts."""

    def attend(
        self: MultiHeadAttention,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        mask: None = None,  # noqa: ARG001 - whisper hands it over
    ) -> tuple[Tensor, None]:
        mixed = torch.onnx.ops.symbolic(
            "com.microsoft::MultiHeadAttention",
            (q, k, v),  # each (batch, n_frames, d_encoder)
            {"num_heads": self.n_head},
            dtype=q.dtype,
            shape=q.shape,
            version=1,
        )
        return mixed, None

    plain = MultiHeadAttention.qkv_attention
    MultiHeadAttention.qkv_attention = attend
    try:
        yield
    finally:
        MultiHeadAttention.qkv_attention = plain


def _forget_origin(model: onnx.ModelProto) -> None:
    """Drop the exporter's notes on every node: stack traces with this machine's paths."""
    graph = model.graph
    parts = (model, graph, *graph.node, *graph.value_info, *graph.input, *graph.output)
    for part in (*parts, *graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")


@contextlib.contextmanager
def _saved(model: onnx.ModelProto) -> Iterator[Path]:
    """Give a temporary file of the graph, with its weights beside it: float32 may be too large."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "encoder.onnx"
        onnx.save_model(model, path, save_as_external_data=True, location="encoder.weights")
        yield path


def _refuse_large(model: onnx.ModelProto, path: Path) -> None:
    n_bytes = sum(len(tensor.raw_data) for tensor in model.graph.initializer)
    if n_bytes > _MAX_FILE_BYTES:
        raise BundleError(
            f"{path}: {n_bytes / 1e9:.1f} GB of weights do not fit one ONNX file, 2 GB at most; "
            "choose a preset of int8 or fp16"
        )
