"""Who the MQTT output talks to: passwords, rules, certificates, and peers that are no brokers."""

from __future__ import annotations

import contextlib
import gc
import json
import re
import shutil
import socket
import subprocess
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from listen_edge.runtime.service.config.models import MqttConfig
from listen_edge.runtime.service.outputs import OutputError
from listen_edge.runtime.service.outputs.broker import MqttOutput
from listen_edge.runtime.service.records.types import Delivery
from tests.certificates import write_certificates
from tests.mosquitto import Witness, needs_mosquitto, running, wait_until
from tests.outputs import owed
from tests.test_broker import TIMING, outcome_of, output_to
from tests.test_discovery import KITCHEN, SIREN

pytestmark = needs_mosquitto


def _write_passwords(path: Path, *users: str) -> None:
    """Let users in whose password is their name."""
    program = shutil.which("mosquitto_passwd")
    assert program is not None
    path.touch(0o600)
    for user in users:
        subprocess.run([program, "-b", path, user, user], check=True)


def test_a_password_is_read_again_and_a_locked_topic_is_said(tmp_path: Path) -> None:
    passwords, rules, mine = (tmp_path / name for name in ("passwords", "rules", "mine"))
    _write_passwords(passwords, "witness", "node")
    rules.write_text(
        "user witness\ntopic readwrite #\nuser node\ntopic readwrite listen-edge/house/#\n"
        "topic deny listen-edge/house/cellar/#\n"
    )
    mine.write_text("wrong\n")
    lines = (f"password_file {passwords}", f"acl_file {rules}", "allow_anonymous false")
    with running(tmp_path, *lines) as mosquitto:
        account = {"username": "node", "password_file": mine}
        with output_to(mosquitto.port, **account) as one:
            with pytest.raises(OutputError, match="refused the connection: Not authorized; see"):
                one.deliver(owed(1))
            mine.write_text("node\n")
            wait_until(lambda: outcome_of(one, owed(1)) is None)
            locked = replace(owed(2).event, source="cellar")
            with pytest.raises(OutputError, match="refused the message: Not authorized") as refusal:
                one.deliver(Delivery(2, "start", locked))
            assert not refusal.value.is_lasting  # its owner may mend the rules
            with pytest.raises(OutputError, match="cannot be part of a topic") as refusal:
                one.deliver(Delivery(3, "start", replace(locked, source="cellar/#")))
            assert refusal.value.is_lasting
        mine.unlink()
        with (
            output_to(mosquitto.port, **account) as one,
            pytest.raises(OutputError, match=r"password_file .*mine: No such file"),
        ):
            one.deliver(owed(1))


def test_nobody_but_the_node_speaks_for_it_under_the_rules_of_the_documents(
    tmp_path: Path,
) -> None:
    document = (Path(__file__).parent.parent / "docs/mqtt.md").read_text()
    found = re.search(r"acl_file`:\n\n```text\n(.*?)```", document, re.DOTALL)
    assert found is not None
    passwords, rules = tmp_path / "passwords", tmp_path / "rules"
    rules.write_text(f"{found[1]}user guest\ntopic read weather/#\n")
    _write_passwords(passwords, "house", "homeassistant", "guest")
    lines = (f"password_file {passwords}", f"acl_file {rules}", "allow_anonymous false")
    node, muted = "listen-edge/house", list[tuple[str, bool]]()
    account = {"username": "house", "password": "house"}
    with (
        running(tmp_path, *lines) as mosquitto,
        output_to(mosquitto.port, lambda *asked: muted.append(asked), **account) as one,
    ):
        theirs = Witness(mosquitto.port, username="homeassistant")
        wait_until(lambda: one._held is not None)
        one.show([KITCHEN], [SIREN], [])
        assert outcome_of(one, owed(1)) is None
        wait_until(lambda: theirs.last(f"{node}/status") == "online")
        wait_until(lambda: theirs.last("homeassistant/device/listen-edge_house/config"))
        _forge(mosquitto.port, "homeassistant", f"{node}/kitchen/siren/state", "OFF")
        for topic, payload in (
            (f"{node}/kitchen/siren/state", "OFF"),
            ("homeassistant/device/listen-edge_house/config", "forged"),
            (f"{node}/kitchen/mute/set", "ON"),
        ):
            assert not _forge(mosquitto.port, "guest", topic, payload)
        theirs.say(f"{node}/kitchen/mute/set", "OFF")
        wait_until(lambda: muted)
        assert muted == [("kitchen", False)]
        said = {topic for topic, payload, _ in theirs._heard if payload in (b"OFF", b"forged")}
        assert said == {f"{node}/kitchen/mute", f"{node}/kitchen/mute/set"}
        theirs.close()


def _forge(port: int, user: str, topic: str, payload: str) -> list[tuple[str, bytes, bool]]:
    """Say what one may not, and return all that one hears; the broker may hang up on it."""
    forger = Witness(port, f"{user} at work", username=user)
    forger.client.publish(topic, payload, retain=not topic.endswith("set"))
    forger.client.subscribe("#")
    wait_until(lambda: forger.n_comings > 1)  # the broker has seen what came before
    forger.close()
    return forger._heard


