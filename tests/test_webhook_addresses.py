"""Where a webhook goes: to the address that was checked, and to none that is not allowed."""

from __future__ import annotations

import ipaddress
import socket
import threading
from typing import Any

import pytest

from listen_edge.runtime.service.outputs import OutputError
from listen_edge.runtime.service.outputs.addresses import is_public
from tests.http_receiver import receiver
from tests.outputs import n_threads, owed, wait_for
from tests.webhooks import refusal_of, webhook_to


class Resolver:
    """Stands in for the name server: one answer after the other, the last for ever."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> None:
        self.answers, self.n_asked = list(answers), 0
        self.connected: list[str] = []
        monkeypatch.setattr(socket, "getaddrinfo", self._look_up)

    def _look_up(self, host: str, port: int, *args: Any, **options: Any) -> list[Any]:
        addresses = self.answers[min(self.n_asked, len(self.answers) - 1)]
        self.n_asked += 1
        return [
            (socket.AF_INET6 if ":" in one else socket.AF_INET, socket.SOCK_STREAM, 6, "",
             (one, port, 0, 0) if ":" in one else (one, port))
            for one in addresses
        ]  # fmt: skip

    def watch_connections(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let no connection be made; note where it would have gone."""

        def connect(connected: socket.socket, address: tuple[str, int]) -> None:
            self.connected.append(address[0])
            raise ConnectionRefusedError(111, "Connection refused")

        monkeypatch.setattr(socket.socket, "connect", connect)


NOT_PUBLIC = (
    "127.0.0.1", "127.9.9.9", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1",
    "169.254.169.254", "100.64.0.1", "100.100.100.200", "192.0.0.192", "168.63.129.16",
    "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "198.18.0.1", "203.0.113.5",
    "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe", "64:ff9b:1::808:808", "2002:7f00:1::", "2001::1", "2001:db8::1",
    "3fff::1", "5f00::1",
)  # fmt: skip
PUBLIC = ("8.8.8.8", "93.184.215.14", "172.32.0.1", "192.0.1.1", "2606:4700::1111",
          "2a00:1450:4001:82a::200e", "64:ff9b::808:808")  # fmt: skip


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_an_address_of_the_local_network_is_not_connected_to(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not is_public(address)
    resolver = Resolver(monkeypatch, [address])
    resolver.watch_connections(monkeypatch)
    err = refusal_of("https://example.org/hook/s3cret", allow_private=False)
    assert f"{address} is not one of the public internet" in str(err) and not err.is_lasting
    assert resolver.connected == []
    refusal_of("https://example.org/hook/s3cret")  # allowed
    assert resolver.connected == [address]


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    resolver = Resolver(monkeypatch, ["127.0.0.1", address, "::1"])
    resolver.watch_connections(monkeypatch)
    refusal_of("https://example.org/hook/s3cret", allow_private=False)
    assert resolver.connected == [address]


def test_every_public_address_of_python_is_not_more_than_ours() -> None:
    """What Python calls private, ours does as well: hosts around every edge of the table."""
    numbers = {n for bits in range(32) for n in (1 << bits, (1 << bits) - 1, 3 << bits >> 1)}
    for number in sorted(n for n in numbers if n < 1 << 32):
        address = ipaddress.IPv4Address(number)
        assert address.is_global or not is_public(str(address)), address


def test_the_address_that_was_checked_is_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server that answers otherwise at a second look (DNS rebinding) is not asked again."""
    with receiver() as peer:
        resolver = Resolver(monkeypatch, ["127.0.0.1"], ["127.0.0.2"])
        webhook_to(f"http://rebinding.example:{peer.port}/").deliver(owed(1))
        assert resolver.n_asked == 1
    assert peer.requests[0].headers["host"] == f"rebinding.example:{peer.port}"


@pytest.mark.parametrize("host", ["0x7f.1", "2130706433", "127.1", "017700000001"])
def test_an_address_in_other_clothes_is_seen_through(host: str) -> None:
    with receiver() as peer:
        err = refusal_of(f"http://{host}:{peer.port}/", allow_private=False)
    assert "127.0.0.1 is not one of the public internet" in str(err)
    assert peer.n_connections == 0


def test_a_name_server_that_hangs_is_waited_for_by_one_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    is_over = threading.Event()

    def hang(*args: Any, **options: Any) -> list[Any]:
        is_over.wait(20)
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    webhook = webhook_to("http://example.org/", timeout=0.1)
    try:
        for _ in range(5):
            with pytest.raises(OutputError, match="the name server does not answer"):
                webhook.deliver(owed(1))
        assert n_threads("look-up") == 1
    finally:
        is_over.set()
    wait_for(lambda: n_threads("look-up") == 0)
    with pytest.raises(OutputError, match="the name is not known"):
        webhook.deliver(owed(1))
