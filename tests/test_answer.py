"""The answer line is a contract: its keys and types do not change within a version."""

from __future__ import annotations

import json
from datetime import datetime, timezone

from listen_edge.answer import Answer

ANSWER = Answer(
    question="siren?",
    concept="siren",
    state="present",
    reason=None,
    presence=0.971234,
    logit_margin=3.41199,
    prior_margin=-1.2,
    calibrated=True,
    window_s=(0.0, 5.0),
    level_dbfs=-23.11,
    encode_ms=26.12,
    answer_ms=41.0,
    source="siren.flac",
    bundle="tiny@sha256:ab12cd34",
)


def test_answer_line_is_the_contract() -> None:
    now = datetime(2026, 1, 1, tzinfo=timezone.utc)
    assert json.loads(ANSWER.to_json_line(now)) == {
        "v": 1,
        "type": "answer",
        "ts": "2026-01-01T00:00:00.000Z",
        "source": "siren.flac",
        "question": "siren?",
        "concept": "siren",
        "state": "present",
        "presence": 0.9712,
        "logit_margin": 3.412,
        "prior_margin": -1.2,
        "calibrated": True,
        "window_s": [0.0, 5.0],
        "level_dbfs": -23.1,
        "reason": None,
        "latency_ms": {"encode": 26.1, "answer": 41.0},
        "bundle": "tiny@sha256:ab12cd34",
    }
    assert "\n" not in ANSWER.to_json_line(now)


def test_text_line_is_for_people() -> None:
    line = ANSWER.to_text_line()
    assert "siren.flac" in line and "0.97" in line and line.endswith("present")
