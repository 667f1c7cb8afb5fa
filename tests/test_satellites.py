"""A Wyoming satellite as a source: the package's own server over loopback, and hostile ones."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from wyoming.audio import AudioChunk, AudioStop
from wyoming.event import Event, Eventable
from wyoming.info import Attribution, Describe, Info, Satellite, WakeModel, WakeProgram
from wyoming.ping import Ping
from wyoming.pipeline import PipelineStage, RunPipeline
from wyoming.satellite import RunSatellite
from wyoming.server import AsyncEventHandler, AsyncTcpServer
from wyoming.wake import Detect

from listen_edge.errors import AudioError
from listen_edge.runtime.listening.liveness import LivenessConfig
from listen_edge.runtime.listening.reception import Reception
from listen_edge.runtime.listening.window import Feed
from listen_edge.runtime.service import peer as peer_module
from listen_edge.runtime.service.satellites import SatelliteSource, parse_address
from listen_edge.runtime.sources import Block

RATE, N_CHUNK = 16_000, 1_024
WAIT_S = 10.0
NOBODY = Attribution(name="", url="")
KITCHEN = Satellite("kitchen", NOBODY, True, None, None)
RAMP = (np.arange(N_CHUNK) * 31 - 16_000).astype("<i2")


def until(is_so: Callable[[], bool]) -> None:
    end_s = time.monotonic() + WAIT_S
    while not is_so():
        assert time.monotonic() < end_s, "it never came to be"
        time.sleep(0.005)


class FakeSatellite:
    """Wyoming's own server: streams a ramp after run-satellite, and keeps what it is told.

    Attributes:
        info: what it says of itself.
        first: messages before the sound.
        received: events, in order.
        n_connections: since the start.
    """

    def __init__(self) -> None:
        self.info = Info(satellite=KITCHEN)
        self.first: list[Eventable] = []
        self.received: list[Event] = []
        self.n_connections = 0
        self._loop = asyncio.new_event_loop()
        self._server = AsyncTcpServer("127.0.0.1", 0)
        self._handlers: list[AsyncEventHandler] = []
        self._loop.run_until_complete(self._server.start(self._handle))
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        assert self._server._server is not None
        self.port = self._server._server.sockets[0].getsockname()[1]

    def types(self) -> list[str]:
        return [event.type for event in list(self.received)]

    def last(self, kind: str) -> Event:
        return next(event for event in reversed(self.received) if event.type == kind)

    def send(self, message: Eventable) -> None:
        self._run(self._handlers[-1].write_event(message.event()))

    def hang_up(self) -> None:
        self._run(self._handlers[-1].stop())

    def stop(self) -> None:
        self._run(self._server.stop())
        self._run(self._finish())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _finish(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _run(self, coroutine: Any) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(WAIT_S)

    def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Any:
        handler = _Handler(self, reader, writer)
        self._handlers.append(handler)
        self.n_connections += 1
        return handler


class _Handler(AsyncEventHandler):
    def __init__(self, satellite: FakeSatellite, *streams: Any) -> None:
        super().__init__(*streams)
        self._satellite = satellite
        self._streaming: asyncio.Task[None] | None = None

    async def handle_event(self, event: Event) -> bool:
        self._satellite.received.append(event)
        if Describe.is_type(event.type):
            await self.write_event(self._satellite.info.event())
        elif RunSatellite.is_type(event.type):
            self._streaming = asyncio.create_task(self._stream())
        return True

    async def _stream(self) -> None:
        for message in self._satellite.first:
            await self.write_event(message.event())
        chunk = AudioChunk(RATE, 2, 1, RAMP.tobytes(), timestamp=7)
        while True:
            await self.write_event(chunk.event())
            await asyncio.sleep(N_CHUNK / RATE / 4)

    async def disconnect(self) -> None:
        if self._streaming is not None:
            self._streaming.cancel()


@pytest.fixture()
def satellite() -> Iterator[FakeSatellite]:
    satellite = FakeSatellite()
    yield satellite
    satellite.stop()


@pytest.fixture()
def source(satellite: FakeSatellite) -> Iterator[SatelliteSource]:
    source = SatelliteSource(f"127.0.0.1:{satellite.port}")
    yield source
    source.close()


def read(source: SatelliteSource) -> Block:
    block = source.read(WAIT_S)
    assert block is not None
    return block


def test_its_sound_comes_as_blocks(satellite: FakeSatellite, source: SatelliteSource) -> None:
    source.open()
    samples = np.concatenate([read(source).samples for _ in range(3)])
    assert samples.shape == (3 * 2 * N_CHUNK, 1) and samples.dtype == np.float32
    assert np.array_equal(samples[:, 0], np.tile(RAMP, 6) / np.float32(32_768))
    assert satellite.types()[:2] == ["describe", "run-satellite"]
    source.close()
    until(lambda: satellite.types()[-1] == "pause-satellite")


def test_pings_are_answered_and_sent(
    satellite: FakeSatellite, source: SatelliteSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    satellite.first = [Ping(text="are you there?")]
    source.open()
    read(source)
    until(lambda: "pong" in satellite.types())
    assert satellite.last("pong").data["text"] == "are you there?"
    monkeypatch.setattr(peer_module, "QUIET_S", 0.1)
    with silent() as port:
        quiet = SatelliteSource(f"127.0.0.1:{port}")
        quiet.open()
        with pytest.raises(AudioError, match="has not answered"):
            quiet.read(WAIT_S)
        quiet.close()


def test_it_is_told_of_the_events_it_asked_for(
    satellite: FakeSatellite, source: SatelliteSource
) -> None:
    satellite.first = [Detect(names=["siren", "dog"])]
    source.open()
    read(source)
    source.detected("glass")
    source.detected("siren")
    until(lambda: "detection" in satellite.types())
    assert satellite.last("detection").data == {"name": "siren", "timestamp": 7, "speaker": None}
    assert satellite.types().count("detection") == 1
    satellite.send(AudioStop())
    satellite.send(Detect(names=["siren"]))
    satellite.send(AudioStop())
    until(lambda: "not-detected" in satellite.types())
    assert satellite.types().count("not-detected") == 1  # not for the one with a detection


def test_a_pipeline_that_waits_for_a_wake_word_hears_of_every_event(
    satellite: FakeSatellite, source: SatelliteSource
) -> None:
    satellite.first = [RunPipeline(PipelineStage.WAKE, PipelineStage.TTS)]
    source.open()
    read(source)
    until(lambda: "detect" in satellite.types())
    source.detected("anything")
    until(lambda: "detection" in satellite.types())


def test_one_that_asks_for_nothing_is_told_nothing(
    satellite: FakeSatellite, source: SatelliteSource
) -> None:
    source.detected("siren")  # before it is open
    source.open()
    read(source)
    source.detected("siren")
    source.close()
    until(lambda: satellite.types()[-1] == "pause-satellite")
    assert "detection" not in satellite.types()


def test_what_has_no_microphone_says_what_it_is(
    satellite: FakeSatellite, source: SatelliteSource
) -> None:
    model = WakeModel("m", NOBODY, True, None, None, [], None)
    satellite.info = Info(wake=[WakeProgram("w", NOBODY, True, None, None, [model])])
    source.open()
    with pytest.raises(AudioError, match="is no satellite; it offers wake"):
        for _ in range(50):
            source.read(WAIT_S)


def test_a_lost_satellite_comes_back(satellite: FakeSatellite, source: SatelliteSource) -> None:
    config = LivenessConfig(tick_s=0.05, backoffs_s=(0.05,))
    reception = Reception(
        source, lambda s: Feed(RATE, RATE, begin_s=s), hop_s=1.0, config=config,
        waits_for_device=False,
    )  # fmt: skip

    def hears() -> bool:
        reception.tend()
        return bool(reception.take(0.05))

    until(hears)
    satellite.hang_up()
    until(lambda: reception.take(0.05) is not None and reception.liveness.state != "healthy")
    assert "closed the connection" in str(reception.liveness.message)
    until(hears)
    assert reception.liveness.state == "healthy" and satellite.n_connections == 2


# Hostile ones.


@contextmanager
def peer_that(behave: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server that does this with each connection until it is left; yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.settimeout(1.0)
                    try:
                        behave(connection)
                        while connection.recv(4096):
                            pass
                    except OSError:
                        pass

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    thread.join(WAIT_S)


@contextmanager
def silent() -> Iterator[int]:
    with peer_that(lambda connection: None) as port:
        yield port


def endlessly(data: bytes) -> Callable[[socket.socket], None]:
    def behave(connection: socket.socket) -> None:
        while True:
            connection.sendall(data)

    return behave


def chunk(rate: object = RATE, width: object = 2, channels: object = 1, n: int = 3_200) -> bytes:
    data = json.dumps({"rate": rate, "width": width, "channels": channels}).encode()
    header = {"type": "audio-chunk", "data_length": len(data), "payload_length": n}
    return json.dumps(header).encode() + b"\n" + data + bytes(n)


HOSTILE = {
    "endless header": (endlessly(b"x" * 65_536), "a header of more than 8192 bytes"),
    "huge payload": (b'{"type": "audio-chunk", "payload_length": 99999999999}\n', "payload_length"),
    "huge data": (b'{"type": "audio-chunk", "data_length": 99999999999}\n', "data_length"),
    "negative length": (b'{"type": "a", "payload_length": -1}\n', "payload_length -1"),
    "a length in words": (b'{"type": "a", "payload_length": "many"}\n', "payload_length 'many'"),
    "no JSON": (b"GET / HTTP/1.1\r\n", "not JSON; is it a Wyoming peer"),
    "no text": (b"\xff\xfe\n", "not JSON"),
    "no object": (b"[]\n", "no object"),
    "no type": (b"{}\n", "an event without a type"),
    "nested": (b'{"a":' + b"[" * 7_000 + b"\n", "not JSON"),
    "data that is no object": (b'{"type": "a", "data": 3}\n', "an event without a type"),
    "rate 0": (chunk(rate=0), "rate 0, expected 4000 to 48000 Hz"),
    "rate in words": (chunk(rate="high\n"), r"rate high\\n, expected"),
    "rate of ten million": (chunk(rate=10_000_000), "rate 10000000"),
    "samples of 3 bytes": (chunk(width=3), "samples of 3 bytes"),
    "samples of nothing": (chunk(width=None), "samples of None bytes"),
    "a thousand channels": (chunk(channels=1_000), "1000 channels"),
    "half a frame": (chunk(n=3_201), "no whole number of frames"),
    "another rate later": (chunk() + chunk(rate=8_000), "went from 16000 Hz x 1 to 8000 Hz x 1"),
    "hangs up": (lambda connection: connection.shutdown(socket.SHUT_RDWR), "closed the connection"),
}


@pytest.mark.parametrize(("sent", "message"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_peer_is_an_error(
    sent: bytes | Callable[[socket.socket], None], message: str
) -> None:
    behave = sent if callable(sent) else lambda connection: connection.sendall(sent)
    with peer_that(behave) as port:
        source = SatelliteSource(f"127.0.0.1:{port}")
        source.open()
        with pytest.raises(AudioError, match=message) as error:
            while source.read(WAIT_S) is not None:
                pass
        assert str(error.value).startswith(source.name) and "\n" not in str(error.value)
        source.close()


@pytest.mark.parametrize(
    "flood",
    [
        chunk(n=0),
        chunk(n=2),
        chunk(rate=48_000, channels=2, width=4, n=1 << 20),
        b'{"type":"ping"}\n',
    ],
    ids=["empty chunks", "single samples", "the largest chunks", "pings"],
)
def test_a_flood_takes_bounded_memory_and_is_left_at_once(flood: bytes) -> None:
    with peer_that(endlessly(flood * (1 + 65_536 // len(flood)))) as port:
        source = SatelliteSource(f"127.0.0.1:{port}")
        tracemalloc.start()
        source.open()
        time.sleep(0.5)  # of flood
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        begin_s = time.monotonic()
        source.close()
        assert time.monotonic() - begin_s < 1.0
        assert peak < 40e6


def test_an_event_that_trickles_in_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_module, "EVENT_S", 0.2)

    def trickle(connection: socket.socket) -> None:
        for byte in chunk():
            connection.sendall(bytes([byte]))
            time.sleep(0.01)

    with peer_that(trickle) as port:
        source = SatelliteSource(f"127.0.0.1:{port}")
        source.open()
        with pytest.raises(AudioError, match="sends too slowly"):
            source.read(WAIT_S)
        source.close()


def test_telling_one_that_does_not_read_never_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    asks = json.dumps({"type": "detect"}).encode() + b"\n"

    def deaf(connection: socket.socket) -> None:
        connection.sendall(asks + chunk())
        is_over.wait(WAIT_S)

    is_over = threading.Event()
    with peer_that(deaf) as port:
        source = SatelliteSource(f"127.0.0.1:{port}")
        source.open()
        read(source)
        begin_s = time.monotonic()
        for _ in range(100_000):
            source.detected("siren" * 20)
        assert time.monotonic() - begin_s < 8.0
        with pytest.raises(AudioError, match="closed the connection"):
            source.read(WAIT_S)
        source.close()
        is_over.set()


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("kitchen", ("kitchen", 10_700)),
        ("192.168.1.20:10701", ("192.168.1.20", 10_701)),
        ("tcp://kitchen.local:1", ("kitchen.local", 1)),
        ("[fd00::1]:10700", ("fd00::1", 10_700)),
        ("", None),
        ("kitchen:0", None),
        ("kitchen:70000", None),
        ("http://kitchen", None),
        ("kitchen:x", None),
        ("kit\nchen", None),
    ],
)
def test_addresses(address: str, found: tuple[str, int] | None) -> None:
    if found is not None:
        assert parse_address(address) == found
        return
    with pytest.raises(AudioError, match="expected HOST:PORT"):
        parse_address(address)
