"""The command tune: thresholds for a wanted rate of false alarms."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from listen_edge.cli.operations import (
    WANTED_PER_HOUR,
    print_operations,
    recordings_options,
    spinner,
)
from listen_edge.cli.options import confirm_option, engine_options, load_engine, question_option

if TYPE_CHECKING:
    from listen_edge.runtime.measure.mixing import Mixing


@click.command()
@question_option
@click.option(
    "--per-hour",
    type=click.FloatRange(0, 60),
    default=WANTED_PER_HOUR,
    help="Wanted rate of false alarms.",
)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Thresholds file.")
@click.option("--hop", type=float, help="Seconds between windows.  [default: the bundle's]")
@confirm_option
@recordings_options
@engine_options
def tune(
    questions: tuple[str, ...],
    per_hour: float,
    out: Path | None,
    hop: float | None,
    confirm: tuple[int, int] | None,
    negatives: Path | None,
    positives: Path | None,
    mixing: Mixing,
    **engine_kwargs: Any,
) -> None:
    """Find each question's threshold for a wanted rate of false alarms, and what it then hears.

    Listens to the negatives once, and to the positives mixed into them. Rates much below one per
    duration of the negatives cannot be promised: three hours without an event are below one per
    hour with a confidence of 95 %.
    """
    from listen_edge.bundle.thresholds import TunedThresholds
    from listen_edge.question import parse_concept
    from listen_edge.runtime.listening.listener import ListenConfig
    from listen_edge.runtime.listening.trigger import TriggerConfig
    from listen_edge.runtime.measure.tune import measure_operations

    if negatives is None:
        raise click.UsageError("tune needs --negatives")
    concepts = list(dict.fromkeys(parse_concept(question) for question in questions))
    config = ListenConfig(hop_s=hop, trigger=TriggerConfig(confirm=confirm or TriggerConfig.confirm))
    with load_engine(**engine_kwargs) as engine, spinner("windows") as advance:
        default, tuned = measure_operations(
            engine, concepts, negatives, positives, config, mixing,
            per_hour=per_hour, on_window=advance,
        )  # fmt: skip
        bundle_id, hop_s = engine.bundle.id, config.hop_s or engine.hop_s
    print_operations(default, tuned)
    if out is not None:
        TunedThresholds(
            bundle=bundle_id,
            hop_s=hop_s,
            confirm=config.trigger.confirm,
            by_concept={c: (o.thresholds.on, o.thresholds.off) for c, o in tuned.items()},
            figures={c: o.to_json() for c, o in tuned.items()},
        ).write(out)
        click.echo(f"written: {out}; use it with `listen-edge mic --thresholds {out}`")
