"""An HTTP server on loopback that behaves, or misbehaves, as a test tells it."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

Behave = Callable[[int, socket.socket], None]


class Request(NamedTuple):
    """What was asked."""

    path: str
    headers: dict[str, str]  # names in lower case
    body: bytes


class Receiver:
    """What a test sees of the server.

    Attributes:
        port: free, or the one it was given.
        n_connections: that were made to it, whether or not a request came.
        requests: those that came whole, in their order.
    """

    def __init__(self, server: socket.socket, behave: Behave) -> None:
        self.port = server.getsockname()[1]
        self.n_connections = 0
        self.requests: list[Request] = []
        self.behave, self.lock, self.is_over = behave, threading.Lock(), threading.Event()
        self._server = server

    def close(self) -> None:
        """Listen no more; what has begun comes to its end."""
        self.is_over.set()
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)  # wakes who waits in accept
        self._server.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook/s3cret?token=t0ken"


def answered(status: int, *headers: str, body: bytes = b"") -> Behave:
    """Answer every request alike."""
    head = "\r\n".join((f"HTTP/1.1 {status} So", f"Content-Length: {len(body)}", *headers))
    return lambda n, peer: peer.sendall(head.encode() + b"\r\n\r\n" + body)


_TAKEN = answered(204)


@contextmanager
def receiver(
    behave: Behave = _TAKEN, *, port: int = 0, tls: ssl.SSLContext | None = None
) -> Iterator[Receiver]:
    """Serve until the block ends; `behave` gets the number of the request and its connection."""
    with socket.create_server(("127.0.0.1", port)) as server:
        state = Receiver(server, behave)
        thread = threading.Thread(target=_accept, args=(server, state, tls))
        thread.start()
        try:
            yield state
        finally:
            state.close()
            thread.join()


def _accept(server: socket.socket, state: Receiver, tls: ssl.SSLContext | None) -> None:
    threads = []
    while not state.is_over.is_set():
        try:
            peer, _ = server.accept()
        except OSError:
            break
        state.n_connections += 1
        threads.append(threading.Thread(target=_serve, args=(peer, state, tls)))
        threads[-1].start()
    for thread in threads:
        thread.join()


def _serve(peer: socket.socket, state: Receiver, tls: ssl.SSLContext | None) -> None:
    with suppress(OSError), peer:
        peer.settimeout(10.0)
        secured = peer if tls is None else tls.wrap_socket(peer, server_side=True)
        with secured:
            request = _read_request(secured)
            with state.lock:
                number = len(state.requests)
                state.requests.append(request)
            state.behave(number, secured)


def _read_request(peer: socket.socket) -> Request:
    with peer.makefile("rb") as stream:
        path = stream.readline().decode().split(" ")[1]
        headers: dict[str, str] = {}
        while line := stream.readline().decode().strip():
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        return Request(path, headers, stream.read(int(headers.get("content-length", "0"))))
