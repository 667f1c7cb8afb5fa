"""Other systems: answers in files, and endpoints faked on 127.0.0.1 with the shapes they send.

Shapes of replies are written after the public documentation of llama-server, vLLM and Gemini's
OpenAI-compatible address; none of the three was run.
"""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import soundfile
from click.testing import CliRunner, Result

from listen_edge.chat import ChatEndpoint, EndpointError
from listen_edge.cli.eval import eval_group
from listen_edge.errors import AudioError
from listen_edge.evaluation.questions import BenchmarkError, Question, write_questions
from listen_edge.evaluation.systems import NO_REPLY, ask_endpoint, read_replies
from tests.listening import record


def llama_server(text: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    return {
        "choices": [{"finish_reason": "stop", "index": 0, "message": message}],
        "created": 1, "model": "m", "system_fingerprint": "b1-0", "object": "chat.completion",
        "usage": {"completion_tokens": 2, "prompt_tokens": 9, "total_tokens": 11},
        "id": "chatcmpl-1", "timings": {"prompt_n": 9, "predicted_ms": 1.0},
    }  # fmt: skip


def vllm(text: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": text, "reasoning_content": None, "tool_calls": []}
    choice = {
        "index": 0, "message": message, "logprobs": None, "finish_reason": "stop",
        "stop_reason": None,
    }  # fmt: skip
    return {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [choice], "prompt_logprobs": None,
        "usage": {"prompt_tokens": 9, "total_tokens": 11, "prompt_tokens_details": None},
    }  # fmt: skip


def gemini(text: str) -> dict[str, Any]:
    message: dict[str, str] = {
        "role": "assistant",
        **({"content": text} if text else {}),
    }  # none when blocked
    return {
        "choices": [{"finish_reason": "stop", "index": 0, "message": message}],
        "created": 1, "id": "x", "model": "gemini-1.5-pro", "object": "chat.completion",
        "usage": {"completion_tokens": 2, "prompt_tokens": 9, "total_tokens": 11},
    }  # fmt: skip


class FakeServer(ThreadingHTTPServer):
    """Says yes to questions about dogs; `reply` and `fails` change what it does."""

    daemon_threads = True
    reply: Callable[[str], dict[str, Any]] = staticmethod(llama_server)
    fails: Callable[[int], int] = staticmethod(lambda n: 0)  # request's number -> HTTP status
    says: Callable[[str], str] = staticmethod(lambda text: "Yes." if "dog" in text else "No")

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def questions(self) -> list[str]:
        return [request["messages"][0]["content"][1]["text"] for request in self.requests]


class _Handler(BaseHTTPRequestHandler):
    server: FakeServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.requests.append(body)
            self.server.keys.append(self.headers.get("Authorization"))
            status = self.server.fails(len(self.server.requests))
        if status:
            self._send(status, [{"error": {"code": status, "message": "refused", "status": "X"}}])
            return
        text = self.server.says(body["messages"][0]["content"][1]["text"])
        self._send(200, self.server.reply(text))

    def _send(self, status: int, body: Any) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Say nothing on stderr."""


@pytest.fixture()
def server() -> Iterator[FakeServer]:
    with FakeServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture()
def endpoint(server: FakeServer) -> Iterator[ChatEndpoint]:
    endpoint = ChatEndpoint(server.url, "m", timeout_s=10, retries=1, backoff_s=0.001)
    yield endpoint
    endpoint.close()


@pytest.fixture()
def questions(tmp_path: Path) -> list[Question]:
    record(tmp_path / "audio", "a.wav", "b.wav")
    a, b = tmp_path / "audio/a.wav", tmp_path / "audio/b.wav"
    return [
        Question(a, "Is there a dog?", "dog", True, "one"),
        Question(a, "Is there a siren?", "siren", False, "one"),
        Question(b, "Is there rain?", "rain", True, "two"),
        Question(b, "Is there a dog?", "dog", False, "two"),
    ]


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(eval_group, list(map(str, arguments)))


def _ask(
    endpoint: ChatEndpoint, questions: list[Question], out: Path, concurrency: int = 1
) -> None:
    ask_endpoint(endpoint, "m", questions, out, suffix="Answer yes or no.", concurrency=concurrency)


@pytest.mark.parametrize("shape", [llama_server, vllm, gemini])
def test_replies_of_each_server_are_read(
    server: FakeServer,
    endpoint: ChatEndpoint,
    questions: list[Question],
    tmp_path: Path,
    shape: Callable[[str], dict[str, Any]],
) -> None:
    server.reply = shape
    _ask(endpoint, questions, tmp_path / "out.jsonl", concurrency=3)
    replies = read_replies(tmp_path / "out.jsonl", questions)
    assert [reply.says_yes for reply in replies] == [True, False, False, True]


def test_the_endpoint_hears_the_recording_as_wav_and_reads_the_question(
    server: FakeServer, endpoint: ChatEndpoint, questions: list[Question], tmp_path: Path
) -> None:
    _ask(endpoint, questions[:1], tmp_path / "out.jsonl")
    (request,) = server.requests
    sound, text = request["messages"][0]["content"]
    assert text == {"type": "text", "text": "Is there a dog? Answer yes or no."}
    assert (sound["type"], sound["input_audio"]["format"]) == ("input_audio", "wav")
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(sound["input_audio"]["data"])))
    expected, _ = soundfile.read(questions[0].audio)
    assert rate == 16_000
    assert samples == pytest.approx(expected, abs=1e-4)
    assert request["temperature"] == 0.0


def test_a_dead_server_loses_nothing_and_is_asked_nothing_twice(
    server: FakeServer, endpoint: ChatEndpoint, questions: list[Question], tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    server.fails = lambda n: 503 if n > 2 else 0
    with pytest.raises(EndpointError, match=r"2 of 4 answers are kept in .*run again"):
        _ask(endpoint, questions, out)
    kept = out.read_bytes()
    server.fails = lambda n: 0
    server.requests.clear()
    _ask(endpoint, questions, out)
    assert out.read_bytes().startswith(kept)
    assert len(server.requests) == 2
    assert sorted(json.loads(line)["id"] for line in out.read_text().splitlines()) == [0, 1, 2, 3]


def test_a_line_cut_off_by_a_kill_is_asked_again(
    server: FakeServer, endpoint: ChatEndpoint, questions: list[Question], tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    _ask(endpoint, questions, out)
    whole = out.read_bytes()
    out.write_bytes(whole[:-9])
    _ask(endpoint, questions, out)
    assert out.read_bytes() == whole
    assert len(server.requests) == 5


def test_answers_of_another_model_or_to_other_questions_are_not_continued(
    endpoint: ChatEndpoint, questions: list[Question], tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    _ask(endpoint, questions[:2], out)
    with pytest.raises(BenchmarkError, match="other questions or of another model"):
        ask_endpoint(endpoint, "other", questions, out, suffix="", concurrency=1)
    with pytest.raises(BenchmarkError, match="other questions or of another model"):
        _ask(endpoint, questions[1:], out)


def test_a_refusal_stops_the_run_with_the_servers_words(
    server: FakeServer, endpoint: ChatEndpoint, questions: list[Question], tmp_path: Path
) -> None:
    server.fails = lambda n: 400
    with pytest.raises(EndpointError, match=r"HTTP 400.*refused.*0 of 4 answers"):
        _ask(endpoint, questions, tmp_path / "out.jsonl")
    assert len(server.requests) == 1  # not the other three, not again


def test_a_recording_that_cannot_be_read_keeps_what_was_answered(
    endpoint: ChatEndpoint, questions: list[Question], tmp_path: Path
) -> None:
    questions[2].audio.write_bytes(b"")
    with pytest.raises(AudioError, match=r"b\.wav: the file is empty; 2 of 4 answers are kept"):
        _ask(endpoint, questions, tmp_path / "out.jsonl")


def test_the_command_asks_and_scores_with_the_parse_failure_rate(
    server: FakeServer, questions: list[Question], tmp_path: Path
) -> None:
    write_questions(tmp_path / "q.tsv", questions, tmp_path / "audio")
    server.says = lambda text: "" if "rain" in text else "Yes, it contains it"
    server.reply = gemini
    done = _run(
        "endpoint", "--questions", tmp_path / "q.tsv", "--audio", tmp_path / "audio",
        "--url", server.url, "--model", "gemini-1.5-pro", "--out", tmp_path / "out.jsonl",
        "--api-key", "secret", "--format", "json",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    described = json.loads(done.stdout)
    assert described["system"] == "gemini-1.5-pro"
    whole = described["reports"][0]
    assert whole["metrics"]["parse_failure_rate"] == 0.25
    assert (whole["metrics"]["accuracy"], whole["official_accuracy"]) == (0.25, 0.25)
    assert (whole["metrics"]["yes_rate"], whole["official_yes_rate"]) == (1.0, 0.75)
    assert [report["name"] for report in described["reports"]] == ["all", "one", "two"]
    assert server.keys == ["Bearer secret"] * 4
    assert "secret" not in (tmp_path / "out.jsonl").read_text()


def _jsonl(path: Path, *lines: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_a_file_answers_by_place_or_by_recording_and_question(
    questions: list[Question], tmp_path: Path
) -> None:
    path = _jsonl(
        tmp_path / "a.jsonl",
        {"id": 1, "answer": "No"},
        {"audio": "elsewhere/a.wav", "question": "Is there a dog?", "answer": "Yes"},
        {"id": 3, "p_yes": 0.2},
    )
    replies = read_replies(path, questions)
    assert [reply.says_yes for reply in replies] == [True, False, None, False]
    assert replies[2] is NO_REPLY and replies[3].presence == 0.2


def test_scored_answers_without_a_reply_are_counted(
    questions: list[Question], tmp_path: Path
) -> None:
    write_questions(tmp_path / "q.tsv", questions, tmp_path / "audio")
    answers = _jsonl(tmp_path / "a.jsonl", {"id": 0, "p_yes": 0.9}, {"id": 1, "p_yes": 0.2})
    done = _run("answers", answers, "--questions", tmp_path / "q.tsv")
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("a.jsonl, 4 questions, 2 of them without an answer\n")
    rows = dict(line.split(maxsplit=1) for line in done.stdout.splitlines()[2:])
    assert rows["parse_failure_rate"].split()[0] == "50.0"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"id": 4, "answer": "Yes"}, "line 1 answers a question that is not among the 4"),
        ({"audio": "a.wav", "question": "What?", "answer": "Yes"}, "is not among the 4 asked"),
        ({"id": 0}, r"line 1: expected answer \(words\) or p_yes"),
        ({"id": 0, "p_yes": 1.5}, "p_yes 1.5, expected 0 to 1"),
        ({"id": "0", "answer": "Yes"}, "is not among the 4 asked"),
    ],
)
def test_a_line_that_answers_nothing_is_named(
    questions: list[Question], tmp_path: Path, line: dict[str, Any], message: str
) -> None:
    with pytest.raises(BenchmarkError, match=message):
        read_replies(_jsonl(tmp_path / "a.jsonl", line), questions)


def test_a_file_that_holds_no_answers_is_an_error(
    questions: list[Question], tmp_path: Path
) -> None:
    (tmp_path / "a.jsonl").write_text("")
    with pytest.raises(BenchmarkError, match="no replies in it"):
        read_replies(tmp_path / "a.jsonl", questions)
    (tmp_path / "a.jsonl").write_text("{broken\n")
    with pytest.raises(BenchmarkError, match="cannot be read as JSON lines"):
        read_replies(tmp_path / "a.jsonl", questions)
