"""tune and bench stream: thresholds for a wanted false-alarm rate, and what listening costs."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from listen_edge.cli.options import Command, confirm_option, engine_options, load_engine

if TYPE_CHECKING:
    from collections.abc import Callable

    from listen_edge.runtime.measure.tune import Operation

_PER_HOUR = 0.5  # false alarms
_FOLDER = click.Path(file_okay=False, exists=True, path_type=Path)


def material_options(command: Command) -> Command:
    """Add where the recordings lie and how they are mixed."""
    options = (
        click.option(
            "--negatives",
            type=_FOLDER,
            help="Hours without the sounds; a sub-folder named like a question is left out for it.",
        ),
        click.option("--positives", type=_FOLDER, help="A sub-folder of recordings per question."),
        click.option(
            "--snr",
            type=(float, float),
            default=(0.0, 10.0),
            help="Lowest and highest dB of a recording over the negatives it is mixed into.",
        ),
        click.option("--mixtures", type=click.IntRange(1, 1000), default=6, help="Per recording."),
        click.option("--seed", default=0, help="Of the mixtures."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command()
@click.option("--ask", "questions", multiple=True, required=True, help="A question; repeatable.")
@click.option(
    "--per-hour",
    type=click.FloatRange(0, 60),
    default=_PER_HOUR,
    help="Wanted rate of false alarms.",
)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Thresholds file.")
@click.option("--hop", type=float, help="Seconds between windows.  [default: the bundle's]")
@confirm_option
@material_options
@engine_options
def tune(
    questions: tuple[str, ...],
    per_hour: float,
    out: Path | None,
    hop: float | None,
    confirm: tuple[int, int],
    negatives: Path | None,
    positives: Path | None,
    snr: tuple[float, float],
    mixtures: int,
    seed: int,
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
    config = ListenConfig(hop_s=hop, trigger=TriggerConfig(confirm=confirm))
    with load_engine(**engine_kwargs) as engine, spinner("windows") as advance:
        default, tuned = measure_operations(
            engine,
            concepts,
            negatives,
            positives,
            config,
            per_hour=per_hour,
            snr_db=snr,
            n_mixtures=mixtures,
            seed=seed,
            on_window=advance,
        )
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


def print_operations(default: dict[str, Operation], tuned: dict[str, Operation]) -> None:
    """Print a table of questions, at default thresholds and at tuned ones."""
    click.echo(
        f"{'question':<20}{'thresholds':>14}{'false alarms':>16}{'per hour':>10}"
        f"{'recall':>8}{'p50':>7}{'p95 s to event':>16}"
    )
    for kind, operations in (("default", default), ("tuned", tuned)):
        for concept, operation in operations.items():
            click.echo(
                f"{concept:<20}{kind:>7} {operation.thresholds.on:6.3f}"
                f"{operation.false_alarms:>8} in {operation.hours:.1f} h"
                f"{operation.false_alarms_per_hour:>8.2f}{operation.recall:>9.2f}"
                f"{operation.latency_s(0.5):>7.1f}{operation.latency_s(0.95):>10.1f}"
            )


def spinner(what: str) -> AbstractContextManager[Callable[[], None]]:
    """Return a context whose value counts one up on stderr."""
    from contextlib import contextmanager

    @contextmanager
    def counting() -> Any:
        from rich.console import Console
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = SpinnerColumn(), TextColumn("{task.completed:.0f} {task.description}")
        with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as progress:
            task = progress.add_task(what, total=None)
            yield lambda: progress.advance(task)

    return counting()


@click.command("stream")
@click.option("--minutes", type=click.FloatRange(0.2, 1440), default=10.0, help="In real time.")
@click.option(
    "--soak-minutes",
    type=click.FloatRange(0, 1440),
    default=20.0,
    help="For a compressed day; 0 leaves it out.",
)
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table")
@material_options
@engine_options
def bench_stream(
    minutes: float,
    soak_minutes: float,
    form: str,
    negatives: Path | None,
    positives: Path | None,
    snr: tuple[float, float],
    mixtures: int,
    seed: int,
    **engine_kwargs: Any,
) -> None:
    """Listening for long: compute, latency, dropped windows, an idle room, memory, false alarms.

    False alarms and recall are measured where --negatives and --positives are given.
    """
    from listen_edge.runtime.listening.listener import ListenConfig
    from listen_edge.runtime.measure.bench import bench_rows
    from listen_edge.runtime.measure.stream import QUESTIONS, measure_soak, measure_stream
    from listen_edge.runtime.measure.tune import TARGETS, measure_operations, summarize

    with load_engine(**engine_kwargs) as engine:
        figures = measure_stream(engine, QUESTIONS, minutes=minutes, seed=seed)
        if soak_minutes:
            figures |= measure_soak(engine, QUESTIONS, minutes=soak_minutes)
        operations: dict[str, Operation] = {}
        tuned: dict[str, Operation] = {}
        if negatives is not None:
            with spinner("windows") as advance:
                operations, tuned = measure_operations(
                    engine,
                    TARGETS,
                    negatives,
                    positives,
                    ListenConfig(),
                    per_hour=_PER_HOUR,
                    snr_db=snr,
                    n_mixtures=mixtures,
                    seed=seed,
                    on_window=advance,
                )
            figures |= summarize(operations)
    if form == "json":
        rows = {
            kind: {concept: operation.to_json() for concept, operation in found.items()}
            for kind, found in (("default", operations), ("tuned", tuned))
        }
        click.echo(json.dumps({**figures, "questions": rows}, indent=1))
        return
    for name, value in bench_rows(figures):
        click.echo(f"{name:42}{value:>12}")
    if operations:
        print_operations(operations, tuned)
