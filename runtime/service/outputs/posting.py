"""One POST to one address, bounded in every way: time, answer, where it goes.

http.client and not httpx: the address that was checked is the one that is connected to, the time
limit holds for the whole of it, and no package is added. A proxy of the environment is not asked.
"""

from __future__ import annotations

import http.client
import io
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

from listen_edge.errors import one_line
from listen_edge.runtime.service.outputs import OutputError
from listen_edge.runtime.service.outputs.addresses import is_public

_AddressInfo = tuple[Any, Any, int, str, tuple[Any, ...]]  # of getaddrinfo


class Reply(NamedTuple):
    """What a server answered. Its body is left unread: it could be endless, and is a stranger's.

    Attributes:
        retry_after_s: None where it asks for none.
    """

    status: int
    retry_after_s: float | None


class Poster:
    """Posts to one URL, for one thread at a time; `stop` may come from another.

    Args:
        url: of http or https; https is verified against the system's certificates.
        timeout_s: for looking up, connecting and the answer together.
        allow_private: whether addresses other than public ones may be connected to.
    """

    def __init__(self, url: str, *, timeout_s: float, allow_private: bool) -> None:
        parts = urlsplit(url)
        try:
            self._host = (parts.hostname or "").encode("idna").decode()
        except UnicodeError as err:
            raise OutputError("the host of the url is no name that can be looked up") from err
        self._is_https = parts.scheme == "https"
        self._port = parts.port or (443 if self._is_https else 80)
        query = f"?{parts.query}" if parts.query else ""
        self._path = quote(f"{parts.path or '/'}{query}", safe="%/:=&?~#+!$,;'@()*[]")
        self._timeout_s, self._allow_private = timeout_s, allow_private
        self._lock = threading.Lock()  # of _socket
        self._socket: socket.socket | None = None
        self._is_looking_up = self._is_over = False

    @property
    def shown(self) -> str:
        """Where it goes, for people: no path, which is a secret of many a webhook."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        usual = 443 if self._is_https else 80
        return host if self._port == usual else f"{host}:{self._port}"

    def post(self, body: bytes, headers: Mapping[str, str]) -> Reply:
        """Send a body and return what is answered.

        Raises:
            OutputError: no answer in time, no connection, or no address that is allowed.
        """
        deadline = time.monotonic() + self._timeout_s
        try:
            self._connect(self._addresses(deadline), deadline)
            return self._exchange(body, headers, deadline)
        except (OSError, http.client.HTTPException) as err:
            raise self._told(err) from err
        finally:
            self._hold(None)

    def start(self) -> None:
        """Be ready again after a stop."""
        self._is_over = False

    def stop(self) -> None:
        """End a post that goes on in another thread."""
        self._is_over = True
        self._cut()

    def _addresses(self, deadline: float) -> list[_AddressInfo]:
        """Look the host up, once; return those of its addresses that are allowed."""
        if self._is_looking_up:
            raise OutputError(f"{self.shown}: the name server does not answer")
        found: SimpleQueue[list[_AddressInfo] | Exception] = SimpleQueue()

        def look_up() -> None:
            result: list[_AddressInfo] | Exception
            try:
                result = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
            except (OSError, UnicodeError) as err:
                result = err
            self._is_looking_up = False
            found.put(result)

        self._is_looking_up = True
        if _is_address(self._host):
            look_up()  # asks nobody
        else:
            threading.Thread(target=look_up, name="look-up", daemon=True).start()
        try:
            result = found.get(timeout=max(0.0, deadline - time.monotonic()))
        except Empty:
            raise OutputError(f"{self.shown}: the name server does not answer") from None
        if isinstance(result, Exception):
            raise OutputError(f"{self.shown}: the name is not known ({one_line(result, 80)})")
        allowed = [one for one in result if self._allow_private or is_public(one[4][0])]
        if not allowed:
            raise OutputError(
                f"{self.shown}: its address {result[0][4][0]} is not one of the public internet; "
                "if this is meant, set allow_private: true"
            )
        return allowed

    def _connect(self, addresses: list[_AddressInfo], deadline: float) -> None:
        """Connect to the first of the addresses that lets us, and encrypt."""
        connected: socket.socket | None = None
        for k, (family, kind, protocol, _, address) in enumerate(addresses):
            connected = socket.socket(family, kind, protocol)
            self._hold(connected)
            share = (deadline - time.monotonic()) / (len(addresses) - k)
            connected.settimeout(max(0.001, share))
            try:
                connected.connect(address)
                break
            except OSError:
                if k + 1 == len(addresses) or self._is_over:
                    raise
        assert connected is not None
        connected.settimeout(_left_s(deadline))
        if self._is_https:
            context = ssl.create_default_context()
            encrypted = context.wrap_socket(
                connected, server_hostname=self._host, do_handshake_on_connect=False
            )
            self._hold(encrypted)
            encrypted.do_handshake()

    def _exchange(self, body: bytes, headers: Mapping[str, str], deadline: float) -> Reply:
        connection = http.client.HTTPConnection(self._host, self._port)
        assert self._socket is not None
        connection.sock = _Timed(self._socket, deadline)  # which may be encrypted
        ours = {"Host": self.shown, "Connection": "close"}
        connection.request("POST", self._path, body, {**headers, **ours})
        with connection.getresponse() as response:
            return Reply(response.status, _retry_after_s(response.headers.get("Retry-After", "")))

    def _hold(self, connected: socket.socket | None) -> None:
        """Close the socket that was used, unless it lives on in this one."""
        with self._lock:
            before, self._socket = self._socket, connected
            if before is not None:
                before.close()
        if connected is not None and self._is_over:
            self._cut()

    def _cut(self) -> None:
        with self._lock:
            if self._socket is not None:
                with suppress(OSError):  # not connected yet, or not any more
                    # not SSLSocket's own, which would change what the other thread reads with
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def _told(self, err: Exception) -> OutputError:
        if self._is_over:
            return OutputError(f"{self.shown}: the service ends")
        if isinstance(err, TimeoutError):
            return OutputError(f"{self.shown}: no answer within {self._timeout_s:g} s")
        if isinstance(err, ssl.SSLCertVerificationError):  # lasting? the clock may be yet to be set
            why = one_line(err.verify_message, 80)
            return OutputError(f"{self.shown}: its certificate is not trusted ({why})")
        if isinstance(err, http.client.HTTPException) and not isinstance(err, OSError):
            return OutputError(f"{self.shown}: an answer that is no HTTP ({type(err).__name__})")
        why = one_line(getattr(err, "strerror", None) or type(err).__name__, 80)
        return OutputError(f"{self.shown}: no connection ({why})")


class _Timed(io.RawIOBase):
    """What http.client needs of a socket, with a time limit for all of it.

    A socket's own holds for one call, which a peer that sends a byte now and then never exceeds.
    """

    def __init__(self, connected: socket.socket, deadline: float) -> None:
        self._socket, self._deadline = connected, deadline

    def sendall(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            self._socket.settimeout(_left_s(self._deadline))
            rest = rest[self._socket.send(rest) :]

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Timed(self._socket, self._deadline))

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._socket.settimeout(_left_s(self._deadline))
        return self._socket.recv_into(buffer)


def _left_s(deadline: float) -> float:
    """Return the seconds until then; TimeoutError where there are none."""
    left_s = deadline - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    return left_s


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _retry_after_s(text: str) -> float | None:
    """Return the seconds of a Retry-After, a number or a date; None if it is neither."""
    if text.isascii() and text.isdecimal():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None
