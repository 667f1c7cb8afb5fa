"""A Wyoming satellite as a source: the package's own server over loopback."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
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


def test_a_ping_is_answered(satellite: FakeSatellite, source: SatelliteSource) -> None:
    satellite.first = [Ping(text="are you there?")]
    source.open()
    read(source)
    until(lambda: "pong" in satellite.types())
    assert satellite.last("pong").data["text"] == "are you there?"


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
