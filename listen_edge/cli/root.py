"""The root of the command line. Results go to stdout, logs and progress to stderr.

Nothing heavy is imported before a command needs it: --help takes no command's file and no backend,
and no command but train and export imports torch.

Exit codes: 0 done, 1 an error the user can mend (one line), 2 usage, 130 Ctrl-C; with
`ask --exit-code` 0 some sound is present, 1 none is, 3 unknown.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

import click

from listen_edge import __version__
from listen_edge.cli.commands import COMMANDS
from listen_edge.cli.lazy_group import LazyGroup
from listen_edge.errors import ListenEdgeError, MissingExtraError
from listen_edge.extras import extra_for
from listen_edge.urls import without_secrets_of


def main() -> None:
    """Run the command line and exit."""
    try:
        _mend_standard_streams()
        code = cli(standalone_mode=False)
        sys.stdout.flush()
        sys.exit(code if isinstance(code, int) else 0)
    except ListenEdgeError as err:
        sys.exit(_fail(str(err), 1))
    except click.ClickException as err:
        err.show()
        sys.exit(err.exit_code)
    except (KeyboardInterrupt, click.Abort) as err:
        if isinstance(err.__cause__, EOFError):  # click takes a cut file's for Ctrl-D
            sys.exit(_fail("a file ends too early; is one empty or cut?", 1))
        sys.exit(130)
    except (_StdoutClosedError, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as err:  # a full disk, a folder without permission
        where = f"{err.filename}: " if err.filename else ""
        sys.exit(_fail(f"{where}{err.strerror or err}", 1))


class _WithoutSecrets(logging.Formatter):
    """Other packages log the URLs that they ask."""

    def format(self, record: logging.LogRecord) -> str:
        return without_secrets_of("", super().format(record))


def _mend_standard_streams() -> None:
    """Let no file that is opened later take the place of a closed stdin, stdout or stderr.

    Raises:
        ListenEdgeError: stdout is closed: a result would be lost, and none be told.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number: this one
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115 - for the process's life
    if sys.stdout is None:
        raise ListenEdgeError(
            "standard output is closed, and results go there; use >/dev/null to see none"
        )


def _fail(message: str, code: int) -> int:
    click.echo(f"listen-edge: {' '.join(message.split())}", err=True)
    return code


class _StdoutClosedError(Exception):
    """The reader of stdout has gone, as in `| head -1`; click itself would exit with 1."""


class _Root(LazyGroup):
    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as err:
            raise _StdoutClosedError from err
        except ModuleNotFoundError as err:
            module = (err.name or "").partition(".")[0]
            if module in ("", "listen_edge"):
                raise
            raise MissingExtraError(module, extra_for(module, ctx.invoked_subcommand)) from err


@click.group(
    cls=_Root,
    lazy=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True},
)
@click.version_option(__version__, message="listen-edge %(version)s")
@click.option("-v", "--verbose", is_flag=True, help="Log what is done, on stderr.")
def cli(verbose: bool) -> None:
    """Ask which sounds are present, and which are not. On this device, without a network."""
    level = logging.INFO if verbose else logging.WARNING
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_WithoutSecrets("%(message)s"))
    logging.basicConfig(level=level, handlers=[handler], force=True)
