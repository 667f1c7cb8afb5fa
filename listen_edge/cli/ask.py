"""The command ask: recordings in, answers out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from listen_edge.cli.options import PATH, engine_options, load_engine, question_option
from listen_edge.cli.telling import tell_error
from listen_edge.errors import AudioError

if TYPE_CHECKING:
    from listen_edge.lines.answer import Answer
    from listen_edge.runtime.engine import Engine


@click.command()
@click.argument("files", nargs=-1, required=True, type=PATH)
@question_option
@click.option("--each-window", is_flag=True, help="Answer for each window of 5 s.")
@click.option("--format", "form", type=click.Choice(["text", "jsonl"]), default="text")
@click.option("--exit-code", is_flag=True, help="Exit 0 if any is present, 1 if none, 3 unknown.")
@click.option("--on", type=float, help="Presence from which a sound is present; --off follows.")
@click.option("--off", type=float, help="Presence below which a sound is absent; --on follows.")
@engine_options
def ask(
    files: tuple[Path, ...],
    questions: tuple[str, ...],
    each_window: bool,
    form: str,
    exit_code: bool,
    **engine_options: Any,
) -> int:
    """Answer questions about recordings, one line per file and question.

    A folder stands for all recordings below it, - for one on standard input. A recording that
    cannot be heard is one line on stderr and the others go on; the exit code is then 1, with
    --exit-code at least 3 unless a sound is present.
    """
    from listen_edge.question import parse_concept

    for question in questions:
        parse_concept(question)  # a bad question fails before anything is loaded
    states: set[str] = set()
    with load_engine(**engine_options) as engine:
        for answer in _answers(engine, files, questions, each_window):
            if isinstance(answer, AudioError):
                states.add("failed")
                tell_error(answer, form)
                continue
            states.add(answer.state)
            click.echo(answer.to_json_line() if form == "jsonl" else answer.to_text_line())
    return _grep_like(states) if exit_code else int("failed" in states)


def _answers(
    engine: Engine, files: Sequence[Path], questions: Sequence[str], each_window: bool
) -> Iterator[Answer | AudioError]:
    """Yield answers as they come, and the error of each recording that cannot be heard."""
    from listen_edge.runtime.listening.asking import (
        ask_recording,
        ask_whole_recording,
        named_recordings,
    )

    for name, path in named_recordings(files):
        if isinstance(path, AudioError):  # a folder without recordings
            yield path
            continue
        try:
            if each_window:
                for row in ask_recording(engine, path, questions, source=name):
                    yield from row
            else:
                yield from ask_whole_recording(engine, path, questions, source=name)
        except AudioError as err:
            yield err


def _grep_like(states: set[str]) -> int:
    if "present" in states:
        return 0
    return 3 if states & {"unknown", "failed"} else 1
