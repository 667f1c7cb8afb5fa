"""The commands export encoder, export llm and export bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from listen_edge.cli.eval_card import card_options
from listen_edge.cli.options import PATH, READABLE, json_object

_DEVICES = click.Choice(["x86-avx2", "x86-avx512-vnni", "arm64", "jetson-fp16", "fp32"])


@click.group("export")
def export_group() -> None:
    """Turn trained parts into what a device runs."""


@export_group.command("encoder")
@click.argument("run", type=PATH)
@click.option("--out", required=True, type=PATH, help="ONNX file to write.")
@click.option("--preset", type=_DEVICES, default=_DEVICES.choices[0], show_default=True)
def export_encoder(run: Path, out: Path, preset: str) -> None:
    """Write encoder and adapter of the training run RUN as one ONNX graph for a device."""
    from listen_edge.export.graphs import export_run_encoder

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
@click.option("--head", type=PATH, help="Run of train-head whose question head goes in too.")
@click.option("--calibration", type=PATH, help="Bundle to take it from.  [default: fit it]")
@click.option("--example", "examples", multiple=True, type=PATH, help="Recording; repeatable.")
@click.option("--example-question", "example_questions", multiple=True)
@click.option("--document", "documents", multiple=True, type=PATH, help="Text; repeatable.")
@click.option("--events", type=READABLE, help="Thresholds of events, of `bench thresholds`.")
@click.option("--about", type=READABLE, help="JSON object of names, sources and licences.")
@card_options("card-")
@click.option("--replaces", type=PATH, help="Bundle or card that this one may not be worse than.")
@click.option("--accept-worse", is_flag=True, help="Write it though it is worse.")
@click.option("--threads", "n_threads", type=click.IntRange(1, 256), default=2)
def export_bundle(
    run: Path,
    out: Path,
    about: Path | None,
    events: Path | None,
    labelled: tuple[Path, ...],
    sources: tuple[str, ...],
    background: Path | None,
    ontology: Path | None,
    stream: Path | None,
    **options: Any,
) -> None:
    """Write the bundle of the training run RUN, after the parity ladder has passed.

    With --report-fold or --calibration its robustness card is measured, which takes minutes.
    """
    from listen_edge.evaluation.card.inputs import CardOptions
    from listen_edge.export.build import BundleConfig
    from listen_edge.export.build import export_bundle as build

    described = json_object("--about", about.read_text()) if about else {}
    settings = json_object("--events", events.read_text()) if events else None
    card = CardOptions(labelled, sources, background, ontology, stream)
    build(run, out, BundleConfig(**options, about=described, events=settings, card=card))
    click.echo(f"{out}: written")
