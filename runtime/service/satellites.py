"""The microphone of a Wyoming satellite, as a source.

We are to the satellite what Home Assistant is: we connect, say run-satellite, and it streams. One
that streams only after a wake word, or while somebody speaks, is not heard in between, and the
answers say so. What is heard goes back to it as detections, for its own light or sound.

Source: OHF-Voice/wyoming, README, "Event Types"; rhasspy/wyoming-satellite.
"""

from __future__ import annotations

import logging
import re
import socket
import threading
from dataclasses import replace

import numpy as np
from wyoming.audio import AudioChunk, AudioStop
from wyoming.error import Error
from wyoming.event import Event
from wyoming.info import Describe, Info
from wyoming.pipeline import RunPipeline
from wyoming.satellite import PauseSatellite, RunSatellite
from wyoming.wake import Detect, Detection, NotDetected

from listen_edge.errors import AudioError, one_line
from listen_edge.printable import escaped, printable
from listen_edge.runtime.service.peer import CONNECT_S, Peer, chunk_block, wanted_names
from listen_edge.runtime.sources import Block
from listen_edge.runtime.sources.capture import LossMeter
from listen_edge.runtime.sources.reader import BackgroundReader

logger = logging.getLogger(__name__)

DEFAULT_PORT = 10_700
_ADDRESS = re.compile(r"(?:tcp://)?(?:\[([^\]]+)\]|([^:/\[\]]+))(?::(\d{1,5}))?")
_BLOCK_S = 0.1
_SERVICES = ("asr", "tts", "handle", "intent", "wake", "snd")  # that are no satellite's


class SatelliteSource:
    """The sound of a satellite, live; a loss is mended by opening it again.

    Args:
        address: HOST, HOST:PORT or [IPv6]:PORT.

    Raises:
        AudioError: it is no such address.
    """

    is_live = True

    def __init__(self, address: str) -> None:
        self.name = printable(address)
        self._address = parse_address(address)
        self._link: _Link | None = None
        self._reader: BackgroundReader | None = None

    def open(self) -> None:
        link = self._link = _Link(self._address, self.name)
        self._reader = BackgroundReader(link.read_block, drops_oldest=True)

    def read(self, timeout_s: float) -> Block | None:
        assert self._reader is not None
        return self._reader.read(timeout_s)

    def detected(self, question: str) -> None:
        """Tell the satellite, if it asked for this, that an event began here. Never waits.

        Args:
            question: id, which is the name of the model that it asked for.
        """
        if (link := self._link) is not None:
            link.detected(question)

    def close(self) -> None:
        """Let the satellite pause, and leave it: off means off."""
        link, self._link = self._link, None
        reader, self._reader = self._reader, None
        if link is not None:
            link.hang_up()
        if reader is not None:
            reader.close(timeout_s=0.5)
        if link is not None:
            link.close()


class _Link:
    """One connection to a satellite: made and read on the reader's thread, ended on another."""

    def __init__(self, address: tuple[str, int], name: str) -> None:
        self._address, self._name = address, name
        self._lock = threading.Lock()  # of what follows
        self._peer: Peer | None = None
        self._is_over = False
        self._wanted: frozenset[str] | None = frozenset()  # names; None: any
        self._has_detected = False
        self._meter, self._delivered_s = LossMeter(), 0.0
        self._format: tuple[int, int] | None = None  # rate and channels
        self._timestamp: int | None = None
        self._is_described = self._has_warned = False

    def read_block(self) -> Block:
        """Return about _BLOCK_S of sound, made of as many chunks as that takes."""
        peer = self._peer or self._connect()
        blocks: list[Block] = []
        seconds = 0.0
        while seconds < _BLOCK_S:
            event = peer.read()
            if not AudioChunk.is_type(event.type):
                self._take(peer, event)
                continue
            block = chunk_block(event, self._name)
            self._check_format(block)
            timestamp = event.data.get("timestamp")
            self._timestamp = timestamp if isinstance(timestamp, int) else None
            if len(block.samples):
                blocks.append(block)
                seconds += len(block.samples) / block.rate
        self._delivered_s += seconds
        samples = np.concatenate([block.samples for block in blocks])
        has_lost = self._meter.has_lost(blocks[-1].received_s, self._delivered_s)
        return replace(blocks[-1], samples=samples, has_overflowed=has_lost)

    def detected(self, question: str) -> None:
        with self._lock:
            is_wanted = self._wanted is None or question in self._wanted
            peer = self._peer if is_wanted else None
            self._has_detected |= is_wanted
        if peer is not None:
            peer.send(Detection(name=question, timestamp=self._timestamp))

    def hang_up(self) -> None:
        with self._lock:
            self._is_over, peer = True, self._peer
        if peer is not None:
            peer.send(PauseSatellite())
            peer.hang_up()

    def close(self) -> None:
        with self._lock:
            peer = self._peer
        if peer is not None:
            peer.close()

    def _connect(self) -> Peer:
        try:
            connection = socket.create_connection(self._address, CONNECT_S)
        except (OSError, UnicodeError) as err:  # a host name that IDNA cannot encode
            raise AudioError(f"{self._name}: {one_line(err)}") from err
        peer = Peer(connection, self._name)
        with self._lock:
            if self._is_over:
                peer.close()
                raise AudioError(f"{self._name}: closed")
            self._peer = peer
        peer.send(Describe())
        peer.send(RunSatellite())
        return peer

    def _check_format(self, block: Block) -> None:
        found = block.rate, block.samples.shape[1]
        self._format = self._format or found
        if found != self._format:
            raise AudioError(
                f"{self._name}: went from {self._format[0]} Hz x {self._format[1]} to "
                f"{found[0]} Hz x {found[1]}"
            )

    def _take(self, peer: Peer, event: Event) -> None:
        """React to what is no sound."""
        if Detect.is_type(event.type):
            self._want(event.data.get("names"))
        elif RunPipeline.is_type(event.type) and event.data.get("start_stage") == "wake":
            self._want(event.data.get("wake_word_names"))
            peer.send(Detect())  # as Home Assistant does when it begins to listen for a wake word
        elif AudioStop.is_type(event.type):
            with self._lock:
                is_owed = self._wanted != frozenset() and not self._has_detected
                self._has_detected = False
            if is_owed:
                peer.send(NotDetected())
        elif Info.is_type(event.type):
            self._read_info(event)
        elif Error.is_type(event.type) and not self._has_warned:
            self._has_warned = True  # once a connection
            logger.warning("%s: %s", self._name, escaped(str(event.data.get("text")))[:200])

    def _want(self, names: object) -> None:
        with self._lock:
            self._wanted, self._has_detected = wanted_names(names), False

    def _read_info(self, event: Event) -> None:
        """Refuse what has no microphone: a speech recogniser takes a connection as well."""
        if self._is_described or event.data.get("satellite") or event.data.get("mic"):
            self._is_described = True
            return
        offered = sorted(key for key, value in event.data.items() if value and key in _SERVICES)
        raise AudioError(
            f"{self._name}: is no satellite; it offers {', '.join(offered) or 'nothing'}, and a "
            "microphone is wanted"
        )


def parse_address(address: str) -> tuple[str, int]:
    """Return host and port of HOST[:PORT]; AudioError: it is none."""
    match = _ADDRESS.fullmatch(address)
    port = int(match[3]) if match and match[3] else DEFAULT_PORT
    if match is None or not 0 < port < 65_536 or not address.isprintable():
        raise AudioError(
            f"satellite {printable(address)}: expected HOST:PORT, such as 192.168.1.20:10700"
        )
    return match[1] or match[2], port
