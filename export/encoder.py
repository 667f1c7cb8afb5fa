"""Encoder taps and adapter -> one ONNX graph from samples to prefix embeddings, and its int8 form.

The log-mel spectrogram is part of the graph, so the device has no second implementation of it.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from pathlib import Path

import onnx
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxscript.optimizer import optimize_ir
from torch import Tensor, nn
from whisper.model import disable_sdpa

from listen_edge.errors import ListenEdgeError
from listen_edge.replacing import replacing
from listen_edge.train.adapter import Adapter
from listen_edge.train.backbones import WhisperTaps

INPUT, OUTPUT = "samples", "prefix_embeddings"
OPSET = 18
_FOLDED_BYTES = 1 << 28  # constants up to this size are folded


class EncoderGraph(nn.Module):
    """samples (1, n_samples) -> prefix embeddings (1, n_query, n_embd)."""

    def __init__(self, taps: WhisperTaps, adapter: Adapter) -> None:
        super().__init__()
        self.taps, self.adapter = taps, adapter

    def forward(self, samples: Tensor) -> Tensor:
        prefix_embeddings: Tensor = self.adapter(self.taps(samples))
        return prefix_embeddings


def export_encoder(taps: WhisperTaps, adapter: Adapter, n_samples: int, path: Path) -> None:
    """Write the float32 graph for windows of n_samples.

    Raises:
        ListenEdgeError: the file cannot be written; nothing half-written is left.
    """
    graph = EncoderGraph(taps, adapter).eval()
    # The exporter reports on stdout and warns of its own deprecations; results own stdout here.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with (
        disable_sdpa(),
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
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    if program is None:
        raise ListenEdgeError(f"{path}: torch did not export the graph")
    # The exporter leaves large weights to be transposed at run time, where int8 misses them.
    optimize_ir(program.model, input_size_limit=_FOLDED_BYTES, output_size_limit=_FOLDED_BYTES)
    model = program.model_proto
    _forget_origin(model)
    _save(model, path)


def quantize_encoder(source: Path, target: Path) -> None:
    """Write the int8 form: weights of MatMul only, activations quantised as they come.

    Convolutions stay in float32: quantising them cost others their accuracy. Weights keep to seven
    bits: without VNNI, x86 adds pairs of products in 16 bits, which eight bits overflow.

    Source: moonshine-ai/moonshine#73.
    """
    with replacing(target) as quantized:
        logging.getLogger().setLevel(logging.ERROR)  # it recommends a pre-processing step
        quantize_dynamic(
            source,
            quantized,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            weight_type=QuantType.QInt8,
            reduce_range=True,
        )


def _forget_origin(model: onnx.ModelProto) -> None:
    """Drop the exporter's notes on every node: stack traces with this machine's paths."""
    graph = model.graph
    parts = (model, graph, *graph.node, *graph.value_info, *graph.input, *graph.output)
    for part in (*parts, *graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")


def _save(model: onnx.ModelProto, path: Path) -> None:
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(model.SerializeToString())
    except OSError as err:
        raise ListenEdgeError(f"{path}: cannot be written ({err.strerror})") from err
