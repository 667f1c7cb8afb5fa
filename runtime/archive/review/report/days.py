"""Days gathered into columns that fit beside each other: days, weeks, months or years."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MAX_COLUMNS = 92  # three months of days
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Span(NamedTuple):
    """A column: its name on the axis, in full, and its figures (n_questions, 3)."""

    label: str
    name: str
    figures: NDArray[np.float64]


class _Step(NamedTuple):
    """How long a column is.

    Attributes:
        name: of one.
        number: of the column that a day is in; they are counted through.
        words: a column's label and name in full.
    """

    name: str
    number: Callable[[date], int]
    words: Callable[[int], tuple[str, str]]


def columns_of(by_day: Mapping[int, NDArray[np.float64]]) -> tuple[str, list[Span]]:
    """Return what a column is ("day", "week", ...) and the columns from the first to the last day.

    A column of which there is no day has figures of zero: nothing was recorded then.

    Args:
        by_day: figures by the day's ordinal; at least one.
    """
    days = {date.fromordinal(ordinal): figures for ordinal, figures in by_day.items()}
    step = _step(min(days), max(days))
    first, last = step.number(min(days)), step.number(max(days))
    figures = np.zeros((last - first + 1, *next(iter(days.values())).shape))
    for day, found in days.items():
        figures[step.number(day) - first] += found
    spans = [
        Span(*step.words(number), figures[number - first]) for number in range(first, last + 1)
    ]
    return step.name, spans


def _step(first: date, last: date) -> _Step:
    """Return the shortest step that makes at most MAX_COLUMNS."""
    steps = (
        _Step("day", date.toordinal, _day_words),
        _Step("week", lambda day: (day.toordinal() - 1) // 7, _week_words),
        _Step("month", lambda day: day.year * 12 + day.month - 1, _month_words),
    )
    for step in steps:
        if step.number(last) - step.number(first) < MAX_COLUMNS:
            return step
    n_years = -(-(last.year - first.year + 1) // MAX_COLUMNS)
    return _years(n_years, first.year)


def _years(n_years: int, first: int) -> _Step:
    def words(number: int) -> tuple[str, str]:
        year = first + number * n_years
        return str(year), str(year) if n_years == 1 else f"{year} to {year + n_years - 1}"

    name = "year" if n_years == 1 else f"{n_years} years"
    return _Step(name, lambda day: (day.year - first) // n_years, words)


def _day_words(number: int) -> tuple[str, str]:
    day = date.fromordinal(number)
    return f"{day.day} {_MONTHS[day.month - 1]}", day.isoformat()


def _week_words(number: int) -> tuple[str, str]:
    label, monday = _day_words(number * 7 + 1)  # 0001-01-01, of ordinal 1, was a Monday
    return label, f"week from {monday}"


def _month_words(number: int) -> tuple[str, str]:
    year, month = divmod(number, 12)
    return f"{_MONTHS[month]} {year}", f"{year:04d}-{month + 1:02d}"
