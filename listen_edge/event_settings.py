"""From which presence a bundle's questions raise events, and after how many windows.

A bundle that was measured over hours carries its own in its manifest, under "events":

    {"on": 0.9, "off": 0.7, "confirm": [2, 3], "by_concept": {"siren": {"on": 0.8, "off": 0.6}}}
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

MAX_CONFIRM_WINDOWS = 60


@dataclass(frozen=True)
class OwnThresholds:
    """Those of one question that needs others."""

    concept: str
    on: float
    off: float


@dataclass(frozen=True)
class EventSettings:
    """What a manifest says of events.

    Attributes:
        on, off: presence that begins an event, and that keeps it going.
        confirm: (k, n): k of the last n windows must reach `on`.
        by_concept: of the questions whose thresholds differ.
    """

    on: float
    off: float
    confirm: tuple[int, int]
    by_concept: tuple[OwnThresholds, ...] = ()

    @classmethod
    def from_json(cls, raw: Any) -> EventSettings:
        """Return what the JSON object says.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: a field is missing or malformed.
        """
        k, n = raw["confirm"]
        own = raw.get("by_concept", {}).items()
        by_concept = tuple(OwnThresholds(name, row["on"], row["off"]) for name, row in own)
        return cls(raw["on"], raw["off"], (k, n), by_concept)

    def impossible(self) -> str | None:
        """Return what cannot be, of values whose types are right; None: all of it can."""
        own = [(one.on, one.off) for one in self.by_concept]
        for on, off in ((self.on, self.off), *own):
            if not 0 < off <= on < 1:
                return f"on {on:g}, off {off:g}; expected 0 < off <= on < 1"
        k, n = self.confirm
        if not 1 <= k <= n <= MAX_CONFIRM_WINDOWS:
            return f"confirm {k} of {n}; expected 1 <= k <= n <= {MAX_CONFIRM_WINDOWS}"
        if not all(one.concept and one.concept.isprintable() for one in self.by_concept):
            return "a question without a name, or one that cannot be printed"
        return None
