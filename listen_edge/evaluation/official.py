"""Free text -> yes or no: as the audio hallucination benchmark's scorer reads it, and strictly.

The benchmark's scorer looks for pieces of words anywhere ("eyes" holds "yes"), takes "No" as the
positive class, and counts what it cannot read among the answers "no" (in precision and yes-rate),
though never as right. So a system that answers in prose looks cautious there. The strict reading
looks for the word yes or no, and what holds neither, or both, is a failure.

Source: evaluation.py of github.com/kuan2jiu99/audio-hallucination (Interspeech 2024), rules only.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_DENIALS = ("No", "there is no", "does not contain", "doesn't contain")
_OPENING = re.compile(r"^\W*(yes|no)\b", re.IGNORECASE)
_WORD = re.compile(r"\b(yes|no)\b", re.IGNORECASE)


@dataclass(frozen=True)
class OfficialFigures:
    """What the benchmark's scorer prints, in [0, 1]; "No" is the positive class."""

    accuracy: float
    precision: float
    recall: float
    f1: float
    yes_rate: float


def official_reading(text: str) -> bool | None:
    """Return yes or no as the benchmark's scorer reads a response, None for its empty reading."""
    if "yes" in text or "Yes" in text:
        return True
    if any(denial in text for denial in _DENIALS):
        return False
    if "contain" in text:
        return True
    return False if any(word in text for word in ("not", "unable", "can't")) else None


def strict_reading(text: str) -> bool | None:
    """Return yes or no if the response begins with it or holds one of the two words, else None."""
    opening = _OPENING.match(text)
    if opening:
        return opening[1].lower() == "yes"
    words = {word.lower() for word in _WORD.findall(text)}
    return words == {"yes"} if len(words) == 1 else None


def official_figures(
    is_present: Sequence[bool], readings: Sequence[bool | None]
) -> OfficialFigures:
    """Return the figures of the benchmark's scorer.

    Args:
        readings: from official_reading; None counts as an answer "no" that is never right.
    """
    pairs = list(zip(is_present, readings, strict=True))
    n_right = sum(reading is present for present, reading in pairs)
    n_said_no = sum(reading is not True for _, reading in pairs)
    n_right_no = sum(reading is False and not present for present, reading in pairs)
    precision = n_right_no / max(1, n_said_no)
    recall = n_right_no / max(1, sum(not present for present in is_present))
    return OfficialFigures(
        accuracy=n_right / len(pairs),
        precision=precision,
        recall=recall,
        f1=2 * precision * recall / (precision + recall) if n_right_no else 0.0,
        yes_rate=1 - n_said_no / len(pairs),
    )
