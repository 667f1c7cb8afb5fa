"""Lines are a contract: their keys and types do not change within a version."""

from __future__ import annotations

import json
from datetime import datetime, timezone

from listen_edge.lines.answer import Answer
from listen_edge.lines.event import Event, Health

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


def test_event_line_is_the_contract() -> None:
    event = Event(
        phase="end",
        question="siren?",
        concept="siren",
        start_s=11.00049,
        duration_s=8.0,
        peak_presence=0.99471,
        notice=None,
        reason="not_heard",
        clip="clips/siren.flac",
        source="microphone",
        bundle="tiny@sha256:ab12cd34",
    )
    now = datetime(2026, 1, 1, tzinfo=timezone.utc)
    assert json.loads(event.to_json_line(now)) == {
        "v": 1,
        "type": "event",
        "ts": "2026-01-01T00:00:00.000Z",
        "phase": "end",
        "question": "siren?",
        "concept": "siren",
        "start_s": 11.0,
        "duration_s": 8.0,
        "peak_presence": 0.9947,
        "notice": None,
        "reason": "not_heard",
        "clip": "clips/siren.flac",
        "source": "microphone",
        "bundle": "tiny@sha256:ab12cd34",
    }
    assert event.to_text_line().endswith("8.0 s, peak presence 0.99 (not_heard)")


def test_health_line_is_the_contract() -> None:
    health = Health(
        source="microphone",
        state="recovering",
        message="unplugged",
        n_windows=120,
        n_dropped=3,
        n_gated=0,
        n_overflows=1,
        n_restarts=2,
        lag_s=0.18211,
        level_dbfs=-43.21,
    )
    now = datetime(2026, 1, 1, tzinfo=timezone.utc)
    assert json.loads(health.to_json_line(now)) == {
        "v": 1,
        "type": "health",
        "ts": "2026-01-01T00:00:00.000Z",
        "source": "microphone",
        "state": "recovering",
        "message": "unplugged",
        "n_windows": 120,
        "n_dropped": 3,
        "n_gated": 0,
        "n_overflows": 1,
        "n_restarts": 2,
        "lag_s": 0.182,
        "level_dbfs": -43.2,
    }
    assert health.to_text_line().endswith("HEALTH recovering: unplugged")
