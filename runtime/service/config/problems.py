"""What is wrong with a configuration, in words: where, which key, what was expected."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from listen_edge.errors import ListenEdgeError, one_line
from listen_edge.printable import printable
from listen_edge.runtime.service.config.fields import Place, ProblemsError
from listen_edge.runtime.service.config.places import Blank
from listen_edge.runtime.service.config.shape import all_keys, field_at, is_secret, model_at

Problem = tuple[Place, str]
_MAX_TOLD = 20
_EXPECTED = {
    "string": "expected words",
    "int": "expected a whole number",
    "float": "expected a number",
    "finite": "expected a number",
    "bool": "expected true or false",
    "tuple": "expected a list",
    "model": "expected keys with values",
    "dict": "expected keys with values",
    "path": "expected a path",
}
_BOUNDS = {
    "greater_than": "expected more than {gt}",
    "greater_than_equal": "expected {ge} or more",
    "less_than": "expected less than {lt}",
    "less_than_equal": "expected {le} or less",
    "string_too_short": "expected {min_length} characters or more",
    "string_too_long": "expected at most {max_length} characters",
    "too_short": "expected {min_length} or more",
    "too_long": "expected at most {max_length}",
}


class ConfigError(ListenEdgeError):
    """A configuration that cannot be.

    Attributes:
        problems: a line each: where, which key, what was expected.
    """

    def __init__(self, path: Path, problems: Iterable[str]) -> None:
        self.path, self.problems = path, tuple(problems)
        told = "; ".join(self.problems[:_MAX_TOLD])
        n_more = len(self.problems) - _MAX_TOLD
        super().__init__(f"{told}; and {n_more} more" if n_more > 0 else told)


def key_path(place: Place) -> str:
    """Return a place in words: sources[0].questions[1].ask."""
    words = "".join(f"[{part}]" if isinstance(part, int) else f".{part[:40]}" for part in place)
    return printable(words.removeprefix("."))


def problems_of(err: ValidationError) -> Iterator[Problem]:
    """Yield what pydantic found, without what follows from another of its findings."""
    found = err.errors(include_url=False)
    places = [row["loc"] for row in found]
    for row in found:
        place = row["loc"]
        below = [other for other in places if other[: len(place)] == place and other != place]
        if row["type"] in ("too_short", "too_long") and below:
            continue  # pydantic counts only the items that it could read
        error = row.get("ctx", {}).get("error")
        if isinstance(error, ProblemsError):
            yield from (((*place, *inner), text) for inner, text in error.problems)
        else:
            yield place, _text(row["type"], place, row)


def _text(kind: str, place: Place, row: Any) -> str:
    context, value = row.get("ctx", {}), row["input"]
    if kind == "missing":
        return "is missing"
    if kind == "extra_forbidden":
        return _unknown(place)
    if isinstance(value, Blank):
        return "has no value; give one, or leave the key out"
    if kind == "value_error":
        text = one_line(context["error"])
        return f"{text}{_found(place, value)}" if text.startswith("expected") else text
    if kind == "literal_error":
        return f"expected {context['expected']}{_found(place, value)}"
    if kind in _BOUNDS and _is_secret_at(place):  # pydantic tells a length as a list's
        return _BOUNDS[f"string_{kind}"].format(**context)
    if kind in _BOUNDS:
        return _BOUNDS[kind].format(**context) + _found(place, value)
    expected = _EXPECTED.get(kind.partition("_")[0])
    return (expected or one_line(row["msg"])) + _found(place, value)


def _found(place: Place, value: Any) -> str:
    """Return what stands there instead, unless it may be a secret."""
    if isinstance(value, dict):
        return "; found keys with values"
    if isinstance(value, list):
        return "; found a list"
    if value is None:
        return "; found null"
    if field_at(place) is None or _is_secret_at(place) or not isinstance(value, str):
        return ""
    return f'; found "{printable(value)[:60]}"'


def _is_secret_at(place: Place) -> bool:
    field = field_at(place)
    return field is not None and is_secret(field)


def _unknown(place: Place) -> str:
    """Return what is said of a key that there is not: the nearest, or where it belongs."""
    name = str(place[-1])
    model = model_at(place[:-1])
    known = list(model.model_fields) if model else []
    if near := get_close_matches(name.lower().replace("-", "_"), known, 1, 0.6):
        return f'unknown key; did you mean "{near[0]}"?'
    elsewhere = [key.path for key in all_keys() if _last(key.path) == name]
    if elsewhere:
        around = next((part for part in reversed(place[:-1]) if isinstance(part, str)), "")
        best = min(elsewhere, key=lambda path: _last(path.rpartition(".")[0]) != around)
        return f'unknown key here; did you mean "{best}"?'
    return f"unknown key; expected one of {', '.join(known)}"


def _last(path: str) -> str:
    return path.rpartition(".")[2].removesuffix("[]")
