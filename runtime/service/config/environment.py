"""LISTEN_EDGE_OUTPUTS__MQTT__HOST=... -> the same key of the configuration.

Two underscores go down a level; a number is a place in a list, or the one after its end. What is
empty is not set.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from listen_edge.printable import escaped
from listen_edge.runtime.service.config.fields import Place
from listen_edge.runtime.service.config.models import WatchConfig
from listen_edge.runtime.service.config.places import Blank

PREFIX = "LISTEN_EDGE_"
_OTHERS = {"LISTEN_EDGE_API_KEY"}  # of what else the project reads
_MAX_VARIABLES = 1000


def overridden(
    value: dict[str, Any], environ: Mapping[str, str]
) -> tuple[dict[Place, str], list[str], list[str]]:
    """Put the environment's values into a read configuration.

    Args:
        value: changed.

    Returns:
        The variable of each place that was set, problems, and warnings; no value of a variable is
        in them.
    """
    origins: dict[Place, str] = {}
    problems: list[str] = []
    warnings: list[str] = []
    names = sorted(name for name in environ if name.startswith(PREFIX) and environ[name])
    for name in names[:_MAX_VARIABLES]:
        place = _place(name)
        if name in _OTHERS:
            continue
        if not _is_meant(place):
            warnings.append(f"{escaped(name)}: is no key of the configuration, and not read")
            continue
        why, made = _set(value, place, environ[name])
        origins |= dict.fromkeys(made, escaped(name))
        if why:
            problems.append(f"{escaped(name)}: {why}")
    return origins, problems, warnings


def _place(name: str) -> Place:
    parts = name.removeprefix(PREFIX).split("__")
    return tuple(int(part) if _is_index(part) else part.lower() for part in parts)


def _is_index(part: str) -> bool:
    return part.isascii() and part.isdecimal() and len(part) <= 4


def _is_meant(place: Place) -> bool:
    """Tell whether a name is a key or near one: others put LISTEN_EDGE_PORT into containers."""
    known = list(WatchConfig.model_fields)
    return len(place) > 1 or bool(get_close_matches(str(place[0]), known, 1, 0.8))


def _set(value: dict[str, Any], place: Place, text: str) -> tuple[str | None, list[Place]]:
    """Set one value, and return why it cannot be, and the places that were made for it."""
    made: list[Place] = []
    if "" in place:
        return "expected a key on either side of two underscores", made
    here: Any = value
    for k, part in enumerate(place):
        if isinstance(here, list) and not (isinstance(part, int) and part <= len(here)):
            return f"{part}: expected a place in the list, 0 to {len(here)}", made
        key = str(part) if isinstance(here, dict) else part
        below: Any = here[key] if _has(here, key) else None
        if k == len(place) - 1:
            below = text
        elif below is None or isinstance(below, Blank):
            below = [] if isinstance(place[k + 1], int) else {}
        elif isinstance(below, str):
            path = ".".join(map(str, place[: k + 1]))
            return f"there is a single value in the file at {path}", made
        else:
            here = below
            continue
        made.append(place[: k + 1])
        _put(here, key, below)
        here = below
    return None, made


def _has(here: Any, key: Any) -> bool:
    return key < len(here) if isinstance(here, list) else key in here


def _put(here: Any, key: Any, value: Any) -> None:
    if isinstance(here, list) and key == len(here):
        here.append(value)
    else:
        here[key] = value
