"""Options that several commands share, and the engine they describe."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from listen_edge.runtime.engine import Engine

Command = TypeVar("Command", bound=Callable[..., Any])


def _parse_confirm(context: click.Context, option: click.Parameter, value: str) -> tuple[int, int]:
    k, slash, n = value.partition("/")
    if not (slash and k.isdecimal() and n.isdecimal()):
        raise click.BadParameter(f"{value!r}, expected K/N such as 3/4: k of the last n windows")
    return int(k), int(n)


confirm_option = click.option(
    "--confirm",
    metavar="K/N",
    default="3/4",
    callback=_parse_confirm,
    help="An event begins when K of the last N windows reach the threshold.",
)


def engine_options(command: Command) -> Command:
    """Add the options of every command that loads an engine."""
    options = (
        click.option("--bundle", default="tiny", help="Embedded bundle's name, or a folder."),
        click.option(
            "--backend",
            type=click.Choice(["auto", "cpu", "cuda", "tensorrt"]),
            default="auto",
            help="Compute backend; auto takes the fastest that is available.",
        ),
        click.option(
            "--threads", type=click.IntRange(1, 256), help="CPU threads.  [default: all cores]"
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def load_engine(
    bundle: str,
    backend: str,
    threads: int | None,
    on: float | None = None,
    off: float | None = None,
) -> Engine:
    """Load a bundle; on and off override its thresholds, and those of one swapped in later."""
    from listen_edge.bundle.opening import open_bundle
    from listen_edge.runtime.engine import Engine
    from listen_edge.runtime.thresholds import Thresholds

    opened = open_bundle(bundle)
    shipped, thresholds = opened.manifest, None
    if on is not None or off is not None:
        thresholds = Thresholds(
            shipped.on_threshold if on is None else on,
            shipped.off_threshold if off is None else off,
        )
    return Engine(opened, backend=backend, n_threads=threads, thresholds=thresholds)
