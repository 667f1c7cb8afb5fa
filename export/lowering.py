"""From the traced encoder to what a device computes: plain operators, float16, int8.

The graph comes with fused operators in float32, as trace_encoder returns it; nothing here knows the
networks it was traced from.
"""

from __future__ import annotations

import itertools
import logging
import math
from pathlib import Path
from typing import Any

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxscript.rewriter import rewrite
from onnxscript.rewriter.pattern import RewriteRule

_ONNXRUNTIME = "com.microsoft"
_FIRST_WEIGHT = "taps.conv1.weight"  # all before it computes the spectrogram
_IN_FLOAT = ("LayerNormalization", "Softmax")


def use_plain_operators(model: ir.Model, opset: int) -> None:
    """Write attention and GELU in operators that every backend knows, in place."""
    rewrite(model, [RewriteRule(_attention, _plain_attention), RewriteRule(_gelu, _plain_gelu)])
    model.opset_imports[""] = opset


def compute_in_half(model: ir.Model) -> None:
    """Compute in float16 all but the spectrogram, whose range is wider, norms and softmax.

    In place; samples and outputs stay float32.
    """
    graph = model.graph
    spectrogram = set(itertools.takewhile(lambda node: not _reads_first_weight(node), graph))
    converted: dict[ir.Value, ir.Value] = {}
    for node in list(graph):  # every value's producer comes before its readers
        stays = node in spectrogram or node.op_type in _IN_FLOAT
        wanted = ir.DataType.FLOAT if stays else ir.DataType.FLOAT16
        for index, value in enumerate(node.inputs):
            if value is not None and value.dtype == _other(wanted):
                if value not in converted:
                    converted[value] = _converted(value, wanted, node)
                node.replace_input_with(index, converted[value])
        for value in node.outputs:
            if value.dtype == _other(wanted):
                value.dtype = wanted
    for index, half in enumerate(list(graph.outputs)):
        name, half.name = half.name, f"{half.name}_half"
        cast = _cast(half, ir.DataType.FLOAT)
        cast.outputs[0].name = name
        graph.append(cast)
        graph.outputs[index] = cast.outputs[0]
    RemoveUnusedNodesPass()(model)  # the weights in float32


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


def _attention(op: Any, query: Any, key: Any, value: Any, num_heads: Any) -> Any:
    return op.MultiHeadAttention(query, key, value, num_heads=num_heads, _domain=_ONNXRUNTIME)


def _plain_attention(op: Any, query: Any, key: Any, value: Any, num_heads: Any) -> Any:
    """Each of query, key, value is (batch, n_frames, d_encoder), as is the result.

    Source: openai/whisper, MultiHeadAttention: half of the scale on either side, for float16.
    """
    n_heads, d_encoder = num_heads.as_int(), query.shape[2]
    d_head = d_encoder // n_heads
    scale = op.Constant(value_float=d_head**-0.25)

    def heads(rows: Any) -> Any:
        split = op.Reshape(rows, op.Constant(value_ints=[0, 0, n_heads, d_head]))
        return op.Transpose(split, perm=[0, 2, 1, 3])  # (batch, heads, n_frames, d_head)

    keys = op.Transpose(op.Mul(heads(key), scale), perm=[0, 1, 3, 2])
    weights = op.Softmax(op.MatMul(op.Mul(heads(query), scale), keys), axis=-1)
    mixed = op.Transpose(op.MatMul(weights, heads(value)), perm=[0, 2, 1, 3])
    return op.Reshape(mixed, op.Constant(value_ints=[0, 0, d_encoder]))


def _gelu(op: Any, x: Any) -> Any:
    return op.Gelu(x, approximate="none")


def _plain_gelu(op: Any, x: Any) -> Any:
    half, one = op.Constant(value_float=0.5), op.Constant(value_float=1.0)
    error = op.Erf(op.Div(x, op.Constant(value_float=math.sqrt(2))))
    return op.Mul(x, op.Mul(half, op.Add(error, one)))


def _reads_first_weight(node: ir.Node) -> bool:
    return any(value is not None and value.name == _FIRST_WEIGHT for value in node.inputs)


def _other(dtype: ir.DataType) -> ir.DataType:
    is_float = dtype == ir.DataType.FLOAT
    return ir.DataType.FLOAT16 if is_float else ir.DataType.FLOAT


def _converted(value: ir.Value, dtype: ir.DataType, reader: ir.Node) -> ir.Value:
    """Return the value in another type: weights converted here, what is computed cast."""
    graph = reader.graph
    assert isinstance(graph, ir.Graph)
    if value.const_value is None:
        cast = _cast(value, dtype)
        graph.insert_before(reader, cast)
        return cast.outputs[0]
    array = value.const_value.numpy().astype(dtype.numpy())
    weights = ir.Value(
        name=f"{value.name}_{dtype.name.lower()}",
        shape=value.shape,
        type=ir.TensorType(dtype),
        const_value=ir.Tensor(array),
    )
    graph.register_initializer(weights)
    return weights


def _cast(value: ir.Value, dtype: ir.DataType) -> ir.Node:
    node = ir.node("Cast", [value], {"to": dtype})
    node.outputs[0].name = f"{value.name}_{dtype.name.lower()}"
    node.outputs[0].dtype, node.outputs[0].shape = dtype, value.shape
    return node
