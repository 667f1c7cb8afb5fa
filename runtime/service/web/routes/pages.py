"""For browsers: the page, and the interface in words. Both work offline, without inline script."""

from __future__ import annotations

from html import escape
from importlib.resources import files
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, PlainTextResponse

from listen_edge.runtime.service.web.metrics import Metrics
from listen_edge.runtime.service.web.problems import RefusedError

router = APIRouter(include_in_schema=False)

_FOLDER = files("listen_edge.runtime.service.web") / "page"
_TYPES = {
    "css": "text/css",
    "html": "text/html",
    "js": "text/javascript",
    "png": "image/png",
    "svg": "image/svg+xml",
}
_HEAD = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>listen-edge: HTTP interface'
    '</title><meta name="viewport" content="width=device-width, initial-scale=1">'
    '<meta name="color-scheme" content="light dark"><h1>HTTP interface</h1>'
    '<p>The same for programs, as an <a href="openapi.json">OpenAPI document</a>.</p>'
)


@router.get("/")
def index() -> Response:
    return page_file("index.html")


@router.get("/page/{name}")
def page_file(name: str) -> Response:
    """Send a file of the page; only those that lie there."""
    for file in _FOLDER.iterdir() if _FOLDER.is_dir() else ():
        kind = _TYPES.get(name.rpartition(".")[2])
        if file.name == name and kind is not None:
            return Response(file.read_bytes(), media_type=kind)
    raise RefusedError(404, "there is no such file")


@router.get("/docs")
def docs(request: Request) -> Response:
    document: dict[str, Any] = request.app.openapi()
    rows = [
        f"<h2><code>{escape(method.upper())} {escape(path)}</code></h2>{_described(route)}"
        for path, routes in document["paths"].items()
        for method, route in routes.items()
    ]
    return HTMLResponse(_HEAD + "".join(rows))


@router.get("/metrics")
def metrics(request: Request) -> Response:
    figures: Metrics = request.app.state.metrics
    return PlainTextResponse(figures.text(), media_type="text/plain; version=0.0.4")


def _described(route: dict[str, Any]) -> str:
    """Return what a route does and takes, as HTML."""
    words = "".join(f"<p>{escape(part)}</p>" for part in route["description"].split("\n\n"))
    taken = [
        f"<code>{escape(parameter['name'])}</code> ({parameter['in']})"
        for parameter in route.get("parameters", ())
    ]
    taken += [f"body: {escape(kind)}" for kind in route.get("requestBody", {}).get("content", ())]
    return words + (f"<ul>{''.join(f'<li>{one}</li>' for one in taken)}</ul>" if taken else "")
