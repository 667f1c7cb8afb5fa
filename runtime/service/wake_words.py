"""Our questions as wake words: a Wyoming server that Home Assistant streams a microphone to.

The other way round than satellites.py: they connect, and ask for the models that they want. Nothing
of the sound is kept. The protocol knows no password: the configuration keeps it on loopback.

Source: OHF-Voice/wyoming, README, "Wake Word Detection".
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.info import Attribution, Describe, Info, WakeModel, WakeProgram
from wyoming.wake import Detect, Detection, NotDetected

from listen_edge import __version__
from listen_edge.audio.limits import MIN_DURATION_S
from listen_edge.errors import AudioError, ListenEdgeError, one_line
from listen_edge.lines.answer import Answer
from listen_edge.runtime.listening.trigger import Trigger, TriggerConfig
from listen_edge.runtime.service.peer import Peer, chunk_block, wanted_names
from listen_edge.runtime.service.records.types import QuestionStatus
from listen_edge.runtime.sources import Block
from listen_edge.runtime.thresholds import Thresholds

logger = logging.getLogger(__name__)

MAX_CONNECTIONS = 4
_WINDOW_S, _HOP_S = 5.0, 1.0
_CONFIRM = (2, 3)  # a wake word that is told after seconds is of no use
_MAX_CHUNKS = 1_000  # of a hop
_TIMEOUT_S = 2.0  # of the engine: later, the next window is due
_US = Attribution(name="listen-edge", url="")


class Ears(Protocol):
    """What a wake word needs of the Service, see there."""

    def questions(self) -> list[QuestionStatus]: ...

    def ask(
        self,
        samples: NDArray[np.generic],
        sample_rate: int,
        questions: Sequence[str],
        *,
        timeout_s: float,
    ) -> list[Answer]: ...


class WakeServer:
    """Serves at most MAX_CONNECTIONS, each on a thread of its own, from its making until stop.

    Args:
        ears: answers, behind the sources' windows.
        host, port: to listen at; port 0 is any that is free, see `port`.

    Raises:
        ListenEdgeError: the address cannot be listened at.
    """

    def __init__(self, ears: Ears, host: str, port: int) -> None:
        self._ears = ears
        self._peers: dict[Peer, threading.Thread] = {}
        self._lock = threading.Lock()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self._socket = socket.create_server((host, port), family=family)
        except OSError as err:
            raise ListenEdgeError(
                f"wake.listen {host}:{port}: {one_line(err)}; give another address or port, or end "
                "what listens there"
            ) from err
        self.port = int(self._socket.getsockname()[1])
        self._thread = threading.Thread(target=self._accept, name="wake words", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End every connection, within a second."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(1.0)
        self._socket.close()
        with self._lock:
            served = dict(self._peers)
        for peer in served:
            peer.hang_up()
        for thread in served.values():
            thread.join(1.0 / MAX_CONNECTIONS)

    def _accept(self) -> None:
        while True:
            try:
                connection, address = self._socket.accept()
            except OSError:  # stopped
                return
            peer = Peer(connection, f"wake word client {address[0]}")
            thread = threading.Thread(
                target=self._serve, args=(peer,), name="wake word", daemon=True
            )
            with self._lock:
                is_full = len(self._peers) >= MAX_CONNECTIONS
                if not is_full:
                    self._peers[peer] = thread
            if is_full:
                peer.close()
            else:
                thread.start()

    def _serve(self, peer: Peer) -> None:
        try:
            _Conversation(peer, self._ears).run()
        except AudioError as err:
            logger.info("%s", err)
        finally:
            peer.close()
            with self._lock:
                del self._peers[peer]


class _Conversation:
    """What one client wants, and the last seconds of its sound."""

    def __init__(self, peer: Peer, ears: Ears) -> None:
        self._peer, self._ears = peer, ears
        self._names: frozenset[str] | None = None
        self._begin()

    def run(self) -> None:
        while True:
            event = self._peer.read()
            if AudioChunk.is_type(event.type):
                block = chunk_block(event, "wake word client")
                if len(block.samples):
                    self._hear(block, event.data.get("timestamp"))
            elif Describe.is_type(event.type):
                self._peer.send(_info(self._ears.questions()))
            elif Detect.is_type(event.type):
                names = event.data.get("names")
                self._names = wanted_names(names)
            elif AudioStart.is_type(event.type):
                self._begin()
            elif AudioStop.is_type(event.type):
                self._end()

    def _end(self) -> None:
        if self._blocks:
            self._answer(None)
        if not self._has_detected:
            self._peer.send(NotDetected())
        self._begin()

    def _begin(self) -> None:
        self._has_detected = False
        self._triggers: dict[str, Trigger] = {}
        self._format: tuple[int, int] | None = None  # rate and channels
        self._window: NDArray[np.float32] | None = None
        self._blocks: list[Block] = []
        self._pending_s = self._heard_s = 0.0

    def _hear(self, block: Block, timestamp: object) -> None:
        found = block.rate, block.samples.shape[1]
        self._format = self._format or found
        if found != self._format:
            raise AudioError("wake word client: changed its format without a new audio-start")
        self._blocks.append(block)
        self._pending_s += len(block.samples) / block.rate
        if self._pending_s >= _HOP_S or len(self._blocks) >= _MAX_CHUNKS:
            self._answer(timestamp)

    def _answer(self, timestamp: object) -> None:
        """Ask about the last seconds, whose end was not asked about yet."""
        rate = self._blocks[0].rate
        pieces = [one.samples for one in self._blocks]
        kept = np.concatenate(pieces if self._window is None else [self._window, *pieces])
        self._window = kept[-round(_WINDOW_S * rate) :]
        self._heard_s += self._pending_s
        self._blocks, self._pending_s = [], 0.0
        if len(self._window) >= MIN_DURATION_S * rate:
            self._detect(self._window, rate, timestamp)

    def _detect(self, window: NDArray[np.float32], rate: int, timestamp: object) -> None:
        found = [q for q in self._ears.questions() if self._names is None or q.id in self._names]
        if not found:
            return
        try:
            answers = self._ears.ask(window, rate, [q.ask for q in found], timeout_s=_TIMEOUT_S)
        except ListenEdgeError as err:  # too busy; the next window is not far
            logger.info("wake words: %s", err)
            return
        by_concept = {answer.concept: answer for answer in answers}
        for question in found:
            answer = by_concept[question.concept]
            presence = None if answer.reason == "unfamiliar" else answer.presence
            change = self._trigger(question).update(self._heard_s, presence)
            if change is not None and change.phase == "start":
                at = timestamp if isinstance(timestamp, int) else None
                self._has_detected = True
                self._peer.send(Detection(name=question.id, timestamp=at))

    def _trigger(self, question: QuestionStatus) -> Trigger:
        if question.id not in self._triggers:
            thresholds = Thresholds(question.on, question.off)
            self._triggers[question.id] = Trigger(
                thresholds, TriggerConfig(confirm=_CONFIRM), _HOP_S
            )
        return self._triggers[question.id]


def _info(questions: Sequence[QuestionStatus]) -> Info:
    models = [WakeModel(q.id, _US, True, q.ask, __version__, ["en"], q.ask) for q in questions]
    return Info(wake=[WakeProgram("listen-edge", _US, True, "any sound", __version__, models)])
