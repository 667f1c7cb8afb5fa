"""What watch serves when its configuration changes: an address that is taken is tried again."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from listen_edge.cli.servers import Servers
from listen_edge.errors import ListenEdgeError
from listen_edge.runtime.service.config.models import WatchConfig
from tests.fake_service import FakeService


@pytest.fixture()
def taken() -> Iterator[socket.socket]:
    """A listener on a loopback port that it holds until it is closed."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        yield held


@pytest.fixture()
def now() -> list[float]:
    return [1000.0]


@pytest.fixture()
def servers(tmp_path: Path, now: list[float]) -> Iterator[Servers]:
    service = FakeService(tmp_path)
    servers = Servers(service, clock=lambda: now[0])
    yield servers
    servers.stop()
    service.stop()


def config(port: int | None, kind: str) -> WatchConfig:
    """Return a configuration that serves one kind at a port; None: at none."""
    served = {} if port is None else {kind: {"listen": f"127.0.0.1:{port}"}}
    return WatchConfig.model_validate({"sources": [{"id": "hall", "device": "USB"}], **served})


@pytest.mark.parametrize("kind", ["web", "wake"])
def test_an_address_that_is_taken_is_tried_again_until_it_is_free(
    servers: Servers,
    taken: socket.socket,
    now: list[float],
    caplog: pytest.LogCaptureFixture,
    kind: str,
) -> None:
    port = taken.getsockname()[1]
    servers.start(config(None, kind))
    servers.follow(config(port, kind))
    pauses = [5, 10, 20, 40, 80, 160, 300, 300]
    for n_told, pause_s in enumerate(pauses, 1):
        assert len(caplog.records) == n_told
        assert "ddress already in use" in caplog.messages[-1]
        assert caplog.messages[-1].endswith(f"; tried again in {pause_s} s, and at a reload")
        now[0] += pause_s - 0.1
        servers.tend()  # not yet
        now[0] += 0.2 if n_told < len(pauses) else 0.0
        servers.tend()
    taken.close()
    now[0] += 0.2
    servers.tend()
    assert len(caplog.records) == len(pauses)
    socket.create_connection(("127.0.0.1", port), timeout=5).close()


def test_a_reload_tries_at_once_and_begins_with_short_pauses_again(
    servers: Servers, taken: socket.socket, now: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    port = taken.getsockname()[1]
    servers.follow(config(port, "web"))
    now[0] += 5
    servers.tend()
    servers.follow(config(port, "web"))  # nothing of it has changed
    assert [message.partition("again in ")[2][:4] for message in caplog.messages] == [
        "5 s,",
        "10 s",
        "5 s,",
    ]
    taken.close()
    servers.follow(config(port, "web"))
    assert httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False).status_code == 200
    servers.follow(config(None, "web"))
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False)


def test_a_start_with_an_address_that_is_taken_is_an_error(
    servers: Servers, taken: socket.socket
) -> None:
    with pytest.raises(ListenEdgeError, match=r"web\.listen .*: address already in use"):
        servers.start(config(taken.getsockname()[1], "web"))
