"""The file that `tune` writes and `mic` reads: per question, from which presence it alarms."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from listen_edge.errors import ListenEdgeError, one_line
from listen_edge.json_fields import parse_json
from listen_edge.replacing import replacing

SCHEMA = 1


@dataclass(frozen=True)
class TunedThresholds:
    """Thresholds by concept, and what they hold for.

    Attributes:
        bundle: name and hash of the bundle; another one's presence means something else.
        hop_s, confirm: windows and confirmations that they were tuned with.
        by_concept: (on, off).
        figures: what tune measured, by concept, for people; None: not measured.
    """

    bundle: str
    hop_s: float
    confirm: tuple[int, int]
    by_concept: Mapping[str, tuple[float, float]]
    figures: Mapping[str, Mapping[str, float | None]]

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        content = {
            "schema": SCHEMA,
            "bundle": self.bundle,
            "hop_s": self.hop_s,
            "confirm": list(self.confirm),
            "questions": {
                concept: {"on": on, "off": off, **self.figures.get(concept, {})}
                for concept, (on, off) in self.by_concept.items()
            },
        }
        text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def check_use(self, bundle: str, hop_s: float, confirm: tuple[int, int]) -> None:
        """Refuse thresholds that were tuned for something else.

        Raises:
            ListenEdgeError: another bundle, hop or confirmation.
        """
        k, n = self.confirm
        if bundle != self.bundle:
            raise ListenEdgeError(
                f"thresholds were tuned for bundle {one_line(self.bundle)}, this is {bundle}; "
                "tune again"
            )
        if (hop_s, confirm) != (self.hop_s, self.confirm):
            raise ListenEdgeError(
                f"thresholds were tuned with --hop {self.hop_s:g} --confirm {k}/{n}; give the "
                "same, or tune again"
            )


def read_thresholds(path: Path) -> TunedThresholds:
    """Return what a file of tune's says.

    Raises:
        ListenEdgeError: missing, not such a file, or thresholds that cannot be.
    """
    try:
        content: Any = parse_json(path.read_bytes())
        if content["schema"] != SCHEMA:
            raise ValueError(f"schema {content['schema']!r}, expected {SCHEMA}")
        k, n = content["confirm"]
        by_concept = {
            str(concept): (float(row["on"]), float(row["off"]))
            for concept, row in content["questions"].items()
        }
        for concept, (on, off) in by_concept.items():
            if not 0 < off <= on < 1:
                raise ValueError(f"{concept}: on {on:g}, off {off:g}; expected 0 < off <= on < 1")
        return TunedThresholds(
            str(content["bundle"]), float(content["hop_s"]), (int(k), int(n)), by_concept, {}
        )
    except FileNotFoundError as err:
        raise ListenEdgeError(f"{path}: no such file; `listen-edge tune` writes one") from err
    except (ValueError, KeyError, TypeError, AttributeError) as err:
        raise ListenEdgeError(
            f"{path}: not a thresholds file of `listen-edge tune` ({one_line(err)})"
        ) from err
