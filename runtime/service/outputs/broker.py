"""The MQTT output: events that the broker has acknowledged, and retained states that are true.

What the broker keeps of this node is compared with what is so whenever a connection is up: only
differences are said, and what is no longer asked disappears. Topics: docs/mqtt.md.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

import listen_edge
from listen_edge.errors import ListenEdgeError
from listen_edge.runtime.service.config.models import MqttConfig
from listen_edge.runtime.service.outputs import OutputError
from listen_edge.runtime.service.outputs.connection import Connection
from listen_edge.runtime.service.outputs.discovery import (
    Config,
    config_json,
    config_topic,
    device_config,
    removals,
)
from listen_edge.runtime.service.outputs.message import stored_event_line
from listen_edge.runtime.service.outputs.timing import Timing
from listen_edge.runtime.service.outputs.topics import (
    OFF,
    OFFLINE,
    ON,
    ONLINE,
    Topics,
    birth,
    health,
    states,
)
from listen_edge.runtime.service.records.types import (
    Delivery,
    QuestionStatus,
    Sounding,
    SourceStatus,
)

logger = logging.getLogger(__name__)

HEALTH_EVERY_S = 60.0  # where only figures move
ANNOUNCE_WITHIN_S = 5.0  # of Home Assistant's start: a fleet does not answer at one moment
_COMPLAIN_EVERY_S = 60.0
_COMMAND_PAUSE_S = 1.0  # a device is opened and closed no faster
_MAX_HELD = 10_000  # retained topics that are looked at
_MAX_TOPIC, _MAX_STATE_BYTES = 256, 4096  # of them: longer is none of ours
_MAX_ASKED = 256  # sources with a command that waits


@dataclass(frozen=True)
class _SaidHealth:
    state: tuple[object, ...]
    at: float
    payload: str


class MqttOutput:
    """Events, states and Home Assistant's discovery on one broker.

    Args:
        config: see config/models.py.
        bundle: name and hash of the bundle, for people.
        mute: mutes a source (True) or unmutes it, by its id; called on a thread of its own.
        is_trial: for a single event beside a service that runs: with a session of its own and no
            states, so that it does not take the service's place.
        timing: see there.
        clock: monotonic seconds.

    Raises:
        OutputError: certificates that cannot be read.
    """

    name = "mqtt"

    def __init__(
        self,
        config: MqttConfig,
        *,
        bundle: str,
        mute: Callable[[str, bool], None],
        is_trial: bool = False,
        timing: Timing | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config, self._bundle, self._mute, self._clock = config, bundle, mute, clock
        self._is_trial = is_trial
        self._topics = Topics(config.prefix, config.node)
        self._config_topic = config_topic(self._topics, config.discovery_prefix)
        self._birth_of_home = f"{config.discovery_prefix}/status"
        self._started_at = datetime.now(timezone.utc)
        self._lock = threading.Lock()  # of all below; never held while publishing
        self._held: dict[str, bytes] | None = None  # by the broker, None until that is known
        self._found: dict[str, bytes] = {}
        self._announce_at = float("inf")
        self._complain_at = 0.0
        self._healths: dict[str, _SaidHealth] = {}
        self._announced: tuple[object, tuple[Config, str]] | None = None
        self._known: frozenset[str] | None = None  # sources, None before the first `show`
        self._asked: dict[str, bool] = {}
        self._is_asked, self._is_stopping = threading.Event(), threading.Event()
        self._unacknowledged: tuple[Delivery, int] | None = None
        self._obeying = threading.Thread(target=self._obey, name="mqtt commands", daemon=True)
        self._connection = Connection(
            config,
            client_id="" if is_trial else f"{config.prefix}-{config.node}",
            will=None if is_trial else (self._topics.status, OFFLINE),
            on_up=self._come_up,
            on_message=self._receive,
            timing=timing or Timing(),
        )

    def start(self) -> None:
        """Begin to connect."""
        self._connection.start()
        self._obeying.start()

    def deliver(self, delivery: Delivery) -> None:
        """Publish a phase of an event, and wait until the broker has acknowledged it.

        Raises:
            OutputError: there is no connection, or the broker has not taken it in time. What was
                given to the session is not published again by the next try: that waits on.
        """
        event = delivery.event
        topic = self._topics.of_question(event.source, event.question, "event")
        self._connection.require()
        message: int | None
        if self._unacknowledged is not None and self._unacknowledged[0] == delivery:
            message = self._unacknowledged[1]
        else:
            payload = stored_event_line(delivery)
            message = self._connection.publish(topic, payload, retain=False)
        if message is None:
            raise OutputError(f"{self._connection.peer} acknowledges nothing: the queue is full")
        self._unacknowledged = delivery, message
        is_over = self._connection.next_coming()
        try:
            self._connection.require_acknowledged(message)
        except TimeoutError as err:
            raise OutputError(str(err), is_over=is_over) from err
        except OutputError:
            self._unacknowledged = None
            raise
        self._unacknowledged = None

    def show(
        self,
        sources: Sequence[SourceStatus],
        questions: Sequence[QuestionStatus],
        soundings: Sequence[Sounding],
    ) -> None:
        """Say what has changed since the broker was told."""
        self._known = frozenset(source.id for source in sources)
        if self._is_trial or not self._connection.is_up:
            return
        discovery = self._discovery(sources, questions)
        wanted = self._wanted(discovery, sources, questions, soundings)
        with self._lock:
            if self._held is None:
                return
            if self._clock() >= self._announce_at:
                self._announce_at = float("inf")
                earlier = self._held.pop(self._config_topic, None)
            else:
                earlier = self._held.get(self._config_topic)
            gone = [topic for topic in self._held if topic not in wanted]
            news = {
                topic: payload
                for topic, payload in wanted.items()
                if self._held.get(topic) != payload.encode()
            }
        for topic in gone:
            self._keep(topic, "")
        for topic, payload in news.items():
            if topic == self._config_topic and discovery is not None and earlier is not None:
                going = removals(earlier, discovery[0])
                if going is not None:
                    self._keep(topic, config_json(going))
            self._keep(topic, payload)

    def stop(self) -> None:
        """Say that the node is offline, and leave."""
        self._is_stopping.set()
        self._is_asked.set()
        self._connection.stop(None if self._is_trial else (self._topics.status, OFFLINE))

    def _discovery(
        self, sources: Sequence[SourceStatus], questions: Sequence[QuestionStatus]
    ) -> tuple[Config, str] | None:
        """Return the config and its payload, made anew only where it would be another."""
        if not self._config.discovery:
            return None
        names = tuple((source.id, source.name) for source in sources)
        asked = tuple((one.id, one.concept, one.priority, one.sources) for one in questions)
        if self._announced is not None and self._announced[0] == (names, asked):
            return self._announced[1]
        config = device_config(
            self._topics,
            version=listen_edge.__version__,
            bundle=self._bundle,
            sources=sources,
            questions=questions,
        )
        self._announced = (names, asked), (config, config_json(config))
        return self._announced[1]

    def _wanted(
        self,
        discovery: tuple[Config, str] | None,
        sources: Sequence[SourceStatus],
        questions: Sequence[QuestionStatus],
        soundings: Sequence[Sounding],
    ) -> dict[str, str]:
        """Return what the broker should keep, in the order in which it is to be said."""
        wanted = {
            self._topics.of_source(source.id, "health"): self._health(source) for source in sources
        }
        wanted |= states(self._topics, sources, questions, soundings)
        wanted[self._topics.birth] = birth(
            self._topics,
            version=listen_edge.__version__,
            bundle=self._bundle,
            started_at=self._started_at,
            sources=sources,
            questions=questions,
        )
        if discovery is not None:
            wanted[self._config_topic] = discovery[1]
        # Last: before it stood what may not be so any more.
        wanted[self._topics.status] = ONLINE
        return wanted

    def _health(self, source: SourceStatus) -> str:
        """Return the health to be kept: a new one when more than its figures has changed."""
        state = (source.name, source.state, source.message, source.n_restarts)
        said, now = self._healths.get(source.id), self._clock()
        if said is None or said.state != state or now - said.at >= HEALTH_EVERY_S:
            said = self._healths[source.id] = _SaidHealth(state, now, health(source))
        return said.payload

    def _keep(self, topic: str, payload: str) -> None:
        """Have the broker keep a payload, "" to keep it no more."""
        # An "online" that was lost must not be said again before the states are true; a presence
        # that was lost with its connection is found missing at the next one.
        qos = 0 if topic == self._topics.status or self._topics.is_presence(topic) else 1
        try:
            if self._connection.publish(topic, payload, retain=True, qos=qos) is None:
                return
        except OutputError as err:
            if not err.is_lasting:
                raise
            self._complain(f"{topic}: {err}")
            return
        with self._lock:
            if self._held is None:
                return
            if payload:
                self._held[topic] = payload.encode()
            else:
                self._held.pop(topic, None)

    def _come_up(self) -> None:
        if self._is_trial:
            return
        with self._lock:
            self._held, self._found = None, {}
        self._connection.subscribe(self._topics.commands)
        if self._config.discovery:
            self._connection.subscribe(self._birth_of_home)
        self._connection.read_retained([f"{self._topics.root}/#", self._config_topic], self._know)

    def _know(self) -> None:
        with self._lock:
            self._held = self._found

    def _receive(self, topic: str, payload: bytes, is_retained: bool) -> None:
        if is_retained:
            is_config = topic == self._config_topic
            if is_config or (len(topic) <= _MAX_TOPIC and self._topics.is_state(topic)):
                with self._lock:
                    if is_config or len(self._found) < _MAX_HELD:
                        # Cut, it differs from what is wanted, which is then said.
                        self._found[topic] = payload if is_config else payload[:_MAX_STATE_BYTES]
        elif topic == self._birth_of_home:
            if payload == ONLINE.encode():
                self._announce_at = self._clock() + random.uniform(0.0, ANNOUNCE_WITHIN_S)
        elif source := self._topics.commanded_source(topic):
            self._ask_to_mute(source, payload)

    def _ask_to_mute(self, source: str, payload: bytes) -> None:
        """Leave a command for the thread that obeys: the newest of each source alone."""
        if payload not in (ON.encode(), OFF.encode()):
            self._complain(f"{source}/mute/set: expected ON or OFF; nothing is done")
            return
        with self._lock:
            if source in self._asked or len(self._asked) < _MAX_ASKED:
                self._asked[source] = payload == ON.encode()
        self._is_asked.set()

    def _complain(self, what: str) -> None:
        if self._clock() >= self._complain_at:
            self._complain_at = self._clock() + _COMPLAIN_EVERY_S
            logger.warning("mqtt: %s", what)

    def _obey(self) -> None:
        """Mute and unmute as told, once the sources are known."""
        while not self._is_stopping.wait(_COMMAND_PAUSE_S if self._known is None else 0.0):
            self._is_asked.wait()
            if self._known is None or self._is_stopping.is_set():
                continue
            with self._lock:
                asked, self._asked = self._asked, {}
                self._is_asked.clear()
            for source, is_muted in asked.items():
                if source in self._known:
                    try:
                        self._mute(source, is_muted)
                    except ListenEdgeError as err:
                        logger.warning("mqtt: %s cannot be muted or unmuted: %s", source, err)
            self._is_stopping.wait(_COMMAND_PAUSE_S)
