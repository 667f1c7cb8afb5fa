"""The chat endpoint against a real server on this machine that misbehaves on command."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from listen_edge.chat import ChatEndpoint, Completion, EndpointError
from tests.chat_server import Behaviour, chat_server, said

ASK = [{"role": "user", "content": "hello"}]


def ask(behave: Behaviour, *, retries: int = 2, timeout_s: float = 5.0) -> tuple[Completion, int]:
    """Return the completion and the number of requests it took."""
    with chat_server(behave) as server:
        endpoint = ChatEndpoint(
            server.url, "m", retries=retries, timeout_s=timeout_s, backoff_s=0.001
        )
        try:
            return endpoint.completion(ASK, max_tokens=8), len(server.requests)
        finally:
            endpoint.close()


def test_request_has_the_documented_fields() -> None:
    with chat_server(lambda number, body: said(" Hi. ")) as server:
        endpoint = ChatEndpoint(f"{server.url}/", "some-model", api_key="secret")
        assert endpoint.complete(ASK, max_tokens=8, temperature=0.5, seed=3) == "Hi."
        endpoint.close()
        assert server.requests == [
            {
                "path": "/v1/chat/completions",
                "model": "some-model",
                "messages": ASK,
                "max_tokens": 8,
                "temperature": 0.5,
                "seed": 3,
            }
        ]
        assert server.headers[0]["Authorization"] == "Bearer secret"


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_busy_server_is_asked_again(status: int) -> None:
    completion, n_requests = ask(
        lambda number, body: (status, b"busy") if number < 2 else said("Yes.")
    )
    assert (completion.text, n_requests) == ("Yes.", 3)


@pytest.mark.parametrize(
    "garbage",
    [b"", b"<html>", b"{}", b'{"choices": []}', b'{"choices": [{"message": {"content": 5}}]}'],
    ids=["nothing", "html", "no choices", "empty choices", "number"],
)
def test_garbage_is_an_error_after_bounded_tries(garbage: bytes) -> None:
    with pytest.raises(EndpointError, match=r"no chat completion .* in 3 tries; check the server"):
        ask(lambda number, body: (200, garbage))


def test_refused_request_is_not_repeated() -> None:
    numbers = []

    def refuse(number: int, body: object) -> tuple[int, bytes]:
        numbers.append(number)
        return 401, b"bad\nkey"

    with pytest.raises(EndpointError, match=r"HTTP 401 \(bad key\)$"):
        ask(refuse)
    assert numbers == [0]


def test_wrong_path_hints_at_the_version() -> None:
    with pytest.raises(EndpointError, match=r"HTTP 404.*ends in /v1"):
        ask(lambda number, body: (404, b"not found"))


def test_silent_server_times_out() -> None:
    with pytest.raises(EndpointError, match="no answer in time in 2 tries"):
        ask(lambda number, body: None, retries=1, timeout_s=0.1)


def test_dead_server_is_one_line() -> None:
    with chat_server(lambda number, body: said("x")) as server:
        url = server.url
    endpoint = ChatEndpoint(url, "m", retries=1, backoff_s=0.001)
    with pytest.raises(EndpointError, match=r"no connection .* in 2 tries") as caught:
        endpoint.complete(ASK, max_tokens=8)
    endpoint.close()
    assert "\n" not in str(caught.value)


def test_cut_reply_says_so() -> None:
    completion, _ = ask(lambda number, body: said("and so", "length"))
    assert completion == Completion("and so", is_cut=True)


def test_reply_without_text_is_empty() -> None:
    assert ask(lambda number, body: said(None))[0].text == ""


def test_reply_in_parts_is_joined() -> None:
    body = b'{"choices": [{"message": {"content": [{"text": "Ye"}, {"text": "s."}]}}]}'
    assert ask(lambda number, _: (200, body))[0].text == "Yes."


def test_threads_share_an_endpoint() -> None:
    with chat_server(lambda number, body: said(str(body["seed"]))) as server:
        endpoint = ChatEndpoint(server.url, "m")
        with ThreadPoolExecutor(8) as pool:
            texts = pool.map(lambda k: endpoint.complete(ASK, max_tokens=8, seed=k), range(40))
            assert list(texts) == [str(k) for k in range(40)]
        endpoint.close()


def test_address_must_be_http() -> None:
    with pytest.raises(EndpointError, match="expected http://HOST:PORT/v1"):
        ChatEndpoint("localhost:8000", "m")
