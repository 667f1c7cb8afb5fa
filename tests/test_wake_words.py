"""Questions as wake words: the package's own client, against our server over loopback."""

from __future__ import annotations

import asyncio
import resource
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.event import Event
from wyoming.info import Describe, Info
from wyoming.wake import Detect

import listen_edge
from listen_edge.errors import AudioError, ListenEdgeError
from listen_edge.lines.answer import Answer
from listen_edge.runtime.engine import Engine
from listen_edge.runtime.service import wake_words
from listen_edge.runtime.service.peer import MAX_NAMES, Peer, wanted_names
from listen_edge.runtime.service.records.types import QuestionStatus
from listen_edge.runtime.service.wake_words import IDLE_S, MAX_CONNECTIONS, WakeServer

WAIT_S = 30.0


class Ears:
    """The two methods of the Service, on a real engine; raises for the first `n_busy` asks."""

    def __init__(self, engine: Engine, n_busy: int = 0) -> None:
        self._engine, self.n_busy = engine, n_busy

    def questions(self) -> list[QuestionStatus]:
        return [
            QuestionStatus(
                id=name, ask=f"{name}?", concept=name, sources=(), on=0.9, off=0.6,
                priority="normal", is_quiet=False, calibrated=True, from_config=True,
            )
            for name in ("siren", "dog barking")
        ]  # fmt: skip

    def ask(
        self, samples: Any, sample_rate: int, questions: Sequence[str], *, timeout_s: float
    ) -> list[Answer]:
        if self.n_busy:
            self.n_busy -= 1
            raise ListenEdgeError("too many wait")
        return self._engine.ask(samples, questions, sample_rate=sample_rate)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with listen_edge.load("tiny", n_threads=1) as engine:
        yield engine


@pytest.fixture()
def server(engine: Engine) -> Iterator[WakeServer]:
    server = WakeServer(Ears(engine, n_busy=1), "127.0.0.1", 0)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def siren(tiny_folder: Path) -> tuple[np.ndarray[Any, Any], int]:
    samples, rate = soundfile.read(tiny_folder / "clips/siren.ogg", dtype="int16")
    return samples, rate


async def _converse(port: int, names: list[str], sound: tuple[Any, int] | None) -> list[Event]:
    """Describe, then send sound as Home Assistant does; return what came back."""
    samples, rate = sound if sound is not None else (np.zeros(32_000, np.int16), 16_000)
    async with AsyncTcpClient("127.0.0.1", port, read_timeout=WAIT_S) as client:
        await client.write_event(Describe().event())
        info = await client.read_event()
        await client.write_event(Detect(names=names).event())
        await client.write_event(AudioStart(rate, 2, 1).event())
        for start in range(0, len(samples), 1_024):
            piece = samples[start : start + 1_024].tobytes()
            await client.write_event(AudioChunk(rate, 2, 1, piece, timestamp=start).event())
        await client.write_event(AudioStop().event())
        answer = await client.read_event()
    assert info is not None and answer is not None
    return [info, answer]


def test_a_question_is_a_wake_word(server: WakeServer, siren: tuple[Any, int]) -> None:
    info, answer = asyncio.run(_converse(server.port, ["siren"], siren))
    models = Info.from_event(info).wake[0].models
    assert [(model.name, model.phrase) for model in models] == [
        ("siren", "siren?"),
        ("dog barking", "dog barking?"),
    ]
    assert answer.type == "detection" and answer.data["name"] == "siren"


@pytest.mark.parametrize("names", [["dog barking"], ["no such question"]])
def test_another_sound_is_none(
    server: WakeServer, names: list[str], siren: tuple[Any, int]
) -> None:
    _, answer = asyncio.run(_converse(server.port, names, siren))
    assert answer.type == "not-detected"


def test_names_are_few_and_any_where_none_is_named() -> None:
    names = [f"model {k}" for k in range(100_000)]
    assert wanted_names([{"a": 1}, *names]) == frozenset(names[: MAX_NAMES - 1])
    assert wanted_names([[]]) == frozenset()
    assert [wanted_names(names) for names in (None, [], "siren", {"siren": 1})] == [None] * 4


