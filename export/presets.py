"""What each kind of device wants of its encoder graph."""

from __future__ import annotations

from dataclasses import dataclass

PLAIN_OPSET = 18  # what TensorRT 8.6 reads
FUSED_OPSET = 20  # the first with GELU


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
        return FUSED_OPSET if self.is_fused else PLAIN_OPSET


DEFAULT_PRESET = "x86-avx2"
PRESETS = {
    "fp32": Preset("fp32", ("cpu", "cuda", "tensorrt")),
    "x86-avx2": Preset("int8", ("cpu",), weight_bits=7, is_fused=True),
    "x86-avx512-vnni": Preset("int8", ("cpu",), is_fused=True),
    "arm64": Preset("int8", ("cpu",), is_fused=True),
    # GPUs have no kernel for activations quantised as they come.
    "jetson-fp16": Preset("fp16", ("cuda", "tensorrt")),
}
