"""The lines of listen_edge/lines/ as the OpenAPI document describes them."""

from __future__ import annotations

import json
from typing import Literal

from pydantic import BaseModel

from listen_edge.lines.answer import Answer, Reason, State


class Latency(BaseModel):
    """Compute time in ms; all questions of a window share it."""

    encode: float
    answer: float


class AnswerLine(BaseModel):
    """An answer, as every command prints it."""

    v: Literal[1]
    type: Literal["answer"]
    ts: str
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
    source: str
    bundle: str
    latency_ms: Latency


def answer_line(answer: Answer) -> AnswerLine:
    """Return an answer as its line."""
    return AnswerLine.model_validate(json.loads(answer.to_json_line()))
