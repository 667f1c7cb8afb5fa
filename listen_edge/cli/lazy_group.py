"""A group whose commands are imported when they are run: --help takes the table alone.

Source: click's documentation, "Lazily loading subcommands".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import click


@dataclass(frozen=True)
class LazyCommand:
    """Where a command is, and what a list of commands says of it.

    Attributes:
        target: "module:attribute".
        help: the first sentence of the command's own help, as click would shorten it.
    """

    target: str
    help: str

    def load(self) -> click.Command:
        module, _, attribute = self.target.partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command), self.target
        return command


class LazyGroup(click.Group):
    """A group of LazyCommands, by name.

    `commands` holds what click needs without running them: their names, for lists and suggestions,
    and their help.
    """

    def __init__(self, *args: Any, lazy: Mapping[str, LazyCommand], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lazy = lazy
        self.commands = {name: click.Command(name, help=found.help) for name, found in lazy.items()}

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command; None if there is none of this name."""
        found = self._lazy.get(cmd_name)
        return None if found is None else found.load()

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write names and help without importing a command."""
        click.Group(commands=self.commands).format_commands(ctx, formatter)
