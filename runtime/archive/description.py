"""scan.json: what a scan was asked, read back and held against what one writes."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from listen_edge.errors import ListenEdgeError, one_line
from listen_edge.json_fields import malformed_fields, parse_json
from listen_edge.printable import printable

SCHEMA = 1
DESCRIPTION = "scan.json"
_MAX_BYTES = 1 << 24
_MAX_S = 3600.0  # of a window

Unit = Literal["answers", "events"]


@dataclass(frozen=True)
class _Asked:
    question: str
    concept: str
    on: float
    off: float


@dataclass(frozen=True)
class _Trigger:
    confirm: tuple[int, int]
    end_after_s: float
    cooldown_s: float
    long_event_s: float


@dataclass(frozen=True)
class _State:
    on: float
    off: float


@dataclass(frozen=True)
class _Listing:
    recordings: int
    sha256: str


@dataclass(frozen=True)
class _Description:
    schema: int
    version: str
    bundle: str
    unit: Unit
    questions: tuple[_Asked, ...]
    trigger: _Trigger
    state: _State
    hop_s: float
    window_s: float
    gate_dbfs: float | None
    llm: str
    backend: str
    listing: _Listing


def read_description(folder: Path) -> dict[str, Any]:
    """Return the description of the scan in a folder, as it is written.

    Raises:
        ListenEdgeError: no scan there, one of another schema, or a damaged description.
    """
    name = printable(folder)
    try:
        with (folder / DESCRIPTION).open("rb") as file:
            described = parse_json(file.read(_MAX_BYTES))
        if not isinstance(described, dict):
            raise ValueError("not the description of a scan")
        if described.get("schema") == SCHEMA:
            _check(described)
    except FileNotFoundError as err:
        raise ListenEdgeError(
            f"{name}: holds no scan (no {DESCRIPTION}); give the --out of a listen-edge scan"
        ) from err
    except (OSError, ValueError) as err:
        raise ListenEdgeError(f"{name}: {DESCRIPTION}: {one_line(err)}; scan anew") from err
    if (schema := described.get("schema")) != SCHEMA:
        raise ListenEdgeError(
            f"{name}: a scan of schema {one_line(str(schema))}, this version reads {SCHEMA}; read "
            "it with the listen-edge that wrote it"
        )
    return described


def _check(described: dict[str, Any]) -> None:
    """Raise ValueError for what no scan writes."""
    one: _Description = _made(_Description, described)
    if malformed := malformed_fields(one):
        raise ValueError(f"{malformed[0]} is not of its type")
    if not one.questions or len({asked.question for asked in one.questions}) < len(one.questions):
        raise ValueError("questions: none, or one of them twice")
    if not (0 < one.hop_s <= one.window_s <= _MAX_S and one.listing.recordings > 0):
        raise ValueError("hop_s, window_s or the number of recordings is out of range")
    pairs: list[_State | _Asked] = [one.state, *one.questions]
    if not all(0 <= pair.off <= pair.on <= 1 for pair in pairs):
        raise ValueError("thresholds are out of range")


def _made(kind: Any, value: Any) -> Any:
    """Return an instance of a dataclass here, made of an object of JSON; ValueError if none."""
    if not isinstance(value, dict) or value.keys() != {field.name for field in fields(kind)}:
        part = kind.__name__.strip("_").lower()
        raise ValueError(f"not the description of a scan (other fields of {part})")
    made = dict(value)
    for name, inner in _INNER.get(kind, {}).items():
        made[name] = _made(inner, value[name])
    if kind is _Description and isinstance(value["questions"], list):
        made["questions"] = tuple(_made(_Asked, one) for one in value["questions"])
    if kind is _Trigger and isinstance(value["confirm"], list):
        made["confirm"] = tuple(value["confirm"])
    return kind(**made)


_INNER: dict[Any, dict[str, Any]] = {
    _Description: {"trigger": _Trigger, "state": _State, "listing": _Listing}
}
