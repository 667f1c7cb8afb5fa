"""One end of a Wyoming connection, whatever the other end does: bounded in memory and in time.

The package's own reader takes payloads of any length, so reading is done here; its messages are
what is sent and read.
"""

from __future__ import annotations

import io
import json
import socket
import threading
import time
from typing import Any

import numpy as np
from wyoming.event import Event, Eventable, write_event
from wyoming.ping import Ping, Pong

from listen_edge.audio.limits import MIN_RATE
from listen_edge.errors import AudioError, one_line
from listen_edge.printable import escaped
from listen_edge.runtime.sources import Block

CONNECT_S = 5.0
QUIET_S = 5.0  # without a byte: then a ping, and after as long again the connection is lost
EVENT_S = 10.0  # from the first byte of an event to its last

MAX_HEADER_BYTES = 8 << 10
MAX_DATA_BYTES = 256 << 10  # what a server of many models tells of itself
MAX_PAYLOAD_BYTES = 1 << 20  # half a minute of a satellite's sound
MAX_RATE, MAX_CHANNELS = 48_000, 2
MAX_NAMES = 256  # of models that a peer may want to be told of
_TYPES: dict[int, np.dtype[Any]] = {
    1: np.dtype("u1"),
    2: np.dtype("<i2"),
    4: np.dtype("<i4"),
}  # by bytes of a sample


class Peer:
    """Reads on one thread, sends and closes on any.

    Args:
        connection: connected.
        name: of the other end, for errors.
    """

    def __init__(self, connection: socket.socket, name: str) -> None:
        self._connection, self._name = connection, name
        self._outgoing = connection.dup()  # of its own patience: send would wait as long as recv
        self._received = bytearray()
        self._sending = threading.Lock()
        connection.settimeout(QUIET_S)
        self._outgoing.setblocking(False)

    def read(self) -> Event:
        """Return the next event that is no ping.

        Raises:
            AudioError: the other end has gone, is silent, slow, or speaks something else.
        """
        while True:
            event = self._read()
            if Ping.is_type(event.type):
                self.send(Pong(text=_text(event.data.get("text"))))
            elif not Pong.is_type(event.type):
                return event

    def send(self, message: Eventable) -> None:
        """Send a message without waiting: a peer that does not read is left, and read tells so."""
        buffer = io.BytesIO()
        write_event(message.event(), buffer)
        data = buffer.getvalue()
        with self._sending:
            try:
                if self._outgoing.send(data) == len(data):
                    return
            except OSError:  # gone, or its buffer is full
                pass
        self.hang_up()

    def hang_up(self) -> None:
        """End the connection, and a read that waits."""
        try:
            self._outgoing.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # it has gone

    def close(self) -> None:
        """Hang up and free the sockets; nobody reads any more. May be called twice."""
        self.hang_up()
        with self._sending:
            self._outgoing.close()
        self._connection.close()

    def _read(self) -> Event:
        while not self._received:
            self._receive(None)
        until_s = time.monotonic() + EVENT_S
        header = self._read_json(self._line(until_s))
        n_data = self._length(header, "data_length", MAX_DATA_BYTES)
        n_payload = self._length(header, "payload_length", MAX_PAYLOAD_BYTES)
        kind, data = header.get("type"), header.get("data") or {}
        if not isinstance(kind, str) or not isinstance(data, dict):
            raise self._foreign("an event without a type")
        if n_data:
            data = {**data, **self._read_json(self._exactly(n_data, until_s))}
        return Event(kind, data, self._exactly(n_payload, until_s))

    def _read_json(self, line: bytes) -> dict[str, Any]:
        try:
            content = json.loads(line)
        except (ValueError, RecursionError) as err:
            raise self._foreign("something that is not JSON") from err
        if not isinstance(content, dict):
            raise self._foreign("JSON that is no object")
        return content

    def _length(self, header: dict[str, Any], key: str, most: int) -> int:
        n = header.get(key) or 0
        if not isinstance(n, int) or not 0 <= n <= most:
            raise self._foreign(f"{key} {escaped(repr(n))[:40]}, expected 0 to {most} bytes")
        return n

    def _line(self, until_s: float) -> bytes:
        while (end := self._received.find(b"\n")) < 0:
            if len(self._received) > MAX_HEADER_BYTES:
                raise self._foreign(f"a header of more than {MAX_HEADER_BYTES} bytes")
            self._receive(until_s)
        return self._take(end + 1)

    def _exactly(self, n: int, until_s: float) -> bytes:
        while len(self._received) < n:
            self._receive(until_s)
        return self._take(n)

    def _take(self, n: int) -> bytes:
        taken = bytes(self._received[:n])
        del self._received[:n]
        return taken

    def _receive(self, until_s: float | None) -> None:
        """Wait for bytes, at most until an event that has begun must be whole."""
        for is_last in (False, True):
            if until_s is not None and time.monotonic() > until_s:
                raise AudioError(f"{self._name}: sends too slowly")
            try:
                data = self._connection.recv(64 << 10)
            except TimeoutError:
                if not is_last:
                    self.send(Ping(text="listen-edge"))
                continue
            except OSError as err:
                raise AudioError(f"{self._name}: {one_line(err)}") from err
            if not data:
                raise AudioError(f"{self._name}: closed the connection")
            self._received += data
            return
        raise AudioError(f"{self._name}: has not answered for {2 * QUIET_S:.0f} s")

    def _foreign(self, what: str) -> AudioError:
        return AudioError(f"{self._name}: sent {what}; is it a Wyoming peer?")


def chunk_block(event: Event, name: str) -> Block:
    """Return the sound of an audio-chunk; AudioError: it is not such sound, `name` sent it."""
    rate, width, n_channels = (event.data.get(key) for key in ("rate", "width", "channels"))
    dtype = _TYPES.get(width) if isinstance(width, int) else None
    if dtype is None:
        raise AudioError(f"{name}: samples of {_text(width)} bytes, expected 1, 2 or 4")
    if not isinstance(rate, int) or not MIN_RATE <= rate <= MAX_RATE:
        raise AudioError(f"{name}: rate {_text(rate)}, expected {MIN_RATE} to {MAX_RATE} Hz")
    if not isinstance(n_channels, int) or not 1 <= n_channels <= MAX_CHANNELS:
        raise AudioError(f"{name}: {_text(n_channels)} channels, expected 1 to {MAX_CHANNELS}")
    payload = event.payload or b""
    if len(payload) % (dtype.itemsize * n_channels):
        raise AudioError(f"{name}: {len(payload)} bytes of sound hold no whole number of frames")
    scale = np.float32(2.0 ** (8 * dtype.itemsize - 1))
    samples = np.frombuffer(payload, dtype).astype(np.float32) / scale
    if dtype.kind == "u":
        samples -= 1
    return Block(samples.reshape(-1, n_channels), rate, time.monotonic())


def wanted_names(names: object) -> frozenset[str] | None:
    """Return the models that a detect names; None: any, since it names none."""
    if not isinstance(names, list) or not names:
        return None
    return frozenset(name for name in names[:MAX_NAMES] if isinstance(name, str))


def _text(value: Any) -> str:
    return escaped(str(value))[:100]
