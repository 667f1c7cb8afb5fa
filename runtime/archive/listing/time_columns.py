"""The column of a manifest that says when its recordings began."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from listen_edge.runtime.archive.listing.recorded_at import (
    UNSAID,
    Times,
    resolved,
    times_in_texts,
)
from listen_edge.runtime.archive.rows import TIME

USUAL = ("recorded_at", "start_time", "start")  # looked for in this order
_PER_S = {"s": 1, "ms": 10**3, "us": 10**6}
_YEAR_2_S, _YEAR_9999_S = -62_104_060_800, 253_370_764_800  # what datetime holds, in any zone
_FIRST_S, _END_S = 31_536_000, 4_102_444_800  # 1971 and 2100: a time, and no offset in a recording


def times_in_column(column: pa.ChunkedArray, timezone: str | None) -> Times:
    """Return the times of timestamps, of ISO 8601 texts, or of seconds since 1970.

    What is none of these is null.

    Args:
        timezone: IANA name of the zone of times that do not say theirs; None: unknown.
    """
    values = column.combine_chunks()
    kind = values.type
    if pa.types.is_timestamp(kind):
        values = _in_range(values).cast(pa.timestamp("us", kind.tz), safe=False)
        if kind.tz is not None:
            return _certain(values)
        local = values.to_numpy(zero_copy_only=False).astype("M8[us]")
        return resolved(local, np.full(len(local), UNSAID), timezone)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return _seconds(values.cast(pa.float64(), safe=False))  # none near 2^53 is a time
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return times_in_texts(values.cast(pa.string()), timezone)
    return _certain(pa.nulls(len(values), TIME))


def _in_range(timestamps: pa.Array) -> pa.Array:
    """Return timestamps; null for years that no calendar here has."""
    numbers, unit = timestamps.cast(pa.int64()), timestamps.type.unit
    if unit == "ns":  # 1677 to 2262
        return timestamps
    is_late = pc.greater_equal(numbers, _YEAR_2_S * _PER_S[unit])
    is_early = pc.less(numbers, _YEAR_9999_S * _PER_S[unit])
    return pc.if_else(pc.and_(is_late, is_early), timestamps, None)


def _seconds(values: pa.Array) -> Times:
    """Return times of seconds since 1970, to the microsecond."""
    is_time = pc.and_(pc.greater_equal(values, _FIRST_S), pc.less(values, _END_S))
    microseconds = pc.round(pc.multiply(pc.if_else(is_time, values, None), 1e6))
    return _certain(microseconds.cast(pa.int64()).cast(pa.timestamp("us")))


def _certain(instants: pa.Array) -> Times:
    return Times(instants.cast(TIME), pa.array(np.zeros(len(instants), np.int8)))
