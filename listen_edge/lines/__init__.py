"""The lines on stdout: one JSON object each, versioned. A contract, tested as one."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any, Literal

SCHEMA_VERSION = 1

LineType = Literal["answer", "event", "health", "error"]


def json_line(kind: LineType, fields: dict[str, Any], now: datetime | None = None) -> str:
    """Return one line without its newline; `now` is the time of the line, in UTC."""
    now = now or datetime.now(timezone.utc)
    ts = now.strftime("%Y-%m-%dT%H:%M:%S.") + f"{now.microsecond // 1000:03d}Z"
    return json.dumps({"v": SCHEMA_VERSION, "type": kind, "ts": ts, **fields})


def rounded(value: float | None, digits: int) -> float | None:
    """Return a figure as it stands on a line."""
    return None if value is None else round(value, digits)
