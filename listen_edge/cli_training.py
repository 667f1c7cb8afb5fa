"""The commands that need the extras `train` and `export`."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from listen_edge.errors import ListenEdgeError

PATH = click.Path(path_type=Path)
READABLE = click.Path(exists=True, dir_okay=False, path_type=Path)

_TRAIN_DEFAULTS_HELP = "Further fields of TrainConfig as JSON, e.g. '{\"lr\": 3e-4}'."


@click.command()
@click.option("--whisper", required=True, help="openai-whisper name or file, or a folder.")
@click.option("--llm", required=True, help="GGUF file that ships, or a transformers folder.")
@click.option("--vocabulary", help="GGUF with the LLM's tokeniser.  [default: --llm]")
@click.option("--esc50", required=True, help="Folder of ESC-50.")
@click.option("--extra", help="Folder of further labelled clips.")
@click.option("--out", required=True, type=PATH, help="Folder of the run; holds it: go on.")
@click.option("--fold", "folds", type=click.IntRange(1, 5), multiple=True, default=[1, 2, 3])
@click.option("--held-out", type=click.IntRange(1, 5), default=4, help="Fold for the shown AUC.")
@click.option("--steps", type=click.IntRange(1), help="Steps through the LLM.  [default: 520]")
@click.option("--seed", type=int, default=0)
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu")
@click.option("--dtype", type=click.Choice(["float32", "bfloat16"]), default="bfloat16")
@click.option("--threads", type=click.IntRange(1, 256), default=2)
@click.option("--config", "more", default="{}", help=_TRAIN_DEFAULTS_HELP)
def train(out: Path, more: str, **options: Any) -> None:
    """Train an adapter: warm start, then yes/no questions through the frozen LLM.

    Killed at any step and started again, it goes on from its last checkpoint to the same result.
    Encoder taps are kept in the folder taps/ beside --out, about 0.5 MB a scene, for further runs.
    """
    from listen_edge.train.loop import TrainConfig
    from listen_edge.train.loop import train as run

    described = _json_object("--config", more)
    further = {k: tuple(v) if isinstance(v, list) else v for k, v in described.items()}
    unknown = sorted(set(further) - {field.name for field in fields(TrainConfig)})
    if unknown:
        raise ListenEdgeError(f"--config: TrainConfig has no field {', '.join(unknown)}")
    given = {name: value for name, value in options.items() if value is not None}
    auroc = run(TrainConfig(**{**given, **further}), out)
    click.echo(f"{out}: held-out AUROC {auroc:.3f}")


def _json_object(option: str, text: str) -> dict[str, Any]:
    try:
        parsed = json.loads(text)
    except ValueError as err:
        raise ListenEdgeError(f"{option}: not JSON ({err})") from err
    if not isinstance(parsed, dict):
        raise ListenEdgeError(f"{option}: expected a JSON object")
    return parsed


@click.group("export")
def export_group() -> None:
    """Turn trained parts into what a device runs."""


@export_group.command("encoder")
@click.argument("run", type=PATH)
@click.option("--out", required=True, type=PATH, help="ONNX file to write.")
@click.option("--precision", type=click.Choice(["fp32", "int8"]), default="int8")
def export_encoder(run: Path, out: Path, precision: str) -> None:
    """Write encoder and adapter of the training run RUN as one ONNX graph."""
    from listen_edge.export.build import export_run_encoder

    export_run_encoder(run, out, precision)
    click.echo(f"{out}: {out.stat().st_size} bytes")


@export_group.command("llm")
@click.argument("gguf", type=PATH)
@click.option("--out", required=True, type=PATH, help="GGUF file to write.")
@click.option("--type", "quantization", default="q8_0", help="llama.cpp's name of the type.")
@click.option("--threads", type=click.IntRange(1, 256), default=2)
def export_llm(gguf: Path, out: Path, quantization: str, threads: int) -> None:
    """Write the LLM of a GGUF file in another quantisation."""
    from listen_edge.runtime.llama import quantize_gguf

    quantize_gguf(gguf, out, quantization, threads)
    click.echo(f"{out}: {out.stat().st_size} bytes")


@export_group.command("bundle")
@click.argument("run", type=PATH)
@click.option("--out", required=True, type=PATH, help="Folder of the bundle.")
@click.option("--name", required=True)
@click.option("--gguf", required=True, type=PATH, help="LLM file as it is distributed.")
@click.option("--gguf-package", help="Python package that carries it.  [default: copy it in]")
@click.option("--gguf-type", "gguf_quantization", default="q4_1", help="Its quantisation.")
@click.option("--type", "quantization", default="q8_0", help="Quantisation it runs as.")
@click.option("--esc50", required=True, type=PATH, help="Folder of ESC-50.")
@click.option("--held-out", required=True, type=click.IntRange(1, 5), help="Fold not trained on.")
@click.option("--calibration", type=PATH, help="Bundle to take it from.  [default: fit it]")
@click.option("--example", "examples", multiple=True, type=PATH, help="Recording; repeatable.")
@click.option("--example-question", "example_questions", multiple=True)
@click.option("--document", "documents", multiple=True, type=PATH, help="Text; repeatable.")
@click.option("--about", type=READABLE, help="JSON object of names, sources and licences.")
@click.option("--threads", "n_threads", type=click.IntRange(1, 256), default=2)
def export_bundle(run: Path, out: Path, about: Path | None, **options: Any) -> None:
    """Write the bundle of the training run RUN, after the parity ladder has passed."""
    from listen_edge.export.build import BundleConfig
    from listen_edge.export.build import export_bundle as build

    described = _json_object("--about", about.read_text()) if about else {}
    build(run, out, BundleConfig(**options, about=described))
    click.echo(f"{out}: written")
