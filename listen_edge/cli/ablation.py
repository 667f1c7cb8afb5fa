"""The command that shows what negatives are worth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from listen_edge.cli.options import PATH
from listen_edge.cli.train import run_options, train_config

# One class of each super-category, none of them confusable with many others.
_HELD_OUT_CLASSES = ("frog", "church bells", "footsteps", "glass breaking", "brushing teeth")


@click.command()
@run_options
@click.option("--esc50", required=True, type=PATH, help="Folder of ESC-50, for the questions.")
@click.option("--fold", type=click.IntRange(1, 5), default=5, help="Asked about, not trained on.")
@click.option("--hold-out-class", "classes", multiple=True, default=_HELD_OUT_CLASSES)
@click.option("--wordnet", type=PATH, default=Path("/usr/share/wordnet"))
@click.option("--seed", "seeds", type=int, multiple=True, default=[0, 1, 2])
@click.option("--out", required=True, type=PATH, help="Folder of the runs; holds them: go on.")
def ablation(
    esc50: Path,
    fold: int,
    classes: tuple[str, ...],
    wordnet: Path,
    seeds: tuple[int, ...],
    out: Path,
    preset: str,
    more: str,
    **options: Any,
) -> None:
    """Train with positive text, + negative, + combined, + yes/no; same data, steps and seeds.

    Writes ablation.json and ablation.png into --out and prints the table.
    """
    from dataclasses import replace

    from listen_edge.ontology import Ontology
    from listen_edge.train.ablation import ablation_questions, run_ablation
    from listen_edge.train.ablation_report import draw_figures, table_lines

    config = replace(train_config(preset, more, options), left_out_labels=classes)
    ontology = Ontology.read(Path(config.ontology)) if config.ontology else None
    questions = ablation_questions(esc50, fold, classes, ontology, wordnet)
    figures = run_ablation(config, out, questions, seeds=seeds)
    draw_figures(figures, out / "ablation.png")
    for line in table_lines(figures):
        click.echo(line)
