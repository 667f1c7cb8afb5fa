"""A session with an MQTT 5 broker, kept up by a thread of its own. Knows nothing of sounds.

The thread waits in a selector, so that any number of files may be open, and connects again after
waits that grow and differ between devices. The session outlives a connection: what the broker has
not acknowledged is sent again, and what others sent meanwhile arrives.
"""

from __future__ import annotations

import contextlib
import logging
import random
import selectors
import socket
import ssl
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Literal

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from listen_edge.runtime.service.config.models import MqttConfig
from listen_edge.runtime.service.outputs import OutputError, credentials
from listen_edge.runtime.service.outputs.timing import Timing

logger = logging.getLogger(__name__)

MAX_QUEUED = 1000  # messages that wait for the broker's acknowledgement
_KEEPALIVE_S = 30
_SESSION_S = 600  # the broker keeps subscriptions, and what was said to us, for so long
_TICK_S = 1.0
_MAX_PACKET_BYTES = 1_048_576  # that the broker may send us
_HEADER_BYTES = 12  # of a message at most, beside its topic and payload
_SOCKET_BYTES = 65_536  # received and not yet read: paho takes up to 100 times that in one go
_MAX_RECEIVED = 20  # that it may send before we have acknowledged the first
# Reasons for which the broker will refuse the same message again.
_LASTING = frozenset({"Topic name invalid", "Packet too large", "Payload format invalid"})