def test_silence_is_none(server: WakeServer) -> None:
    _, answer = asyncio.run(_converse(server.port, ["siren"], None))
    assert answer.type == "not-detected"


def test_connections_are_few_and_end_with_the_server(engine: Engine) -> None:
    server = WakeServer(Ears(engine), "127.0.0.1", 0)
    clients = [
        socket.create_connection(("127.0.0.1", server.port)) for _ in range(MAX_CONNECTIONS + 1)
    ]
    clients[-1].settimeout(WAIT_S)
    assert clients[-1].recv(1) == b""  # one too many
    clients[0].sendall(b"GET / HTTP/1.1\r\n")
    clients[0].settimeout(WAIT_S)
    assert clients[0].recv(1) == b""
    begin_s = time.monotonic()
    server.stop()
    assert time.monotonic() - begin_s < 2.0
    for client in clients:
        client.close()


@contextmanager
def _client(server: WakeServer) -> Iterator[Peer]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=WAIT_S) as connection:
        peer = Peer(connection, "the server")
        yield peer
        peer.close()


def _is_answered(client: Peer) -> bool:
    """Return whether a client is told what there is to ask for; else it is hung up on."""
    client.send(Describe())
    try:
        return Info.is_type(client.read().type)
    except AudioError:
        return False


def test_whoever_sent_no_sound_for_long_gives_its_place_to_another(engine: Engine) -> None:
    now = [1000.0]
    server = WakeServer(Ears(engine), "127.0.0.1", 0, clock=lambda: now[0])
    with ExitStack() as opened:
        clients = [opened.enter_context(_client(server)) for _ in range(MAX_CONNECTIONS)]
        assert all(map(_is_answered, clients))  # as one that answers pings, and no more
        now[0] += IDLE_S - 1
        assert not _is_answered(opened.enter_context(_client(server)))
        clients[0].send(AudioChunk(16_000, 2, 1, bytes(320)))
        assert _is_answered(clients[0])  # it has been heard
        now[0] += 1
        others = [opened.enter_context(_client(server)) for _ in range(MAX_CONNECTIONS)]
        assert [_is_answered(other) for other in others] == [True, True, True, False]
        assert [_is_answered(client) for client in clients] == [True, False, False, False]
        server.stop()


def test_clients_are_served_again_when_there_are_handles_again(
    server: WakeServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(wake_words, "PAUSE_S", 0.01)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket() as first, socket.socket() as second:
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))  # those that are open stay
        try:
            for client in (first, second):  # accept waits with a handle for the first already
                client.settimeout(WAIT_S)
                client.connect(("127.0.0.1", server.port))
            until_s = time.monotonic() + WAIT_S
            while len(caplog.records) < 3 and time.monotonic() < until_s:
                time.sleep(0.01)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert "a client is kept waiting ([Errno 24] Too many open files)" in caplog.text
        peer = Peer(second, "the server")
        assert _is_answered(peer)
        peer.close()


@pytest.mark.parametrize(("part", "error"), [("Peer", OSError), ("_Conversation", RuntimeError)])
def test_a_client_that_cannot_be_served_takes_no_place(
    server: WakeServer, monkeypatch: pytest.MonkeyPatch, part: str, error: type[Exception]
) -> None:
    def fail(*_: Any) -> None:
        raise error("no more of these")

    monkeypatch.setattr(wake_words, "PAUSE_S", 0.01)
    with monkeypatch.context() as failing:
        failing.setattr(wake_words, part, fail)
        for _ in range(MAX_CONNECTIONS + 1):
            with _client(server) as client:
                assert not _is_answered(client)
    with _client(server) as client:
        assert _is_answered(client)


def test_a_port_that_is_taken_is_an_error(server: WakeServer, engine: Engine) -> None:
    with pytest.raises(ListenEdgeError, match=f"wake.listen 127.0.0.1:{server.port}: .*in use"):
        WakeServer(Ears(engine), "127.0.0.1", server.port)
