"""What stands between two ends of a connection, so that a test can break it."""

from __future__ import annotations

import contextlib
import socket
import threading


class Relay:
    """Stands between client and broker, and can be cut, shut, or deaf."""

    def __init__(self, port: int) -> None:
        self._peer, self._ends = ("127.0.0.1", port), list[socket.socket]()
        self.is_deaf = self.is_shut = False
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        ends, self._ends = self._ends, []
        for one in ends:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.is_shut = True
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self.cut()

    def _accept(self) -> None:
        with self._server, contextlib.suppress(OSError):
            while True:
                client, _ = self._server.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            if self.is_shut:
                return
            with socket.create_connection(self._peer) as server:
                self._ends += [client, server]
                back = threading.Thread(target=self._carry, args=(server, client), daemon=True)
                back.start()
                self._carry(client, server)
                back.join()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while block := source.recv(65_536):
                if not self.is_deaf:
                    sink.sendall(block)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
