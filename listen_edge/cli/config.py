"""The service's configuration: check it, show what is in force, write one to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from listen_edge.cli.options import PATH
from listen_edge.errors import ListenEdgeError
from listen_edge.printable import printable

if TYPE_CHECKING:
    from listen_edge.bundle.manifest import Manifest
    from listen_edge.runtime.service.config.reading import Reading

_file = click.argument("file", type=PATH, required=False)


@click.group("config")
def config_group() -> None:
    """Check the service's configuration, show it, write one to begin with."""


@config_group.command()
@_file
def check(file: Path | None) -> None:
    """Tell all that is wrong with FILE, a line each with file, line and column.

    Without FILE: ./listen-edge.yaml, $XDG_CONFIG_HOME/listen-edge/config.yaml or
    /etc/listen-edge/config.yaml.
    """
    from listen_edge.runtime.service.config.asked import asked_of

    reading, manifest = read_or_tell(file)
    config = reading.config
    n_questions = len({one.id for one in asked_of(config)})
    click.echo(
        f"{printable(reading.path)}: {_counted(len(config.sources), 'source')}, "
        f"{_counted(n_questions, 'question')}, bundle {manifest.id}"
    )


@config_group.command()
@_file
def show(file: Path | None) -> None:
    """Print what is in force, as YAML: every key, and where its value comes from. No secrets.

    FILE as in check; with it the environment's LISTEN_EDGE_* and the bundle's thresholds.
    """
    from listen_edge.runtime.service.config.showing import shown

    reading, manifest = read_or_tell(file)
    for line in shown(reading, manifest.events):
        click.echo(line)


@config_group.command()
@click.argument("file", type=PATH, default="listen-edge.yaml")
def init(file: Path) -> None:
    """Write a configuration to begin with to FILE, which must not be there."""
    from listen_edge.runtime.service.config.files import starting_point

    try:
        with file.open("x", encoding="utf-8") as out:
            out.write(starting_point())
    except FileExistsError as err:
        raise ListenEdgeError(f"{printable(file)}: is there already, and kept") from err
    click.echo(f"{printable(file)}: name your microphone in it; see listen-edge devices")


def read_or_tell(file: Path | None) -> tuple[Reading, Manifest]:
    """Read a configuration; tell on stderr what is wrong with it, a line each.

    Raises:
        ListenEdgeError: it cannot be.
    """
    from listen_edge.runtime.service.config.against_bundle import read_with_bundle
    from listen_edge.runtime.service.config.problems import ConfigError

    try:
        reading, manifest = read_with_bundle(file)
    except ConfigError as err:
        if len(err.problems) == 1:
            raise
        for problem in err.problems:
            click.echo(problem, err=True)
        raise ListenEdgeError(f"{printable(err.path)}: {len(err.problems)} problems") from err
    for warning in reading.warnings:
        click.echo(f"warning: {warning}", err=True)
    return reading, manifest


def _counted(n: int, word: str) -> str:
    return f"{n} {word}{'' if n == 1 else 's'}"
