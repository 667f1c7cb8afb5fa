"""Compare two machines' answer lines: `compare.py x86.jsonl arm64.jsonl`.

Prints one table; exits with 1 if a state differs, or a presence by more than the tolerance.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

# As in `bundle verify --run`: presence may differ between vector units.
TOLERANCE = 0.1


def read_answers(path: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the answer lines of a file by (source, question)."""
    lines = [json.loads(line) for line in Path(path).read_text().splitlines()]
    return {(line["source"], line["question"]): line for line in lines}


def main(x86_path: str, arm64_path: str) -> int:
    x86, arm64 = read_answers(x86_path), read_answers(arm64_path)
    if not x86 or x86.keys() != arm64.keys():
        print(f"{len(x86)} and {len(arm64)} answers, not to the same questions", file=sys.stderr)
        return 1
    print(f"{'clip':20}{'question':20}{'x86-64':>8}{'arm64':>8}  state")
    n_bad, largest = 0, 0.0
    for (source, question), a in x86.items():
        b = arm64[source, question]
        on_x86, on_arm64 = a["presence"] or 0.0, b["presence"] or 0.0  # unknown has none
        difference = abs(on_x86 - on_arm64)
        bad = a["state"] != b["state"] or difference > TOLERANCE
        n_bad, largest = n_bad + bad, max(largest, difference)
        state = a["state"] if a["state"] == b["state"] else f"{a['state']} / {b['state']}"
        mark = "  <- differs" if bad else ""
        print(f"{source:20}{question:20}{on_x86:8.4f}{on_arm64:8.4f}  {state}{mark}")
    print(f"{len(x86)} answers, {n_bad} differ; largest difference {largest:.4f}, of {TOLERANCE}")
    return 1 if n_bad else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
