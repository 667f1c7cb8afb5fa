"""How a command tells of a failure that does not end it."""

from __future__ import annotations

import click

from listen_edge.errors import ListenEdgeError
from listen_edge.lines.error import ErrorLine


def tell_error(err: ListenEdgeError, form: str) -> None:
    """Print an error as one line on stderr and, where the format is jsonl, as one on stdout."""
    click.echo(f"listen-edge: {' '.join(str(err).split())}", err=True)
    if form == "jsonl":
        click.echo(ErrorLine(str(err)).to_json_line())
