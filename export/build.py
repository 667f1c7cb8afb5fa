"""A finished training run -> a bundle: graph, LLM, parity, calibration, examples, manifest."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from listen_edge import __version__
from listen_edge.audio import read_audio
from listen_edge.bundle import (
    SCHEMA,
    Gguf,
    describe_file,
    open_bundle,
    sha256_of,
    write_manifest,
    written_folder,
)
from listen_edge.calibration import Calibration, fit_calibration
from listen_edge.errors import BundleError, ListenEdgeError
from listen_edge.evaluation.esc50 import Esc50Clip, clips_of_folds, margins_of_clips
from listen_edge.export.encoder import export_encoder, quantize_encoder
from listen_edge.export.parity import check_parity, parity_json, parity_ladder
from listen_edge.log_mel import SAMPLE_RATE
from listen_edge.prompt import Prompt
from listen_edge.runtime.engine import Engine
from listen_edge.runtime.llama import Vocabulary
from listen_edge.runtime.requantize import runnable_gguf
from listen_edge.runtime.score import Thresholds
from listen_edge.train.adapter import Adapter
from listen_edge.train.backbones import WhisperTaps, load_whisper_encoder
from listen_edge.train.checkpoint import CONFIG_FILE, load_adapter
from listen_edge.train.concepts import names_of

logger = logging.getLogger(__name__)

EXPECTED = "expected.json"
_PARITY_CLIPS = 48
_CALIBRATION_ABSENT = 4  # absent questions per clip


@dataclass(frozen=True)
class BundleConfig:
    """What a bundle is made of, beyond the run itself.

    Attributes:
        name, version: of the bundle.
        gguf: the LLM file as it is distributed.
        gguf_package: import name of the Python package that carries it; None copies it in.
        gguf_quantization: its type, e.g. "q4_1".
        quantization: the type it runs as, e.g. "q8_0"; what the adapter was trained through.
        esc50: folder of ESC-50, for parity and calibration.
        held_out: fold that the run has not trained on: parity is measured there.
        calibration: bundle whose calibration is carried over; None fits one on held_out.
        examples: recordings to put into the bundle.
        example_questions: asked of every example for `bundle verify --run`.
    """

    name: str
    gguf: Path
    esc50: Path
    held_out: int
    version: str = __version__
    gguf_package: str | None = None
    gguf_quantization: str = "q4_1"
    quantization: str = "q8_0"
    calibration: Path | None = None
    examples: tuple[Path, ...] = ()
    example_questions: tuple[str, ...] = ()
    n_threads: int = 2


def export_bundle(run_dir: Path, target: Path, config: BundleConfig) -> None:
    """Write the bundle of a training run; nothing half-written is left behind.

    Raises:
        ParityError: the exported answers differ from the trained ones.
        BundleError: damaged inputs, or the target cannot be written.
    """
    run, taps, adapter, n_samples = _trained_parts(run_dir)
    prompt = Prompt.from_json(run["prompt"])
    gguf = Gguf(
        path=config.gguf.name,
        sha256=sha256_of(config.gguf),
        bytes=config.gguf.stat().st_size,
        package=config.gguf_package,
        source_quantization=config.gguf_quantization,
        quantization=config.quantization,
    )
    clips = clips_of_folds(config.esc50, [config.held_out])
    with written_folder(target) as folder:
        logger.info("exporting the encoder")
        fp32, int8 = folder / "encoder.fp32.onnx", folder / "encoder.int8.onnx"
        export_encoder(taps, adapter, n_samples, fp32)
        quantize_encoder(fp32, int8)
        logger.info("climbing the parity ladder")
        gguf_path = runnable_gguf(config.gguf, gguf, config.n_threads)
        rungs = parity_ladder(
            taps,
            adapter,
            {"fp32": fp32, "int8": int8},
            gguf_path,
            prompt,
            clips[:: max(1, len(clips) // _PARITY_CLIPS)],
            n_samples=n_samples,
            n_threads=config.n_threads,
        )
        for rung in rungs:
            logger.info("%s", rung)
        check_parity(rungs)
        fp32.unlink()
        if config.gguf_package is None:
            shutil.copyfile(config.gguf, folder / gguf.path)
        with Vocabulary(config.gguf) as vocabulary:
            vocab_sha256 = vocabulary.sha256()
        files = [describe_file(folder, int8.name, "encoder", "int8")]
        (folder / "clips").mkdir()
        for example in config.examples:
            shutil.copyfile(example, folder / "clips" / example.name)
            files.append(describe_file(folder, f"clips/{example.name}", "clip"))
        raw = {
            "schema": SCHEMA,
            "name": config.name,
            "version": config.version,
            "files": files,
            "audio": {"sample_rate": SAMPLE_RATE, "window_s": run["window_s"], "hop_s": 1.0},
            "encoder": {"model": Path(run["whisper"]).name, "taps": run["taps"]},
            "adapter": {
                "n_query": adapter.config.n_query,
                "d_qformer": adapter.config.d_qformer,
                "n_layers": adapter.config.n_layers,
                "n_parameters": sum(p.numel() for p in adapter.parameters()),
            },
            "llm": {
                "arch": "llama",
                "n_embd": adapter.config.n_embd,
                "vocab_sha256": vocab_sha256,
                "quantization": gguf.quantization,
                "gguf": {
                    "path": gguf.path,
                    "sha256": gguf.sha256,
                    "bytes": gguf.bytes,
                    "package": gguf.package,
                    "quantization": gguf.source_quantization,
                },
            },
            "prompt": prompt.to_json(),
            "calibration": Calibration().to_json(),
            "thresholds": {"on": Thresholds.on, "off": Thresholds.off},
            "parity": parity_json(rungs),
        }
        write_manifest(folder, raw)
        logger.info("calibrating")
        raw["calibration"] = _calibration(folder, config, clips).to_json()
        write_manifest(folder, raw)
        _write_expected(folder, config)
        files.append(describe_file(folder, EXPECTED, "expected"))
        write_manifest(folder, raw)


def export_run_encoder(run_dir: Path, target: Path, precision: str) -> None:
    """Write encoder and adapter of a training run as one graph, "fp32" or "int8"."""
    _, taps, adapter, n_samples = _trained_parts(run_dir)
    export_encoder(taps, adapter, n_samples, target)
    if precision == "int8":
        quantize_encoder(target, target)


def _trained_parts(run_dir: Path) -> tuple[dict[str, Any], WhisperTaps, Adapter, int]:
    """Return a run's config, frozen encoder, adapter and window length in samples."""
    run = _read_run(run_dir)
    taps = WhisperTaps(load_whisper_encoder(run["whisper"]), run["taps"])
    return run, taps, load_adapter(run_dir), round(run["window_s"] * SAMPLE_RATE)


