"""watch as a process: real engine, a file in real time, signals, a service manager that listens."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from wyoming.info import Describe, Info

from listen_edge.runtime.service.peer import Peer
from listen_edge.runtime.service.watchdog import Watchdog

WAIT_S = 60.0


class Manager:
    """What systemd would be told, on a socket with or without a place in the file system."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._socket.settimeout(WAIT_S)

    def next(self) -> list[str]:
        return self._socket.recv(65536).decode().split("\n")

    def until(self, line: str) -> list[str]:
        while line not in (told := self.next()):
            pass
        return told

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["/notify", "@listen-edge-{}"], ids=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    name = request.param.format(os.getpid())
    made = Manager(name if name.startswith("@") else f"{tmp_path}{name}")
    yield made
    made.close()


def test_the_service_manager_is_told_what_it_waits_for(manager: Manager) -> None:
    environ = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "60000000"}
    watchdog = Watchdog(environ)
    assert watchdog.interval_s == 20
    watchdog.ready("2 sources\nREADY=0")
    watchdog.unwell("kitchen\udcff")
    watchdog.alive("x" * 5000)
    watchdog.stopping()
    assert manager.next() == ["READY=1", "STATUS=2 sources READY=0"]
    assert manager.next() == ["STATUS=kitchen?"]
    alive, status = manager.next()
    assert alive == "WATCHDOG=1" and len(status) < 600
    assert manager.next() == ["STOPPING=1"]
    assert Watchdog({**environ, "WATCHDOG_PID": "1"}).interval_s is None


@pytest.mark.parametrize("address", ["", "/nowhere/notify", "@nobody-listens"])
def test_nobody_who_waits_is_no_error(address: str) -> None:
    Watchdog({"NOTIFY_SOCKET": address}).ready("here")
    assert Watchdog({}).interval_s is None


def configuration(folder: Path, clip: Path, **keys: Any) -> Path:
    path = folder / "listen.yaml"
    config = {
        "threads": 1,
        "hop": 1,
        "first_minutes": 0.05,
        "sources": [{"id": "kitchen", "file": str(clip)}],
        "questions": ["siren?"],
        "events": {"path": str(folder / "events.db")},
        "defaults": {"on": 0.6, "off": 0.5, "confirm": "1/1"},
    }
    path.write_text(yaml.safe_dump(config | keys))
    return path


@contextmanager
def watching(path: Path, **environ: str) -> Iterator[subprocess.Popen[str]]:
    with path.with_name("stderr").open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "listen_edge", "watch", "--config", str(path)],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE", **environ},
        )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def logged(path: Path, words: str) -> str:
    deadline_s = time.monotonic() + WAIT_S
    while words not in (text := path.with_name("stderr").read_text()):
        assert time.monotonic() < deadline_s, f"{words!r} was not said: {text}"
        time.sleep(0.05)
    return text


def wake_words_at(port: int) -> list[str]:
    """Return what a Wyoming client is told that it may ask for."""
    with socket.create_connection(("127.0.0.1", port), WAIT_S) as client:
        peer = Peer(client, "the service")
        peer.send(Describe())
        (program,) = Info.from_event(peer.read()).wake
        peer.close()
    return [model.name for model in program.models]


def test_it_hears_tells_reloads_in_mid_event_and_ends_in_order(
    tmp_path: Path, tiny_folder: Path
) -> None:
    clip = tiny_folder / "clips/siren.ogg"
    events = {"path": str(tmp_path / "events.db"), "clips": str(tmp_path / "clips")}
    path = configuration(tmp_path, clip, events=events)
    manager = Manager(str(tmp_path / "notify"))
    environ = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "3000000"}
    with watching(path, **environ) as process:
        manager.until("READY=1")
        assert process.stdout is not None
        start = json.loads(process.stdout.readline())
        assert (start["type"], start["phase"]) == ("stored_event", "start")
        assert (start["source"], start["question"]) == ("kitchen", "siren")
        manager.until("WATCHDOG=1")
        assert "kitchen: in " in logged(path, "windows: ")  # what is heard first
        wake = {"listen": "127.0.0.1:0"}
        asked = ["siren?", "dog barking?"]
        configuration(tmp_path, clip, events=events, questions=asked, wake=wake)
        process.send_signal(signal.SIGHUP)
        said = logged(path, "was read again")
        found = re.search(r"wake words at 127\.0\.0\.1 port (\d+)", said)
        assert found is not None
        assert wake_words_at(int(found[1])) == ["siren", "dog-barking"]
        path.write_text("sources: 5")
        process.send_signal(signal.SIGHUP)
        logged(path, "what was in force goes on")
        assert process.poll() is None
        began_s = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_S) == 0 and time.monotonic() - began_s < 5
        manager.until("STOPPING=1")
        end = json.loads(process.stdout.read().splitlines()[-1])
        assert (end["phase"], end["uid"], end["reason"]) == ("end", start["uid"], "stopped")
    kept = [tmp_path / "clips", *tmp_path.glob("clips/*.flac"), *tmp_path.glob("events.db*")]
    assert len(kept) > 2 and not any(one.stat().st_mode & 0o077 for one in kept)
    manager.close()
    with sqlite3.connect(tmp_path / "events.db") as database:
        rows = list(database.execute("SELECT count(*), count(ended_at) FROM events"))
    database.close()
    assert rows == [(1, 1)]


def test_a_wrong_configuration_is_one_line_before_anything_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "listen.yaml"
    path.write_text("sources: [{id: kitchen, devise: x}]\n")
    with watching(path) as process:
        assert process.wait(WAIT_S) == 1
    (line,) = path.with_name("stderr").read_text().splitlines()
    assert line.startswith("listen-edge: ") and "listen.yaml:1:" in line and "devise" in line


def test_a_microphone_that_is_not_there_is_told_of(tmp_path: Path) -> None:
    path = tmp_path / "listen.yaml"
    source = "sources: [{id: kitchen, device: no such thing}]\n"
    path.write_text(source + 'questions: [{ask: "siren?"}]\nevents: {path: events.db}\n')
    with watching(path) as process:
        line = logged(path, "no such thing").splitlines()[-1]
        assert "kitchen: " in line and process.poll() is None
