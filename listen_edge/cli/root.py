"""The command line. Results go to stdout, logs and progress to stderr.

Nothing heavy is imported before a command needs it: --help takes no backend, and no command but
train and export imports torch.

Exit codes: 0 done, 1 an error the user can mend (one line), 2 usage, 130 Ctrl-C; with
`ask --exit-code` 0 some sound is present, 1 none is, 3 unknown.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from listen_edge import __version__
from listen_edge.cli.ablation import ablation
from listen_edge.cli.alarms import alarms
from listen_edge.cli.bundle import bundle_group
from listen_edge.cli.doctor import doctor
from listen_edge.cli.eval import eval_group
from listen_edge.cli.options import engine_options, load_engine
from listen_edge.cli.stream import devices, mic, replay
from listen_edge.cli.synthesize import synthesize
from listen_edge.cli.train import (
    bench_precisions,
    bench_training,
    export_group,
    report,
    train,
)
from listen_edge.cli.tune import bench_stream, tune
from listen_edge.errors import ListenEdgeError, MissingExtraError

if TYPE_CHECKING:
    from listen_edge.lines.answer import Answer

FILE = click.Path(path_type=Path)


def main() -> None:
    """Run the command line and exit."""
    try:
        code = cli(standalone_mode=False)
        sys.stdout.flush()
        sys.exit(code if isinstance(code, int) else 0)
    except ListenEdgeError as err:
        sys.exit(_fail(str(err), 1))
    except click.ClickException as err:
        err.show()
        sys.exit(err.exit_code)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(130)
    except (_StdoutClosedError, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as err:  # a full disk, a folder without permission
        where = f"{err.filename}: " if err.filename else ""
        sys.exit(_fail(f"{where}{err.strerror or err}", 1))
    except ModuleNotFoundError as err:
        extra = {"onnx": "export", "onnxscript": "export"}.get(err.name or "", "train")
        sys.exit(_fail(str(MissingExtraError(err.name or "a package", extra)), 1))


def _fail(message: str, code: int) -> int:
    click.echo(f"listen-edge: {' '.join(message.split())}", err=True)
    return code


class _StdoutClosedError(Exception):
    """The reader of stdout has gone, as in `| head -1`; click itself would exit with 1."""


class _Group(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as err:
            raise _StdoutClosedError from err


@click.group(
    cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "show_default": True}
)
@click.version_option(__version__, message="listen-edge %(version)s")
@click.option("-v", "--verbose", is_flag=True, help="Log what is done, on stderr.")
def cli(verbose: bool) -> None:
    """Ask which sounds are present, and which are not. On this device, without a network."""
    level = logging.INFO if verbose else logging.WARNING
    logging.basicConfig(level=level, format="%(message)s", stream=sys.stderr, force=True)


@cli.command()
@click.argument("files", nargs=-1, required=True, type=FILE)
@click.option("--ask", "questions", multiple=True, required=True, help="A question; repeatable.")
@click.option("--each-window", is_flag=True, help="Answer for each window of 5 s.")
@click.option("--format", "form", type=click.Choice(["text", "jsonl"]), default="text")
@click.option("--exit-code", is_flag=True, help="Exit 0 if any is present, 1 if none, 3 unknown.")
@click.option("--on", type=float, help="Presence from which a sound is present.")
@click.option("--off", type=float, help="Presence below which a sound is absent.")
@engine_options
def ask(
    files: tuple[Path, ...],
    questions: tuple[str, ...],
    each_window: bool,
    form: str,
    exit_code: bool,
    **engine_options: Any,
) -> int:
    """Answer questions about recordings, one line per file and question."""
    from listen_edge.audio import read_audio
    from listen_edge.question import parse_concept

    for question in questions:
        parse_concept(question)  # a bad question fails before anything is loaded
    for path in files:
        read_audio(path)  # so does a bad recording, whichever place it has
    answers: list[Answer] = []
    with load_engine(**engine_options) as engine:
        for path in files:
            samples = read_audio(path)
            found = (
                [a for row in engine.ask_windows(samples, questions, source=path.name) for a in row]
                if each_window
                else engine.ask(samples, questions, source=path.name)
            )
            for answer in found:
                click.echo(answer.to_json_line() if form == "jsonl" else answer.to_text_line())
            answers += found
    return _grep_like(answers) if exit_code else 0


def _grep_like(answers: list[Answer]) -> int:
    states = {answer.state for answer in answers}
    if "present" in states:
        return 0
    return 3 if "unknown" in states else 1


@cli.group(invoke_without_command=True)
@click.pass_context
@click.option("--repeats", type=click.IntRange(1, 1000), default=15, help="Medians of this many.")
@click.option(
    "--plain",
    "whisper",
    metavar="WHISPER",
    help="Compare with the plain way: this Whisper in torch on 30 s, every prompt re-evaluated.",
)
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table")
@engine_options
def bench(
    context: click.Context, /, repeats: int, whisper: str | None, form: str, **engine_options: Any
) -> None:
    """Time the stages with 1, 8 and 31 questions, start-up and peak memory."""
    if context.invoked_subcommand is not None:
        return
    from listen_edge.runtime.measure.bench import bench_rows, measure_engine, measure_process

    figures = measure_process(engine_options["bundle"])
    with load_engine(**engine_options) as engine:
        figures |= measure_engine(engine, repeats)
        if whisper is not None:
            from listen_edge.export.plain import measure_plain_way

            figures |= measure_plain_way(engine, whisper, figures["window_8_questions_ms"])
    if form == "json":
        click.echo(json.dumps(figures, indent=1))
        return
    for name, value in bench_rows(figures):
        click.echo(f"{name:42}{value:>12}")


for command in (bundle_group, mic, replay, devices, doctor, tune):
    cli.add_command(command)
for command in (alarms, synthesize, train, ablation, report, eval_group, export_group):
    cli.add_command(command)
bench.add_command(bench_stream)
bench.add_command(bench_training)
bench.add_command(bench_precisions)
