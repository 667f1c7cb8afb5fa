"""What is heard of a window: the likeliest sounds of a vocabulary, nobody having asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from listen_edge.lines import JsonLine, LineType
from listen_edge.lines.answer import Reason
from listen_edge.printable import printable

NOTHING = "none of the sounds it knows"  # was heard: no more is said of any of them
_PRESENCE_DIGITS = 4


@dataclass(frozen=True)
class HeardLine(JsonLine):
    """Which sounds are there? The likeliest of those that a bundle knows, in one window.

    Attributes:
        source: as in the answers.
        window_s: as in the answers.
        sounds: (concept, presence), the likeliest first; () where the window was heard and none
            reached the least presence, which does not make any of them absent; None when nothing
            was listened to.
        reason: why nothing was listened to, or what may hide further sounds in this window; None
            where it was wholly heard.
        level_dbfs, encode_ms, answer_ms, bundle: as in the answers.
    """

    TYPE: ClassVar[LineType] = "heard"
    DIGITS: ClassVar[Mapping[str, int]] = {
        "window_s": 3,
        "level_dbfs": 1,
        "encode_ms": 1,
        "answer_ms": 1,
    }

    source: str
    window_s: tuple[float, float]
    sounds: tuple[tuple[str, float], ...] | None
    reason: Reason | None
    level_dbfs: float | None
    encode_ms: float
    answer_ms: float
    bundle: str

    @property
    def note(self) -> str | None:
        """What is not known, in words; None where the window was wholly heard."""
        if self.reason is None:
            return None
        return f"{'' if self.sounds is None else 'others '}unknown ({self.reason})"

    def to_text_line(self) -> str:
        """Return the line for people: source, window, and what is heard in it."""
        start, end = self.window_s
        heard = [f"{name} {presence:.2f}" for name, presence in self.sounds or ()]
        said = heard + ([self.note] if self.note else [])
        what = ", ".join(said) or NOTHING
        return f"{printable(self.source):<20} {start:6.1f}-{end:<6.1f} {what}"

    def _to_keys(self, values: dict[str, Any]) -> dict[str, Any]:
        latency_ms = {"encode": values.pop("encode_ms"), "answer": values.pop("answer_ms")}
        bundle = values.pop("bundle")
        if self.sounds is not None:
            values["sounds"] = [[name, round(p, _PRESENCE_DIGITS)] for name, p in self.sounds]
        return {**values, "latency_ms": latency_ms, "bundle": bundle}

    @classmethod
    def _from_keys(cls, keys: dict[str, Any]) -> dict[str, Any]:
        latency_ms, (start, end) = keys.pop("latency_ms"), keys.pop("window_s")
        sounds = keys.pop("sounds")
        return {
            **keys,
            "window_s": (start, end),
            "sounds": None if sounds is None else tuple((name, p) for name, p in sounds),
            "encode_ms": latency_ms["encode"],
            "answer_ms": latency_ms["answer"],
        }
