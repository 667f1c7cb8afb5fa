"""Answers: what is there, what is not, and what cannot be told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from listen_edge.lines import JsonLine, LineType
from listen_edge.printable import printable

State = Literal["present", "absent", "unknown"]
Reason = Literal[
    "uncertain",  # presence between the off and on thresholds
    "unfamiliar",  # a word that is not English, or a name far from all that was trained on
    "silent_input",  # all zero or a constant: a dead microphone, never "absent"
    "inaudible",  # nothing above the noise floor: a muted input, or a sound too faint
    "too_short",  # little sound in it, or mostly digital zeros
    "narrow_band",  # from a telephone's or a low rate's band, where ears trained on more err
    "speech_codec",  # through GSM, AMR or the like, which make of other sounds what speech could be
    "clipped",  # overdriven, so that a sound may have been lost
    "damaged",  # the device delivered samples far beyond full scale
    "overflow",  # samples were lost on their way from the device
    "not_finite",  # the device delivered NaN or infinite samples
    "overloaded",  # windows before this one were skipped to keep up
    "warming_up",  # less than a whole window has been heard so far
    "stale",  # no audio since the last window
    "no_audio",  # the source is not healthy, see its health lines
    "muted",  # the source was closed because somebody wanted that
    "below_gate",  # not unknown but absent: quieter than the level gate that the user has set
]


@dataclass(frozen=True)
class Answer(JsonLine):
    """Is the sound there? One question about one window.

    Attributes:
        question: as it was asked.
        concept: what was asked about, see parse_concept.
        state: present, absent or unknown.
        reason: why unknown (or, for "below_gate", why absent without having asked), else None.
        presence: calibrated, in [0, 1]; None when nothing was listened to, and for words that are
            not English. Of an unfamiliar English name it is a score that nothing vouches for.
        head_logit: the question head's logit in nats; None when nothing was listened to, and of a
            bundle without a head.
        logit_margin: the LLM's logit(yes) - logit(no) in nats; None when it was not asked.
        prior_margin: the same on blank audio.
        calibrated: whether the bundle's calibration speaks of this concept.
        window_s: start and end in seconds from the start of the recording or of listening.
        level_dbfs: RMS level, None for digital silence.
        encode_ms, answer_ms: compute time; all questions of a window share it.
        source: name of the recording or device.
        bundle: name and hash of the bundle.
    """

    TYPE: ClassVar[LineType] = "answer"
    DIGITS: ClassVar[Mapping[str, int]] = {
        "presence": 4,
        "head_logit": 3,
        "logit_margin": 3,
        "prior_margin": 3,
        "window_s": 3,
        "level_dbfs": 1,
        "encode_ms": 1,
        "answer_ms": 1,
    }

    question: str
    concept: str
    state: State
    reason: Reason | None
    presence: float | None
    head_logit: float | None
    logit_margin: float | None
    prior_margin: float | None
    calibrated: bool
    window_s: tuple[float, float]
    level_dbfs: float | None
    encode_ms: float
    answer_ms: float
    source: str
    bundle: str

    @property
    def says_yes(self) -> bool:
        """The forced yes/no of evaluations."""
        return self.presence is not None and self.presence >= 0.5

    def to_text_line(self) -> str:
        """Return the answer for people: source, question, state and presence."""
        state = self.state if self.reason is None else f"{self.state} ({self.reason})"
        presence = "    -" if self.presence is None else f"{self.presence:5.2f}"
        start, end = self.window_s
        note = "" if self.calibrated else "  not calibrated"
        return (
            f"{printable(self.source):<20} {start:6.1f}-{end:<6.1f} {printable(self.question):<24} "
            f"{presence}  {state}{note}"
        )

    def _to_keys(self, values: dict[str, Any]) -> dict[str, Any]:
        latency_ms = {"encode": values.pop("encode_ms"), "answer": values.pop("answer_ms")}
        return {**values, "latency_ms": latency_ms}

    @classmethod
    def _from_keys(cls, keys: dict[str, Any]) -> dict[str, Any]:
        latency_ms, (start, end) = keys.pop("latency_ms"), keys.pop("window_s")
        return {
            **keys,
            "window_s": (start, end),
            "encode_ms": latency_ms["encode"],
            "answer_ms": latency_ms["answer"],
        }
