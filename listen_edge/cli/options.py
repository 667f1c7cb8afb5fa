"""Options that several commands share, and the engine they describe."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import click

from listen_edge.errors import ListenEdgeError
from listen_edge.runtime.listening.trigger import TriggerConfig
from listen_edge.runtime.thresholds import Thresholds, chosen_thresholds

if TYPE_CHECKING:
    from listen_edge.runtime.engine import Engine

Command = TypeVar("Command", bound=Callable[..., Any])

PATH = click.Path(path_type=Path)
READABLE = click.Path(exists=True, dir_okay=False, path_type=Path)


class Decorator(Protocol):
    """Adds options to a command."""

    def __call__(self, command: Command, /) -> Command: ...


def together(*options: Decorator) -> Decorator:
    """Return one decorator that adds these options; --help shows them in this order."""

    def add(command: Command, /) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


question_option = click.option(
    "--ask", "questions", multiple=True, required=True, help="A question; repeatable."
)


def parse_confirm(context: click.Context, option: click.Parameter, value: str) -> tuple[int, int]:
    """Return k and n of "k/n"."""
    k, slash, n = value.partition("/")
    if not (slash and k.isdecimal() and n.isdecimal()):
        raise click.BadParameter(f"{value!r}, expected K/N such as 3/4: k of the last n windows")
    return int(k), int(n)


rate_range = click.IntRange(4_000, 768_000)  # audio.limits', which would import numpy

confirm_option = click.option(
    "--confirm",
    metavar="K/N",
    callback=lambda context, option, value: value and parse_confirm(context, option, value),
    help="An event begins when K of the last N windows reach the threshold.  "
    "[default: the bundle's, else {}/{}]".format(*TriggerConfig.confirm),
)

_bundle_option = click.option(
    "--bundle", default="tiny", help="Embedded bundle's name, or a folder."
)
_backend_option = click.option(
    "--backend",
    type=click.Choice(["auto", "cpu", "cuda", "tensorrt"]),
    default="auto",
    help="Compute backend; auto takes the fastest that is available.",
)
_threads_option = click.option(
    "--threads", type=click.IntRange(1, 256), help="CPU threads.  [default: what it may use]"
)

# Of commands that listen with the question head alone.
head_options = together(_bundle_option, _backend_option, _threads_option)

# Of every other command that loads an engine.
engine_options = together(
    _bundle_option,
    _backend_option,
    click.option(
        "--llm",
        type=click.Choice(["auto", "always", "never"]),
        default="auto",
        help="Ask the LLM where the head suspects a sound, about every window, or never.",
    ),
    _threads_option,
)


def load_engine(
    bundle: str,
    backend: str,
    threads: int | None,
    llm: str = "auto",
    on: float | None = None,
    off: float | None = None,
) -> Engine:
    """Load a bundle; on and off override its thresholds, and those of one swapped in later."""
    from listen_edge.bundle.opening import open_bundle
    from listen_edge.runtime.engine import Engine

    opened, thresholds = open_bundle(bundle), None
    if on is not None or off is not None:
        shipped = Thresholds(opened.manifest.on_threshold, opened.manifest.off_threshold)
        thresholds = chosen_thresholds(on, off, shipped)
    return Engine(opened, backend=backend, n_threads=threads, thresholds=thresholds, llm=llm)


def load_head_engine(bundle: str, backend: str, threads: int | None) -> Engine:
    """Load a bundle to listen with its head alone; its LLM at most reads questions.

    Raises:
        BundleError: it has no head.
    """
    from listen_edge.bundle.opening import open_bundle
    from listen_edge.runtime.engine import Engine

    opened = open_bundle(bundle)
    opened.require_head()
    return Engine(opened, backend=backend, n_threads=threads, llm="never")


def json_object(option: str, text: str) -> dict[str, Any]:
    """Return the object that an option's JSON holds."""
    try:
        parsed = json.loads(text)
    except ValueError as err:
        raise ListenEdgeError(f"{option}: not JSON ({err})") from err
    if not isinstance(parsed, dict):
        raise ListenEdgeError(f"{option}: expected a JSON object")
    return parsed
