"""How much a request may bring and how long it may take to; what every response forbids browsers.

Plain ASGI layers; connection.py bounds what comes before a request and after a response.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from fastapi import HTTPException

from listen_edge.runtime.service.web.auth import App, Message, Receive, Scope, Send
from listen_edge.runtime.service.web.problems import problem

_JSON_BYTES = 64 << 10
_SLACK = 64 << 10  # of a multipart body or JSON around an upload
_CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' blob:; media-src 'self' blob:; manifest-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _CONTENT_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


@dataclass(frozen=True)
class Limits:
    """What a client may ask of the service.

    Attributes:
        upload_bytes: of a recording.
        audio_s: of a recording, decoded.
        decode_s: that decoding may take.
        n_questions: about one recording.
        n_uploads: received, decoded or waiting at once.
        n_large: of them, those that take much memory.
        n_ffmpegs: that decode at once; further ones wait, at most as long as decoding may take.
        body_s: that a client may take to send a body.
        idle_s: between two pieces of it.
        n_streams: clients that look on.
        heartbeat_s: between two signs of life to them.
    """

    upload_bytes: int = 25_000_000
    audio_s: float = 600.0
    decode_s: float = 30.0
    n_questions: int = 32
    n_uploads: int = 8
    n_large: int = 2
    n_ffmpegs: int = 1
    body_s: float = 120.0
    idle_s: float = 20.0
    n_streams: int = 8
    heartbeat_s: float = 10.0

    def body_bytes(self, path: str) -> int:
        """Return how large the body of a request to a route may be."""
        if path == "/v1/ask":
            return self.upload_bytes + _SLACK
        if path == "/v1/chat/completions":
            return self.upload_bytes * 4 // 3 + _SLACK  # base64
        return _JSON_BYTES


class BoundedBodies:
    """Refuses bodies that are too large or come too slowly, however they are sent.

    Args:
        app: what lies behind.
        limits: see there.
    """

    def __init__(self, app: App, limits: Limits) -> None:
        self._app, self._limits = app, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        n_most = self._limits.body_bytes(scope["path"])
        stated = dict(scope["headers"]).get(b"content-length", b"0")
        if stated.isdigit() and int(stated[:20]) > n_most:
            await problem(413, _too_large(n_most))(scope, receive, send)  # type: ignore[arg-type]
            return
        await self._app(scope, self._bounded(receive, n_most), send)

    def _bounded(self, receive: Receive, n_most: int) -> Receive:
        n_received, is_whole = 0, False
        until_s = time.monotonic() + self._limits.body_s

        async def bounded() -> Message:
            nonlocal n_received, is_whole
            if is_whole:
                return await receive()  # waits for the client to leave
            wait_s = min(self._limits.idle_s, until_s - time.monotonic())
            try:
                message = await asyncio.wait_for(receive(), max(0.0, wait_s))
            except asyncio.TimeoutError as err:
                raise HTTPException(408, "the request's body did not come in time") from err
            n_received += len(message.get("body", b""))
            is_whole = not message.get("more_body", False)
            if n_received > n_most:
                raise HTTPException(413, _too_large(n_most))
            return message

        return bounded


class SafeHeaders:
    """Tells browsers what they must not do with a response; what is of the API is not kept.

    Args:
        app: what lies behind.
    """

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_page = scope["path"].startswith("/page/")
        safe = {**_HEADERS, "cache-control": "no-cache" if is_page else "no-store"}
        added = [(name.encode(), value.encode()) for name, value in safe.items()]

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                ours = {name for name, _ in added}
                kept = [(n, v) for n, v in message.get("headers", []) if n.lower() not in ours]
                message = {**message, "headers": [*kept, *added]}
            await send(message)

        await self._app(scope, receive, send_safely)


def _too_large(n_most: int) -> str:
    return f"the request's body is larger than {n_most / 1e6:.3g} MB; send less"
