"""The command ask: recordings in, answers out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from listen_edge.cli.options import PATH, engine_options, load_engine, question_option

if TYPE_CHECKING:
    from listen_edge.lines.answer import Answer


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
