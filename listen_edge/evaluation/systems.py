"""Other systems' replies: from a JSONL file, or asked of a chat endpoint that hears.

A file of replies holds one object a line: `id` (place of the question, from 0) or `audio` and
`question`, then `answer` (words) or `p_yes` (in [0, 1]). What an endpoint has said is appended to
such a file at once, so a run that was cut off goes on where it stopped.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING, Any

from listen_edge.audio import read_audio
from listen_edge.errors import ListenEdgeError
from listen_edge.evaluation.official import strict_reading
from listen_edge.evaluation.questions import BenchmarkError, Question, Reply
from listen_edge.log_mel import SAMPLE_RATE

if TYPE_CHECKING:
    from listen_edge.chat import ChatEndpoint

_MAX_TOKENS = 64  # an answer and its first reason
NO_REPLY = Reply(None, None)


def read_replies(path: Path, questions: Sequence[Question]) -> list[Reply]:
    """Return a reply to each question; a question without one gets NO_REPLY.

    Raises:
        BenchmarkError: not such a file, a reply to a question that was not asked, or no reply.
    """
    by_text: dict[tuple[str, str], list[int]] = {}
    for place, question in enumerate(questions):
        by_text.setdefault((question.audio.name, question.text), []).append(place)
    replies = [NO_REPLY] * len(questions)
    n_lines = 0
    for n_lines, line in enumerate(_lines(path), start=1):
        places = (
            [line["id"]]
            if "id" in line
            else by_text.get((Path(str(line.get("audio"))).name, str(line.get("question"))), [])
        )
        if not places or not all(
            isinstance(place, int) and 0 <= place < len(questions) for place in places
        ):
            raise BenchmarkError(
                f"{path}: line {n_lines} answers a question that is not among the "
                f"{len(questions)} asked; expected id, or audio and question as they were written"
            )
        for place in places:
            replies[place] = _reply(path, n_lines, line)
    if n_lines == 0:
        raise BenchmarkError(f"{path}: no replies in it")
    return replies


def _reply(path: Path, n_line: int, line: dict[str, Any]) -> Reply:
    text, p_yes = line.get("answer", ""), line.get("p_yes")
    if not isinstance(text, str) or ("answer" not in line and p_yes is None):
        raise BenchmarkError(f"{path}: line {n_line}: expected answer (words) or p_yes")
    if p_yes is None:
        return Reply(None, strict_reading(text), text)
    if not isinstance(p_yes, int | float) or not 0 <= p_yes <= 1:
        raise BenchmarkError(f"{path}: line {n_line}: p_yes {p_yes!r}, expected 0 to 1")
    return Reply(float(p_yes), p_yes >= 0.5, text)


def ask_endpoint(
    endpoint: ChatEndpoint,
    model: str,
    questions: Sequence[Question],
    out: Path,
    *,
    suffix: str,
    concurrency: int,
    on_answer: Callable[[], None] = lambda: None,
) -> None:
    """Put every question that `out` holds no answer to, and append the answers to it.

    Args:
        model: noted in every line.
        suffix: put after the question's text, to ask for a yes or no.

    Raises:
        EndpointError: the server failed for good; what it has answered is kept.
        BenchmarkError: `out` holds answers to other questions, or of another model.
    """
    done = _answered(out, model, questions)
    failures: list[ListenEdgeError] = []

    def answer(question: Question) -> str | None:
        try:
            return None if failures else _ask(endpoint, question, suffix)
        except ListenEdgeError as err:
            failures.append(err)  # no further question is put; what is under way is still kept
            return None

    with ThreadPoolExecutor(concurrency) as pool, out.open("a", encoding="utf-8") as file:
        waiting = [place for place in range(len(questions)) if place not in done]
        asked = {pool.submit(answer, questions[place]): place for place in waiting}
        for future in as_completed(asked):
            place, text = asked[future], future.result()
            if text is not None:
                line = {"id": place, **_identity(questions[place], model), "answer": text}
                print(json.dumps(line), file=file, flush=True)
                done.add(place)
                on_answer()
    if failures:
        kept = f"{len(done)} of {len(questions)} answers are kept in {out}; run again to go on"
        raise type(failures[0])(f"{failures[0]}; {kept}")


def _ask(endpoint: ChatEndpoint, question: Question, suffix: str) -> str:
    content = [
        {
            "type": "input_audio",
            "input_audio": {"data": _wav_base64(question.audio), "format": "wav"},
        },
        {"type": "text", "text": f"{question.text} {suffix}".strip()},
    ]
    return endpoint.complete([{"role": "user", "content": content}], max_tokens=_MAX_TOKENS)


def _wav_base64(path: Path) -> str:
    """Return a recording as a 16-bit WAV at 16 kHz, in base64."""
    import soundfile

    wav = io.BytesIO()
    soundfile.write(wav, read_audio(path), SAMPLE_RATE, subtype="PCM_16", format="WAV")
    return base64.b64encode(wav.getvalue()).decode("ascii")


def _identity(question: Question, model: str) -> dict[str, str]:
    return {"audio": question.audio.name, "question": question.text, "model": model}


def _answered(out: Path, model: str, questions: Sequence[Question]) -> set[int]:
    """Return which questions a file answers; a line that was cut off is removed from it."""
    if not out.exists():
        return set()
    text = out.read_bytes()
    whole = text[: text.rfind(b"\n") + 1]
    if whole != text:
        out.write_bytes(whole)
    done = set()
    for line in _lines(out):
        place = line.get("id")
        if not (
            isinstance(place, int)
            and 0 <= place < len(questions)
            and _identity(questions[place], model).items() <= line.items()
        ):
            raise BenchmarkError(
                f"{out}: holds answers to other questions or of another model; name another file"
            )
        done.add(place)
    return done


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with path.open(encoding="utf-8") as file:
            for place, text in enumerate(file, start=1):
                line = json.loads(text)
                if not isinstance(line, dict):
                    raise BenchmarkError(f"{path}: line {place}: expected a JSON object")
                yield line
    except (OSError, ValueError) as err:
        raise BenchmarkError(f"{path}: cannot be read as JSON lines ({err})") from err
