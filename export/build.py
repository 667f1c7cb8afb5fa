"""A finished training run -> a bundle: graph, LLM, parity, calibration, examples, manifest."""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from listen_edge import __version__
from listen_edge.audio import read_audio
from listen_edge.bundle.calibration import Calibration, fit_calibration
from listen_edge.bundle.hashes import sha256_of
from listen_edge.bundle.manifest import SCHEMA, Gguf
from listen_edge.bundle.opening import open_bundle, read_manifest
from listen_edge.bundle.writing import describe_file, write_manifest, written_folder
from listen_edge.concepts import names_of
from listen_edge.errors import BundleError
from listen_edge.evaluation.esc50 import (
    ABSENT_KINDS,
    Esc50Clip,
    clips_of_folds,
    evaluate_esc50,
    margins_of_clips,
)
from listen_edge.export.encoder import export_encoder, trace_encoder, write_encoder
from listen_edge.export.parity import Rung, check_parity, parity_json, parity_ladder
from listen_edge.export.presets import DEFAULT_PRESET, PRESETS
from listen_edge.log_mel import SAMPLE_RATE
from listen_edge.prompt import Prompt
from listen_edge.runtime.engine import Engine
from listen_edge.runtime.llama.gguf_file import Vocabulary
from listen_edge.runtime.llama.requantize import runnable_gguf
from listen_edge.runtime.thresholds import Thresholds
from listen_edge.train.adapter import Adapter
from listen_edge.train.backbones import WhisperTaps, load_whisper_encoder
from listen_edge.train.checkpoint import CONFIG_FILE, TRAINED_FILE, load_adapter

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
        quantization: the type it runs as, e.g. "f16"; what the adapter was trained through.
        esc50: folder of ESC-50, for parity and calibration.
        held_out: fold that the run has not trained on: parity is measured there.
        calibration: bundle whose calibration is carried over; None fits one on held_out.
        reported: another fold that the run has not trained on, whose figures the manifest states;
            None reports held_out, if no calibration has been fitted on it.
        presets: of the encoder graphs, one for each backend at most, see PRESETS.
        examples: recordings to put into the bundle.
        example_questions: asked of every example for `bundle verify --run`.
        about: names, sources and licences of the parts, for people.
        documents: texts to put beside the manifest, e.g. who recorded what was trained on.
    """

    name: str
    gguf: Path
    esc50: Path
    held_out: int
    version: str = __version__
    presets: tuple[str, ...] = (DEFAULT_PRESET,)
    gguf_package: str | None = None
    gguf_quantization: str = "q4_1"
    quantization: str = "f16"
    calibration: Path | None = None
    reported: int | None = None
    examples: tuple[Path, ...] = ()
    example_questions: tuple[str, ...] = ()
    documents: tuple[Path, ...] = ()
    about: dict[str, Any] = field(default_factory=dict)
    n_threads: int = 2

    def __post_init__(self) -> None:
        unknown = [name for name in self.presets if name not in PRESETS]
        if unknown or not self.presets:
            raise BundleError(
                f"preset {', '.join(unknown) or 'none'}, expected some of {', '.join(PRESETS)}"
            )
        served = [backend for name in self.presets for backend in PRESETS[name].backends]
        if len(served) > len(set(served)):
            raise BundleError(f"presets {', '.join(self.presets)}: two are for the same backend")


@dataclass(frozen=True)
class TrainedParts:
    """What a training run left: its config, the frozen encoder and the trained adapter.

    Attributes:
        trained: labels of the recordings trained on, and every concept asked about.
    """

    run: dict[str, Any]
    trained: dict[str, Any]
    prompt: Prompt
    taps: WhisperTaps
    adapter: Adapter
    n_samples: int


def export_bundle(run_dir: Path, target: Path, config: BundleConfig) -> None:
    """Write the bundle of a training run; nothing half-written is left behind.

    Raises:
        ParityError: the exported answers differ from the trained ones.
        BundleError: damaged inputs, or the target cannot be written.
    """
    parts = trained_parts(run_dir)
    clips = clips_of_folds(config.esc50, [config.held_out])
    gguf = _gguf(config)
    with written_folder(target) as folder:
        rungs = _write_encoders(folder, parts, config, gguf, clips)
        raw = _raw_manifest(parts, config, gguf)
        raw["parity"] = parity_json(rungs)
        raw["files"] = _copy_files(folder, config)
        write_manifest(folder, raw)
        logger.info("calibrating")
        raw["calibration"] = _calibration(folder, config, clips).to_json()
        write_manifest(folder, raw)
        if config.reported is not None:
            clips = clips_of_folds(config.esc50, [config.reported])
        if config.reported is not None or config.calibration is not None:
            logger.info("evaluating")  # never on what the calibration has been fitted on
            raw["eval"] = _evaluate(folder, config, clips)
        _write_expected(folder, config)
        raw["files"].append(describe_file(folder, EXPECTED, "expected"))
        write_manifest(folder, raw)


def _write_encoders(
    folder: Path,
    parts: TrainedParts,
    config: BundleConfig,
    gguf: Gguf,
    clips: Sequence[Esc50Clip],
) -> list[Rung]:
    """Write the presets' graphs and return the parity ladder, whose gates have passed."""
    logger.info("exporting the encoder")
    shipped = {name: folder / encoder_file(name) for name in config.presets}
    with tempfile.TemporaryDirectory() as scratch:
        graphs = {"fp32": Path(scratch) / "encoder.onnx"} | shipped
        traced = trace_encoder(parts.taps, parts.adapter, parts.n_samples)
        for name, path in graphs.items():
            write_encoder(traced, path, name)
        logger.info("climbing the parity ladder")
        rungs = parity_ladder(
            parts.taps,
            parts.adapter,
            graphs,
            runnable_gguf(config.gguf, gguf, config.n_threads),
            parts.prompt,
            clips[:: max(1, len(clips) // _PARITY_CLIPS)],
            n_samples=parts.n_samples,
            n_threads=config.n_threads,
        )
    for rung in rungs:
        logger.info("%s", rung)
    check_parity(rungs)
    return rungs


def _copy_files(folder: Path, config: BundleConfig) -> list[dict[str, Any]]:
    """Put examples, documents and the LLM in place; return the manifest's list of files."""
    if config.gguf_package is None:
        shutil.copyfile(config.gguf, folder / config.gguf.name)
    files = []
    for name in config.presets:
        preset = PRESETS[name]
        entry = describe_file(folder, encoder_file(name), "encoder", preset.precision)
        files.append({**entry, "backends": list(preset.backends), "preset": name})
    (folder / "clips").mkdir()
    for example in config.examples:
        shutil.copyfile(example, folder / "clips" / example.name)
        files.append(describe_file(folder, f"clips/{example.name}", "clip"))
    for document in config.documents:
        shutil.copyfile(document, folder / document.name)
        files.append(describe_file(folder, document.name, "document"))
    return files


def _raw_manifest(parts: TrainedParts, config: BundleConfig, gguf: Gguf) -> dict[str, Any]:
    """Return the manifest without its files and measurements."""
    adapter = parts.adapter
    with Vocabulary(config.gguf) as vocabulary:
        vocab_sha256 = vocabulary.sha256()
    return {
        "schema": SCHEMA,
        "name": config.name,
        "version": config.version,
        "about": config.about,
        "files": [],
        "audio": {"sample_rate": SAMPLE_RATE, "window_s": parts.run["window_s"], "hop_s": 1.0},
        "encoder": {
            "taps": parts.run["taps"],
            "frame_pool": parts.run["frame_pool"],
            "d_encoder": adapter.config.d_encoder,
        },
        "trained_labels": parts.trained["labels"],
        "trained_concepts": parts.trained["concepts"],
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
        "prompt": parts.prompt.to_json(),
        "calibration": Calibration().to_json(),
        "thresholds": {"on": Thresholds.on, "off": Thresholds.off},
        "requirements": {
            "onnx_opset": max(PRESETS[name].opset for name in config.presets),
            "llama_cpp_python": version("llama-cpp-python"),
        },
    }


def _gguf(config: BundleConfig) -> Gguf:
    return Gguf(
        path=config.gguf.name,
        sha256=sha256_of(config.gguf),
        bytes=config.gguf.stat().st_size,
        package=config.gguf_package,
        source_quantization=config.gguf_quantization,
        quantization=config.quantization,
    )


def _evaluate(
    folder: Path, config: BundleConfig, clips: Sequence[Esc50Clip]
) -> list[dict[str, Any]]:
    """Return the figures on the held-out fold, with their protocol."""
    with Engine(open_bundle(str(folder)), backend="cpu", n_threads=config.n_threads) as engine:
        reports = [evaluate_esc50(engine, clips, absent=kind) for kind in ABSENT_KINDS]
    return [{"protocol": "listen-edge eval esc50", **asdict(report)} for report in reports]


def trained_parts(run_dir: Path) -> TrainedParts:
    """Read a finished training run.

    Raises:
        BundleError: the folder holds none, or parts of it are missing.
    """
    path = run_dir / CONFIG_FILE
    try:
        run = json.loads(path.read_text())
        return TrainedParts(
            run=run,
            trained=json.loads((run_dir / TRAINED_FILE).read_text()),
            prompt=Prompt.from_json(run["prompt"]),
            taps=WhisperTaps(load_whisper_encoder(run["whisper"]), run["taps"], run["frame_pool"]),
            adapter=load_adapter(run_dir),
            n_samples=round(run["window_s"] * SAMPLE_RATE),
        )
    except (OSError, ValueError, KeyError, TypeError) as err:
        raise BundleError(f"{path}: not a training run ({err}); run listen-edge train") from err


def export_run_encoder(run_dir: Path, target: Path, preset: str) -> None:
    """Write encoder and adapter of a training run as one graph; errors as for export_encoder."""
    parts = trained_parts(run_dir)
    export_encoder(parts.taps, parts.adapter, parts.n_samples, target, preset)


def encoder_file(preset: str) -> str:
    """Return the name of a preset's graph in a bundle."""
    return f"encoder.{PRESETS[preset].precision}.onnx"


def _calibration(folder: Path, config: BundleConfig, clips: Sequence[Esc50Clip]) -> Calibration:
    if config.calibration is not None:
        return read_manifest(str(config.calibration)).calibration
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
