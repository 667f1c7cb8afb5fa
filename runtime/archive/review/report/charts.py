"""Charts as SVG that scales with the page, each with its words and a table of its figures.

They are sized in units of which a phone shows about one a pixel. Colours are the style sheet's:
one for data, and hatching for what could not be judged, which is never drawn as zero.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from listen_edge.runtime.archive.review.report.markup import Html, element, joined

_WIDTH, _HEIGHT = 400, 166
_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, 396.0, 10.0, 112.0  # of the data
_STRIP_TOP, _STRIP_BOTTOM = 118.0, 132.0  # of what could not be judged
_LEAST = 1.0  # what is there is seen
_LABELS = 150.0
_LETTER = 8.0  # of a label, on a phone
_SQUARE_HEIGHT, _FLOOR = 240, 204.0


@dataclass(frozen=True)
class Measure:
    """What a figure is: a share of windows, or events an hour.

    Attributes:
        is_rate: of events.
    """

    is_rate: bool

    @property
    def heads(self) -> tuple[str, str, str, str]:
        """Of a table: hits, judged, their quotient, not judged."""
        if self.is_rate:
            return "Events", "Hours heard", "Events an hour", "Hours unknown"
        return "Present", "Judged", "Share", "Unknown"

    def quotient(self, value: float | None) -> str:
        """Return a quotient in words."""
        if value is None:
            return "cannot tell"
        if self.is_rate:
            return f"{value:.2g}" if 0 < value < 10 else f"{value:,.0f}"
        return percent(value)

    def amount(self, value: float) -> str:
        """Return what was judged, or not, in words."""
        return hours(value) if self.is_rate else f"{value:,.0f}"


@dataclass(frozen=True)
class Column:
    """One column of a chart, one row of its table.

    Attributes:
        label, name: on the axis, and in full.
        hits, judged, unknown: see counts.py.
    """

    label: str
    name: str
    hits: float
    judged: float
    unknown: float

    @property
    def quotient(self) -> float | None:
        """Hits of what was judged; None: nothing was."""
        return self.hits / self.judged if self.judged > 0 else None

    @property
    def unknown_share(self) -> float:
        """How much of what was recorded could not be judged."""
        recorded = self.judged + self.unknown
        return self.unknown / recorded if recorded > 0 else 0.0


def percent(share: float) -> str:
    """Return a share in words; neither little is 0 % nor nearly all 100 %."""
    per_cent = 100 * share
    if 0 < per_cent < 10:
        return f"{per_cent:.2g} %" if per_cent >= 0.01 else "< 0.01 %"
    return f"{min(per_cent, 99.9):.1f} %" if 99.5 <= per_cent < 100 else f"{per_cent:.0f} %"


def hours(value: float) -> str:
    """Return hours in words, of a few with hundredths."""
    return f"{value:,.1f}" if value >= 10 or value == 0 else f"{value:.2g}"


def column_chart(name: str, title: str, columns: Sequence[Column], measure: Measure) -> Html:
    """Return a chart of columns over a strip of what could not be judged.

    Args:
        name: of this chart in the page, unlike all others.
        title: what it shows.
    """
    top = _round_up(max((column.quotient or 0.0 for column in columns), default=0.0), measure)
    step = (_RIGHT - _LEFT) / len(columns)
    marks = [
        mark
        for number, column in enumerate(columns)
        for mark in _column(_LEFT + number * step, step, column, top, measure)
    ]
    return _svg(
        *(name, title, _described(columns, measure), _HEIGHT),
        _grid(top, measure),
        *marks,
        *_axis_labels([column.label for column in columns], step),
    )


def _column(left: float, step: float, column: Column, top: float, measure: Measure) -> list[Html]:
    gap = min(1.5, step * 0.15)

    def block(kind: str, upper: float, lower: float) -> Html:
        place = {"x": left + gap / 2, "width": step - gap, "y": upper, "height": lower - upper}
        return element("rect", class_=kind, **place)

    marks = []
    if column.quotient is not None:
        height = max((_BOTTOM - _TOP) * column.quotient / top, _LEAST)
        marks += [block("heard", _TOP, _BOTTOM), block("data", _BOTTOM - height, _BOTTOM)]
    elif column.unknown > 0:
        marks.append(block("unknown", _TOP, _BOTTOM))
    if column.unknown > 0:
        height = max((_STRIP_BOTTOM - _STRIP_TOP) * column.unknown_share, _LEAST)
        marks.append(block("unknown", _STRIP_BOTTOM - height, _STRIP_BOTTOM))
    told = element("title", f"{column.name}: {_told(column, measure)}")
    place = {"x": left, "width": step, "y": _TOP, "height": _STRIP_BOTTOM - _TOP}
    return [*marks, element("rect", told, class_="touch", **place)]


def _told(column: Column, measure: Measure) -> str:
    if column.judged + column.unknown == 0:
        return "nothing recorded"
    hits, judged, _, unknown = (head.lower() for head in measure.heads)
    return (
        f"{measure.quotient(column.quotient)}; {column.hits:,.0f} {hits}, "
        f"{measure.amount(column.judged)} {judged}, {measure.amount(column.unknown)} {unknown}"
    )


def _described(columns: Sequence[Column], measure: Measure) -> str:
    """Return what the chart says, for those who do not see it."""
    judged = [column for column in columns if column.quotient is not None]
    if not judged:
        return "Nothing could be judged."
    highest = max(judged, key=lambda column: column.quotient or 0.0)
    lowest = min(judged, key=lambda column: column.quotient or 0.0)
    n_blind = sum(column.judged == 0 < column.unknown for column in columns)
    blind = f" In {n_blind} of {len(columns)} columns nothing could be judged." if n_blind else ""
    return (
        f"Highest at {highest.name}: {measure.quotient(highest.quotient)}. "
        f"Lowest at {lowest.name}: {measure.quotient(lowest.quotient)}.{blind}"
        " The figures are in the table below."
    )


def _grid(top: float, measure: Measure) -> Html:
    lines = []
    for part in (0.0, 0.5, 1.0):
        y = _BOTTOM - (_BOTTOM - _TOP) * part
        kind = "grid" if part else "axis"
        lines.append(element("line", class_=kind, x1=_LEFT, x2=_RIGHT, y1=y, y2=y))
        label = measure.quotient(top * part)
        lines.append(element("text", label, x=_LEFT - 5, y=y + 4, text_anchor="end"))
    return joined(lines)


def _axis_labels(labels: Sequence[str], step: float) -> list[Html]:
    """Return as many labels as have room beside each other."""
    widest = max(map(len, labels)) * _LETTER + _LETTER
    every = math.ceil(widest / step)
    return [
        element("text", label, x=_LEFT + (number + 0.5) * step, y=_LABELS, text_anchor="middle")
        for number, label in enumerate(labels)
        if number % every == 0
        and _LEFT + (number + 0.5) * step + len(label) * _LETTER / 2 <= _WIDTH
    ]


def _round_up(value: float, measure: Measure) -> float:
    """Return the least 1, 2 or 5 times a power of ten that is no less."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    top = next(n * power for n in (1, 2, 5, 10) if n * power >= value * (1 - 1e-9))
    return top if measure.is_rate else min(top, 1.0)


