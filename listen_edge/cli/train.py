"""The commands that need the extras `train` and `export`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from listen_edge.errors import ListenEdgeError

Command = TypeVar("Command", bound=Callable[..., Any])
if TYPE_CHECKING:
    from listen_edge.train.config import TrainConfig

PATH = click.Path(path_type=Path)
READABLE = click.Path(exists=True, dir_okay=False, path_type=Path)

_PRESETS = ["tiny", "listen-8b"]
_DEVICES = click.Choice(["x86-avx2", "x86-avx512-vnni", "arm64", "jetson-fp16", "fp32"])
_MORE_HELP = "Further fields of TrainConfig as JSON, e.g. '{\"lr\": 3e-4}'."


def run_options(command: Command) -> Command:
    """Add the options that describe a training run."""
    options = (
        click.option("--preset", type=click.Choice(_PRESETS), default="tiny"),
        click.option("--whisper", help="openai-whisper name or file, or a folder."),
        click.option("--llm", help="GGUF file that ships, or a transformers folder or name."),
        click.option("--vocabulary", help="GGUF with the LLM's tokeniser.  [default: --llm]"),
        click.option("--data", multiple=True, required=True, help="esc50:DIR, labelled:DIR, ..."),
        click.option("--ontology", help="AudioSet's ontology.json, for kinds and other names."),
        click.option("--texts", help="Folder of listen-edge synthesize, for text objectives."),
        click.option(
            "--leave-out", "left_out", multiple=True, help="Split or source not trained on."
        ),
        click.option("--steps", type=click.IntRange(1), help="Steps through the LLM."),
        click.option("--device", type=click.Choice(["cpu", "cuda"])),
        click.option("--dtype", type=click.Choice(["float32", "bfloat16"]), help="Of the LLM."),
        click.option("--threads", type=click.IntRange(1, 256), default=2),
        click.option("--config", "more", default="{}", help=_MORE_HELP),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command()
@run_options
@click.option("--objective", "objectives", multiple=True, help="positive, ..., yes_no; repeatable.")
@click.option("--hold-out", "held_out", multiple=True, default=["fold4"], help="For the AUROC.")
@click.option("--seed", type=int, default=0)
@click.option("--out", required=True, type=PATH, help="Folder of the run; holds it: go on.")
def train(preset: str, out: Path, more: str, **options: Any) -> None:
    """Train an adapter: warm start, then texts and questions through the frozen LLM.

    Killed at any step and started again, it goes on from its last checkpoint to the same result.
    Encoder taps are kept in the folder taps/ beside --out, about 0.3 MB a scene, for further runs.
    Several GPUs or machines: accelerate launch -m listen_edge train ...
    """
    from listen_edge.train.loop import train as run

    auroc = run(train_config(preset, more, options), out)
    click.echo(f"{out}: held-out AUROC {auroc:.3f}")


@click.command()
@click.argument("runs", nargs=-1, required=True, type=PATH)
@click.option("--out", required=True, type=PATH, help="PNG file to write.")
def report(runs: tuple[Path, ...], out: Path) -> None:
    """Draw loss and held-out AUROC of training RUNS from their logs, and print where they ended."""
    from listen_edge.train.report import draw_report

    for line in draw_report(runs, out):
        click.echo(line)


@click.command("training")
@click.option("--llm", required=True, type=PATH, help="GGUF file that is trained through.")
@click.option("--threads", "n_threads", type=click.IntRange(1, 256), default=2)
@click.option("--repeats", type=click.IntRange(1, 100), default=5, help="Medians of this many.")
def bench_training(llm: Path, n_threads: int, repeats: int) -> None:
    """Time packed questions behind a cached prefix against one question a sequence."""
    from listen_edge.train.throughput import measure_training

    for name, value in measure_training(str(llm), n_threads, repeats).items():
        click.echo(f"{name:28}{value:>12.4g}")


@click.command("precisions")
@click.argument("run", type=PATH)
@click.option("--llm", required=True, type=READABLE, help="GGUF file that RUN was trained through.")
@click.option("--esc50", required=True, type=PATH, help="Folder of ESC-50.")
@click.option("--fold", type=click.IntRange(1, 5), default=5, help="Asked about, not trained on.")
@click.option("--calibration-fold", type=click.IntRange(1, 5), default=4, help="For static int8.")
@click.option("--clips", "n_clips", type=click.IntRange(1), default=60, help="Of the fold.")
@click.option("--type", "types", multiple=True, help="GGUF type; repeatable.  [default: five]")
@click.option("--threads", "n_threads", type=click.IntRange(1, 256), default=2)
def bench_precisions(
    run: Path,
    llm: Path,
    esc50: Path,
    fold: int,
    calibration_fold: int,
    n_clips: int,
    types: tuple[str, ...],
    n_threads: int,
) -> None:
    """Print answers, size, speed and memory of every encoder precision with every GGUF type."""
    from listen_edge.evaluation.esc50 import clips_of_folds
    from listen_edge.export.precisions import GGUF_TYPES, measure_precisions, table_lines

    clips, others = (clips_of_folds(esc50, [which]) for which in (fold, calibration_fold))
    rows = measure_precisions(
        run,
        llm,
        clips[:: max(1, len(clips) // n_clips)][:n_clips],
        others[:: max(1, len(others) // n_clips)],
        n_threads=n_threads,
        gguf_types=types or GGUF_TYPES,
    )
    for line in table_lines(list(rows)):
        click.echo(line)


def train_config(preset: str, more: str, options: dict[str, Any]) -> TrainConfig:
    """Return the run that a preset, the options given and --config describe."""
    from listen_edge.train.config import PRESETS, TrainConfig

    described = json_object("--config", more)
    further = {k: tuple(v) if isinstance(v, list) else v for k, v in described.items()}
    unknown = sorted(set(further) - {field.name for field in fields(TrainConfig)})
    if unknown:
        raise ListenEdgeError(f"--config: TrainConfig has no field {', '.join(unknown)}")
    given = {name: value for name, value in options.items() if value not in (None, ())}
    config = {**PRESETS[preset], **given, "left_out": options["left_out"], **further}
    for name in ("whisper", "llm"):
        if name not in config:
            raise click.UsageError(f"--{name} is needed with the preset {preset}")
    return TrainConfig(**config)


def json_object(option: str, text: str) -> dict[str, Any]:
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
@click.option("--preset", type=_DEVICES, default=_DEVICES.choices[0], show_default=True)
def export_encoder(run: Path, out: Path, preset: str) -> None:
    """Write encoder and adapter of the training run RUN as one ONNX graph for a device."""
    from listen_edge.export.build import export_run_encoder

    export_run_encoder(run, out, preset)
    click.echo(f"{out}: {out.stat().st_size} bytes")


@export_group.command("llm")
@click.argument("source", type=PATH)
@click.option("--out", required=True, type=PATH, help="GGUF file to write.")
@click.option(
    "--type", "quantization", default="f16", help="llama.cpp's name: f16, q8_0, q5_k_m, q4_0, ..."
)
@click.option("--importance", is_flag=True, help="Weigh errors by what the device's prompts use.")
@click.option("--threads", type=click.IntRange(1, 256), default=2)
def export_llm(source: Path, out: Path, quantization: str, importance: bool, threads: int) -> None:
    """Write a LLaMA as GGUF: a folder saved by transformers, or a GGUF in another quantisation."""
    from listen_edge.export.llm import export_llm as write

    write(source, out, quantization, importance=importance, n_threads=threads)
    click.echo(f"{out}: {out.stat().st_size} bytes")


@export_group.command("bundle")
@click.argument("run", type=PATH)
@click.option("--out", required=True, type=PATH, help="Folder of the bundle.")
@click.option("--name", required=True)
@click.option(
    "--preset",
    "presets",
    multiple=True,
    type=_DEVICES,
    default=_DEVICES.choices[:1],
    show_default=True,
    help="Device of an encoder graph; repeatable, one for each backend.",
)
@click.option("--gguf", required=True, type=PATH, help="LLM file as it is distributed.")
@click.option("--gguf-package", help="Python package that carries it.  [default: copy it in]")
@click.option("--gguf-type", "gguf_quantization", default="q4_1", help="Its quantisation.")
@click.option(
    "--type", "quantization", default="f16", show_default=True, help="Quantisation it runs as."
)
@click.option("--esc50", required=True, type=PATH, help="Folder of ESC-50.")
@click.option("--held-out", required=True, type=click.IntRange(1, 5), help="Fold not trained on.")
@click.option(
    "--report-fold", "reported", type=click.IntRange(1, 5), help="Another one, for the figures."
)
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

    described = json_object("--about", about.read_text()) if about else {}
    build(run, out, BundleConfig(**options, about=described))
    click.echo(f"{out}: written")
