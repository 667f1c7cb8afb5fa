"""The LLM's weights in another type: what a device makes of a bundle's file once, and keeps.

Source: llama.cpp has fast CPU kernels for Q8_0 and none for Q4_1; Q8_0 of the same weights keeps
the answers at nearly twice the speed (docs/method.md).
"""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from listen_edge.bundle.manifest import Gguf
from listen_edge.errors import BundleError
from listen_edge.prompt import Prompt
from listen_edge.replacing import replacing
from listen_edge.runtime.llama.gguf_file import Vocabulary, cut_vocabulary
from listen_edge.runtime.llama.kept import is_intact, keep, kept_path, short_hash
from listen_edge.runtime.llama.native import be_quiet

logger = logging.getLogger(__name__)


def runnable_gguf(source_path: Path, gguf: Gguf, n_threads: int) -> Path:
    """Return `source_path`, or its requantised copy, with its whole vocabulary.

    Raises:
        BundleError: the cache cannot be written, or the quantiser failed.
    """
    if gguf.quantization == gguf.source_quantization:
        return source_path
    path = kept_path(gguf, "gguf")
    _make_once(path, lambda out: quantize_gguf(source_path, out, gguf.quantization, n_threads))
    return path


def answering_gguf(source_path: Path, gguf: Gguf, prompt: Prompt, n_threads: int) -> Path | None:
    """Return the requantised copy whose vocabulary is the prompt's answers, yes before no.

    None where the file runs as it is: no copy is made of it.

    Raises:
        BundleError: as for runnable_gguf, or an answer is not one token.
    """
    if gguf.quantization == gguf.source_quantization:
        return None
    path = kept_path(gguf, short_hash(*prompt.yes, "/", *prompt.no), "gguf")
    _make_once(
        path, lambda out: write_answering(source_path, out, prompt, gguf.quantization, n_threads)
    )
    return path


def write_answering(
    source_path: Path, target_path: Path, prompt: Prompt, quantization: str, n_threads: int
) -> None:
    """Write `source_path` requantised, its vocabulary cut to the prompt's answers.

    Raises:
        BundleError: as for answering_gguf; nothing half-written is left.
    """
    with Vocabulary(source_path) as vocabulary:
        tokens = [vocabulary.single_token(text) for text in (*prompt.yes, *prompt.no)]
    cut = target_path.with_name(f"{target_path.name}.cut")
    try:
        cut_vocabulary(source_path, cut, tokens)
        quantize_gguf(cut, target_path, quantization, n_threads)
    finally:
        cut.unlink(missing_ok=True)


def _make_once(path: Path, write: Callable[[Path], None]) -> None:
    if is_intact(path):
        return
    logger.info("requantising the LLM, once: %s", path.name)
    try:
        keep(path, write)
    except OSError as err:
        raise BundleError(
            f"{path.parent}: the requantised LLM cannot be written ({err.strerror}); free some "
            "space or set XDG_CACHE_HOME"
        ) from err


def quantize_gguf(
    source_path: Path,
    target_path: Path,
    quantization: str,
    n_threads: int,
    importance: Mapping[str, NDArray[np.float32]] | None = None,
) -> None:
    """Write `source_path` requantised by llama.cpp's own quantiser.

    Args:
        quantization: llama.cpp's name of the type, e.g. "q8_0".
        importance: of each matrix' inputs, see export/importance.py; None weighs them alike.

    Raises:
        BundleError: unknown type, or the quantiser failed; nothing half-written is left.
    """
    file_type = getattr(llama_cpp, f"LLAMA_FTYPE_MOSTLY_{quantization.upper()}", None)
    if file_type is None:
        raise BundleError(f"unknown GGUF type {quantization!r}; expected e.g. q8_0")
    be_quiet()
    params = llama_cpp.llama_model_quantize_default_params()
    params.nthread = n_threads
    params.ftype = file_type
    params.allow_requantize = True
    entries, _kept = _importance_entries(importance or {})
    if importance:
        params.imatrix = entries
    with replacing(target_path) as temporary:
        status = llama_cpp.llama_model_quantize(
            str(source_path).encode(), str(temporary).encode(), ctypes.byref(params)
        )
        if status != 0:
            raise BundleError(
                f"{target_path}: llama.cpp could not quantise {source_path} to {quantization}; "
                "expected a complete GGUF and space for the result"
            )


def _importance_entries(
    importance: Mapping[str, NDArray[np.float32]],
) -> tuple[ctypes.Array[llama_cpp.llama_model_imatrix_data], list[NDArray[np.float32]]]:
    """Return llama.cpp's list, ended by an entry without name, and the memory it points to."""
    kept = [np.ascontiguousarray(values, np.float32) for values in importance.values()]
    entries = (llama_cpp.llama_model_imatrix_data * (len(kept) + 1))()
    for entry, name, values in zip(entries, importance, kept, strict=False):
        entry.name = name.encode()
        entry.data = values.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        entry.size = values.size
    return entries, kept
