"""What a fake service says: statuses and lines, with figures that nobody measured."""

from __future__ import annotations

from datetime import datetime

from listen_edge.errors import ListenEdgeError
from listen_edge.lines.answer import Answer, Reason, State
from listen_edge.lines.event import Event, Phase
from listen_edge.question import parse_concept
from listen_edge.runtime.service.records.types import (
    Priority,
    QuestionStatus,
    SourceStatus,
    StoredEvent,
)

BUNDLE = "fake@sha256:00000000"
WINDOW_S, HOP_S = 5.0, 2.0


def source_status(key: str, name: str, now: datetime) -> SourceStatus:
    return SourceStatus(
        id=key,
        name=name,
        state="healthy",
        message=None,
        since=now,
        level_dbfs=None,
        lag_s=0.0,
        n_windows=0,
        n_dropped=0,
        n_overflows=0,
        n_restarts=0,
        heard_at=None,
    )


def question_status(
    key: str,
    ask: str,
    sources: tuple[str, ...],
    on: float,
    off: float,
    priority: Priority = "normal",
    from_config: bool = True,
) -> QuestionStatus:
    return QuestionStatus(
        id=key,
        ask=ask,
        concept=parse_concept(ask),
        sources=sources,
        on=on,
        off=off,
        priority=priority,
        is_quiet=False,
        calibrated=True,
        from_config=from_config,
    )


def checked(on: float, off: float) -> tuple[float, float]:
    if not 0 < off < on <= 1:
        raise ListenEdgeError(f"on {on:g}, off {off:g}: expected 0 < off < on <= 1")
    return on, off


def answer_line(
    asked: QuestionStatus,
    source: str,
    presence: float | None,
    reason: Reason | None,
    level_dbfs: float | None,
    hop: int,
) -> Answer:
    state: State = "unknown"
    if reason is None and presence is not None:
        state = (
            "present" if presence >= asked.on else "absent" if presence < asked.off else "unknown"
        )
        reason = "uncertain" if state == "unknown" else None
    return Answer(
        question=asked.ask,
        concept=asked.concept,
        state=state,
        reason=reason,
        presence=presence,
        head_logit=None if presence is None else 1.0,
        logit_margin=None,
        prior_margin=None,
        calibrated=True,
        window_s=(HOP_S * hop, HOP_S * hop + WINDOW_S),
        level_dbfs=level_dbfs,
        encode_ms=20.0,
        answer_ms=1.0,
        source=source,
        bundle=BUNDLE,
    )


def event_line(phase: Phase, event: StoredEvent) -> Event:
    return Event(
        phase=phase,
        question=event.ask,
        concept=event.concept,
        start_s=0.0,
        duration_s=event.duration_s,
        peak_presence=event.peak_presence,
        notice=None,
        reason="not_heard" if phase == "end" else None,
        clip=event.clip,
        source=event.source,
        bundle=event.bundle,
    )
