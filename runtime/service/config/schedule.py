"""Quiet hours: when a question raises no events.

"22:00-06:00", "mon-fri 08:00-17:00", "sat,sun 00:00-24:00": days, and hours by the clock on the
wall. The days are those on which it begins: "fri 22:00-06:00" ends on Saturday. Where clocks are
changed, what the wall shows counts: an hour that comes twice is quiet twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, tzinfo
from zoneinfo import ZoneInfo

from listen_edge.errors import ListenEdgeError

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY_MINUTES = 24 * 60
_TIME = re.compile(
    r"(?:(?P<days>[a-z,-]+) +)?(?P<from>[0-9]{2}:[0-9]{2})-(?P<to>[0-9]{2}:[0-9]{2})"
)
_EXPECTED = 'expected quiet hours such as "22:00-06:00" or "mon-fri 08:00-17:00"'


@dataclass(frozen=True)
class QuietTime:
    """One stretch of a week, again every week.

    Attributes:
        days: on which it begins, 0 is Monday.
        begins: minute of the day, quiet from it on.
        ends: minute of the day, quiet before it; of the next day unless more than `begins`.
    """

    days: frozenset[int]
    begins: int
    ends: int

    def covers(self, weekday: int, minute: int) -> bool:
        """Tell whether a minute of the week is quiet."""
        if self.begins < self.ends:
            return weekday in self.days and self.begins <= minute < self.ends
        is_evening = weekday in self.days and minute >= self.begins
        return is_evening or ((weekday - 1) % 7 in self.days and minute < self.ends)

    def __str__(self) -> str:
        days = "" if len(self.days) == 7 else ",".join(DAYS[k] for k in sorted(self.days)) + " "
        return f"{days}{_clock(self.begins)}-{_clock(self.ends)}"


def parse_quiet(text: str) -> QuietTime:
    """Return the quiet time that words describe.

    Raises:
        ValueError: they describe none.
    """
    found = _TIME.fullmatch(text.strip().lower())
    if found is None:
        raise ValueError(_EXPECTED)
    begins, ends = _minutes(found["from"]), _minutes(found["to"])
    if begins in (ends, _DAY_MINUTES):
        raise ValueError(f"begins when it ends; {_EXPECTED}, or 00:00-24:00 for whole days")
    return QuietTime(_days(found["days"]), begins, ends)


def zone_of(name: str | None) -> tzinfo | None:
    """Return a time zone by name; None: the system's, which datetime.astimezone knows.

    Raises:
        ListenEdgeError: there is none of this name.
    """
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (OSError, KeyError, ValueError) as err:
        raise ListenEdgeError("expected a time zone such as Europe/London") from err


def is_quiet(times: Iterable[QuietTime], at: datetime, zone: tzinfo | None = None) -> bool:
    """Tell whether a moment lies in one of these times.

    Args:
        at: aware.
        zone: where the clock on the wall is; None: the system's.
    """
    wall = at.astimezone(zone)
    minute = wall.hour * 60 + wall.minute
    return any(time.covers(wall.weekday(), minute) for time in times)


def _minutes(clock: str) -> int:
    hours, minutes = map(int, clock.split(":"))
    if minutes > 59 or hours * 60 + minutes > _DAY_MINUTES:
        raise ValueError(f"{clock} is no time of day; {_EXPECTED}")
    return hours * 60 + minutes


def _days(text: str | None) -> frozenset[int]:
    if text is None:
        return frozenset(range(7))
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if first not in DAYS or (dash and last not in DAYS):
            raise ValueError(f"expected days of {', '.join(DAYS)}, such as mon-fri or sat,sun")
        start = DAYS.index(first)
        n_days = (DAYS.index(last) - start) % 7 + 1 if dash else 1
        found |= {(start + k) % 7 for k in range(n_days)}
    return frozenset(found)


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"
