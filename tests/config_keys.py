"""The table of every key in docs/service.md, from the models.

    python -m tests.config_keys --write

writes it; test_config_cli.py compares it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic import SecretStr
from pydantic_core import PydanticUndefined

from listen_edge.runtime.service.config.schedule import QuietTime
from listen_edge.runtime.service.config.shape import Key, all_keys, is_list

PAGE = Path(__file__).parent.parent / "docs/service.md"
BEGIN, END = "<!-- keys: python -m tests.config_keys --write -->\n", "<!-- end of keys -->\n"
_WORDS = {
    bool: "true or false", float: "number", int: "whole number", str: "words", Path: "path",
    SecretStr: "secret", QuietTime: "quiet hours",
}  # fmt: skip
_BY_MACHINE = {"events.path": "`events.db` in the state folder", "outputs.mqtt.node": "host name"}
_IDS = ("id", "node", "prefix", "discovery_prefix")


def table() -> str:
    """Return the table, a row a key."""
    rows = [
        f"| `{key.path}` | {_type(key)} | {_default(key)} | {_meaning(key)} |" for key in all_keys()
    ]
    return "\n".join(["| Key | Type | Default | Meaning |", "|---|---|---|---|", *rows, ""])


def documented() -> str:
    """Return the table that the page has."""
    return PAGE.read_text().partition(BEGIN)[2].partition(END)[0]


def _meaning(key: Key) -> str:
    assert key.field.description, key.path
    return key.field.description.replace("|", "\\|")


def _type(key: Key) -> str:
    if key.model is not None:
        return "list of maps" if is_list(key.field) else "map"
    name = key.path.rpartition(".")[2].removesuffix("[]")
    annotation = _without_none(key.field.annotation)
    if is_list(key.field):
        return f"list of {'ids' if name == 'sources' else _single(get_args(annotation)[0])}"
    if annotation == tuple[int, int] or "tuple[int, int]" in str(annotation):
        return "K/N"
    if name in _IDS:
        return "id"
    return _single(annotation) + _bounds(key)


def _single(annotation: Any) -> str:
    while get_origin(annotation) not in (None, Literal):
        annotation = get_args(annotation)[0]
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{word}`" for word in get_args(annotation))
    return _WORDS[annotation]


def _without_none(annotation: Any) -> Any:
    found = [part for part in get_args(annotation) if part is not type(None)]
    return found[0] if type(None) in get_args(annotation) else annotation


def _bounds(key: Key) -> str:
    """Return the range of a number, or the least length of a secret."""
    low = high = ""
    between = False
    for part in (*_metadata(key.field.annotation), *key.field.metadata):
        if isinstance(part, (Gt, Ge)):
            low = f"more than {part.gt}" if isinstance(part, Gt) else str(part.ge)
        elif isinstance(part, (Lt, Le)):
            between = isinstance(part, Lt)
            high = f"{part.lt}" if isinstance(part, Lt) else f" to {part.le}"
        elif isinstance(part, MinLen) and part.min_length > 1:
            low = f"{part.min_length} characters or more"
    said = f"between {low.split()[-1]} and {high}" if between else f"{low}{high}"
    return f", {said}" if said else ""


def _metadata(annotation: Any) -> list[Any]:
    """Return what annotations within a union say."""
    own = list(getattr(annotation, "__metadata__", ()))
    inner = [m for part in own for m in getattr(part, "metadata", [])]
    return own + inner + [m for part in get_args(annotation) for m in _metadata(part)]


def _default(key: Key) -> str:
    if key.path in _BY_MACHINE:
        return _BY_MACHINE[key.path]
    if key.field.is_required():
        return "required"
    value = key.field.default
    if value is PydanticUndefined or value in (None, "", ()) or key.model is not None:
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit(__doc__)
    text = PAGE.read_text()
    assert BEGIN in text and END in text, PAGE
    head, _, rest = text.partition(BEGIN)
    PAGE.write_text(f"{head}{BEGIN}{table()}{END}{rest.partition(END)[2]}")