def bar(share: float) -> Html:
    """Return a small bar, for a table that says the figure too."""
    filled = element("rect", class_="data", x=0, y=0, width=100 * min(share, 1.0), height=10)
    shape = {"viewBox": "0 0 100 10", "preserveAspectRatio": "none", "aria_hidden": "true"}
    return element("svg", filled, class_="bar", **shape)


@dataclass(frozen=True)
class Bin:
    """What was checked by hand of one range of presence.

    Attributes:
        presence: the mean.
        n_yes, n: how many held the sound, of how many.
        interval: of the share, 95 %.
    """

    presence: float
    n_yes: int
    n: int
    interval: tuple[float, float]


def reliability_chart(name: str, title: str, checked: Sequence[Bin]) -> Html:
    """Return a diagram of how often the sound was there, by what presence said.

    Source: Murphy and Winkler (1977), Reliability of subjective probability forecasts of
    precipitation and temperature, Applied Statistics 26.
    """
    ends = {"x1": _presence_x(0), "x2": _presence_x(1), "y1": _FLOOR, "y2": _TOP}
    marks = [element("line", class_="grid even", **ends)]
    for share in (0.0, 0.5, 1.0):
        kind = "grid" if share else "axis"
        y = _share_y(share)
        marks.append(element("line", class_=kind, x1=_LEFT, x2=_RIGHT, y1=y, y2=y))
        marks.append(element("text", percent(share), x=_LEFT - 5, y=y + 4, text_anchor="end"))
        x, label = _presence_x(share), f"{share:g}"
        marks.append(element("text", label, x=x, y=_FLOOR + 16, text_anchor="middle"))
    for one in checked:
        x, (low, high) = _presence_x(one.presence), one.interval
        whisker = {"x1": x, "x2": x, "y1": _share_y(low), "y2": _share_y(high)}
        marks.append(element("line", class_="whisker", **whisker))
        marks.append(element("circle", class_="data", cx=x, cy=_share_y(one.n_yes / one.n), r=5))
    marks.append(
        element("text", "presence", x=(_LEFT + _RIGHT) / 2, y=_FLOOR + 30, text_anchor="middle")
    )
    told = "; ".join(f"{one.n_yes} of {one.n} at presence {one.presence:.2f}" for one in checked)
    return _svg(name, title, f"The sound was there in {told}.", _SQUARE_HEIGHT, *marks)


def _presence_x(presence: float) -> float:
    return _LEFT + 12 + (_RIGHT - _LEFT - 24) * presence


def _share_y(share: float) -> float:
    return _FLOOR - (_FLOOR - _TOP) * share


def _svg(name: str, title: str, told: str, height: float, *marks: Html) -> Html:
    words = (element("title", title, id=f"{name}-title"), element("desc", told, id=f"{name}-desc"))
    return element(
        *("svg", *words, *marks),
        viewBox=f"0 0 {_WIDTH} {height:g}",
        role="img",
        class_="chart",
        aria_labelledby=f"{name}-title",
        aria_describedby=f"{name}-desc",
    )
