"""Every encoder precision with every GGUF type: answers, size, speed and memory, in one run."""

from __future__ import annotations

import itertools
import logging
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)

from listen_edge.audio import read_window
from listen_edge.evaluation.esc50 import Esc50Clip
from listen_edge.export.encoder import INPUT, trace_encoder, write_encoder
from listen_edge.export.parity import asked_names, compare
from listen_edge.export.presets import DEFAULT_PRESET, PRESETS
from listen_edge.export.runs import TrainedParts, trained_parts
from listen_edge.runtime.llama.requantize import write_answering
from listen_edge.runtime.measure.pairs import Pair, PairFigures, measure_pair

logger = logging.getLogger(__name__)

GGUF_TYPES = ("f16", "q8_0", "q5_k_m", "q4_k_m", "q4_0")
DEFAULT_TYPE = "f16"
STATIC = "static int8"  # for comparison only: no preset
_N_ABSENT = 7  # with the present sound, the eight questions of a typical window
_N_CALIBRATION = 32  # windows


@dataclass(frozen=True)
class PrecisionRow:
    """One pair against the first, float32 with f16.

    Attributes:
        encoder: preset, or STATIC.
        llm: GGUF type.
        auroc, ece, flips: see Rung.
        encode_ms, window_ms: of one window, the latter with eight questions.
        encoder_mb, llm_mb: of the files.
        peak_mb: of a process that does nothing else.
    """

    encoder: str
    llm: str
    auroc: float
    ece: float
    flips: float
    encode_ms: float
    window_ms: float
    encoder_mb: float
    llm_mb: float
    peak_mb: float

    @property
    def is_default(self) -> bool:
        return (self.encoder, self.llm) == (DEFAULT_PRESET, DEFAULT_TYPE)


def measure_precisions(
    run_dir: Path,
    gguf: Path,
    clips: Sequence[Esc50Clip],
    calibration_clips: Sequence[Esc50Clip],
    *,
    n_threads: int,
    gguf_types: Sequence[str] = GGUF_TYPES,
) -> Iterator[PrecisionRow]:
    """Export a training run in every precision and ask each pair about the same clips.

    Args:
        gguf: LLM that the run was trained through; requantised to every type.
        clips: of a fold that the run has not trained on.
        calibration_clips: of another, for the static int8 graph's ranges.

    Raises:
        BundleError: no training run, or not the LLM it was trained through.
    """
    parts = trained_parts(run_dir)
    with tempfile.TemporaryDirectory() as folder:
        encoders = _write_encoders(Path(folder), parts, calibration_clips)
        llms = {name: Path(folder) / f"llm.{name}.gguf" for name in gguf_types}
        for name, path in llms.items():
            write_answering(gguf, path, parts.prompt, name, n_threads)
        asked = asked_names(clips, _N_ABSENT)
        recordings = [clip.path for clip in clips]
        first: PairFigures | None = None
        for (encoder, graph), (llm, path) in itertools.product(encoders.items(), llms.items()):
            logger.info("encoder %s, LLM %s", encoder, llm)
            pair = Pair(graph, gguf, path, parts.prompt, parts.n_samples, n_threads)
            found = measure_pair(pair, recordings, asked)
            first = first or found
            rung = compare(f"{encoder}, {llm}", found.margins, first.margins, clips)
            yield PrecisionRow(
                encoder=encoder,
                llm=llm,
                auroc=rung.auroc,
                ece=rung.ece,
                flips=rung.flips,
                encode_ms=found.encode_ms,
                window_ms=found.encode_ms + found.answer_ms,
                encoder_mb=graph.stat().st_size / 1e6,
                llm_mb=path.stat().st_size / 1e6,
                peak_mb=found.peak_mb,
            )


def table_lines(rows: Sequence[PrecisionRow]) -> Iterator[str]:
    """Yield a Markdown table; the default pair is in bold."""
    yield (
        "| encoder | LLM | AUROC | ECE | sign changes | encoder | window, 8 questions "
        "| encoder file | LLM file | peak memory |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for row in rows:
        mark = "**" if row.is_default else ""
        cells = (
            row.encoder,
            row.llm,
            f"{row.auroc:.4f}",
            f"{row.ece:.3f}",
            f"{100 * row.flips:.1f} %",
            f"{row.encode_ms:.0f} ms",
            f"{row.window_ms:.0f} ms",
            f"{row.encoder_mb:.0f} MB",
            f"{row.llm_mb:.0f} MB",
            f"{row.peak_mb:.0f} MB",
        )
        yield "| " + " | ".join(f"{mark}{cell}{mark}" for cell in cells) + " |"


def _write_encoders(
    folder: Path, parts: TrainedParts, calibration_clips: Sequence[Esc50Clip]
) -> dict[str, Path]:
    encoders = {name: folder / f"encoder.{name}.onnx" for name in PRESETS}
    traced = trace_encoder(parts.taps, parts.adapter, parts.n_samples)
    for name, path in encoders.items():
        write_encoder(traced, path, name)
    static = folder / "encoder.static.onnx"
    windows = (read_window(c.path, parts.n_samples) for c in calibration_clips[:_N_CALIBRATION])
    quantize_static(
        encoders["fp32"],
        static,
        _Windows(windows),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=["MatMul"],
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        reduce_range=PRESETS[DEFAULT_PRESET].weight_bits == 7,
    )
    return {**encoders, STATIC: static}


class _Windows(CalibrationDataReader):  # type: ignore[misc]
    """Feeds windows (n_samples,) to onnxruntime's calibration."""

    def __init__(self, windows: Iterator[NDArray[np.float32]]) -> None:
        self._windows = windows

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        window = next(self._windows, None)
        return None if window is None else {INPUT: window[None]}
