"""A browser on the page of a service that is told what it hears."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response, sync_playwright

from listen_edge.runtime.service.config.models import WebConfig
from listen_edge.runtime.service.web.serve import WebServer
from tests.fake_service import FakeService

CHROMIUM = Path("/usr/bin/chromium")
TOKEN = "a token of the tests"


@dataclass
class Visit:
    """A page that is open, and all that it did.

    Attributes:
        errors: of its console and scripts.
        requests, responses: in order.
    """

    service: FakeService
    server: WebServer
    page: Page
    errors: list[str] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    responses: list[Response] = field(default_factory=list)

    def watch(self) -> None:
        """Note from now on what the page does."""
        self.page.on("request", lambda request: self.requests.append(request))
        self.page.on("response", lambda response: self.responses.append(response))
        self.page.on("pageerror", lambda err: self.errors.append(str(err)))
        self.page.on("console", self._hear)

    def _hear(self, line: ConsoleMessage) -> None:
        if line.type in ("error", "warning"):
            self.errors.append(line.text)

    def open(self) -> None:
        """Open the page and wait until it is live."""
        self.page.goto(self.server.url)
        self.page.locator("html[data-loaded]").wait_for()

    def row(self, question: str, source: str) -> Any:
        """Return the place of a question at a source, both in words."""
        card = self.page.locator("#questions > .card").filter(has_text=question)
        return card.locator(".rows > li").filter(has_text=source)

    def elsewhere(self) -> list[str]:
        """Return what was asked of anybody but the service."""
        ours = urlsplit(self.server.url).netloc
        urls = [urlsplit(request.url) for request in self.requests]
        return [url.geturl() for url in urls if url.scheme != "blob" and url.netloc != ours]


@contextmanager
def browser() -> Iterator[Browser]:
    """Yield the system's Chromium, without a window."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@contextmanager
def visit(
    chromium: Browser, folder: Path, token: str | None = None, **looks: Any
) -> Iterator[Visit]:
    """Yield a page of a service of its own, not opened yet.

    Args:
        folder: for what the service keeps.
        token: that it asks for.
        looks: of the browser: viewport, color_scheme, locale.
    """
    service = FakeService(folder)
    settings = {"listen": "127.0.0.1:0", "token": token}
    server = WebServer(service, WebConfig.model_validate(settings))
    server.start()
    context = chromium.new_context(**looks)
    context.set_default_timeout(8000)
    visited = Visit(service, server, context.new_page())
    visited.watch()
    try:
        yield visited
    finally:
        context.close()
        service.stop()
        server.stop()
