"""The encoder graphs of a bundle, each as a device wants it, and what they lost on the way."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path

from listen_edge.evaluation.esc50 import Esc50Clip
from listen_edge.export.encoder import export_encoder, trace_encoder, write_encoder
from listen_edge.export.parity import Rung, check_parity, head_ladder, parity_ladder
from listen_edge.export.presets import PRESETS
from listen_edge.export.runs import HeadRun, TrainedParts, trained_parts

logger = logging.getLogger(__name__)

_PARITY_CLIPS = 48


def write_encoders(
    folder: Path,
    parts: TrainedParts,
    run: HeadRun | None,
    presets: Sequence[str],
    gguf_path: Path,
    clips: Sequence[Esc50Clip],
    *,
    n_threads: int,
) -> list[Rung]:
    """Write the presets' graphs and return the parity ladders, whose gates have passed.

    Args:
        run: the head's, None for none.
        gguf_path: the LLM as it runs on the device.
        clips: of a fold that neither has trained on.

    Raises:
        ParityError: the exported answers differ from the trained ones.
    """
    logger.info("exporting the encoder")
    shipped = {name: folder / encoder_file(name) for name in presets}
    with tempfile.TemporaryDirectory() as scratch:
        graphs = {"fp32": Path(scratch) / "encoder.onnx"} | shipped
        ears = None if run is None else run.trained.ears
        traced = trace_encoder(parts.taps, parts.adapter, parts.n_samples, ears)
        for name, path in graphs.items():
            write_encoder(traced, path, name)
        logger.info("climbing the parity ladder")
        chosen = clips[:: max(1, len(clips) // _PARITY_CLIPS)]
        sizes = {"n_samples": parts.n_samples, "n_threads": n_threads}
        ladders = [
            parity_ladder(
                parts.taps,
                parts.adapter,
                graphs,
                gguf_path,
                parts.prompt,
                chosen,
                **sizes,
            )
        ]
        if run is not None:
            ladders.append(head_ladder(parts.taps, run.trained, graphs, chosen, **sizes))
    for rungs in ladders:
        for rung in rungs:
            logger.info("%s", rung)
        check_parity(rungs)
    return [rung for rungs in ladders for rung in rungs]


def export_run_encoder(run_dir: Path, target: Path, preset: str) -> None:
    """Write encoder and adapter of a training run as one graph; errors as for export_encoder."""
    parts = trained_parts(run_dir)
    ears = None if parts.head is None else parts.head.trained.ears
    export_encoder(parts.taps, parts.adapter, parts.n_samples, target, preset, ears)


def encoder_file(preset: str) -> str:
    """Return the name of a preset's graph in a bundle."""
    return f"encoder.{PRESETS[preset].precision}.onnx"
