"""Wyoming peers that are broken or mean: an error soon, in bounded memory."""

from __future__ import annotations

import json
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from wyoming.event import Event

from listen_edge.errors import AudioError
from listen_edge.runtime.service import peer as peer_module
from listen_edge.runtime.service.satellites import SatelliteSource

RATE, WAIT_S = 16_000, 10.0


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


def test_telling_one_that_does_not_read_never_waits() -> None:
    asks = json.dumps({"type": "detect"}).encode() + b"\n"

    def deaf(connection: socket.socket) -> None:
        connection.sendall(asks + chunk())
        is_over.wait(WAIT_S)

    is_over = threading.Event()
    with peer_that(deaf) as port:
        source = SatelliteSource(f"127.0.0.1:{port}")
        source.open()
        assert source.read(WAIT_S) is not None
        begin_s = time.monotonic()
        for _ in range(100_000):
            source.detected("siren" * 20)
        assert time.monotonic() - begin_s < 8.0
        with pytest.raises(AudioError, match="closed the connection"):
            source.read(WAIT_S)
        source.close()
        is_over.set()


def test_a_silent_peer_is_asked_and_then_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_module, "QUIET_S", 0.1)
    heard = bytearray()

    def listen(connection: socket.socket) -> None:
        while data := connection.recv(4096):
            heard.extend(data)

    with peer_that(listen) as port:
        source = SatelliteSource(f"127.0.0.1:{port}")
        source.open()
        with pytest.raises(AudioError, match="has not answered"):
            source.read(WAIT_S)
        source.close()
    assert b'"type": "ping"' in heard


@pytest.mark.parametrize(
    ("width", "payload", "value"),
    [
        (1, b"\x00\x80\xff", [-1, 0, 127 / 128]),
        (2, b"\x00\x80\x00\x40", [-1, 0.5]),
        (4, b"\x00\x00\x00\x80\x00\x00\x00\x40", [-1, 0.5]),
    ],
)
def test_samples_of_every_width_lie_within_full_scale(
    width: int, payload: bytes, value: list[float]
) -> None:
    data = {"rate": RATE, "width": width, "channels": 1}
    block = peer_module.chunk_block(Event("audio-chunk", data, payload), "it")
    assert block.samples.dtype == "float32" and block.samples[:, 0].tolist() == value
