"""A finished training run -> a bundle: graph, LLM, parity, calibration, examples, manifest."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from listen_edge import __version__
from listen_edge.audio import read_audio
from listen_edge.bundle.calibration import Calibration, fit_calibration
from listen_edge.bundle.hashes import sha256_of
from listen_edge.bundle.head import HeadManifest
from listen_edge.bundle.manifest import HEAD_SCHEMA, SCHEMA, Gguf
from listen_edge.bundle.opening import open_bundle, read_manifest
from listen_edge.bundle.writing import describe_file, write_manifest, written_folder
from listen_edge.concepts import names_of
from listen_edge.errors import BundleError
from listen_edge.evaluation.card.inputs import CardOptions
from listen_edge.evaluation.esc50 import (
    ABSENT_KINDS,
    Esc50Clip,
    clips_of_folds,
    evaluate_esc50,
    margins_of_clips,
)
from listen_edge.export.card import plan_card
from listen_edge.export.graphs import encoder_file, write_encoders
from listen_edge.export.head import (
    HEAD_FILE,
    askable,
    calibrated,
    fit_fusion,
    head_manifest,
    hear_held_out,
    support,
    write_head,
)
from listen_edge.export.parity import parity_json
from listen_edge.export.presets import DEFAULT_PRESET, PRESETS
from listen_edge.export.runs import HeadRun, TrainedParts, head_run_beside, trained_parts
from listen_edge.log_mel import SAMPLE_RATE
from listen_edge.runtime.encoder_session import EncoderSession
from listen_edge.runtime.engine import Engine
from listen_edge.runtime.llama.gguf_file import Vocabulary
from listen_edge.runtime.llama.requantize import runnable_gguf
from listen_edge.runtime.thresholds import Thresholds

logger = logging.getLogger(__name__)

EXPECTED = "expected.json"
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
        head: run of train-head whose question head goes in beside the run's adapter; None: the
            run's own, if it has one.
        card: what its robustness card is measured on, beside the reported fold.
        replaces: bundle, or a card's file, whose card this bundle's may not be worse than.
        accept_worse: write it though it is.
        about: names, sources and licences of the parts, for people.
        events: the manifest's "events", as `bench thresholds --write` gives them; None: no own.
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
    head: Path | None = None
    card: CardOptions = field(default_factory=CardOptions)
    replaces: Path | None = None
    accept_worse: bool = False
    about: dict[str, Any] = field(default_factory=dict)
    events: dict[str, Any] | None = None
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


def export_bundle(run_dir: Path, target: Path, config: BundleConfig) -> None:
    """Write the bundle of a training run; nothing half-written is left behind.

    Raises:
        ParityError: the exported answers differ from the trained ones.
        BundleError: damaged inputs, or the target cannot be written.
    """
    parts = trained_parts(run_dir)
    run = parts.head if config.head is None else head_run_beside(parts, config.head)
    clips = clips_of_folds(config.esc50, [config.held_out])
    gguf = _gguf(config)
    planned = plan_card(config)
    with written_folder(target) as folder:
        rungs = write_encoders(
            folder,
            parts,
            run,
            config.presets,
            runnable_gguf(config.gguf, gguf, config.n_threads),
            clips,
            n_threads=config.n_threads,
        )
        raw = _raw_manifest(parts, config, gguf)
        raw["parity"] = parity_json(rungs)
        raw["files"] = _copy_files(folder, config)
        if config.events is not None:
            raw["events"] = config.events
        if run is not None:
            raw["schema"] = HEAD_SCHEMA
            asked = parts.trained["concepts"] if parts.head is None else askable(run)
            raw["head"] = _write_head(folder, run, parts, config, asked).to_json()
            raw["files"].append(describe_file(folder, HEAD_FILE, "head"))
            raw["trained_concepts"] = sorted({*asked, *askable(run)})
            raw["trained_labels"] = sorted({*raw["trained_labels"], *run.trained.texts})
        write_manifest(folder, raw)
        logger.info("calibrating")
        if run is None:
            raw["calibration"] = _calibration(folder, config, clips).to_json()
        else:
            raw |= _fused(folder, run, config)
        write_manifest(folder, raw)
        if planned is not None:
            logger.info("evaluating")
            clips = clips_of_folds(config.esc50, [planned.fold])
            raw["eval"] = [*_evaluate(folder, config, clips), planned.measured(folder)]
        _write_expected(folder, config)
        raw["files"].append(describe_file(folder, EXPECTED, "expected"))
        write_manifest(folder, raw)


def _write_head(
    folder: Path, run: HeadRun, parts: TrainedParts, config: BundleConfig, asked: Sequence[str]
) -> HeadManifest:
    logger.info("writing the head")
    preset = next((name for name in config.presets if "cpu" in PRESETS[name].backends), "")
    graph = folder / encoder_file(preset or config.presets[0])
    session = EncoderSession(
        graph.read_bytes(), parts.n_samples, backend="cpu", n_threads=config.n_threads
    )
    write_head(folder / HEAD_FILE, run, session.encode)
    return head_manifest(run, asked)


def _fused(folder: Path, run: HeadRun, config: BundleConfig) -> dict[str, Any]:
    """Return calibration and head of the manifest, fitted on the head's held-out recordings."""
    opened = open_bundle(str(folder))
    assert opened.manifest.head is not None
    with Engine(opened, backend="cpu", n_threads=config.n_threads, llm="always") as engine:
        heard = hear_held_out(run, engine.read)
    fusion = fit_fusion(heard)
    supported = support(heard)
    rows = tuple((name, *counts) for name, counts in supported.items())
    calibration = Calibration(
        concepts=calibrated(supported),
        fitted_on=f"held out of the head's training: {', '.join(run.config.held_out)}",
    )
    head = replace(opened.manifest.head, fusion=fusion, support=rows)
    return {"calibration": calibration.to_json(), "head": head.to_json()}


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
