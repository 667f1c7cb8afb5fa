"""What tune and bench events share: what is heard in a user's own recordings, as a table."""

from __future__ import annotations

from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from listen_edge.cli.options import together
from listen_edge.runtime.measure.mixing import CLEAR, MASKED, MIXED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from listen_edge.runtime.measure.false_alarms import Operation
    from listen_edge.runtime.thresholds import Thresholds

WANTED_PER_DAY = 1.0  # false alarms
folder_type = click.Path(file_okay=False, exists=True, path_type=Path)

# Of a pass over recordings.
pass_options = together(
    click.option("--seed", type=click.IntRange(0), default=0, help="Of the mixtures."),
    click.option(
        "--keep",
        type=click.Path(file_okay=False, path_type=Path),
        help="Keep what is heard here; a pass that was stopped goes on.  [default: nowhere]",
    ),
)


def print_operations(
    operations: Mapping[str, Operation], thresholds: Mapping[str, Thresholds]
) -> None:
    """Print a table of questions, and of all of them together in the last line."""
    from listen_edge.runtime.measure.false_alarms import together

    every = together(operations.values())
    mixed_at = {outcome.condition for outcome in every.outcomes}
    conditions = [one.name for one in (CLEAR, *MASKED, MIXED) if one.name in mixed_at]
    click.echo(
        f"{'question':<16}{'from':>6}{'false alarms':>15}{'per day':>9}{'at most':>8}"
        f"{'look-alikes':>13}" + "".join(f"{name:>7}" for name in conditions) + f"{'p50':>6}"
        f"{'p95 s':>6}"
    )
    for concept, one in (*operations.items(), ("all", every)):
        on = f"{thresholds[concept].on:.3f}" if concept in thresholds else ""
        click.echo(
            f"{concept:<16}{on:>6}{one.false_alarms:>5} in {one.hours:>4.1f} h"
            f"{one.per_day:>9.1f}{one.upper_bound_per_day:>8.1f}{one.per_100_lookalikes:>9.1f} %"
            f"{'':2}"
            + "".join(f"{one.recall(name):>7.2f}" for name in conditions)
            + f"{one.latency_s(0.5):>6.1f}{one.latency_s(0.95):>6.1f}"
        )


def spinner(what: str) -> AbstractContextManager[Callable[[], None]]:
    """Return a context whose value counts one up on stderr."""

    @contextmanager
    def counting() -> Any:
        from rich.console import Console
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = SpinnerColumn(), TextColumn("{task.completed:.0f} {task.description}")
        with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as progress:
            task = progress.add_task(what, total=None)
            yield lambda: progress.advance(task)

    return counting()
