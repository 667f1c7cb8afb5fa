"""The command train, and the options of a training run."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from listen_edge.cli.options import PATH, json_object, together
from listen_edge.errors import ListenEdgeError
from listen_edge.train.config import PRESETS, TrainConfig

_MORE_HELP = "Further fields of TrainConfig as JSON, e.g. '{\"lr\": 3e-4}'."

# What describes a training run.
run_options = together(
    click.option("--preset", type=click.Choice([*PRESETS]), default="tiny"),
    click.option("--whisper", help="openai-whisper name or file, or a folder."),
    click.option("--llm", help="GGUF file that ships, or a transformers folder or name."),
    click.option("--vocabulary", help="GGUF with the LLM's tokeniser.  [default: --llm]"),
    click.option("--data", multiple=True, required=True, help="esc50:DIR, labelled:DIR, ..."),
    click.option("--ontology", help="AudioSet's ontology.json, for kinds and other names."),
    click.option("--texts", help="Folder of listen-edge synthesize, for text objectives."),
    click.option("--leave-out", "left_out", multiple=True, help="Split or source not trained on."),
    click.option("--steps", type=click.IntRange(1), help="Steps through the LLM."),
    click.option("--device", type=click.Choice(["cpu", "cuda"])),
    click.option("--dtype", type=click.Choice(["float32", "bfloat16"]), help="Of the LLM."),
    click.option("--threads", type=click.IntRange(1, 256), default=TrainConfig.threads),
    click.option("--config", "more", default="{}", help=_MORE_HELP),
)


@click.command()
@run_options
@click.option("--objective", "objectives", multiple=True, help="positive, ..., yes_no; repeatable.")
@click.option(
    "--hold-out", "held_out", multiple=True, default=TrainConfig.held_out, help="For the AUROC."
)
@click.option("--seed", type=int, default=TrainConfig.seed)
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


def train_config(preset: str, more: str, options: dict[str, Any]) -> TrainConfig:
    """Return the run that a preset, the options given and --config describe."""
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
