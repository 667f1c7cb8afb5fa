"""What a client can send or hold to take memory, time or handles from listening."""

from __future__ import annotations

import io
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile

from listen_edge.runtime.service.web.bounds import Limits
from tests.web_client import Served, ask, recording, serving

JSON = {"Content-Type": "application/json"}
N_CONNECTIONS = 128


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("web"), Limits(upload_bytes=1_000_000)) as served:
        yield served


@pytest.mark.parametrize("unit", [b"[],", b"1,", b'{"":1},', b"[[[[1]]]],"], ids=repr)
@pytest.mark.parametrize(
    "around",
    [b'{"model":"x","messages":[{"role":"system","content":[%b1]}]}', b'{"junk":[%b1]}'],
    ids=["content", "junk"],
)
def test_a_chat_of_very_many_values_is_refused_unread(
    served: Served, around: bytes, unit: bytes
) -> None:
    """33 MB of them, as a chat may have, would be 1.5 GB once they are read."""
    body = around % (unit * (1_000_000 // len(unit)))
    response = served.client.post("v1/chat/completions", content=body, headers=JSON)
    assert response.status_code == 413 and "65536 values" in response.json()["error"]["message"]


def test_a_chat_with_a_long_text_is_read(served: Served) -> None:
    messages = [{"role": "system", "content": "one, two, " * 20_000}, {"role": "user"}]
    body = {"model": "x", "messages": messages}
    response = served.client.post("v1/chat/completions", json=body)
    assert response.status_code == 400 and "content" in response.json()["error"]["message"]


def test_a_crowd_of_idle_connections_takes_a_bounded_number_of_handles(served: Served) -> None:
    """A thousand would take all that the process has, and its clips and sources none."""
    url = httpx.URL(served.url)
    connections = served.server._server.server_state.connections
    with ExitStack() as opened:
        clients = [
            opened.enter_context(socket.create_connection((url.host, url.port), timeout=5))
            for _ in range(2 * N_CONNECTIONS)
        ]
        assert clients[-1].recv(1) == b""  # cut off, without waiting for what it might send
        assert len(connections) <= N_CONNECTIONS
    _until(lambda: len(connections) < 3)  # the client's own stay open
    assert served.client.get("healthz").status_code == 200


@pytest.mark.parametrize(
    "sent",
    [
        b"\0garbage\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: b\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
        b"Upgrade: websocket\r\n\r\n",
    ],
    ids=["garbage", "two hosts", "websocket"],
)
def test_no_request_writes_a_line_into_the_log(
    served: Served, caplog: pytest.LogCaptureFixture, sent: bytes
) -> None:
    url = httpx.URL(served.url)
    with socket.create_connection((url.host, url.port), timeout=5) as client:
        client.sendall(sent)
        assert client.recv(8) == b"HTTP/1.1"
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_sites_page_reads_nothing_and_holds_no_stream(served: Served, site: str) -> None:
    """It could not see the response, but each takes a place or the time of a day's what-if."""
    foreign = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
    link = {**foreign, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    for path in ("v1/sources", "v1/stream", "v1/what-if?question=siren&on=0.5&off=0.4", "metrics"):
        with served.client.stream("GET", path, headers=foreign) as response:
            assert response.status_code == 403
    for path in ("", "page/page.js", "healthz"):
        assert served.client.get(path, headers=foreign).status_code == 200
    assert served.client.get("v1/sources", headers=link).status_code == 200


def test_more_channels_than_an_engine_takes_are_not_decoded(served: Served) -> None:
    file = io.BytesIO()
    soundfile.write(file, np.zeros((2000, 65)), 16_000, format="WAV")
    response = served.client.post(
        "v1/ask?question=siren",
        content=file.getvalue(),
        headers={"Content-Type": "audio/wav"},
    )
    assert response.status_code == 422
    assert response.json()["error"]["message"] == "upload: has 65 channels, expected at most 64"


FOREIGN = b"\0\0\0\x18ftypM4A " + bytes(2000)  # what libsndfile leaves to ffmpeg


@pytest.fixture()
def slow_ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of one that writes into `log` when it begins and ends, at a line from `go`."""
    folder = tmp_path / "bin"
    folder.mkdir()
    os.mkfifo(folder / "go")
    program = folder / "ffmpeg"
    program.write_text(
        f"#!/bin/sh\ncd {folder}; echo begun >>log; read -r line <go; echo ended >>log\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def test_one_ffmpeg_decodes_at_a_time(tmp_path: Path, slow_ffmpeg: Path) -> None:
    """Eight might take 1 GB together; what libsndfile decodes does not wait for them."""
    log = slow_ffmpeg / "log"
    with serving(tmp_path, Limits(n_uploads=4)) as served, ThreadPoolExecutor() as clients:
        asked = [clients.submit(ask, served, FOREIGN, "siren?") for _ in range(3)]
        for n_before in range(3):
            _until(lambda: log.exists() and len(_lines(log)) == 2 * n_before + 1)  # noqa: B023
            assert ask(served, recording(), "siren?").status_code == 200
            assert len(_lines(log)) == 2 * n_before + 1
            (slow_ffmpeg / "go").write_text("\n")
        assert [one.result().status_code for one in asked] == [422] * 3  # it gave no sound
    assert _lines(log) == ["begun", "ended"] * 3


def test_whoever_waits_long_for_ffmpeg_is_told_to_come_again(
    tmp_path: Path, slow_ffmpeg: Path
) -> None:
    with serving(tmp_path, Limits(decode_s=0.2)) as served, ThreadPoolExecutor() as clients:
        first = clients.submit(ask, served, FOREIGN, "siren?")
        _until((slow_ffmpeg / "log").exists)
        refused = ask(served, FOREIGN, "siren?")
        assert refused.status_code == 429 and int(refused.headers["retry-after"]) > 0
        assert "take long to decode came before" in refused.json()["error"]["message"]
        (slow_ffmpeg / "go").write_text("\n")
        assert first.result().status_code == 422


def test_one_trial_of_the_outputs_goes_on_at_a_time(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forty that wait for a peer that stalls would hold every thread that answers."""
    begun, go_on, fire = threading.Event(), threading.Event(), served.service.test_fire

    def stall(output: str | None, question: str, source: str) -> list[tuple[str, str | None]]:
        begun.set()
        assert go_on.wait(10)
        return fire(output, question, source)

    def fired(name: str) -> httpx.Response:
        return served.client.post(f"v1/outputs/{name}/test", json={})

    monkeypatch.setattr(served.service, "test_fire", stall)
    with ThreadPoolExecutor() as clients:
        first = clients.submit(fired, "all")
        assert begun.wait(10)
        for name in ["all"] * 50 + ["lines"]:
            assert (refused := fired(name)).status_code == 429
        assert int(refused.headers["retry-after"]) > 0
        assert served.client.get("v1/sources").status_code == 200
        go_on.set()
        assert first.result().status_code == 200
    assert fired("nobody").status_code == 404  # an error gives the place back, too
    assert fired("lines").status_code == 200


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def _until(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + 5
    while not is_so() and time.monotonic() < until:
        time.sleep(0.01)
    assert is_so()
