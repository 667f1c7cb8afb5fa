"""Who may ask, from which page, how much and how slowly: tables of what is let in."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from listen_edge.errors import ListenEdgeError
from listen_edge.runtime.service.config.models import WebConfig
from listen_edge.runtime.service.web import connection
from listen_edge.runtime.service.web.auth import Failures
from listen_edge.runtime.service.web.bounds import Limits
from listen_edge.runtime.service.web.serve import WebServer
from tests.web_client import Served, serving

TOKEN = "correct horse battery staple"
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def open_one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("open"), hosts=["kitchen.example"]) as served:
        yield served


@pytest.fixture()
def guarded(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path, token=TOKEN) as served:
        yield served


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8765", 200),
        ("localhost", 200),
        ("LOCALHOST.:8765", 200),
        ("[::1]:8765", 200),
        ("127.0.0.2", 200),
        ("kitchen.example", 200),
        ("evil.example", 403),
        ("localhost.evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("evil.example:127.0.0.1", 403),
        ("user@evil.example", 403),
        ("0.0.0.0", 403),
        ("192.168.1.2", 403),
        ("[::", 403),
        ("", 403),
    ],
)
def test_without_a_token_only_this_machines_names_are_answered(
    open_one: Served, host: str, status: int
) -> None:
    for path in ("v1/sources", "metrics", ""):
        answered = open_one.client.get(path, headers={"Host": host}).status_code
        assert (answered == 403) == (status == 403), path


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (f"Bearer {TOKEN}", 200),
        (f"bearer {TOKEN}", 200),
        (f"Bearer   {TOKEN}", 200),
        (f"Basic {TOKEN}", 401),
        (TOKEN, 401),
        (f"Bearer {TOKEN}x", 401),
        (f"Bearer {TOKEN[:-1]}", 401),
        ("Bearer", 401),
        ("Bearer \xff\xfe", 401),
        (None, 401),
    ],
)
def test_a_token_is_all_or_nothing(guarded: Served, authorization: str | None, status: int) -> None:
    headers = [] if authorization is None else [(b"Authorization", authorization.encode("latin-1"))]
    response = guarded.client.get("v1/sources", headers=headers)
    assert response.status_code == status
    if status == 401:
        assert response.headers["www-authenticate"] == "Bearer"
        assert TOKEN not in response.text


def test_without_the_token_nothing_tells_of_the_device(guarded: Served) -> None:
    paths = guarded.client.get("openapi.json").json()["paths"]
    for path, routes in paths.items():
        for method in routes:
            asked = path.format_map(
                {"source": "hall", "question": "siren", "event": 1, "name": "x"}
            )
            status = guarded.client.request(method, asked, headers=JSON).status_code
            assert status == (200 if path == "/healthz" else 401), (method, path)
    assert guarded.client.get("metrics").status_code == 401
    assert guarded.client.get("docs").status_code == 200


def test_an_address_that_guesses_must_wait_and_the_token_never(guarded: Served) -> None:
    right, wrong = ({"Authorization": f"Bearer {word}"} for word in (TOKEN, "wrong"))
    for status in (*[401] * 10, *[429] * 3):
        assert guarded.client.get("v1/sources", headers=right).status_code == 200
        refused = guarded.client.get("v1/sources", headers=wrong)
        assert refused.status_code == status
    assert 1 <= int(refused.headers["retry-after"]) <= 7  # a refusal makes the wait no longer
    assert guarded.client.get("v1/sources", headers=right).status_code == 200
    assert guarded.client.get("v1/sources").status_code == 401
    assert guarded.client.get("healthz").status_code == 200


def test_failures_are_forgotten_in_time_and_in_bounds() -> None:
    now = [1000.0]
    failures = Failures(clock=lambda: now[0])
    for _ in range(10):
        assert failures.wait_s("2001:db8::1") == 0
        failures.add("2001:db8::1")
    assert failures.wait_s("2001:db8::ffff") == pytest.approx(6.0)  # the same customer
    assert failures.wait_s("2001:db8:1::1") == failures.wait_s("10.0.0.1") == 0
    now[0] += 6.1
    assert failures.wait_s("2001:db8::1") == 0
    for k in range(5000):
        failures.add(f"10.{k >> 16}.{k >> 8 & 255}.{k & 255}")
    assert len(failures._spent) == 1024


OURS = "http://127.0.0.1:8765"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({**JSON}, 200),
        ({**JSON, "Origin": OURS}, 200),
        ({**JSON, "Origin": OURS, "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Content-Type": "application/json; charset=utf-8"}, 200),
        ({**JSON, "Origin": "https://127.0.0.1:8765"}, 200),  # a proxy speaks TLS before us
        ({**JSON, "Origin": "http://127.0.0.1:9999"}, 403),
        ({**JSON, "Origin": "http://evil.example"}, 403),
        ({**JSON, "Origin": "http://127.0.0.1:8765.evil.example"}, 403),
        ({**JSON, "Origin": "null"}, 403),
        ({**JSON, "Origin": ""}, 403),
        ({**JSON, "Origin": "http://["}, 403),
        ({**JSON, "Sec-Fetch-Site": "cross-site"}, 403),
        ({**JSON, "Sec-Fetch-Site": "same-site"}, 403),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({}, 415),
    ],
    ids=str,
)
def test_only_the_services_own_page_changes_anything(
    open_one: Served, headers: dict[str, str], status: int
) -> None:
    for method, path in (("POST", "v1/sources/hall/mute"), ("POST", "v1/outputs/all/test")):
        sent = {"Host": "127.0.0.1:8765", **headers}
        assert open_one.client.request(method, path, headers=sent).status_code == status
    if status == 403:
        sent = {"Host": "127.0.0.1:8765", **headers}
        response = open_one.client.delete("v1/questions/kettle", headers=sent)
        assert response.status_code == 403


@pytest.mark.parametrize("path", ["", "docs", "v1/sources", "nowhere", "v1/events/1/clip"])
def test_every_response_tells_browsers_what_is_forbidden(open_one: Served, path: str) -> None:
    for host in ("localhost", "evil.example"):
        headers = open_one.client.get(path, headers={"Host": host}).headers
        policy = headers["content-security-policy"]
        assert "script-src 'self';" in policy and "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy and "default-src 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store" and "server" not in headers
        assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize("name", ["..%2fapp.py", "%2e%2e/app.py", "../app.py", "no.js", "%00.js"])
def test_only_the_pages_files_are_sent(open_one: Served, name: str) -> None:
    assert open_one.client.get(f"page/{name}").status_code == 404


def test_a_body_that_is_too_large_is_refused_however_it_is_sent(open_one: Served) -> None:
    big = b'{"ask": "' + b"x" * 70_000 + b'"}'

    def in_pieces() -> Iterator[bytes]:
        yield from (big[at : at + 1000] for at in range(0, len(big), 1000))

    for content in (big, in_pieces()):
        response = open_one.client.post("v1/questions", content=content, headers=JSON)
        assert response.status_code == 413 and "65.5 kB" not in response.text
        assert "larger than 0.0655 MB" in response.json()["error"]["message"]


def test_headers_are_bounded(open_one: Served) -> None:
    response = open_one.client.get("healthz", headers={"X-Long": "x" * 20_000})
    assert response.status_code == 431 and "16384 bytes" in response.json()["error"]["message"]


@pytest.fixture()
def hurried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """One whose patience is measured in tenths of a second."""
    for name in ("HEAD_S", "REST_S", "READ_S"):
        monkeypatch.setattr(connection, name, 0.3)
    limits = Limits(body_s=0.6, idle_s=0.3, heartbeat_s=0.1)
    with serving(tmp_path, limits) as served:
        yield served


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (b"", b""),
        (b"GET /healthz HTTP/1.1\r\nHost: local", b""),
        (
            b"POST /v1/ask HTTP/1.1\r\nHost: localhost\r\nContent-Type: audio/wav\r\n"
            b"Content-Length: 1000\r\n\r\nRIFF",
            b"HTTP/1.1 422",
        ),
        (
            b"POST /v1/ask?question=siren HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: audio/wav\r\nContent-Length: 1000\r\n\r\nRIFF",
            b"HTTP/1.1 408",
        ),
    ],
    ids=["nothing", "half a head", "refused, then half a body", "half a body"],
)
def test_a_client_that_does_not_send_is_cut_off(
    hurried: Served, sent: bytes, answer: bytes
) -> None:
    with _connect(hurried) as client:
        client.sendall(sent)
        begun = time.monotonic()
        received = _read_to_end(client)
        assert received.startswith(answer) and bool(received) == bool(answer)
        assert time.monotonic() - begun < 3


def test_a_head_in_drops_is_cut_off(hurried: Served) -> None:
    with _connect(hurried) as client, pytest.raises((BrokenPipeError, ConnectionResetError)):
        for _ in range(100):
            client.sendall(b"X")
            time.sleep(0.05)


def test_a_client_that_does_not_read_is_cut_off(hurried: Served) -> None:
    path = hurried.service.clips
    assert path is not None
    for presence in (0.97, 0.1):
        hurried.service.hear("hall", "siren", presence)
    (event,) = hurried.service.store.events()
    assert event.clip is not None
    (path / event.clip).write_bytes(bytes(20_000_000))
    with _connect(hurried) as client:
        client.sendall(b"GET /v1/events/1/clip HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.recv(1) == b"H"
        connections, until = hurried.server._server.server_state.connections, time.monotonic() + 5
        while connections and time.monotonic() < until:
            time.sleep(0.02)
        assert not connections


def _connect(served: Served) -> socket.socket:
    url = httpx.URL(served.url)
    assert url.port is not None
    return socket.create_connection((url.host, url.port), timeout=5)


def _read_to_end(client: socket.socket) -> bytes:
    received = b""
    try:
        while piece := client.recv(1 << 16):
            received += piece
    except ConnectionResetError:
        pass
    return received


def test_an_address_that_is_taken_is_one_line(open_one: Served) -> None:
    taken = httpx.URL(open_one.url).port
    other = WebServer(open_one.service, WebConfig(listen=f"127.0.0.1:{taken}"))
    with pytest.raises(ListenEdgeError, match=rf"web.listen 127.0.0.1:{taken}: address already"):
        other.start()
    other.stop()
