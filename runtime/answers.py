"""What one window gave -> answers: calibrated, judged, and never "absent" of what was not heard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from listen_edge.bundle.head import Reading
from listen_edge.bundle.opening import Bundle
from listen_edge.lines.answer import Answer, Reason, State
from listen_edge.lines.heard import HeardLine
from listen_edge.question import parse_concept
from listen_edge.question.vocabulary import is_familiar
from listen_edge.runtime.hear_config import HearConfig
from listen_edge.runtime.score import NARROW_ON, judge
from listen_edge.runtime.thresholds import Thresholds
from listen_edge.runtime.vocabulary import Vocabulary

# Whether a phrase is near enough to what was trained on, see Readers.understands.
Understands = Callable[[str], bool]


@dataclass(frozen=True)
class Heard:
    """What one window of sound gave.

    Attributes:
        readings: by concept.
        shown: presence of the vocabulary's names, None where they were not wanted.
        level_dbfs, encode_ms, answer_ms: as in the answers.
    """

    readings: dict[str, Reading]
    shown: NDArray[np.float64] | None
    level_dbfs: float | None
    encode_ms: float
    answer_ms: float


def unheard_answers(
    questions: Sequence[str],
    reason: Reason,
    bundle: Bundle,
    understands: Understands,
    *,
    window_s: tuple[float, float],
    source: str,
    level: float | None = None,
) -> list[Answer]:
    """Return answers about what was not listened to; arguments and errors as for Engine.unheard."""
    concepts = [parse_concept(question) for question in questions]
    reasons: list[Reason] = [
        "unfamiliar"
        if reason == "below_gate" and not _is_understood(concept, bundle, understands)
        else reason
        for concept in concepts
    ]
    return [
        Answer(
            question=question,
            concept=concept,
            state="absent" if why == "below_gate" else "unknown",
            reason=why,
            presence=None,
            head_logit=None,
            logit_margin=None,
            prior_margin=None,
            calibrated=bundle.manifest.calibration.covers(concept),
            window_s=window_s,
            level_dbfs=level,
            encode_ms=0.0,
            answer_ms=0.0,
            source=source,
            bundle=bundle.id,
        )
        for question, concept, why in zip(questions, concepts, reasons, strict=True)
    ]


def heard_answers(
    heard: Heard,
    unheard: Sequence[Answer],
    bundle: Bundle,
    understands: Understands,
    thresholds: Thresholds,
    doubts: Sequence[Reason | None],
) -> list[Answer]:
    """Return the answers of a window that was listened to.

    Args:
        unheard: what each question's answer was before, see unheard_answers.
        doubts: what may have hidden a sound from this window.
    """
    answers = []
    for answer in unheard:
        reading = heard.readings[answer.concept]
        presence: float | None = None
        state: State = "unknown"
        reason: Reason | None = "unfamiliar"
        if _is_readable(answer.concept, bundle):
            presence = calibrated_presence(reading, bundle)
            if _is_near(answer.concept, bundle, understands):
                state, reason = judge(presence, thresholds, *doubts)
        answers.append(
            replace(
                answer,
                state=state,
                reason=reason,
                presence=presence,
                head_logit=reading.logit,
                logit_margin=reading.margin,
                prior_margin=reading.prior,
                level_dbfs=heard.level_dbfs,
                encode_ms=heard.encode_ms,
                answer_ms=heard.answer_ms,
            )
        )
    return answers


def unheard_sounds(
    reason: Reason,
    bundle: Bundle,
    *,
    window_s: tuple[float, float],
    source: str,
    level: float | None = None,
) -> HeardLine:
    """Return what is told of what was not listened to: that nothing is known, and why."""
    return HeardLine(
        source=source,
        window_s=window_s,
        sounds=None,
        reason=reason,
        level_dbfs=level,
        encode_ms=0.0,
        answer_ms=0.0,
        bundle=bundle.id,
    )


def heard_sounds(
    heard: Heard,
    unheard: HeardLine,
    vocabulary: Vocabulary,
    hearing: HearConfig,
    doubts: Sequence[Reason | None],
) -> HeardLine:
    """Return the likeliest sounds of a window that was listened to.

    Args:
        unheard: what was told of it before, see unheard_sounds.
        doubts: what may have hidden a sound from this window; a narrow band asks for the same
            certainty as an answer there, see judge.
    """
    assert heard.shown is not None
    known = [doubt for doubt in doubts if doubt is not None]
    least = max(hearing.least, NARROW_ON) if "narrow_band" in known else hearing.least
    return replace(
        unheard,
        sounds=vocabulary.likeliest(heard.shown, hearing.top, least),
        reason=min(known, key=lambda doubt: doubt == "narrow_band", default=None),
        level_dbfs=heard.level_dbfs,
        encode_ms=heard.encode_ms,
        answer_ms=heard.answer_ms,
    )


def summarize(answers: Sequence[Answer]) -> Answer:
    """Return the answer about a recording out of one question's answers about its windows.

    Present where a window is, with the highest presence; absent only where every window is; else
    the unknown with the highest presence.
    """
    rank = {"present": 2, "unknown": 1, "absent": 0}
    return max(answers, key=lambda answer: (rank[answer.state], answer.presence or -1.0))


def calibrated_presence(reading: Reading, bundle: Bundle) -> float:
    """Return presence in [0, 1] of what a bundle's readers have read."""
    head = bundle.manifest.head
    if head is not None:
        return head.fusion.presence(reading)
    assert reading.margin is not None and reading.prior is not None
    return bundle.manifest.calibration.presence(reading.margin, reading.prior)


def _is_understood(concept: str, bundle: Bundle, understands: Understands) -> bool:
    """Tell whether it can be asked about: in English or trained words, near what was trained on."""
    return _is_readable(concept, bundle) and _is_near(concept, bundle, understands)


def _is_near(concept: str, bundle: Bundle, understands: Understands) -> bool:
    return concept in bundle.manifest.raw.get("trained_concepts", ()) or understands(concept)


def _is_readable(concept: str, bundle: Bundle) -> bool:
    """Tell whether it is in English, or in words that the bundle was trained on."""
    manifest = bundle.manifest
    trained = manifest.raw.get("trained_concepts", ())
    return manifest.calibration.covers(concept) or concept in trained or is_familiar(concept)
