"""The commands bench events and bench thresholds: what a bundle raises events at, and from when."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from listen_edge.cli.operations import folder_type, pass_options, print_operations, spinner
from listen_edge.cli.options import engine_options, load_engine, parse_confirm
from listen_edge.runtime.measure.mixing import CLEAR, MASKED, OVER

if TYPE_CHECKING:
    from listen_edge.runtime.listening.listen_config import ListenConfig
    from listen_edge.runtime.measure.false_alarms import Operation
    from listen_edge.runtime.measure.sweep import Choice
    from listen_edge.runtime.measure.traces import Traces

_ONS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99, 0.995, 0.999)
_CONFIRMS = ("1/1", "2/2", "2/3", "3/4")
_form_option = click.option(
    "--format", "form", type=click.Choice(["table", "json"]), default="table"
)


@click.command("events")
@click.option("--ask", "questions", multiple=True, help="A question.  [default: ten of safety]")
@click.option(
    "--natural",
    type=folder_type,
    required=True,
    help="Hours without the sounds, a folder for each kind (speech, music, ambience ...).",
)
@click.option("--lookalikes", type=folder_type, help="A folder for each sound that may be taken.")
@click.option("--events", type=folder_type, help="A folder of recordings for each question.")
@click.option(
    "--over",
    multiple=True,
    default=OVER,
    help="Kinds of natural hours that events are mixed into; repeatable.",
)
@_form_option
@pass_options
@engine_options
def bench_events(
    questions: tuple[str, ...],
    natural: Path,
    lookalikes: Path | None,
    events: Path | None,
    over: tuple[str, ...],
    form: str,
    seed: int,
    keep: Path | None,
    **engine_kwargs: Any,
) -> None:
    """False alarms a day, alarms at look-alikes, recall by SNR and by duration, latency.

    At the bundle's own thresholds; with --keep, `bench thresholds` then tries others in seconds.
    """
    from dataclasses import replace

    from listen_edge.question import parse_concept
    from listen_edge.runtime.listening.listen_config import ListenConfig
    from listen_edge.runtime.measure.hearing import Hearing
    from listen_edge.runtime.measure.tune import TARGETS

    concepts = list(dict.fromkeys(parse_concept(question) for question in questions or TARGETS))
    conditions = [CLEAR, *(replace(masked, over=over) for masked in MASKED)]
    with load_engine(**engine_kwargs) as engine, spinner("windows") as advance:
        config = ListenConfig.of(engine.bundle.manifest.events)
        hearing = Hearing(engine, concepts, llm=engine_kwargs["llm"], keep=keep, on_window=advance)
        traces = hearing.listen(natural, lookalikes, events, conditions, seed=seed)
    _tell(traces, config, form)


@click.command("thresholds")
@click.argument("traces_folder", metavar="TRACES", type=folder_type)
@click.option("--on", "ons", type=float, multiple=True, default=_ONS, help="Repeatable.")
@click.option("--off", "offs", type=float, multiple=True, default=(0.5,), help="Repeatable.")
@click.option(
    "--confirm",
    "confirms",
    metavar="K/N",
    multiple=True,
    default=_CONFIRMS,
    callback=lambda context, option, values: [
        parse_confirm(context, option, value) for value in values
    ],
    help="Repeatable.",
)
@click.option(
    "--write",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a manifest's field `events`: one --on, --off and --confirm, and what single "
    "questions need.",
)
@click.option(
    "--lowest",
    type=click.FloatRange(0.01, 0.99),
    default=0.5,
    help="Of single questions, with --write.",
)
@click.option(
    "--per-100",
    type=click.FloatRange(0, 100),
    default=1.0,
    help="Alarms of a single question at 100 look-alikes, with --write.",
)
@_form_option
def bench_thresholds(
    traces_folder: Path,
    ons: tuple[float, ...],
    offs: tuple[float, ...],
    confirms: list[tuple[int, int]],
    write: Path | None,
    lowest: float,
    per_100: float,
    form: str,
) -> None:
    """Try thresholds on what `bench events --keep` heard, without listening again.

    One choice is shown by question, several in a line each.
    """
    from listen_edge.runtime.listening.listen_config import ListenConfig
    from listen_edge.runtime.listening.trigger import TriggerConfig
    from listen_edge.runtime.measure.sweep import manifest_field, own_thresholds, sweep
    from listen_edge.runtime.measure.traces import read_traces

    traces = read_traces(traces_folder)
    choices = list(sweep(traces, ons, offs, confirms, TriggerConfig()))
    if len(choices) > 1 and write is None:
        _print_choices(choices, form)
        return
    if len(choices) != 1:
        raise click.UsageError("expected one --on, one --off (at most it) and one --confirm")
    if write is None:
        _tell(traces, ListenConfig(trigger=choices[0].config), form)
        return
    grid = sorted({*(on for on in _ONS if on >= lowest), *ons})
    config = choices[0].config
    own = own_thresholds(traces, grid, config, per_100=per_100)
    write.write_text(json.dumps(manifest_field(config, own), indent=1) + "\n", encoding="utf-8")
    _tell(traces, ListenConfig(trigger=config, thresholds=own), form)


def _tell(traces: Traces, config: ListenConfig, form: str) -> None:
    """Print what a configuration does."""
    from listen_edge.runtime.measure.false_alarms import together
    from listen_edge.runtime.measure.tune import operations

    found = operations(traces, config.thresholds, config.trigger)
    thresholds = {c: config.thresholds.get(c, config.trigger.thresholds) for c in found}
    every = together(found.values())
    if form == "json":
        figures = {
            "heard_by": traces.bundle,
            "confirm": list(config.trigger.confirm),
            **every.to_json(),
            "by_question": {
                concept: {**asdict(thresholds[concept]), **one.to_json()}
                for concept, one in found.items()
            },
        }
        click.echo(json.dumps(figures, indent=1))
        return
    print_operations(found, thresholds)
    _print_parts(every)


def _print_parts(every: Operation) -> None:
    """Print where the alarms were, and how long the sounds were that were heard."""
    for name, counts in (("hours", every.alarms), ("look-alikes", every.lookalike_alarms)):
        listed = ", ".join(f"{kind} {n}" for kind, n in Counter(counts).most_common())
        click.echo(f"alarms in {name}: {listed or 'none'}")
    for name, figure in every.recall_by_duration().items():
        click.echo(f"recall of sounds {name}: {figure:.2f}")


def _print_choices(choices: list[Choice], form: str) -> None:
    if form == "json":
        rows = [
            {
                "on": choice.config.thresholds.on,
                "off": choice.config.thresholds.off,
                "confirm": list(choice.config.confirm),
                **choice.operation.to_json(),
            }
            for choice in choices
        ]
        click.echo(json.dumps(rows, indent=1))
        return
    click.echo(
        f"{'on':>6}{'off':>6}{'confirm':>8}{'false alarms':>15}{'per day':>9}{'at most':>8}"
        f"{'look-alikes':>13}{'clear':>7}{'0-10 dB':>9}{'p50':>6}{'p95 s':>7}"
    )
    masked = [condition.name for condition in MASKED]
    for choice in choices:
        config, one = choice.config, choice.operation
        confirm = "{}/{}".format(*config.confirm)
        click.echo(
            f"{config.thresholds.on:>6g}{config.thresholds.off:>6g}{confirm:>8}"
            f"{one.false_alarms:>5} in {one.hours:>4.1f} h{one.per_day:>9.1f}"
            f"{one.upper_bound_per_day:>8.1f}{one.per_100_lookalikes:>11.1f} %"
            f"{one.recall(CLEAR.name):>7.2f}{one.recall(*masked):>9.2f}"
            f"{one.latency_s(0.5):>6.1f}{one.latency_s(0.95):>7.1f}"
        )
