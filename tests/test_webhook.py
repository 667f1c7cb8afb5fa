"""A webhook, held against a real receiver that refuses, stalls, floods, redirects and goes away."""

from __future__ import annotations

import json
import logging
import socket
import ssl
import struct
import subprocess
import threading
import time
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from listen_edge.runtime.service.outputs import OutputError, posting
from tests.http_receiver import Receiver, answered, receiver
from tests.outputs import ListedOutbox, owed, running, wait_for
from tests.webhooks import SECRET, SECRETS, refusal_of, webhook_to


def test_an_event_is_posted_with_a_signature_that_openssl_makes_too() -> None:
    with receiver() as peer:
        webhook_to(peer.url).deliver(owed(7, "end"))
    (request,) = peer.requests
    assert request.path == "/hook/s3cret?token=t0ken"
    assert request.headers["host"] == f"127.0.0.1:{peer.port}"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["idempotency-key"] == "e7:end"
    assert json.loads(request.body)["uid"] == "e7"
    stamp = request.headers["x-listen-edge-timestamp"]
    assert abs(int(stamp) - time.time()) < 60
    made = subprocess.run(
        ["openssl", "dgst", "-sha256", "-hmac", SECRET],
        input=stamp.encode() + b"." + request.body,
        capture_output=True,
        check=True,
    ).stdout
    assert request.headers["x-listen-edge-signature"] == f"v1={made.decode().split()[-1]}"


def test_without_a_secret_nothing_is_signed() -> None:
    with receiver() as peer:
        webhook_to(peer.url, secret=None).deliver(owed(1))
    assert "x-listen-edge-signature" not in peer.requests[0].headers


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_2xx_is_a_yes(status: int) -> None:
    with receiver(answered(status, body=b"thanks")) as peer:
        webhook_to(peer.url).deliver(owed(1))


@pytest.mark.parametrize(
    ("status", "is_lasting"),
    [(408, False), (425, False), (429, False), (500, False), (502, False), (503, False),
     (301, True), (302, True), (307, True), (308, True), (304, True),
     (400, True), (401, True), (403, True), (404, True), (410, True), (413, True), (422, True)],
)  # fmt: skip
def test_what_is_tried_again_and_what_is_not(status: int, is_lasting: bool) -> None:
    elsewhere = "Location: http://127.0.0.1:1/"
    with receiver(answered(status, elsewhere, body=b"s3cret words of the peer")) as peer:
        err = refusal_of(peer.url)
    assert err.is_lasting is is_lasting and f"HTTP {status}" in str(err)
    assert peer.n_connections == 1  # no redirect was followed
    assert ("redirects are not followed" in str(err)) is (300 <= status < 400)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7.0), ("0", 0.0), ("99999999999999999999", 999_999_999.0), ("-3", None),
     ("soon", None), ("", None), ("1e9", None), ("²", None)],
)  # fmt: skip
def test_retry_after_in_seconds(value: str, seconds: float | None) -> None:
    with receiver(answered(429, f"Retry-After: {value}")) as peer:
        assert refusal_of(peer.url).retry_after_s == seconds


def test_retry_after_as_a_date() -> None:
    at = datetime.now(timezone.utc) + timedelta(seconds=60)
    with receiver(answered(503, f"Retry-After: {format_datetime(at, usegmt=True)}")) as peer:
        assert refusal_of(peer.url).retry_after_s == pytest.approx(60, abs=3)


def _misbehave(kind: str, state: Receiver) -> None:
    floods = {
        "an endless header line": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000,
        "endless headers": b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 1000,
        "an endless status line": b"HTTP/1.1 200 " + b"a" * 100_000,
        "endless interim answers": b"HTTP/1.1 100 Continue\r\n\r\n" * 1000,
        "no HTTP": b"220 mail.example.org ESMTP\r\n" * 10,
        "nothing": b"",
    }

    def behave(number: int, peer: socket.socket) -> None:
        if kind == "a stall":
            state.is_over.wait(20)
        elif kind == "a drip":
            while not state.is_over.wait(0.02):
                peer.sendall(b"H")
        elif kind == "nothing":
            return
        else:
            peer.settimeout(0.5)  # some systems say nothing of a peer that has closed
            while not state.is_over.is_set():
                peer.sendall(floods[kind])

    state.behave = behave


@pytest.mark.parametrize(
    "kind",
    ["a stall", "a drip", "an endless header line", "endless headers", "an endless status line",
     "endless interim answers", "no HTTP", "nothing"],
)  # fmt: skip
def test_a_peer_that_misbehaves_costs_its_time_limit_at_most(kind: str) -> None:
    with receiver() as peer:
        _misbehave(kind, peer)
        began = time.monotonic()
        err = refusal_of(peer.url, timeout=0.5)
        assert time.monotonic() - began < 2.0
        peer.is_over.set()
    assert not err.is_lasting


