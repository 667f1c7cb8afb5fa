"""A fleet on one real Mosquitto: simulated devices connect, are born, tell states and events, flap.

    python -m benchmarks.fleet --devices 1000 --seconds 60

Devices say what runtime/service/outputs says, by its own functions; one asyncio loop carries all
of them, in place of the thread that a real device has. A subscriber of its own counts. Prints one
JSON line last.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from listen_edge.runtime.service.outputs.discovery import config_json, config_topic, device_config
from listen_edge.runtime.service.outputs.message import stored_event_line
from listen_edge.runtime.service.outputs.topics import Topics, birth, health, states
from listen_edge.runtime.service.records.types import (
    Delivery,
    QuestionStatus,
    Sounding,
    SourceStatus,
    StoredEvent,
)
from tests.mosquitto import Mosquitto, running

NOW = datetime.now(timezone.utc)
BUNDLE = "tiny@sha256:ab12cd34"
SOURCE = SourceStatus("kitchen", "Kitchen", "healthy", None, NOW, -41.0, 0.2, 9, 0, 0, 0, NOW)
QUESTIONS = [
    QuestionStatus(name, f"{name}?", name, ("kitchen",), 0.9, 0.6, "safety", False, True, True)
    for name in ("siren", "smoke-alarm", "glass", "dog")
]
EVENT = StoredEvent(
    id=1,
    uid="",
    source="kitchen",
    question="siren",
    ask="siren?",
    concept="siren",
    started_at=NOW,
    ended_at=None,
    duration_s=2.0,
    peak_presence=0.97,
    level_dbfs=-20.0,
    on=0.9,
    off=0.6,
    bundle=BUNDLE,
)


class Device:
    """One simulated device: a session, and what it has been promised."""

    def __init__(self, number: int, port: int) -> None:
        self.topics = Topics("listen-edge", f"device-{number:04d}")
        self._loop = asyncio.get_running_loop()
        self._port, self._n_events = port, 0
        self.sent: set[str] = set()
        self.acknowledged: set[str] = set()
        self._waiting: dict[int, str] = {}
        self.is_up = False
        self.client = Client(CallbackAPIVersion.VERSION2, self.topics.root, protocol=MQTTv5)
        self.client.will_set(self.topics.status, "offline", 1, retain=True)
        self.client.on_connect = self._come_up
        self.client.on_disconnect = self._go_down
        self.client.on_publish = lambda c, d, mid, *_: self._acknowledge(mid)
        self.client.on_socket_open = lambda c, d, sock: self._loop.add_reader(sock, c.loop_read)
        self.client.on_socket_close = lambda c, d, sock: self._loop.remove_reader(sock)
        self.client.on_socket_register_write = lambda c, d, sock: self._loop.add_writer(
            sock, c.loop_write
        )
        self.client.on_socket_unregister_write = lambda c, d, sock: self._loop.remove_writer(sock)

    def connect(self) -> None:
        """Connect, with the session of before."""
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 600
        self.client.connect("127.0.0.1", self._port, clean_start=False, properties=properties)

    def flap(self) -> None:
        """Lose the connection as a device does that loses its network."""
        sock = self.client.socket()
        if sock is not None:
            sock.shutdown(2)

    def event(self) -> None:
        """Tell the start or the end of an event, and the state with it."""
        self._n_events += 1
        is_start = self._n_events % 2 == 1
        uid = f"{self.topics.node}-{self._n_events:05d}"
        delivery = Delivery(self._n_events, "start" if is_start else "end", replace(EVENT, uid=uid))
        topic = self.topics.of_question("kitchen", "siren", "event")
        info = self.client.publish(topic, stored_event_line(delivery), 1)
        self._waiting[info.mid] = uid
        self.sent.add(uid)
        state = self.topics.of_question("kitchen", "siren", "state")
        self.client.publish(state, "ON" if is_start else "OFF", 1, retain=True)

    def tell_health(self, n: int) -> None:
        """Tell the health with new figures."""
        status = replace(SOURCE, n_windows=n)
        topic = self.topics.of_source("kitchen", "health")
        self.client.publish(topic, health(status), 1, retain=True)

    def _come_up(self, *_: object) -> None:
        self.is_up = True
        for topic, payload in self.retained().items():
            self.client.publish(topic, payload, 1, retain=True)

    def _go_down(self, *_: object) -> None:
        self.is_up = False

    def retained(self) -> dict[str, str]:
        """Return what it has the broker keep, by topic."""
        sounding = Sounding("kitchen", "siren", "absent", None, 0.01, False, NOW)
        node = {"version": "0.1.0", "bundle": BUNDLE, "sources": [SOURCE], "questions": QUESTIONS}
        said = {self.topics.of_source("kitchen", "health"): health(SOURCE)}
        said |= states(self.topics, [SOURCE], QUESTIONS, [sounding])
        said[self.topics.birth] = birth(self.topics, started_at=NOW, **node)  # type: ignore[arg-type]
        config = device_config(self.topics, **node)  # type: ignore[arg-type]
        said[config_topic(self.topics, "homeassistant")] = config_json(config)
        said[self.topics.status] = "online"
        return said

    def _acknowledge(self, message: int) -> None:
        uid = self._waiting.pop(message, None)
        if uid is not None:
            self.acknowledged.add(uid)


class Counting:
    """Subscribes to all on a thread of its own, and counts."""

    def __init__(self, port: int) -> None:
        self.n_messages = 0
        self.uids: Counter[str] = Counter()
        self.retained: set[str] = set()
        self.client = Client(CallbackAPIVersion.VERSION2, "counting", protocol=MQTTv5)
        self.client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        self.client.on_message = self._count
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def _count(self, client: Client, data: object, message: MQTTMessage) -> None:
        self.n_messages += 1
        if message.topic.endswith("/event"):
            self.uids[json.loads(message.payload)["uid"]] += 1
        elif message.payload:
            self.retained.add(message.topic)


async def _until(is_so: Callable[[], bool], within_s: float) -> float:
    """Wait for a condition; return how long it took."""
    began = time.monotonic()
    for _ in range(int(within_s / 0.05)):
        if is_so():
            break
        await asyncio.sleep(0.05)
    return time.monotonic() - began


async def _live(devices: list[Device], seconds: float) -> int:
    """Tell health once a minute and an event every 10 s each; return how often one flapped."""
    flapping = devices[: len(devices) // 20]
    began = time.monotonic()
    n_flaps = 0
    for tick in range(int(seconds)):
        for device in devices[tick % 60 :: 60]:
            device.tell_health(tick)
        for device in random.sample(devices, len(devices) // 10):
            device.event()
        for device in flapping:
            if not device.is_up:
                device.connect()
            elif random.random() < 0.2:
                device.flap()
                n_flaps += 1
        for device in devices:
            device.client.loop_misc()
        await asyncio.sleep(max(0.0, began + tick + 1 - time.monotonic()))
    return n_flaps


async def _catch_up(devices: list[Device], counting: Counting) -> float:
    """Bring all back, and wait until everything is acknowledged and heard; return how long."""
    for device in devices:
        if not device.is_up:
            device.connect()
    n_sent = sum(len(device.sent) for device in devices)

    def is_over() -> bool:
        n_acknowledged = sum(len(device.acknowledged) for device in devices)
        return n_acknowledged == n_sent == len(counting.uids)

    return await _until(is_over, 60)


async def simulate(broker: Mosquitto, n_devices: int, seconds: float) -> dict[str, float]:
    """Run the fleet; return what was measured."""
    counting = Counting(broker.port)
    devices = [Device(number, broker.port) for number in range(n_devices)]
    began = time.monotonic()
    for device in devices:
        device.connect()
        await asyncio.sleep(0)
    n_kept = n_devices * len(devices[0].retained())
    await _until(lambda: len(counting.retained) >= n_kept, 120)
    born_s, n_before = time.monotonic() - began, counting.n_messages
    began = time.monotonic()
    n_flaps = await _live(devices, seconds)
    lived_s, n_after = time.monotonic() - began, counting.n_messages
    caught_up_s = await _catch_up(devices, counting)
    promised = set[str]().union(*(device.acknowledged for device in devices))
    for device in devices:
        device.client.disconnect()
    await asyncio.sleep(1)
    counting.client.disconnect()
    counting.client.loop_stop()
    return {
        "devices": n_devices,
        "born_s": round(born_s, 1),
        "births_per_s": round(n_devices / born_s, 1),
        "retained": len(counting.retained),
        "seconds": round(lived_s, 1),
        "messages_per_s": round((n_after - n_before) / lived_s, 1),
        "events": sum(len(device.sent) for device in devices),
        "acknowledged": len(promised),
        "lost": len(promised - set(counting.uids)),
        "twice": sum(n - 1 for n in counting.uids.values()),
        "flaps": n_flaps,
        "caught_up_s": round(caught_up_s, 1),
    }


def main() -> None:
    """Start a broker, run the fleet, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--devices", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=60.0)
    arguments = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory() as folder:
        lines = ("allow_anonymous true", "autosave_on_changes false", "autosave_interval 30")
        with running(Path(folder), *lines) as broker:
            figures = asyncio.run(simulate(broker, arguments.devices, arguments.seconds))
            usage = Path(f"/proc/{broker.process_id}/status").read_text()
            memory_kb = int(usage.partition("VmRSS:")[2].split()[0])
    print(json.dumps({**figures, "broker_mb": round(memory_kb / 1024, 1)}))


if __name__ == "__main__":
    main()
