"""What a page load consists of is sent compressed: its files, and what was heard before it."""

from __future__ import annotations

from fastapi.middleware.gzip import GZipMiddleware

from listen_edge.runtime.service.web.auth import App, Receive, Scope, Send

_PATHS = ("/", "/docs", "/openapi.json", "/v1/history")
_LEAST_BYTES, _LEVEL = 500, 6


class Compressed:
    """Compresses for clients that take it, but never streams, sounds and ranges of them.

    Args:
        app: what lies behind.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._compressed = GZipMiddleware(app, _LEAST_BYTES, _LEVEL)  # type: ignore[arg-type]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] == "http" and (path in _PATHS or path.startswith("/page/")):
            await self._compressed(scope, receive, send)  # type: ignore[arg-type]
        else:
            await self._app(scope, receive, send)
