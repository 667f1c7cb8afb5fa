"""The tables of a scan: their columns, once. docs/scan.md says in words what is in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pyarrow as pa

from listen_edge.lines.answer import Answer
from listen_edge.lines.event import Event

TIME = pa.timestamp("us", tz="UTC")
UNKNOWN_MONTH = "unknown"
UNREADABLE = "unreadable"  # reason of what a decoder could not reach

LISTED = (
    pa.field("path", pa.binary(), nullable=False),
    pa.field("recording", pa.string(), nullable=False),
    pa.field("n_bytes", pa.int64()),
    pa.field("modified", TIME),
    pa.field("recorded_at", TIME),
)
_OF_RECORDING = (
    pa.field("recording", pa.string(), nullable=False),
    pa.field("recorded_at", TIME),
)
_ASKED = (
    pa.field("question", pa.string(), nullable=False),
    pa.field("concept", pa.string(), nullable=False),
)
_BUNDLE = pa.field("bundle", pa.string(), nullable=False)
ANSWERED = (
    pa.field("start_s", pa.float64(), nullable=False),
    pa.field("end_s", pa.float64()),
    pa.field("heard_at", TIME),
    *_ASKED,
    pa.field("state", pa.string(), nullable=False),
    pa.field("reason", pa.string()),
    pa.field("presence", pa.float32()),
    pa.field("head_logit", pa.float32()),
    pa.field("logit_margin", pa.float32()),
    pa.field("prior_margin", pa.float32()),
    pa.field("calibrated", pa.bool_(), nullable=False),
    pa.field("level_dbfs", pa.float32()),
    _BUNDLE,
)
HAPPENED = (
    pa.field("start_s", pa.float64(), nullable=False),
    pa.field("duration_s", pa.float64(), nullable=False),
    pa.field("heard_at", TIME),
    *_ASKED,
    pa.field("peak_presence", pa.float32(), nullable=False),
    pa.field("is_long", pa.bool_(), nullable=False),
    pa.field("reason", pa.string(), nullable=False),
    _BUNDLE,
)
BECAME = (
    pa.field("status", pa.string(), nullable=False),
    pa.field("reason", pa.string()),
    pa.field("error", pa.string()),
    pa.field("duration_s", pa.float64(), nullable=False),
    pa.field("n_windows", pa.int64(), nullable=False),
    pa.field("n_unknown", pa.int64(), nullable=False),
)
# As answers are kept until all spans of a recording are heard: nothing is rounded.
STAGED = tuple(
    pa.field(one.name, pa.float64()) if one.type == pa.float32() else one for one in ANSWERED
)
OUR_NAMES = frozenset(
    field.name for field in (*LISTED, *ANSWERED, *HAPPENED, *BECAME, pa.field("month", pa.string()))
)
Carried = Sequence[pa.Field]  # a manifest's own columns


def answers_schema(carried: Carried = ()) -> pa.Schema:
    """Return the columns of answers/: one row per window and question."""
    return pa.schema([*_OF_RECORDING, *carried, *ANSWERED])


def events_schema(carried: Carried = ()) -> pa.Schema:
    """Return the columns of events/: one row per event."""
    return pa.schema([*_OF_RECORDING, *carried, *HAPPENED])


def recordings_schema(carried: Carried = ()) -> pa.Schema:
    """Return the columns of recordings/ and failed.parquet: one row per recording."""
    listed = [field for field in LISTED if field.name != "modified"]
    return pa.schema([*listed, *carried, *BECAME])


def carried_of(listing: pa.Schema) -> list[pa.Field]:
    """Return a listing's columns that came from a manifest."""
    ours = {field.name for field in LISTED}
    return [field for field in listing if field.name not in ours]


def month_of(recorded_at: datetime | None) -> str:
    """Return the partition of a recording."""
    return UNKNOWN_MONTH if recorded_at is None else f"{recorded_at:%Y-%m}"


def moment(recorded_at: datetime | None, offset_s: float) -> datetime | None:
    """Return the time of a place in a recording, None where its begin is not known."""
    if recorded_at is None:
        return None
    try:
        return recorded_at.astimezone(timezone.utc) + timedelta(seconds=offset_s)
    except OverflowError:  # of a clock that says the year 9999
        return None


def answer_row(answer: Answer, recorded_at: datetime | None) -> dict[str, Any]:
    """Return an answer as a row of ANSWERED."""
    start_s, end_s = answer.window_s
    return {
        "start_s": start_s,
        "end_s": end_s,
        "heard_at": moment(recorded_at, start_s),
        "question": answer.question,
        "concept": answer.concept,
        "state": answer.state,
        "reason": answer.reason,
        "presence": answer.presence,
        "head_logit": answer.head_logit,
        "logit_margin": answer.logit_margin,
        "prior_margin": answer.prior_margin,
        "calibrated": answer.calibrated,
        "level_dbfs": answer.level_dbfs,
        "bundle": answer.bundle,
    }


def unreadable_row(answer: Answer, start_s: float, recorded_at: datetime | None) -> dict[str, Any]:
    """Return the row of what a decoder could not reach, from a place in its recording on.

    Args:
        answer: any about the question.
    """
    unheard = replace(
        answer,
        state="unknown",
        presence=None,
        head_logit=None,
        logit_margin=None,
        prior_margin=None,
        level_dbfs=None,
        window_s=(start_s, start_s),
    )
    return {**answer_row(unheard, recorded_at), "reason": UNREADABLE, "end_s": None}


def answer_of(row: Mapping[str, Any]) -> Answer:
    """Return a row of ANSWERED as the answer that it was made of."""
    own = {key: row[key] for key in row if key not in ("start_s", "end_s", "heard_at")}
    window_s = (row["start_s"], row["end_s"])
    return Answer(**own, window_s=window_s, source="", encode_ms=0.0, answer_ms=0.0)


def event_row(event: Event, *, is_long: bool, recorded_at: datetime | None) -> dict[str, Any]:
    """Return an event that has ended as a row of HAPPENED."""
    return {
        "start_s": event.start_s,
        "duration_s": event.duration_s,
        "heard_at": moment(recorded_at, event.start_s),
        "question": event.question,
        "concept": event.concept,
        "peak_presence": event.peak_presence,
        "is_long": is_long,
        "reason": event.reason,
        "bundle": event.bundle,
    }
