"""What the subcommands of eval share: options, asking, and showing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from listen_edge.cli.options import engine_options, load_engine, together

if TYPE_CHECKING:
    from listen_edge.evaluation.questions import Question, Reply
    from listen_edge.evaluation.report import Report

FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)
KINDS = click.Choice(["random", "popular", "adversarial"])

format_option = click.option(
    "--format", "form", type=click.Choice(["table", "json"]), default="table"
)
fold_option = click.option("--fold", "folds", type=click.IntRange(1, 5), multiple=True, default=[5])
seed_option = click.option("--seed", default=0, help="Of what is drawn as absent.")
missing_option = click.option(
    "--allow-missing", is_flag=True, help="Leave out questions about recordings that are missing."
)


# Of a benchmark that asks a bundle.
bundle_options = together(
    click.option(
        "--write", type=FILE, metavar="FILE.tsv", help="Write the questions, and ask nothing."
    ),
    format_option,
    engine_options,
)


def progress(total: int) -> AbstractContextManager[Callable[[], None]]:
    """Return a context whose value advances a bar on stderr by one."""

    @contextmanager
    def bar() -> Any:
        with click.progressbar(length=total, file=sys.stderr) as shown:
            yield lambda: shown.update(1)

    return bar()


def ask_all(
    questions: Sequence[Question], engine_kwargs: dict[str, Any]
) -> tuple[list[Reply], str]:
    """Return the bundle's reply to each question, and its id."""
    from listen_edge.evaluation.questions import ask_engine, n_clips

    with load_engine(**engine_kwargs) as engine, progress(n_clips(questions)) as advance:
        return ask_engine(engine, questions, on_clip=advance), engine.bundle.id


def show(
    reports: Sequence[Report],
    bundle_id: str,
    what: str,
    form: str,
    about: dict[str, Any] | None = None,
) -> None:
    """Print reports as a table or as JSON."""
    from listen_edge.evaluation.report import report_text

    described = {"bundle": bundle_id, **(about or {})}
    click.echo(report_text(reports, f"{bundle_id}, {what}", form, described))


def write_them(path: Path, questions: Sequence[Question], audio_dir: Path) -> None:
    """Write questions for other systems, and say so."""
    from listen_edge.evaluation.questions import write_questions

    write_questions(path, questions, audio_dir)
    click.echo(f"written: {path}, {len(questions)} questions")
