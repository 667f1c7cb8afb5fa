"""Why something is unknown or was not heard, in words."""

from __future__ import annotations

from collections.abc import Mapping

UNCERTAIN = "uncertain"
REASONS: Mapping[str, str] = {
    UNCERTAIN: "between the thresholds: it may or may not be there",
    "unfamiliar": "a sound that nothing vouches for",
    "silent_input": "only zeros: a dead microphone",
    "inaudible": "nothing above the noise floor",
    "too_short": "too little sound in it",
    "narrow_band": "a telephone's band, or that of a low rate",
    "speech_codec": "coded as speech, which spoils other sounds",
    "clipped": "overdriven",
    "damaged": "samples far beyond full scale",
    "overflow": "samples were lost",
    "not_finite": "NaN or infinite samples",
    "overloaded": "skipped to keep up",
    "warming_up": "less than a window was heard",
    "stale": "no sound came any more",
    "no_audio": "no sound came",
    "muted": "muted",
    "below_gate": "below the level gate",
    "unreadable": "could not be read",
    "": "no reason given",
}


def reason_words(reason: str | None) -> str:
    """Return a reason in words; one that is new to this version as it is."""
    return REASONS.get(reason or "", reason or "")
