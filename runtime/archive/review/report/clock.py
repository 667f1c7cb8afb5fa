"""Moments of a scan as hours and days of a place's clock, by the quarter of an hour.

Every offset in use is a multiple of a quarter: what lies in one has one local hour and day.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from listen_edge.errors import ListenEdgeError
from listen_edge.printable import escaped

QUARTER_S = 900
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class Local(NamedTuple):
    """Of each moment: is it known, and then its hour (0-23) and day (see date.toordinal)."""

    is_known: NDArray[np.bool_]  # (n,)
    hours: NDArray[np.int64]  # (n,)
    days: NDArray[np.int64]  # (n,)


def zone_named(name: str) -> ZoneInfo:
    """Return an IANA time zone; ListenEdgeError if there is none of this name."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as err:
        raise ListenEdgeError(
            f"--timezone {escaped(name)}: no such time zone; expected a name such as Europe/Berlin "
            "or UTC"
        ) from err


class Clock:
    """A place's clock.

    Args:
        zone: of the place.
    """

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._one = lru_cache(maxsize=1 << 16)(self._hour_and_day)

    def local(self, quarters: NDArray[np.int64], is_known: NDArray[np.bool_]) -> Local:
        """Return moments, in quarters of an hour since 1970, as this clock shows them."""
        distinct, at = np.unique(np.where(is_known, quarters, 0), return_inverse=True)
        shown = np.array([self._one(quarter) for quarter in distinct.tolist()], np.int64)
        hours, days = shown.reshape(-1, 2)[at].T
        return Local(is_known & (days > 0), hours, days)

    def _hour_and_day(self, quarter: int) -> tuple[int, int]:
        """Return hour and day, (0, 0) beyond the calendar's years."""
        try:
            shown = (_EPOCH + timedelta(seconds=quarter * QUARTER_S)).astimezone(self._zone)
        except (OverflowError, ValueError):
            return 0, 0
        return shown.hour, shown.toordinal()
