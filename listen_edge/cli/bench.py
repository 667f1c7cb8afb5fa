"""The commands bench, bench stream, bench training and bench precisions: what each thing costs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from listen_edge.cli.bench_events import bench_events, bench_thresholds
from listen_edge.cli.options import PATH, READABLE, engine_options, load_engine


@click.group(invoke_without_command=True)
@click.pass_context
@click.option("--repeats", type=click.IntRange(1, 1000), default=15, help="Medians of this many.")
@click.option(
    "--plain",
    "whisper",
    metavar="WHISPER",
    help="Compare with the plain way: this Whisper in torch on 30 s, every prompt re-evaluated.",
)
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table")
@engine_options
def bench(
    context: click.Context, /, repeats: int, whisper: str | None, form: str, **engine_options: Any
) -> None:
    """Time the stages with 1, 8 and 31 questions, start-up and peak memory."""
    if context.invoked_subcommand is not None:
        return
    from listen_edge.runtime.measure.bench import measure_engine, measure_process

    figures = measure_process(engine_options["bundle"], engine_options["llm"])
    with load_engine(**engine_options) as engine:
        figures |= measure_engine(engine, repeats)
        if whisper is not None:
            from listen_edge.export.plain import measure_plain_way

            figures |= measure_plain_way(engine, whisper, figures["window_8_questions_ms"])
    if form == "json":
        click.echo(json.dumps(figures, indent=1))
        return
    _print_figures(figures)


bench.add_command(bench_events)
bench.add_command(bench_thresholds)


@bench.command("stream")
@click.option("--minutes", type=click.FloatRange(0.2, 1440), default=10.0, help="In real time.")
@click.option(
    "--soak-minutes",
    type=click.FloatRange(0, 1440),
    default=20.0,
    help="For a compressed day; 0 leaves it out.",
)
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table")
@click.option("--seed", type=click.IntRange(0), default=0, help="Of what is played.")
@engine_options
def bench_stream(
    minutes: float, soak_minutes: float, form: str, seed: int, **engine_kwargs: Any
) -> None:
    """Listening for long: compute, latency, dropped windows, an idle room, memory."""
    from listen_edge.runtime.measure.stream import QUESTIONS, measure_soak, measure_stream

    with load_engine(**engine_kwargs) as engine:
        figures = measure_stream(engine, QUESTIONS, minutes=minutes, seed=seed)
        if soak_minutes:
            figures |= measure_soak(engine, QUESTIONS, minutes=soak_minutes)
    if form == "json":
        click.echo(json.dumps(figures, indent=1))
        return
    _print_figures(figures)


def _print_figures(figures: dict[str, float]) -> None:
    from listen_edge.runtime.measure.bench import bench_rows

    for name, value in bench_rows(figures):
        click.echo(f"{name:42}{value:>12}")


@bench.command("training")
@click.option("--llm", required=True, type=PATH, help="GGUF file that is trained through.")
@click.option("--threads", "n_threads", type=click.IntRange(1, 256), default=2)
@click.option("--repeats", type=click.IntRange(1, 100), default=5, help="Medians of this many.")
def bench_training(llm: Path, n_threads: int, repeats: int) -> None:
    """Time packed questions behind a cached prefix against one question a sequence."""
    from listen_edge.train.throughput import measure_training

    for name, value in measure_training(str(llm), n_threads, repeats).items():
        click.echo(f"{name:28}{value:>12.4g}")


@bench.command("precisions")
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
