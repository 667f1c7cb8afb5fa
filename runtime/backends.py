"""Which processor computes: the CPU, or a GPU through CUDA or TensorRT."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from listen_edge.errors import BackendError
from listen_edge.runtime.encoder_session import available_backends
from listen_edge.runtime.llama.session import gpu_is_supported

logger = logging.getLogger(__name__)

BACKENDS = ("auto", "cpu", "cuda", "tensorrt")


def choose_backend(wanted: str, offered: Sequence[str]) -> tuple[str, int]:
    """Return the encoder's backend and how many LLM layers go to the GPU.

    Args:
        wanted: of BACKENDS. "auto" never takes TensorRT, which compiles for minutes at first.
        offered: backends that the bundle has an encoder for.

    Raises:
        BackendError: asked for and not available.
    """
    if wanted not in BACKENDS:
        raise BackendError(f"backend {wanted!r}, expected one of {', '.join(BACKENDS)}")
    if wanted == "cpu":
        return "cpu", 0
    if wanted == "auto":
        usable = [name for name in available_backends() if name in offered and name != "tensorrt"]
        encoder = usable[0] if usable else "cpu"
        gpu_layers = -1 if gpu_is_supported() else 0
        logger.info("backend auto: encoder on %s, LLM layers on the GPU: %d", encoder, gpu_layers)
        return encoder, gpu_layers
    if not gpu_is_supported():
        raise BackendError(
            f"backend {wanted}: this llama.cpp was built without GPU support; reinstall with "
            "CMAKE_ARGS=-DGGML_CUDA=on or use --backend cpu"
        )
    return wanted, -1