def _calibration(folder: Path, config: BundleConfig, clips: Sequence[Esc50Clip]) -> Calibration:
    if config.calibration is not None:
        return open_bundle(str(config.calibration)).manifest.calibration
    with Engine(open_bundle(str(folder)), backend="cpu", n_threads=config.n_threads) as engine:
        truth, margins, priors = margins_of_clips(
            engine, clips, n_absent=_CALIBRATION_ABSENT, seed=1
        )
    labels = sorted({clip.label for clip in clips})
    return fit_calibration(
        truth,
        margins,
        priors,
        concepts=tuple(name for label in labels for name in names_of(label)),
        fitted_on=f"ESC-50 fold {config.held_out}, of an adapter that never trained on it",
    )


def _write_expected(folder: Path, config: BundleConfig) -> None:
    """Record what this machine answers about the examples, for `bundle verify --run`."""
    with Engine(open_bundle(str(folder)), backend="cpu", n_threads=config.n_threads) as engine:
        expected = [
            {
                "clip": f"clips/{example.name}",
                "question": answer.question,
                "state": answer.state,
                "presence": round(answer.presence or 0.0, 4),
            }
            for example in config.examples
            for answer in engine.ask(read_audio(example), config.example_questions)
        ]
    (folder / EXPECTED).write_text(json.dumps(expected, indent=1) + "\n")


def _read_run(run_dir: Path) -> dict[str, Any]:
    path = run_dir / CONFIG_FILE
    try:
        run: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as err:
        raise BundleError(f"{path}: not a training run ({err}); run listen-edge train") from err
    if not isinstance(run, dict) or "prompt" not in run:
        raise ListenEdgeError(f"{path}: not the config of a training run")
    return run