# paho leaves the socket of a handshake that failed to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_only_a_broker_whose_certificate_is_trusted_hears_anything(tmp_path: Path) -> None:
    ours, others = write_certificates(tmp_path / "ours"), write_certificates(tmp_path / "others")
    lines = (
        f"cafile {ours.ca}",
        f"certfile {ours.server}",
        f"keyfile {ours.server_key}",
        "require_certificate true",
        "allow_anonymous true",
    )
    own = {"certificate": ours.client, "key": ours.client_key}
    with running(tmp_path, *lines) as mosquitto:
        for settings, expected in (
            ({"ca": others.ca, **own}, "cannot be trusted: .*CERTIFICATE_VERIFY_FAILED"),
            ({"ca": ours.ca}, "certificate required|closes the connection|lost the connection"),
            ({"ca": ours.ca, "host": "localhost", **own}, None),
        ):
            with output_to(mosquitto.port, tls=True, **settings) as one:
                outcome = outcome_of(one, owed(1))
            assert (outcome is None) == (expected is None), outcome
            if expected is not None:
                with pytest.raises(OutputError, match=expected):
                    raise OutputError(outcome)
    gc.collect()
    with pytest.raises(OutputError, match=r"others/none\.pem: .*No such file"):
        MqttOutput(
            MqttConfig(host="a", tls=True, ca=others.ca.with_name("none.pem")),
            bundle="tiny@x",
            mute=lambda *_: None,
        )


_OURS = {f"{k:05}": {"p": "event", "unique_id": f"listen-edge_house.{k:05}"} for k in range(1500)}
_THEIRS = {f"k{k:05}": {"p": "event"} for k in range(4_300)}


@pytest.mark.parametrize(("components", "n_said"), [(_OURS, 2), (_THEIRS, 1)])
def test_what_others_keep_in_our_place_costs_little_and_stops_nothing(
    components: dict[str, Any], n_said: int, tmp_path: Path
) -> None:
    config, most = "homeassistant/device/listen-edge_house/config", 100_000
    kept = json.dumps({"cmps": components}, separators=(",", ":"))
    assert 0.8 * most < len(kept) < most
    with running(tmp_path, "allow_anonymous true", f"max_packet_size {most}") as mosquitto:
        witness = Witness(mosquitto.port)
        witness.say(config, kept, retain=True)
        for k in range(20):
            witness.say(f"listen-edge/house/x{k}/health", "x" * 90_000, retain=True)
        witness.say(f"listen-edge/house/{'x' * 40_000}/health", "x", retain=True)
        with output_to(mosquitto.port) as one:
            wait_until(lambda: one._held is not None)
            held = dict(one._held or {})
            assert len(held) == 21 and held.pop(config) == kept.encode()
            assert max(len(topic) + len(payload) for topic, payload in held.items()) < 5_000
            one.show([KITCHEN], [SIREN], [])
            wait_until(lambda: witness.last("listen-edge/house/status") == "online")
            assert outcome_of(one, owed(1)) is None
            large = replace(owed(2).event, ask="x" * most)
            with pytest.raises(OutputError, match=f"takes {most} bytes a message") as refusal:
                one.deliver(Delivery(2, "start", large))
            assert refusal.value.is_lasting
        said = witness.payloads(config)[1:]
        witness.close()
    assert len(said) == n_said and next(iter(json.loads(said[-1])["cmps"])) == "kitchen.mute"


def test_a_broker_that_sends_without_end_fills_no_memory() -> None:
    n_sent = []

    def flood() -> None:
        peer, _ = server.accept()
        with peer, contextlib.suppress(OSError):
            peer.recv(4096)
            peer.sendall(b"\x20\x03\0\0\0" + b"\x30\xff\xff\xff\x7f")  # up, and 256 MB to come
            while True:
                n_sent.append(peer.send(bytes(65_536)))

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=flood)
        thread.start()
        with output_to(server.getsockname()[1], timing=replace(TIMING, first_s=30.0)) as one:
            wait_until(lambda: "sends more than 1048576 bytes" in one._connection._why)
        thread.join()
    assert sum(n_sent) < 64e6


@pytest.mark.parametrize("greeting", [None, b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x20\xff\xff"])
def test_a_peer_that_is_no_broker_is_left_in_time(greeting: bytes | None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            with contextlib.suppress(OSError):
                while True:
                    peer, _ = server.accept()
                    peers.append(peer)
                    if greeting is not None:
                        peer.sendall(greeting)

        peers: list[socket.socket] = []
        threading.Thread(target=answer, daemon=True).start()
        with output_to(server.getsockname()[1], timing=replace(TIMING, answer_s=0.3)) as one:
            for _ in range(2):
                with pytest.raises(OutputError, match=r"does not answer|cannot|lost|closes"):
                    one.deliver(owed(1))
        for peer in peers:
            peer.close()
