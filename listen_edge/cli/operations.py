"""What tune and bench stream share: false alarms and recall on a user's own recordings."""

from __future__ import annotations

from contextlib import AbstractContextManager, contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from listen_edge.cli.options import together
from listen_edge.runtime.measure.mixing import Mixing

if TYPE_CHECKING:
    from collections.abc import Callable

    from listen_edge.runtime.measure.false_alarms import Operation

WANTED_PER_HOUR = 0.5  # false alarms
_FOLDER = click.Path(file_okay=False, exists=True, path_type=Path)


_recordings_options = together(
    click.option(
        "--negatives",
        type=_FOLDER,
        help="Hours without the sounds; a sub-folder named like a question is left out for it.",
    ),
    click.option("--positives", type=_FOLDER, help="A sub-folder of recordings per question."),
    click.option(
        "--snr",
        type=(float, float),
        default=Mixing.snr_db,
        help="Lowest and highest dB of a recording over the negatives it is mixed into.",
    ),
    click.option(
        "--mixtures", type=click.IntRange(1, 1000), default=Mixing.n_mixtures, help="Per recording."
    ),
    click.option("--seed", default=Mixing.seed, help="Of the mixtures."),
)


def recordings_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add where the recordings lie, `negatives` and `positives`, and the `mixing` of the two."""

    @wraps(command)
    def with_mixing(snr: tuple[float, float], mixtures: int, seed: int, **options: Any) -> Any:
        return command(mixing=Mixing(snr, mixtures, seed), **options)

    return _recordings_options(with_mixing)


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

    @contextmanager
    def counting() -> Any:
        from rich.console import Console
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = SpinnerColumn(), TextColumn("{task.completed:.0f} {task.description}")
        with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as progress:
            task = progress.add_task(what, total=None)
            yield lambda: progress.advance(task)

    return counting()
