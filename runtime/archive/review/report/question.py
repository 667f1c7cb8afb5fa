"""The part of the page that is about one question."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from listen_edge.runtime.archive.review.report.calibration import Calibration
from listen_edge.runtime.archive.review.report.charts import (
    Column,
    Measure,
    bar,
    column_chart,
    hours,
    percent,
    reliability_chart,
)
from listen_edge.runtime.archive.review.report.days import columns_of
from listen_edge.runtime.archive.review.report.markup import Html, element, joined
from listen_edge.runtime.archive.review.report.scanned import MAX_ROWS, beyond, shown_at
from listen_edge.runtime.archive.review.report.seen import Seen
from listen_edge.runtime.archive.review.report.sheet import Pick
from listen_edge.runtime.archive.review.report.tables import details, note, section, table
from listen_edge.runtime.archive.review.report.words import reason_words


def question(seen: Seen, number: int, checked: Calibration | None) -> Html:
    """Return all about a question of the scan, by its number."""
    asked = seen.job.described["questions"][number]["question"]
    return section(
        *(name_of(number), asked),
        _summary(seen, number),
        *_why(seen, number),
        *_over_time(seen, number),
        *_by_place(seen, number),
        *_checked(number, checked),
        *_clips(seen, number, asked),
    )


def name_of(number: int) -> str:
    """Return what a link points to."""
    return f"question-{number + 1}"


def _summary(seen: Seen, number: int) -> Html:
    measure = _measure(seen)
    found = Column("", "", *seen.counts.total[number])
    if found.quotient is None:
        return element("p", "Cannot tell: nothing that was heard could be judged.", class_="lead")
    if measure.is_rate:
        said = f"{found.hits:,.0f} events in {hours(found.judged)} hours heard"
        unknown = f" {hours(found.unknown)} hours more say nothing." if found.unknown else ""
    else:
        said = f"Present in {found.hits:,.0f} of {found.judged:,.0f} windows that could be judged"
        unknown = f" Of {found.unknown:,.0f} more it cannot be told." if found.unknown else ""
    quotient = measure.quotient(found.quotient) + (" an hour" if measure.is_rate else "")
    return element("p", f"{said} ({quotient}).{unknown}", class_="lead")


def _why(seen: Seen, number: int) -> Iterator[Html]:
    reasons = {why: n for (of, why), n in seen.counts.reasons.items() if of == number}
    if reasons:
        ordered = sorted(reasons, key=lambda why: -reasons[why])
        rows = [(reason_words(why), f"{reasons[why]:,}") for why in ordered]
        caption = "Windows of which it cannot be told"
        yield details("Why it cannot be told", table(caption, ("Why", "Windows"), rows))


def _measure(seen: Seen) -> Measure:
    return Measure(is_rate=seen.job.unit == "events")


def _over_time(seen: Seen, number: int) -> Iterator[Html]:
    counts, measure = seen.counts, _measure(seen)
    if not counts.by_day:
        yield note("When it was is not known: no recording has a time.")
        return
    what = "Events an hour" if measure.is_rate else "Share of judged windows with the sound"
    by_hour = [
        Column(f"{hour}", f"{hour:02d}:00 to {hour:02d}:59", *figures)
        for hour, figures in enumerate(counts.by_hour[:, number])
    ]
    step, spans = columns_of(counts.by_day)
    by_day = [Column(span.label, span.name, *span.figures[number]) for span in spans]
    zone = seen.zone.key
    charts = (
        ("hour", f"{what}, by hour of day ({zone})", f"Hour ({zone})", by_hour),
        ("date", f"{what}, by {step}: {spans[0].name} to {spans[-1].name}", step.title(), by_day),
    )
    yield element(
        "div",
        *(
            _figure(f"{name_of(number)}-{name}", title, head, columns, measure)
            for name, title, head, columns in charts
        ),
        class_="pair",
    )
    yield _legend(measure)
    if counts.undated[number].any():
        undated = Column("", "", *counts.undated[number])
        yield note(
            f"Not in these charts, as nobody knows when: {undated.hits:,.0f} "
            f"{measure.heads[0].lower()} of {measure.amount(undated.judged)} "
            f"{measure.heads[1].lower()}."
        )


def _figure(name: str, title: str, head: str, columns: Sequence[Column], measure: Measure) -> Html:
    rows = [(column.name, *_cells(column, measure)) for column in columns if _is_recorded(column)]
    return element(
        "figure",
        element("figcaption", title),
        column_chart(name, title, columns, measure),
        details("The figures", table(title, (head, *measure.heads), rows)),
    )


def _is_recorded(column: Column) -> bool:
    return column.judged + column.unknown + column.hits > 0


def _cells(column: Column, measure: Measure) -> tuple[str, str, str, str]:
    return (
        f"{column.hits:,.0f}",
        measure.amount(column.judged),
        measure.quotient(column.quotient),
        measure.amount(column.unknown),
    )


def _legend(measure: Measure) -> Html:
    def key(kind: str, words: str) -> Html:
        mark = element("rect", class_=kind, width=20, height=12)
        shape = {"viewBox": "0 0 20 12", "aria_hidden": "true", "class_": "key"}
        return element("span", element("svg", mark, **shape), words)

    data = "events an hour heard" if measure.is_rate else "share of the windows that were judged"
    unknown = "could not be judged; below, how much of what was recorded"
    return element(
        "p",
        key("data", data),
        key("heard", "judged: no column, not there"),
        key("unknown", unknown),
        element("span", "blank: nothing was recorded"),
        class_="legend quiet",
    )


def _by_place(seen: Seen, number: int) -> Iterator[Html]:
    measure, title = _measure(seen), seen.places.title
    found = [
        Column("", name, *_of_place(seen, place)[number])
        for name, place in seen.places.numbers.items()
    ]
    if len(found) < 2:
        return
    ordered = sorted(found, key=lambda one: (-one.judged, one.name))[:MAX_ROWS]
    most = max((one.quotient or 0.0 for one in ordered), default=0.0) or 1.0
    rows = [_place_row(one, measure, most if measure.is_rate else 1.0) for one in ordered]
    yield element("h3", f"By {title}")
    hits, judged, quotient, unknown = measure.heads
    heads = (title[:1].upper() + title[1:], quotient, hits, judged, unknown)
    yield table(f"{seen.job.described['questions'][number]['question']} by {title}", heads, rows)
    yield from beyond(len(found), title)


def _of_place(seen: Seen, place: int) -> NDArray[np.float64]:
    found = seen.counts.by_place.get(place)
    return np.zeros_like(seen.counts.total) if found is None else found


def _place_row(column: Column, measure: Measure, most: float) -> tuple[str, ...]:
    hits, judged, quotient, unknown = _cells(column, measure)
    drawn = quotient if column.quotient is None else joined((quotient, bar(column.quotient / most)))
    return column.name, drawn, hits, judged, unknown


def _checked(number: int, checked: Calibration | None) -> Iterator[Html]:
    if checked is None:
        return
    yield element("h3", "Checked by hand")
    if checked.estimate is not None:
        yield element("p", checked.estimate.to_text_line())
    if checked.bins:
        title = "How often the sound was there, by presence, with 95 % intervals"
        heads = ("Presence", "There", "Checked", "Share", "95 % interval")
        rows = [
            (
                *(f"{one.presence:.2f}", f"{one.n_yes}", f"{one.n}", percent(one.n_yes / one.n)),
                " to ".join(map(percent, one.interval)),
            )
            for one in checked.bins
        ]
        figure = element(
            *("figure", element("figcaption", title)),
            reliability_chart(f"{name_of(number)}-checked", title, checked.bins),
            note("On the dashed line presence is the share of right ones."),
        )
        yield element("div", figure, table(title, heads, rows), class_="pair")


def _clips(seen: Seen, number: int, asked: str) -> Iterator[Html]:
    surest, least = seen.sheet.surest(number), seen.sheet.least(number)
    if surest:
        yield element("h3", "The most certain")
        yield element("ol", *(_clip(seen, pick, asked) for pick in surest), class_="clips")
    if least:
        yield element("h3", "The least certain")
        yield element("ol", *(_clip(seen, pick, asked) for pick in least), class_="clips")


def _clip(seen: Seen, pick: Pick, asked: str) -> Html:
    clip = seen.clips[pick]
    where = f"{pick.recording}, from {_clock(pick.start_s)}"
    when = (
        []
        if pick.heard_at is None
        else [note(f"{shown_at(pick.heard_at, seen)} ({seen.zone.key})")]
    )
    if clip.ogg is None:
        sound = note(f"No sound: {clip.problem.removeprefix(f'{pick.recording}: ')}")
    else:
        source = f"data:audio/ogg;base64,{base64.b64encode(clip.ogg).decode('ascii')}"
        label = f"{asked} presence {pick.presence:.2f}, {where}"
        sound = element("audio", src=source, controls="", preload="none", aria_label=label)
    presence = element("strong", f"{pick.presence:.3f}")
    return element(
        "li", element("p", presence, " presence"), sound, element("p", where, class_="where"), *when
    )


def _clock(seconds: float) -> str:
    minutes, tenths = divmod(round(seconds * 10), 600)
    return f"{minutes // 60}:{minutes % 60:02d}:{tenths / 10:04.1f}"
