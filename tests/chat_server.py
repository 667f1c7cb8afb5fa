"""A chat endpoint on this machine that behaves, or misbehaves, as a test tells it."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = tuple[int, bytes]
Behaviour = Callable[[int, dict[str, Any]], Reply | None]  # None: never answer


def said(text: str | None, finish_reason: str = "stop") -> Reply:
    """Return a chat completion."""
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": finish_reason}
    return 200, json.dumps({"choices": [choice]}).encode()


def obedient(body: dict[str, Any]) -> str:
    """Return what a good LLM would write for a synthesis request."""
    request = body["messages"][-1]["content"]
    if request.startswith("Sound: "):
        return f"Can you hear {request.removeprefix('Sound: ')} in this recording?"
    heard = re.search(r"audio\] (.*) \[End", request)
    absent = re.search(r"Absent: (.*)", request)
    what_is = f"This is {heard[1]}, number {body['seed']}." if heard else ""
    is_missing = f"There is no {absent[1].replace(', ', ' and no ')}." if absent else ""
    is_negative = "not in the audio" in request
    return is_missing if is_negative else f"{what_is} {is_missing}".strip()


class ChatServer:
    """What a test sees of the server: its address, and the requests in their order."""

    def __init__(self, behave: Behaviour) -> None:
        self.behave = behave
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.lock, self.is_over = threading.Lock(), threading.Event()
        self.url = ""


@contextmanager
def chat_server(behave: Behaviour) -> Iterator[ChatServer]:
    """Serve on a free port; `behave` gets the number of the request and its body."""
    state = ChatServer(behave)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with state.lock:
                number = len(state.requests)
                state.requests.append({"path": self.path, **body})
                state.headers.append(dict(self.headers))
            reply = state.behave(number, body)
            if reply is None:
                state.is_over.wait()
                return
            self.send_response(reply[0])
            self.send_header("Content-Length", str(len(reply[1])))
            self.end_headers()
            self.wfile.write(reply[1])

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's word
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass  # a client that gave up

    with Server(("127.0.0.1", 0), Handler) as server:
        state.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield state
        finally:
            state.is_over.set()
            server.shutdown()
            thread.join()
