"""The web interface of a fake service on a free port, and a client of it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import soundfile

from listen_edge.runtime.service.config.models import WebConfig
from listen_edge.runtime.service.web.bounds import Limits
from listen_edge.runtime.service.web.serve import WebServer
from tests.fake_service import FakeService


@dataclass(frozen=True)
class Served:
    """A service that can be asked over HTTP."""

    service: FakeService
    server: WebServer
    client: httpx.Client

    @property
    def url(self) -> str:
        return self.server.url


@contextmanager
def serving(folder: Path, limits: Limits | None = None, **settings: Any) -> Iterator[Served]:
    """Serve a fake service whose store lies in a folder."""
    service = FakeService(folder)
    server = WebServer(service, WebConfig(**{"listen": "127.0.0.1:0", **settings}), limits)
    server.start()
    with httpx.Client(base_url=server.url, trust_env=False, timeout=20) as client:
        yield Served(service, server, client)
    server.stop()
    service.stop()


def recording(seconds: float = 1.0, rate: int = 16_000, **options: Any) -> bytes:
    """Return a tone as a file, WAV if nothing else is said."""
    tone = 0.2 * np.sin(2 * np.pi * 500 * np.arange(round(seconds * rate)) / rate)
    file = io.BytesIO()
    soundfile.write(file, tone, rate, **{"format": "WAV", **options})
    return file.getvalue()


def ask(served: Served, body: bytes, *questions: str) -> httpx.Response:
    headers = {"Content-Type": "application/octet-stream"}
    return served.client.post(
        "v1/ask", params={"question": questions}, content=body, headers=headers
    )
