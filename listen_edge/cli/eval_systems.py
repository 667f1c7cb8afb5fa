"""eval answers and eval endpoint: other systems on the same questions, scored by the same rules."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from listen_edge.cli.eval_options import FILE, FOLDER, format_option, progress

if TYPE_CHECKING:
    from listen_edge.evaluation.questions import Question

_SUFFIX = "Answer yes or no."

questions_option = click.option(
    "--questions", "table", type=FILE, required=True, help="Written by a benchmark's --write."
)


@click.command("answers")
@click.argument("file", type=FILE)
@questions_option
@format_option
def eval_answers(file: Path, table: Path, form: str) -> None:
    """Score another system's answers, one JSON object a line in FILE.

    A line holds `id` (the question's place, from 0) or `audio` and `question`, then `answer`
    (words) or `p_yes` (0 to 1). Figures called official follow the scorer of the audio
    hallucination benchmark; all others count what is neither yes nor no as wrong.
    """
    from listen_edge.evaluation.questions import read_questions

    _score(file, read_questions(table, Path()), form, file.name)


@click.command("endpoint")
@questions_option
@click.option("--audio", type=FOLDER, required=True, help="Folder of the questions' recordings.")
@click.option("--url", required=True, help="Base URL, such as http://127.0.0.1:8080/v1.")
@click.option("--model", required=True, help="Name of the model at that URL.")
@click.option("--out", type=FILE, required=True, help="Answers (JSONL); goes on where it stopped.")
@click.option(
    "--api-key", envvar="LISTEN_EDGE_API_KEY", show_envvar=True, help="Bearer token, if needed."
)
@click.option("--suffix", default=_SUFFIX, help="Put after every question.")
@click.option("--concurrency", type=click.IntRange(1, 256), default=4, help="Requests at once.")
@click.option("--timeout", type=click.FloatRange(1, 3600), default=120.0, help="Seconds a request.")
@format_option
def eval_endpoint(
    table: Path,
    audio: Path,
    url: str,
    model: str,
    out: Path,
    api_key: str | None,
    suffix: str,
    concurrency: int,
    timeout: float,
    form: str,
) -> None:
    """Ask an OpenAI-compatible chat endpoint that takes `input_audio`, and score its answers."""
    from listen_edge.chat import ChatEndpoint
    from listen_edge.evaluation.questions import read_questions
    from listen_edge.evaluation.systems import ask_endpoint

    questions = read_questions(table, audio)
    endpoint = ChatEndpoint(url, model, api_key=api_key, timeout_s=timeout)
    with progress(len(questions)) as advance:
        ask_endpoint(
            endpoint,
            model,
            questions,
            out,
            suffix=suffix,
            concurrency=concurrency,
            on_answer=advance,
        )
    _score(out, questions, form, model)


def _score(answers: Path, questions: list[Question], form: str, system: str) -> None:
    from listen_edge.evaluation.report import grouped_reports, report_text
    from listen_edge.evaluation.systems import NO_REPLY, read_replies

    replies = read_replies(answers, questions)
    reports = grouped_reports(questions, replies, officially=True)
    n_without = sum(reply is NO_REPLY for reply in replies)
    heading = f"{system}, {len(questions)} questions, {n_without} of them without an answer"
    about = {"system": system, "without_answer": n_without}
    click.echo(report_text(reports, heading, form, about))
