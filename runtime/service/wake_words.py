"""Our questions as wake words: a Wyoming server that Home Assistant streams a microphone to.

The other way round than satellites.py: they connect, and ask for the models that they want. Nothing
of the sound is kept. The protocol knows no password: the configuration keeps it on loopback.

Source: OHF-Voice/wyoming, README, "Wake Word Detection".
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, Protocol

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
IDLE_S = 120.0  # without a sound: Home Assistant streams all the time
PAUSE_S = 1.0  # before the next try where no handle is left
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

    One more takes the place of the client that has sent no sound for longest, if for IDLE_S.

    Args:
        ears: answers, behind the sources' windows.
        host, port: to listen at; port 0 is any that is free, see `port`.
        clock: monotonic seconds.

    Raises:
        ListenEdgeError: the address cannot be listened at.
    """

    def __init__(
        self, ears: Ears, host: str, port: int, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ears, self._clock = ears, clock
        self._talking: dict[_Conversation, threading.Thread] = {}
        self._lock, self._is_over = threading.Lock(), threading.Event()
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
        self._is_over.set()
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(1.0)
        self._socket.close()
        with self._lock:
            talking = dict(self._talking)
        for conversation in talking:
            conversation.peer.hang_up()
        for thread in talking.values():
            thread.join(1.0 / MAX_CONNECTIONS)

    def _accept(self) -> None:
        while True:
            try:
                self._welcome(*self._socket.accept())
            except (OSError, RuntimeError) as err:  # no handle or thread is left, or stopped
                if self._is_over.wait(PAUSE_S):
                    return
                logger.warning("wake words: a client is kept waiting (%s)", one_line(err))

    def _welcome(self, connection: socket.socket, address: Any) -> None:
        """Talk to a client on a thread of its own, or hang up where there is no place for it."""
        with ExitStack() as undo:
            undo.callback(connection.close)
            peer = Peer(connection, f"wake word client {address[0]}")
            undo.callback(peer.close)
            conversation = _Conversation(peer, self._ears, self._clock)
            if not self._has_place():
                return
            thread = threading.Thread(
                target=self._talk, args=(conversation,), name="wake word", daemon=True
            )
            with self._lock:
                self._talking[conversation] = thread
            undo.callback(self._forget, conversation)
            thread.start()
            undo.pop_all()

    def _has_place(self) -> bool:
        """Return whether there is a place for one more; one that is idle leaves it."""
        with self._lock:
            if len(self._talking) < MAX_CONNECTIONS:
                return True
            idlest = min(self._talking, key=lambda one: one.heard_at_s)
            if self._clock() - idlest.heard_at_s < IDLE_S:
                return False
            del self._talking[idlest]
        idlest.peer.hang_up()  # its thread ends, and closes it
        return True

    def _talk(self, conversation: _Conversation) -> None:
        try:
            conversation.run()
        except AudioError as err:
            logger.info("%s", err)
        finally:
            conversation.peer.close()
            self._forget(conversation)

    def _forget(self, conversation: _Conversation) -> None:
        with self._lock:
            self._talking.pop(conversation, None)


class _Conversation:
    """What one client wants, and the last seconds of its sound.

    Attributes:
        peer: the client.
        heard_at_s: when it last sent sound, or else came, by the clock.
    """

    def __init__(self, peer: Peer, ears: Ears, clock: Callable[[], float]) -> None:
        self.peer, self._ears, self._clock = peer, ears, clock
        self.heard_at_s = clock()
        self._names: frozenset[str] | None = None
        self._begin()

    def run(self) -> None:
        while True:
            event = self.peer.read()
            if AudioChunk.is_type(event.type):
                block = chunk_block(event, "wake word client")
                if len(block.samples):
                    self.heard_at_s = self._clock()
                    self._hear(block, event.data.get("timestamp"))
            elif Describe.is_type(event.type):
                self.peer.send(_info(self._ears.questions()))
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
            self.peer.send(NotDetected())
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
                self.peer.send(Detection(name=question.id, timestamp=at))

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