class Connection:
    """One client's session.

    Args:
        config: the broker and the credentials; files are read again at every connection.
        client_id: unique on the broker; "" for a session that nobody needs to continue.
        will: topic and payload, retained, that the broker publishes when the client is lost.
        on_up: called on the connection's thread when a connection is up.
        on_message: called there with topic, payload and whether it was retained.

    Raises:
        OutputError: certificates that cannot be read.
    """

    def __init__(
        self,
        config: MqttConfig,
        *,
        client_id: str,
        will: tuple[str, str] | None,
        on_up: Callable[[], None],
        on_message: Callable[[str, bytes, bool], None],
        timing: Timing,
    ) -> None:
        self._tls = credentials.tls_context(config)
        self._config, self._timing = config, timing
        self._on_up, self._on_message = on_up, on_message
        self._is_kept = bool(client_id)
        # Never held while calling the client, which calls back with locks of its own.
        self._changed = threading.Condition()
        self._state: Literal["connecting", "up", "down"] = "connecting"
        self._why = ""
        self._n_comings = 0
        self._outcomes: OrderedDict[int, ReasonCode] = OrderedDict()  # by message, the newest
        self._awaited = 0
        self._most_bytes: int | None = None  # of a packet that the broker takes; None: any
        self._survey: tuple[int, list[str], Callable[[], None]] | None = None
        self._leave_by = float("inf")
        self._is_leaving = threading.Event()
        self._woken, self._waker = socket.socketpair()
        self._woken.setblocking(False)
        self._waker.setblocking(False)
        self._client = self._make_client(client_id, will)
        self._thread = threading.Thread(target=self._work, name="mqtt", daemon=True)

    @property
    def peer(self) -> str:
        """HOST:PORT."""
        return f"{self._config.host}:{self._config.port_number}"

    @property
    def is_up(self) -> bool:
        """Whether there is a connection."""
        return self._state == "up"

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    def require(self) -> None:
        """Wait until the first try to connect has come to something.

        Raises:
            OutputError: there is no connection, and why.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._state != "connecting", self._timing.answer_s)
            if self._state != "up":
                why = self._why or f"does not answer within {self._timing.answer_s:g} s"
                raise OutputError(f"{self.peer} {why}", is_over=self.next_coming())

    def publish(self, topic: str, payload: str, *, retain: bool, qos: int = 1) -> int | None:
        """Give a message to the session; return its number, None where it was not taken.

        With QoS 0 it is not said again after a connection was lost.

        Raises:
            OutputError: the session has ended, or (lasting) the broker takes none so large: it
                would end the connection for it, again and again.
        """
        if self._is_leaving.is_set():
            raise OutputError("is stopped")
        n_bytes = len(topic.encode()) + len(payload.encode()) + _HEADER_BYTES
        if self._most_bytes is not None and n_bytes > self._most_bytes:
            what = f"{self.peer} takes {self._most_bytes} bytes a message, not {n_bytes}"
            raise OutputError(what, is_lasting=True)
        info = self._client.publish(topic, payload.encode(), qos, retain)
        self._wake()
        is_lost = qos == 0 and info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS
        return None if is_lost or info.rc == MQTTErrorCode.MQTT_ERR_QUEUE_SIZE else info.mid

    def require_acknowledged(self, message: int) -> None:
        """Wait until the broker has a message.

        Raises:
            OutputError: it refuses it (lasting for some reasons).
            TimeoutError: it has not said yet; the session goes on trying.
        """
        with self._changed:
            self._awaited = message
            self._changed.wait_for(
                lambda: message in self._outcomes or self._is_leaving.is_set(),
                self._timing.answer_s,
            )
            outcome = self._outcomes.pop(message, None)
        if outcome is None:
            raise TimeoutError(f"{self.peer} has not acknowledged it")
        if outcome.is_failure:
            reason = str(outcome)
            raise OutputError(
                f"{self.peer} refused the message: {reason}", is_lasting=reason in _LASTING
            )

    def subscribe(self, topic: str) -> None:
        """Ask for messages, whenever a connection is up; not those retained before."""
        options = SubscribeOptions(1, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)
        self._client.subscribe(topic, options=options)

    def read_retained(self, topics: Sequence[str], done: Callable[[], None]) -> None:
        """Have on_message called with what the broker keeps, then `done`. Once a connection."""
        _, message = self._client.subscribe([(topic, 0) for topic in topics])
        self._survey = (message or 0), list(topics), done

    def stop(self, farewell: tuple[str, str] | None) -> None:
        """Say a last retained message where there is a connection, and leave; within 2 s."""
        self._leave_by = time.monotonic() + 1.0
        if self.is_up:
            if farewell is not None:
                self._client.publish(farewell[0], farewell[1].encode(), 1, retain=True)
            self._is_leaving.set()  # the end is no loss
            self._client.disconnect()
        self._is_leaving.set()
        with self._changed:
            self._changed.notify_all()
        self._wake()
        if self._thread.ident is not None:
            self._thread.join(2.0)

    def next_coming(self) -> Callable[[], bool]:
        """Return what tells whether there was another connection since."""
        n_before = self._n_comings
        return lambda: self._n_comings > n_before

    def _make_client(self, client_id: str, will: tuple[str, str] | None) -> Client:
        client = Client(CallbackAPIVersion.VERSION2, client_id, protocol=MQTTProtocolVersion.MQTTv5)
        client.connect_timeout = self._timing.answer_s
        client.max_queued_messages_set(MAX_QUEUED)
        if will is not None:
            properties = Properties(PacketTypes.WILLMESSAGE)
            properties.WillDelayInterval = self._timing.will_delay_s
            client.will_set(will[0], will[1].encode(), 1, retain=True, properties=properties)
        if self._tls is not None:
            client.tls_set_context(self._tls)
        client.on_connect = self._connected
        client.on_disconnect = self._disconnected
        client.on_publish = self._published
        client.on_subscribe = self._subscribed
        client.on_unsubscribe = self._unsubscribed
        client.on_message = self._received
        client.on_socket_open = lambda client, data, sock: sock.setsockopt(
            socket.SOL_SOCKET, socket.SO_RCVBUF, _SOCKET_BYTES
        )
        # With it paho leaves all writing to this class's thread.
        client.on_socket_register_write = lambda *_: self._wake()
        return client

    def _work(self) -> None:
        wait_s = 0.0
        while not self._is_leaving.wait(wait_s * random.uniform(0.5, 1.0)):
            began = time.monotonic()
            try:
                self._connect()
                self._serve()
                if self._state != "down":
                    self._set_down("closes the connection; is it an MQTT 5 broker, and tls right?")
            except Exception as err:  # noqa: BLE001 - a broker may send anything
                self._set_down(credentials.told(err))
            if time.monotonic() - began >= self._timing.steady_s:
                wait_s = 0.0
            wait_s = min(self._timing.longest_s, max(self._timing.first_s, 2 * wait_s))
        for one in (self._client.socket(), self._woken, self._waker):
            if one is not None:
                one.close()

    def _connect(self) -> None:
        config = self._config
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = _SESSION_S if self._is_kept else 0
        properties.MaximumPacketSize = _MAX_PACKET_BYTES
        properties.ReceiveMaximum = _MAX_RECEIVED
        if config.username is not None:
            self._client.username_pw_set(config.username, credentials.password_of(config))
        if self._tls is not None:
            credentials.load_certificates(self._tls, config)
        self._client.connect(
            config.host,
            config.port_number,
            _KEEPALIVE_S,
            clean_start=not self._is_kept,
            properties=properties,
        )

    def _serve(self) -> None:
        """Carry messages until the connection ends."""
        answer_by = time.monotonic() + self._timing.answer_s
        with selectors.DefaultSelector() as selector:
            if (sock := self._client.socket()) is not None:
                selector.register(sock, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while (sock := self._client.socket()) is not None:
                now = time.monotonic()
                if now >= self._leave_by:
                    return
                if self._state != "up" and now >= answer_by:
                    raise OutputError(f"does not answer within {self._timing.answer_s:g} s")
                wanted = selectors.EVENT_READ
                if self._client.want_write():
                    wanted |= selectors.EVENT_WRITE
                selector.modify(sock, wanted)
                has_more = isinstance(sock, ssl.SSLSocket) and sock.pending() > 0
                ready = {
                    key.fileobj: mask for key, mask in selector.select(0.0 if has_more else _TICK_S)
                }
                if self._woken in ready:
                    self._woken.recv(4096)
                if has_more or ready.get(sock, 0) & selectors.EVENT_READ:
                    self._client.loop_read()
                    # Asked for at the connection, and only begun: no broker fills our memory.
                    if self._client._in_packet["remaining_length"] > _MAX_PACKET_BYTES:  # noqa: SLF001
                        raise OutputError(f"sends more than {_MAX_PACKET_BYTES} bytes at once")
                if self._client.want_write():
                    self._client.loop_write()
                self._client.loop_misc()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # it is awake already, or has ended
            self._waker.send(b".")

    def _set_down(self, why: str) -> None:
        if self._is_leaving.is_set():
            return
        if why != self._why:
            logger.warning("mqtt: %s %s", self.peer, why)
        with self._changed:
            self._state, self._why = "down", why
            self._changed.notify_all()

    def _connected(
        self, client: Client, data: Any, flags: ConnectFlags, reason: ReasonCode, more: Any
    ) -> None:
        if reason.is_failure:
            self._set_down(f"refused the connection: {reason}; see username and password_file")
            return
        if self._why:
            logger.warning("mqtt: %s is there again", self.peer)
        self._most_bytes = getattr(more, "MaximumPacketSize", None)
        with self._changed:
            self._state, self._why = "up", ""
            self._n_comings += 1
            self._changed.notify_all()
        self._survey = None
        self._on_up()

    def _disconnected(
        self, client: Client, data: Any, flags: DisconnectFlags, reason: ReasonCode, more: Any
    ) -> None:
        if self.is_up:
            what = "ended" if flags.is_disconnect_packet_from_server else "lost"
            why = f"{what} the connection: {reason}"
            if reason.getName() == "Session taken over":
                why += "; another client has the id of this node, give each its own"
            self._set_down(why)

    def _published(
        self, client: Client, data: Any, message: int, reason: ReasonCode, more: Any
    ) -> None:
        with self._changed:
            self._outcomes[message] = reason
            while len(self._outcomes) > MAX_QUEUED:
                oldest, outcome = self._outcomes.popitem(last=False)
                if oldest == self._awaited:
                    self._outcomes[oldest] = outcome
            self._changed.notify_all()

    def _subscribed(
        self, client: Client, data: Any, message: int, reasons: list[ReasonCode], more: Any
    ) -> None:
        if self._survey is not None and message == self._survey[0]:
            _, topics, done = self._survey
            _, number = client.unsubscribe(topics)
            self._survey = (number or 0), topics, done

    def _unsubscribed(
        self, client: Client, data: Any, message: int, reasons: list[ReasonCode], more: Any
    ) -> None:
        if self._survey is not None and message == self._survey[0]:
            done, self._survey = self._survey[2], None
            done()

    def _received(self, client: Client, data: Any, message: MQTTMessage) -> None:
        self._on_message(message.topic, message.payload, message.retain)
