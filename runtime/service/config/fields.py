"""The types of single values in listen.yaml, each with an error that says what was expected.

Values come as text, from YAML and the environment alike; pydantic makes numbers of them.
"""

from __future__ import annotations

import re
import socket
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, ValidationInfo

from listen_edge.errors import ListenEdgeError, QuestionError
from listen_edge.question import parse_concept
from listen_edge.runtime.service.config.schedule import QuietTime, parse_quiet, zone_of
from listen_edge.urls import without_secrets

Place = tuple[str | int, ...]  # keys and indices from the root: ("sources", 0, "id")

_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_ADDRESS = re.compile(r"(?:\[(?P<v6>[0-9a-fA-F:.]+)\]|(?P<host>[\w.-]+)):(?P<port>\d{1,5})")
_SHOWN_URL = re.compile(r"[a-z][a-z0-9+.-]*://[\w.:\[\]-]*(?![^/…])", re.IGNORECASE)


class ProblemsError(ValueError):
    """What does not go together, with the place of each, relative to the model that was checked."""

    def __init__(self, problems: Iterable[tuple[Place, str]]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(text for _, text in self.problems))


def id_of(words: str) -> str:
    """Return the id that words make, "" if they have no letter or digit of ASCII.

    Letters lose their accents: "Küche, links" is "kuche-links".
    """
    plain = unicodedata.normalize("NFKD", words).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:64].rstrip("-")


def node_name() -> str:
    """Return the id of this machine, from its host name."""
    return id_of(socket.gethostname().partition(".")[0]) or "listen-edge"


def address(text: str) -> tuple[str, int]:
    """Return host and port of "host:port" or "[v6]:port".

    Raises:
        ValueError: it is neither.
    """
    found = _ADDRESS.fullmatch(text)
    if found is None or int(found["port"]) > 65_535:
        raise ValueError("expected HOST:PORT, such as 127.0.0.1:8765 or [::1]:8765")
    return found["v6"] or found["host"], int(found["port"])


def _id(text: str) -> str:
    if not _ID.fullmatch(text):
        raise ValueError(
            "expected an id: 1 to 64 of a-z, 0-9, '-' and '_', a letter or a digit first"
        )
    return text


def _words(text: str) -> str:
    text = text.strip()
    if not text:
        raise ValueError("is empty; expected words")
    if not text.isprintable():
        raise ValueError("expected words on one line, without control characters")
    return text


def _ask(text: str) -> str:
    try:
        parse_concept(text)
    except QuestionError as err:
        raise ValueError(str(err)) from err
    return _words(text)


def _confirm(value: Any) -> Any:
    if isinstance(value, tuple):
        return value
    k, slash, n = value.partition("/") if isinstance(value, str) else ("", "", "")
    if not (slash and re.fullmatch("[0-9]{1,3}", k) and re.fullmatch("[0-9]{1,3}", n)):
        raise ValueError("expected K/N, such as 2/3: K of the last N windows")
    return int(k), int(n)


def _address(text: str) -> str:
    address(text)
    return text


def _path(path: Path, info: ValidationInfo) -> Path:
    """Return the path, in the folder that the context names; "-" is a standard stream."""
    if not str(path).isprintable():
        raise ValueError("expected a path without control characters")
    if info.context is None or str(path) == "-":
        return path
    return Path(info.context["folder"] / path)


def _bundle(name: str, info: ValidationInfo) -> str:
    return str(_path(Path(name), info)) if "/" in name else name


def _quiet(value: Any) -> Any:
    if isinstance(value, QuietTime):
        return value
    return parse_quiet(value if isinstance(value, str) else "")


def _zone(name: str) -> str:
    try:
        zone_of(name)
    except ListenEdgeError as err:
        raise ValueError(str(err)) from err
    return name


def shown_url(url: str) -> str:
    """Return scheme and host: paths of webhooks and cameras are secrets as often as queries."""
    found = _SHOWN_URL.match(without_secrets(url))
    return f"{found[0]}/…" if found else "***"


Id = Annotated[str, AfterValidator(_id)]
Words = Annotated[str, Field(max_length=200), AfterValidator(_words)]
Ask = Annotated[str, AfterValidator(_ask)]
Address = Annotated[str, AfterValidator(_address)]
FilePath = Annotated[Path, AfterValidator(_path)]
Presence = Annotated[float, Field(gt=0, lt=1)]
Confirm = Annotated[
    tuple[int, int],
    BeforeValidator(_confirm),
    PlainSerializer(lambda value: f"{value[0]}/{value[1]}", return_type=str),
]
Quiet = Annotated[
    QuietTime, BeforeValidator(_quiet), PlainSerializer(lambda value: str(value), return_type=str)
]
Bundle = Annotated[Words, AfterValidator(_bundle)]
Zone = Annotated[str, AfterValidator(_zone)]
