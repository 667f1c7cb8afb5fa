"""Encoder taps and adapter -> one ONNX graph from samples to prefix embeddings.

The log-mel spectrogram is part of the graph, so the device has no second implementation of it. The
networks are traced once; lowering.py makes every preset's graph of that trace.
"""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import onnx_ir as ir
import torch
from onnxscript.optimizer import optimize_ir
from torch import Tensor, nn
from whisper.model import MultiHeadAttention

from listen_edge.errors import BundleError, ListenEdgeError
from listen_edge.export.lowering import compute_in_half, quantize_encoder, use_plain_operators
from listen_edge.export.presets import FUSED_OPSET, PRESETS
from listen_edge.replacing import replacing
from listen_edge.train.adapter import Adapter
from listen_edge.train.backbones import WhisperTaps
from listen_edge.train.ears import Ears

INPUT, OUTPUTS = "samples", ("prefix_embeddings", "keys", "values")
_FOLDED_BYTES = 1 << 28  # constants up to this size are folded
_MAX_FILE_BYTES = (1 << 31) - (1 << 20)  # of a protobuf; larger weights lie beside the graph


class EncoderGraph(nn.Module):
    """samples (1, n_samples) -> prefix embeddings (1, n_query, n_embd), both float32.

    With a question head's ears also the head's keys and values, (1, n_query, d_head) each. The ears
    read the same taps; where they have a layer to the LLM, theirs is the only Q-Former.
    """

    def __init__(self, taps: WhisperTaps, adapter: Adapter, ears: Ears | None = None) -> None:
        super().__init__()
        self.taps, self.adapter, self.ears = taps, adapter, ears

    def forward(self, samples: Tensor) -> Tensor | tuple[Tensor, Tensor, Tensor]:
        taps = self.taps(samples)
        if self.ears is None:
            prefix_embeddings: Tensor = self.adapter(taps)
            return prefix_embeddings
        outputs, head = self.ears.adapter.outputs(taps), self.ears.head
        to_llm = self.ears.to_llm
        normed = head.norm(self.ears.adapter.linear(outputs))
        embeddings = self.adapter(taps) if to_llm is None else to_llm(outputs)
        return embeddings, head.key(normed), head.value(normed)


def export_encoder(
    taps: WhisperTaps,
    adapter: Adapter,
    n_samples: int,
    path: Path,
    preset: str = "fp32",
    ears: Ears | None = None,
) -> None:
    """Write the graph for windows of n_samples as the preset wants it.

    Raises:
        BundleError: no such preset, a window too long for this Whisper, or a graph too large for
            one file.
        ListenEdgeError: the file cannot be written; nothing half-written is left.
    """
    _check_preset(preset)
    write_encoder(trace_encoder(taps, adapter, n_samples, ears), path, preset)


def trace_encoder(
    taps: WhisperTaps, adapter: Adapter, n_samples: int, ears: Ears | None = None
) -> ir.Model:
    """Return the graph for windows of n_samples that every preset's is made of.

    Float32, with attention as onnxruntime's own operator and GELU as one.

    Raises:
        BundleError: a window too long for this Whisper.
    """
    taps.check_window(n_samples)
    # The exporter reports on stdout and warns of its own deprecations; results own stdout here.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with (
        _fused_attention(),
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        torch.inference_mode(),
    ):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            EncoderGraph(taps, adapter, ears).eval(),
            (torch.zeros(1, n_samples),),
            input_names=[INPUT],
            output_names=OUTPUTS[: 1 if ears is None else 3],
            opset_version=FUSED_OPSET,
            dynamo=True,
            verbose=False,
        )
    if program is None:
        raise ListenEdgeError("torch did not export the encoder's graph")
    _fold_constants(program.model)
    return program.model


def write_encoder(traced: ir.Model, path: Path, preset: str) -> None:
    """Write a traced graph, which stays as it is, in a preset's form; errors as export_encoder."""
    _check_preset(preset)
    wanted = PRESETS[preset]
    model = traced.clone()
    if not wanted.is_fused:
        use_plain_operators(model, wanted.opset)
        _fold_constants(model)
    if wanted.precision == "fp16":
        compute_in_half(model)
    _forget_origin(model)
    try:
        with replacing(path) as temporary:
            if wanted.precision == "int8":
                with _saved(model) as source:
                    quantize_encoder(source, temporary, wanted.weight_bits)
            else:
                _refuse_large(model, path)
                ir.save(model, temporary)
    except OSError as err:
        raise ListenEdgeError(
            f"{path}: cannot be written ({err.strerror or err}); free some space or choose another"
            " folder"
        ) from err


def _check_preset(preset: str) -> None:
    if preset not in PRESETS:
        raise BundleError(f"preset {preset!r}, expected one of {', '.join(PRESETS)}")


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


def _fold_constants(model: ir.Model) -> None:
    """Fold large weights too: the exporter leaves them to be transposed where int8 misses them."""
    logging.getLogger("onnxscript").setLevel(logging.ERROR)  # it reports what it leaves
    optimize_ir(model, input_size_limit=_FOLDED_BYTES, output_size_limit=_FOLDED_BYTES)


def _forget_origin(model: ir.Model) -> None:
    """Drop the exporter's notes on every node: stack traces with this machine's paths."""
    graph = model.graph
    values = [value for node in graph for value in node.outputs]
    for part in (model, graph, *graph, *values, *graph.inputs, *graph.initializers.values()):
        part.metadata_props.clear()
        part.doc_string = None


@contextlib.contextmanager
def _saved(model: ir.Model) -> Iterator[Path]:
    """Give a temporary file of the graph, with its weights beside it: float32 may be too large."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "encoder.onnx"
        ir.save(model, path, external_data="encoder.weights")
        yield path


def _refuse_large(model: ir.Model, path: Path) -> None:
    weights = (value.const_value for value in model.graph.initializers.values())
    n_bytes = sum(tensor.nbytes for tensor in weights if tensor is not None)
    if n_bytes > _MAX_FILE_BYTES:
        raise BundleError(
            f"{path}: {n_bytes / 1e9:.1f} GB of weights do not fit one ONNX file, 2 GB at most; "
            "choose a preset of int8 or fp16"
        )
