"""The command that trains an adapter with its question head."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from listen_edge.cli.options import PATH, READABLE, json_object
from listen_edge.errors import ListenEdgeError
from listen_edge.train.head_config import HeadConfig

_MORE_HELP = "Further fields of HeadConfig as JSON, e.g. '{\"lr\": 3e-4}'."


@click.command("train-head")
@click.option("--whisper", required=True, help="openai-whisper name or file, or a folder.")
@click.option("--llm", required=True, type=READABLE, help="GGUF that ships; it reads questions.")
@click.option("--data", multiple=True, required=True, help="esc50:DIR, labelled:DIR, ...")
@click.option("--tags", multiple=True, type=READABLE, help="Table of listen-edge tag; repeatable.")
@click.option("--ontology", required=True, help="AudioSet's ontology.json.")
@click.option("--hold-out", "held_out", multiple=True, help="Fold or source to choose by.")
@click.option("--leave-out", "left_out", multiple=True, help="Fold or source for the report.")
@click.option("--mixtures", "n_mixtures", type=click.IntRange(0), help="Scenes of several sounds.")
@click.option("--steps", type=click.IntRange(1))
@click.option("--seed", type=int)
@click.option("--threads", type=click.IntRange(1, 256), default=HeadConfig.threads)
@click.option("--config", "more", default="{}", help=_MORE_HELP)
@click.option("--out", required=True, type=PATH, help="Folder of the run; holds it: go on.")
def train_head(out: Path, more: str, **options: Any) -> None:
    """Train an adapter and a head that answers any number of questions about a window at once.

    Killed at any step and started again, it goes on from its last checkpoint to the same result.
    Encoder taps and question vectors are kept in the folder taps/ beside --out, for further runs.
    """
    from listen_edge.train.head_loop import train_head as run

    described = json_object("--config", more)
    unknown = sorted(set(described) - {field.name for field in fields(HeadConfig)})
    if unknown:
        raise ListenEdgeError(f"--config: HeadConfig has no field {', '.join(unknown)}")
    options["llm"], options["tags"] = str(options["llm"]), tuple(map(str, options["tags"]))
    given = {name: value for name, value in options.items() if value not in (None, ())}
    further = {k: tuple(v) if isinstance(v, list) else v for k, v in described.items()}
    auroc = run(HeadConfig(**{**given, **further}), out)
    click.echo(f"{out}: held-out AUROC {auroc:.3f}")
