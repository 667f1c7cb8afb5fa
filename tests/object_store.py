"""A bucket on this machine's loopback, as much of S3 as reading asks for; and a web server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

MODIFIED_S = 1714566896
_OBJECT = (
    "<Contents><Key>{}</Key><Size>{}</Size><ETag>&quot;0&quot;</ETag>"
    "<LastModified>2024-05-01T12:34:56.000Z</LastModified></Contents>"
)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    objects: dict[str, bytes] = {}  # noqa: RUF012 - set once, in a class of its own

    def do_HEAD(self) -> None:
        self._answer(is_head=True)

    def do_GET(self) -> None:
        self._answer(is_head=False)

    def _answer(self, is_head: bool) -> None:
        url = urlsplit(self.path)
        query = parse_qs(url.query, keep_blank_values=True)
        key = unquote(url.path).removeprefix("/bucket").removeprefix("/")
        status, body = 200, self.objects.get(key)
        if "list-type" in query:
            body = self._listed(unquote(query.get("prefix", [""])[0]))
        elif body is None and key:
            status = 404
        self._send(status, body or b"", is_head)

    def _listed(self, prefix: str) -> bytes:
        found = [
            _OBJECT.format(escape(key), len(data))
            for key, data in sorted(self.objects.items())
            if key.startswith(prefix)
        ]
        return (
            '<?xml version="1.0"?><ListBucketResult><Name>bucket</Name>'
            f"<KeyCount>{len(found)}</KeyCount><IsTruncated>false</IsTruncated>"
            f"{''.join(found)}</ListBucketResult>"
        ).encode()

    def _send(self, status: int, body: bytes, is_head: bool) -> None:
        part = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if part and status == 200:
            first, last = int(part[1]), min(int(part[2]), len(body) - 1)
            status = 206
            whole, body = len(body), body[first : last + 1]
        self.send_response(status)
        if status == 206:
            self.send_header("Content-Range", f"bytes {first}-{last}/{whole}")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Last-Modified", formatdate(MODIFIED_S, usegmt=True))
        self.end_headers()
        if not is_head:
            self.wfile.write(body)

    def log_request(self, *arguments: object) -> None:
        """Print nothing."""


@contextmanager
def object_store(objects: dict[str, bytes]) -> Iterator[str]:
    """Yield the address of a server that has objects, in "bucket" for S3 and at "/" for HTTP."""
    handler = type("_Of", (_Handler,), {"objects": objects})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
