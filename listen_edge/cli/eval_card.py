"""eval card, and the options about a card that export bundle shares with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from listen_edge.cli.eval_options import FILE, FOLDER, fold_option, progress, seed_option
from listen_edge.cli.options import Decorator, engine_options, load_engine, together


def card_options(prefix: str) -> Decorator:
    """Return the options of where a card's recordings lie; `prefix` begins their names."""
    return together(
        click.option(
            f"--{prefix}labelled", "labelled", multiple=True, type=FOLDER,
            help="Recordings from elsewhere, as for eval labelled; repeatable.",
        ),
        click.option(
            f"--{prefix}source", "sources", multiple=True,
            help="Keep this source of theirs; repeatable.",
        ),
        click.option(
            f"--{prefix}background", "background", type=FOLDER,
            help="Such a folder, of what sounds behind.  [default: noise alone]",
        ),
        click.option(
            f"--{prefix}ontology", "ontology", type=FILE,
            help="AudioSet's ontology.json, to ask by other names; wants wordnet-base.",
        ),
        click.option(
            f"--{prefix}stream", "stream", type=FILE, metavar="FILE.json",
            help="Object with false_alarms_per_day, upper_bound_per_day and hours.",
        ),
    )  # fmt: skip


@click.command("card")
@click.option("--esc50", required=True, type=FOLDER, help="Folder of ESC-50.")
@fold_option
@card_options("")
@seed_option
@click.option("--out", type=FILE, metavar="FILE.json", help="Write the card there.")
@engine_options
def eval_card(
    esc50: Path,
    folds: tuple[int, ...],
    labelled: tuple[Path, ...],
    sources: tuple[str, ...],
    background: Path | None,
    ontology: Path | None,
    stream: Path | None,
    seed: int,
    out: Path | None,
    **engine_kwargs: Any,
) -> None:
    """A bundle's robustness card: about 2,000 windows, minutes on two cores. Prints Markdown."""
    from listen_edge.evaluation.card.inputs import CardOptions, read_inputs
    from listen_edge.evaluation.card.markdown import card_markdown
    from listen_edge.evaluation.card.measure import measure_card, n_heard

    options = CardOptions(labelled, sources, background, ontology, stream, seed)
    inputs = read_inputs(esc50, folds, options)
    with load_engine(**engine_kwargs) as engine, progress(n_heard(inputs)) as advance:
        card = measure_card(engine, inputs, on_clip=advance)
    if out is not None:
        out.write_text(json.dumps(card.to_json(), indent=1, ensure_ascii=False) + "\n")
    click.echo(card_markdown(card))
