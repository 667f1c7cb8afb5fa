"""The command tune: thresholds for a wanted rate of false alarms."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from listen_edge.cli.operations import (
    WANTED_PER_DAY,
    folder_type,
    pass_options,
    print_operations,
    spinner,
)
from listen_edge.cli.options import confirm_option, engine_options, load_engine, question_option
from listen_edge.runtime.measure.mixing import MIXED


@click.command()
@question_option
@click.option(
    "--negatives",
    type=folder_type,
    required=True,
    help="Hours without the sounds; a sub-folder named like a question is left out for it.",
)
@click.option("--positives", type=folder_type, help="A sub-folder of recordings per question.")
@click.option(
    "--per-day",
    type=click.FloatRange(0, 1440),
    default=WANTED_PER_DAY,
    help="Wanted rate of false alarms; below one per duration of the negatives: none in them.",
)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Thresholds file.")
@click.option("--hop", type=float, help="Seconds between windows.  [default: the bundle's]")
@confirm_option
@click.option(
    "--snr",
    type=(float, float),
    default=MIXED.snr_db,
    help="Lowest and highest dB of a recording over the negatives it is mixed into.",
)
@click.option("--mixtures", type=click.IntRange(1, 1000), default=MIXED.n, help="Per recording.")
@pass_options
@engine_options
def tune(
    questions: tuple[str, ...],
    negatives: Path,
    positives: Path | None,
    per_day: float,
    out: Path | None,
    hop: float | None,
    confirm: tuple[int, int] | None,
    snr: tuple[float, float],
    mixtures: int,
    seed: int,
    keep: Path | None,
    **engine_kwargs: Any,
) -> None:
    """Find each question's threshold for a wanted rate of false alarms, and what it then hears.

    Listens to the negatives once, and to the positives mixed into them. A rate needs its hours:
    with none in three hours the true one is below 24 a day, with a confidence of 95 %.
    """
    from listen_edge.bundle.thresholds import TunedThresholds
    from listen_edge.question import parse_concept
    from listen_edge.runtime.listening.listen_config import ListenConfig
    from listen_edge.runtime.measure.hearing import Hearing
    from listen_edge.runtime.measure.tune import operations, tuned

    concepts = list(dict.fromkeys(parse_concept(question) for question in questions))
    condition = replace(MIXED, snr_db=snr, n=mixtures)
    with load_engine(**engine_kwargs) as engine, spinner("windows") as advance:
        config = ListenConfig.of(engine.bundle.manifest.events).trigger
        config = replace(config, confirm=confirm or config.confirm)
        hearing = Hearing(
            engine, concepts, hop_s=hop, llm=engine_kwargs["llm"], keep=keep, on_window=advance
        )
        traces = hearing.listen(negatives, None, positives, [condition], seed=seed)
        bundle_id = engine.bundle.id
    found = tuned(traces, config, per_day=per_day)
    default = dict.fromkeys(concepts, config.thresholds)
    for thresholds in (default, found):
        measured = operations(traces, thresholds, config)
        print_operations(measured, thresholds)
    if out is not None:
        TunedThresholds(
            bundle=bundle_id,
            hop_s=traces.hop_s,
            confirm=config.confirm,
            by_concept={concept: (t.on, t.off) for concept, t in found.items()},
            figures={concept: one.to_json() for concept, one in measured.items()},
        ).write(out)
        click.echo(f"written: {out}; use it with `listen-edge mic --thresholds {out}`")