def test_a_post_to_an_address_begins_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiver() as peer:
        webhook = webhook_to(peer.url)
        monkeypatch.setattr(posting, "threading", SimpleNamespace(Lock=threading.Lock))
        webhook.deliver(owed(1))
        assert len(peer.requests) == 1


def test_the_body_of_an_answer_is_not_read() -> None:
    with receiver() as peer:

        def flood(number: int, connection: socket.socket) -> None:
            connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while True:  # until the other end closes
                connection.sendall(b"10000\r\n" + b"x" * 65_536 + b"\r\n")

        peer.behave = flood
        began = time.monotonic()
        webhook_to(peer.url).deliver(owed(1))
        assert time.monotonic() - began < 2.0


def test_a_post_can_be_ended_by_another_thread() -> None:
    with receiver() as peer:
        _misbehave("a stall", peer)
        webhook, told = webhook_to(peer.url, timeout=60.0), []

        def deliver() -> None:
            try:
                webhook.deliver(owed(1))
            except OutputError as err:
                told.append(str(err))

        thread = threading.Thread(target=deliver)
        thread.start()
        wait_for(lambda: peer.requests)
        webhook.stop()
        thread.join(3.0)
        assert told == [f"127.0.0.1:{peer.port}: the service ends"]
        peer.is_over.set()


def test_a_receiver_that_goes_away_and_comes_back_misses_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It refuses, hangs up, is gone for a while: order kept, nothing lost, nothing taken twice."""
    taken: list[str] = []

    def behave(number: int, peer: socket.socket) -> None:
        if number % 4 == 1:
            answered(500)(number, peer)
        elif number % 4 == 2:  # as if it had read nothing
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            taken.append(state.requests[number].headers["idempotency-key"])
            answered(204)(number, peer)

    store = ListedOutbox(30)
    caplog.set_level(logging.DEBUG)
    with receiver(behave) as state, running(webhook_to(state.url), store) as runner:
        wait_for(lambda: len(taken) >= 10)
        state.close()
        wait_for(lambda: "no connection" in str(runner.status().message))
        store.deliveries += [owed(seq) for seq in range(30, 40)]
        with receiver(behave, port=state.port) as state:
            wait_for(lambda: len(store.done.get(runner.name, [])) == 40)
    assert taken == [f"e{seq}:start" for seq in range(40)]
    assert runner.status().n_failed >= 10
    assert not any(secret in caplog.text for secret in SECRETS)


@pytest.fixture()
def certificate(tmp_path: Path) -> Path:
    """A certificate of localhost that vouches for itself, and its key."""
    path = tmp_path / "localhost.pem"
    words = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", str(path), "-out", str(tmp_path / "only.pem")]
    subprocess.run([*words.split(), *names, *files], check=True, capture_output=True)
    path.write_bytes(path.read_bytes() + (tmp_path / "only.pem").read_bytes())
    return path


@pytest.mark.parametrize(
    ("host", "is_trusted", "outcome"),
    [
        ("localhost", True, None),
        ("localhost", False, "its certificate is not trusted (self-signed certificate)"),
        ("127.0.0.1", True, "its certificate is not trusted (IP address mismatch"),
    ],
    ids=["trusted", "of an unknown authority", "of another host"],
)
def test_https_is_verified(
    host: str,
    is_trusted: bool,
    outcome: str | None,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    if is_trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with receiver(tls=tls) as peer:
        url = f"https://{host}:{peer.port}/hook/s3cret?token=t0ken"
        if outcome is None:
            webhook_to(url).deliver(owed(1))
        else:
            err = refusal_of(url)
            assert outcome in str(err) and not err.is_lasting  # its clock may be yet to be set
    assert len(peer.requests) == (outcome is None)


def test_nothing_stays_open() -> None:
    def n_open() -> int:
        return len([*Path("/proc/self/fd").iterdir()])

    with receiver(answered(500)) as peer:
        webhook = webhook_to(peer.url)
        before = n_open(), threading.active_count()
        for _ in range(20):
            with pytest.raises(OutputError):
                webhook.deliver(owed(1))
        wait_for(lambda: n_open() <= before[0] + 1 and threading.active_count() <= before[1] + 1)


@pytest.mark.parametrize("words", ["Ton „ä“ \r\nX-Evil: 1", 'a"b', "siren\u2028?"])
def test_no_words_get_into_the_headers(words: str) -> None:
    with receiver() as peer:
        webhook_to(peer.url).deliver(owed(1, ask=words))
    assert json.loads(peer.requests[0].body)["ask"] == words
    assert "x-evil" not in peer.requests[0].headers
