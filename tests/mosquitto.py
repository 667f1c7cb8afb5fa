"""A real broker on loopback that tests start, kill and start again, and a client that listens."""

from __future__ import annotations

import contextlib
import getpass
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion

_PROGRAM = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
needs_mosquitto = pytest.mark.skipif(
    _PROGRAM is None, reason="needs Mosquitto: apt install mosquitto"
)


def wait_until(is_so: Callable[[], object], within_s: float = 20.0) -> None:
    """Wait for a condition; AssertionError where it does not come about."""
    deadline = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < deadline, "did not come about"
        time.sleep(0.01)


class Mosquitto:
    """One broker with persistence.

    Args:
        folder: for its configuration and what it keeps.
        settings: further lines of mosquitto.conf.
    """

    def __init__(self, folder: Path, *settings: str) -> None:
        assert _PROGRAM is not None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._log = folder / "mosquitto.log"
        self._config = folder / "mosquitto.conf"
        lines = [
            f"listener {self.port} 127.0.0.1",
            f"user {getpass.getuser()}",  # or root's becomes one that cannot enter the folder
            "persistence true",
            f"persistence_location {folder}/",
            "max_queued_messages 0",
            *(
                settings
                or ("allow_anonymous true", "autosave_on_changes true", "autosave_interval 1")
            ),
        ]
        self._config.write_text("\n".join(lines) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process_id(self) -> int:
        """Of the broker that runs."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start, and return when it listens."""
        assert self._process is None and _PROGRAM is not None
        with self._log.open("ab") as log:
            command = [_PROGRAM, "-c", str(self._config)]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_until(self._listens)

    def kill(self) -> None:
        """End it as a power cut does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def stop(self) -> None:
        """End it in order, where it runs."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def _listens(self) -> bool:
        assert self._process is not None and self._process.poll() is None, self._log.read_text()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False


class Witness:
    """Subscribes to all, again after a loss, and keeps what it hears in order.

    Attributes:
        n_comings: times that it has subscribed.
        qos: with which the newest of each topic came.
    """

    def __init__(self, port: int, name: str = "witness", username: str | None = None) -> None:
        self._heard: list[tuple[str, bytes, bool]] = []
        self.n_comings, self.qos = 0, dict[str, int]()
        self.client = Client(CallbackAPIVersion.VERSION2, name, protocol=MQTTv5)
        self.client.reconnect_delay_set(1, 1)
        if username is not None:
            self.client.username_pw_set(username, username)
        self.client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        self.client.on_subscribe = self._come
        self.client.on_message = self._hear
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        wait_until(lambda: self.n_comings)

    def payloads(self, topic: str) -> list[str]:
        """Return all that was said on a topic since this client came, in order."""
        return [payload.decode() for place, payload, _ in list(self._heard) if place == topic]

    def last(self, topic: str) -> str | None:
        """Return the newest payload, None where nothing was said."""
        return next(iter(self.payloads(topic)[-1:]), None)

    def say(self, topic: str, payload: str | bytes, *, retain: bool = False) -> None:
        """Publish, and return when the broker has it."""
        self.client.publish(topic, payload, 1, retain).wait_for_publish(20)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def _come(self, *_: object) -> None:
        self.n_comings += 1

    def _hear(self, client: Client, data: object, message: MQTTMessage) -> None:
        self.qos[message.topic] = message.qos
        self._heard.append((message.topic, message.payload, message.retain))


def retained(port: int) -> dict[str, str]:
    """Return what the broker keeps, by topic."""
    kept: dict[str, str] = {}
    is_over = threading.Event()
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)

    def hear(client: Client, data: object, message: MQTTMessage) -> None:
        if message.retain:
            kept[message.topic] = message.payload.decode()

    client.on_message = hear
    client.on_connect = lambda client, *_: client.subscribe("#", qos=0)
    client.on_subscribe = lambda client, *_: client.unsubscribe("#")
    client.on_unsubscribe = lambda *_: is_over.set()
    client.connect("127.0.0.1", port)
    client.loop_start()
    assert is_over.wait(20)
    client.disconnect()
    client.loop_stop()
    return kept


@contextlib.contextmanager
def running(folder: Path, *settings: str) -> Iterator[Mosquitto]:
    """A broker for the length of a block."""
    broker = Mosquitto(folder, *settings)
    try:
        broker.start()
        yield broker
    finally:
        broker.stop()
