"""The audio side: one window of samples in, what the two readers read out, through onnxruntime.

The graph holds log-mel, Whisper's encoder and the adapters; this file knows only its ends and the
backends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from listen_edge.bundle.cache import cache_dir
from listen_edge.errors import BackendError, BundleError, MissingExtraError, one_line

try:
    import onnxruntime
except ImportError as err:
    raise MissingExtraError("onnxruntime", "cpu") from err

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}


@dataclass(frozen=True)
class Encoded:
    """One window, as the readers take it.

    Attributes:
        prefix_embeddings: for the LLM, (n_query, n_embd) float32.
        keys, values: for the question head, (n_query, d_head) float32 each; None without a head.
    """

    prefix_embeddings: NDArray[np.float32]
    keys: NDArray[np.float32] | None = None
    values: NDArray[np.float32] | None = None


class EncoderSession:
    """An encoder graph on one backend.

    Args:
        model: the verified bytes of the ONNX file.
        n_samples: window length the graph was exported for.
        backend: "cpu", "cuda" or "tensorrt"; not available is an error, never a fall-back.
        n_threads: threads of this session.

    Raises:
        BackendError: the backend is not available.
        BundleError: not an encoder graph for this window.
    """

    def __init__(self, model: bytes, n_samples: int, *, backend: str, n_threads: int) -> None:
        provider = PROVIDERS[backend]
        if provider not in onnxruntime.get_available_providers():
            raise BackendError(
                f"backend {backend}: this onnxruntime offers "
                f"{', '.join(onnxruntime.get_available_providers())}; "
                "install listen-edge[gpu] or use --backend cpu"
            )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = n_threads
        options.inter_op_num_threads = 1
        # A spinning pool would fight llama.cpp's for the same cores.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if backend != "cpu":  # a node without a kernel there is an error, not a slow surprise
            options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                model, options, providers=_providers(backend)
            )
        except Exception as err:  # onnxruntime raises its own unexported types
            raise BundleError(
                f"encoder graph: onnxruntime cannot load it ({one_line(err)})"
            ) from err
        if self._session.get_providers()[0] != provider:
            raise BackendError(
                f"backend {backend}: onnxruntime could not start it and runs on "
                f"{self._session.get_providers()[0]}; see what `listen-edge doctor` lacks, or use "
                "--backend cpu"
            )
        (samples,), outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(outputs) not in (1, 3):
            raise BundleError(
                f"encoder graph has {len(outputs)} outputs, expected 1, or 3 with a question head"
            )
        self.d_head = outputs[1].shape[-1] if len(outputs) == 3 else None
        if samples.shape != [1, n_samples]:
            raise BundleError(
                f"encoder graph takes {samples.shape} samples, the manifest says [1, {n_samples}]"
            )
        self._input, self._outputs = samples.name, [output.name for output in outputs]
        self._backend = backend

    def embed(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the prefix embeddings alone; arguments and errors as for encode."""
        return self.encode(samples).prefix_embeddings

    def encode(self, samples: NDArray[np.float32]) -> Encoded:
        """Return what the readers take of one window (n_samples,).

        Raises:
            BackendError: the backend has no code for this device.
        """
        try:
            outputs = self._session.run(self._outputs, {self._input: samples[None]})
        except Exception as err:  # a wheel without code for this GPU fails here, not before
            raise BackendError(
                f"backend {self._backend}: onnxruntime cannot compute the encoder there "
                f"({one_line(err)}); install onnxruntime for this GPU (docs/install.md) or use "
                "--backend cpu"
            ) from err
        return Encoded(*(np.asarray(output[0], np.float32) for output in outputs))


def _providers(backend: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the execution providers of a backend with their options, the first one first.

    TensorRT compiles an engine for minutes, once: it is kept in the cache, by graph and device.
    Its precision is the graph's own: `trt_fp16_enable` would put the spectrogram into float16 too.

    Source: microsoft/onnxruntime#18707 (typed as the ONNX file says, unless that option is set).
    """
    if backend != "tensorrt":
        return [(PROVIDERS[backend], {})]
    engines = cache_dir() / "tensorrt"
    engines.mkdir(parents=True, exist_ok=True)
    kept = {
        "trt_engine_cache_enable": True,
        "trt_engine_cache_path": str(engines),
        "trt_timing_cache_enable": True,
        "trt_timing_cache_path": str(engines),
    }
    return [(PROVIDERS["tensorrt"], kept), (PROVIDERS["cuda"], {})]


def available_backends() -> list[str]:
    """Return the backends that this onnxruntime offers, fastest first."""
    offered = onnxruntime.get_available_providers()
    return [name for name in ("tensorrt", "cuda", "cpu") if PROVIDERS[name] in offered]
