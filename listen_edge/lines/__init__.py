"""The lines on stdout: one JSON object each, versioned. A contract, tested as one.

`answer`, `event`, `stored_event`, `health`, `heard` and `error` hold a class each, whose fields are
the keys of its line. Keys and types do not change within a version.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timezone
from typing import Any, ClassVar, Literal, TypeVar

from listen_edge.errors import ListenEdgeError, one_line
from listen_edge.json_fields import malformed_fields, parse_json

SCHEMA_VERSION = 1

LineType = Literal["answer", "event", "stored_event", "health", "heard", "error"]
_Line = TypeVar("_Line", bound="JsonLine")


@dataclass(frozen=True)
class JsonLine:
    """What every line shares: its version, its type, and the way to JSON and back.

    Attributes:
        TYPE: `type` of the line.
        DIGITS: decimals of the figures that are rounded on the line.
    """

    TYPE: ClassVar[LineType]
    DIGITS: ClassVar[Mapping[str, int]] = {}

    def to_json_line(self, now: datetime | None = None) -> str:
        """Return the line without its newline; `now` is the time of the line, in UTC."""
        values = vars(self).copy()  # as asdict, which takes as long as all the rest: no field nests
        for name, digits in self.DIGITS.items():
            values[name] = _rounded(values[name], digits)
        return json_line(self.TYPE, self._to_keys(values), now)

    @classmethod
    def from_json_line(cls: type[_Line], text: str) -> _Line:
        """Return what a line says; the time of the line is not part of it.

        Raises:
            ListenEdgeError: not JSON, of another version or type, or with other keys.
        """
        try:
            keys = parse_json(text)
            version, kind, _ = keys.pop("v"), keys.pop("type"), keys.pop("ts")
        except (ValueError, KeyError, TypeError, AttributeError) as err:
            raise ListenEdgeError(f"{text[:40]!r}: not a line of listen-edge ({err})") from err
        if (type(version), version, kind) != (int, SCHEMA_VERSION, cls.TYPE):
            raise ListenEdgeError(
                f"a line of type {_shown(kind)}, version {_shown(version)}; expected {cls.TYPE!r}, "
                f"version {SCHEMA_VERSION}: read it with the listen-edge that wrote it"
            )
        try:
            values = cls._from_keys(keys)
        except (KeyError, TypeError, ValueError) as err:
            raise ListenEdgeError(
                f"a line of type {kind!r}: key {err} is missing or malformed"
            ) from err
        unlike = sorted(values.keys() ^ {field.name for field in fields(cls)})
        if unlike:
            named = one_line(", ".join(unlike))
            raise ListenEdgeError(f"a line of type {kind!r}: {named} is missing or unknown")
        line = cls(**values)
        if malformed := malformed_fields(line):
            raise ListenEdgeError(f"a line of type {kind!r}: {', '.join(malformed)} is malformed")
        return line

    def _to_keys(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return the line's keys of the fields' values, where they differ."""
        return values

    @classmethod
    def _from_keys(cls, keys: dict[str, Any]) -> dict[str, Any]:
        """Return the fields' values of the line's keys."""
        return keys


def json_line(kind: LineType, keys: dict[str, Any], now: datetime | None = None) -> str:
    """Return one line without its newline; `now` is the time of the line, in UTC."""
    now = now or datetime.now(timezone.utc)
    ts = now.strftime("%Y-%m-%dT%H:%M:%S.") + f"{now.microsecond // 1000:03d}Z"
    return json.dumps({"v": SCHEMA_VERSION, "type": kind, "ts": ts, **keys})


def _shown(value: object) -> str:
    return one_line(repr(value), 40)


def _rounded(value: Any, digits: int) -> Any:
    """Round a figure, or each of a pair; None stays None."""
    if isinstance(value, tuple):
        return [_rounded(part, digits) for part in value]
    return None if value is None else round(value, digits)
