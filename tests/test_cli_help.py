"""What --help says, and what it takes: nothing but the command that is asked about."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from listen_edge.cli.commands import COMMANDS
from listen_edge.cli.root import cli
from listen_edge.runtime.listening.liveness import LivenessConfig
from listen_edge.runtime.listening.trigger import TriggerConfig
from listen_edge.runtime.measure.mixing import MIXED, OVER

_HEAVY = ("numpy", "onnxruntime", "llama_cpp", "torch", "soundfile", "rich")
_SHARED = ("root", "commands", "lazy_group", "options", "telling")
_SHELL = {"listen_edge.cli." + name for name in _SHARED}
# Runs the arguments and prints which modules that took, last, as JSON.
_CHILD = """
import json, sys
from listen_edge.cli.root import cli
cli(sys.argv[1:], standalone_mode=False)
print(json.dumps(list(sys.modules)))
"""


def _contexts(context: click.Context) -> Iterator[click.Context]:
    """Yield the context of a group and those of all commands below it."""
    yield context
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            command = context.command.get_command(context, name)
            assert command is not None
            yield from _contexts(click.Context(command, parent=context, info_name=name))


ROOT = click.Context(cli, info_name="listen-edge", **cli.context_settings)
ALL = {context.command_path: context for context in _contexts(ROOT)}


@pytest.mark.parametrize("path", ALL)
def test_every_command_has_help(path: str) -> None:
    _, *arguments = path.split()
    result = CliRunner().invoke(cli, [*arguments, "--help"], catch_exceptions=False)
    assert result.exit_code == 0
    assert ALL[path].command.help and "--help" in result.output


def test_the_list_of_commands_says_what_they_say_themselves() -> None:
    for name, lazy in COMMANDS.items():
        assert lazy.help == lazy.load().get_short_help_str(limit=1000), name


@pytest.mark.parametrize(
    ("arguments", "families"),
    [
        (["--help"], set()),
        (["ask", "--help"], {"ask"}),
        (["mic", "--help"], {"mic", "listening", "listen_options", "live_source", "stopping"}),
        (["hear", "--help"], {"hear", "listen_options", "live_source"}),
        (["tune", "--help"], {"tune", "operations"}),
        (["bench", "--help"], {"bench", "bench_events", "operations"}),
        (["train", "--help"], {"train"}),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_help_imports_no_other_command_and_nothing_heavy(
    arguments: list[str], families: set[str]
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, *arguments], capture_output=True, text=True, check=True
    )
    modules = set(json.loads(done.stdout.splitlines()[-1]))
    assert not modules & {*_HEAVY}
    found = {module for module in modules if module.startswith("listen_edge.cli.")}
    assert found - _SHELL == {"listen_edge.cli." + family for family in families}


def _shown_defaults(*path: str) -> dict[str, str]:
    """Return what the help of a command says after [default: ..., by option."""
    context = ALL[" ".join(["listen-edge", *path])]
    records = (option.get_help_record(context) for option in context.command.params)
    return {
        names.split()[0]: said.partition("[default: ")[2].rstrip("]")
        for names, said in filter(None, records)
    }


@pytest.mark.parametrize("command", ["mic", "replay"])
def test_the_help_shows_the_listeners_own_defaults(command: str) -> None:
    trigger, (k, n) = TriggerConfig(), TriggerConfig.confirm
    wanted = {
        "--on": f"the bundle's, else {trigger.thresholds.on}",
        "--off": f"the bundle's, else {trigger.thresholds.off}",
        "--confirm": f"the bundle's, else {k}/{n}",
        "--end-after": f"{trigger.end_after_s}",
        "--cooldown": f"{trigger.cooldown_s}",
        "--long-event": f"{trigger.long_event_s}",
        "--stall-timeout": f"{LivenessConfig().silent_after_s}",
    }
    assert wanted.items() <= _shown_defaults(command).items()


def test_the_help_shows_the_defaults_of_mixing() -> None:
    shown = _shown_defaults("tune")
    assert shown["--snr"] == "{}, {}".format(*MIXED.snr_db)
    assert shown["--mixtures"].partition(";")[0] == f"{MIXED.n}"
    assert _shown_defaults("bench", "events")["--over"] == ", ".join(OVER)


@pytest.mark.skipif(not hasattr(click, "NoSuchCommand"), reason="this click suggests no commands")
def test_an_unknown_command_names_those_like_it() -> None:
    result = CliRunner().invoke(cli, ["reply"])
    assert result.exit_code == 2
    assert "No such command 'reply'." in result.stderr and "'replay'" in result.stderr
