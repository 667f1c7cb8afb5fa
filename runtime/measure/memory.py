"""How much memory a process or the machine has, as Linux's /proc says it."""

from __future__ import annotations

import re
from pathlib import Path


def proc_mb(file: str, field: str) -> float | None:
    """Return a figure of /proc in MB, e.g. ("self/status", "VmHWM"); None where there is no /proc.

    getrusage's peak would be the parent's where that was larger: it is kept across exec.
    """
    path = Path("/proc") / file
    found = re.search(rf"^{field}:\s+(\d+) kB$", path.read_text(), re.M) if path.exists() else None
    return None if found is None else int(found[1]) * 1024 / 1e6
