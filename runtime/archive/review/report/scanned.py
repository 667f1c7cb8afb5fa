"""What was not heard, what was, and where: the parts of the page that are of all questions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from listen_edge.runtime.archive.job import FAILED
from listen_edge.runtime.archive.review.report.charts import hours, percent
from listen_edge.runtime.archive.review.report.markup import Html, element
from listen_edge.runtime.archive.review.report.seen import Seen
from listen_edge.runtime.archive.review.report.tables import details, facts, note, section, table
from listen_edge.runtime.archive.review.report.words import UNCERTAIN, reason_words

MAX_ROWS = 30  # places in a table


def not_heard(seen: Seen) -> Html:
    """Return what could not be heard: absence there means nothing."""
    parts = [*_problems(seen)]
    if not parts:
        whole = "Every recording was heard to its end, and something could be said of every window."
        return section("unheard", "What was not heard", element("p", whole))
    lead = "Nothing is said of it below. That no sound was found there does not mean that none was."
    return section("unheard", "What was not heard", element("p", lead, class_="lead"), *parts)


def _problems(seen: Seen) -> Iterator[Html]:
    found, n_listed = seen.recordings, seen.job.described["listing"]["recordings"]
    n_done = found.all.n_recordings
    if n_done < n_listed:
        yield element(
            *("p", element("strong", "The scan is not finished."), f" {n_done:,} of {n_listed:,} "),
            f"recordings are done; nothing is known of the other {n_listed - n_done:,}.",
        )
    if found.all.n_not_whole:
        yield _by_status(seen)
        yield _named(seen)
    yield from _unknown_windows(seen)
    if found.n_undated:
        yield element(
            *("p", f"Of {found.n_undated:,} recordings it is not known when they were made: they "),
            "are in no chart over time.",
        )


def _by_status(seen: Seen) -> Html:
    rows = [
        (status, reason_words(reason) if status != "heard" else "to the end", f"{n:,}")
        for (status, reason), n in sorted(
            seen.recordings.statuses.items(), key=lambda one: (_RANK.get(one[0][0], 3), -one[1])
        )
    ]
    heads = ("Recordings", "Why", "How many")
    return table("What became of the recordings", heads, rows, n_words=2)


_RANK = {"unheard": 0, "in part": 1, "heard": 2}


def _named(seen: Seen) -> Html:
    found = seen.recordings
    rows = [
        (one["recording"], one["status"], one["error"] or reason_words(one["reason"]))
        for one in found.not_whole
    ]
    n_more = found.all.n_not_whole - len(rows)
    more = f" {n_more:,} more are in {FAILED}." if n_more else ""
    return details(
        f"Which they are ({found.all.n_not_whole:,})",
        table("Not heard, or in part", ("Recording", "Heard", "Why"), rows, n_words=3),
        note(f"All are in {FAILED} when the scan has ended.{more}"),
    )


def _unknown_windows(seen: Seen) -> Iterator[Html]:
    found = seen.recordings
    if found.n_unknown:
        share = percent(found.n_unknown / max(found.n_windows, 1))
        yield element(
            *("p", f"Of {found.n_windows:,} windows that were decoded, {found.n_unknown:,} "),
            f"({share}) say nothing.",
        )
    most: dict[str, int] = {}
    for (_, reason), n in seen.counts.reasons.items():
        if reason != UNCERTAIN:
            most[reason] = max(n, most.get(reason, 0))
    if most:
        rows = [
            (reason_words(reason), f"{n:,}")
            for reason, n in sorted(most.items(), key=lambda one: -one[1])
        ]
        caption = "Windows of which nothing can be said, of the question with the most"
        yield table(caption, ("Why", "Windows"), rows)


def scanned(seen: Seen) -> Html:
    """Return what was scanned, how, and when it was recorded."""
    found, described = seen.recordings, seen.job.described
    n_listed = described["listing"]["recordings"]
    return section(
        *("scanned", "What was scanned"),
        facts(
            (
                ("Recordings", f"{found.all.n_recordings:,} of {n_listed:,} listed"),
                ("Heard", f"{hours(found.all.hours)} hours, {found.n_windows:,} windows"),
                ("Recorded", _recorded(seen)),
                ("Bundle", f"{described['bundle']}, listen-edge {described['version']}"),
                ("Windows", _windows(seen)),
                ("Each row is", "an event" if seen.job.unit == "events" else "a window's answer"),
            )
        ),
        _questions(seen),
    )


def _recorded(seen: Seen) -> str:
    first, last = seen.recordings.first, seen.recordings.last
    if first is None or last is None:
        return "not known when"
    return f"{shown_at(first, seen)} to {shown_at(last, seen)} ({seen.zone.key})"


def shown_at(moment: datetime, seen: Seen) -> str:
    """Return a moment as the clock of the report shows it."""
    try:
        return f"{moment.astimezone(seen.zone):%Y-%m-%d %H:%M:%S}"
    except OverflowError:  # at either end of the calendar
        return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _windows(seen: Seen) -> str:
    described = seen.job.described
    gate = described.get("gate_dbfs")
    below = "" if gate is None else f"; absent below {gate:g} dBFS"
    return f"{described['window_s']:g} s, one every {described['hop_s']:g} s{below}"


def _questions(seen: Seen) -> Html:
    described = seen.job.described
    if seen.job.unit == "events":
        heads = ("Question", "Begins at", "Goes on down to")
        rows = [
            (one["question"], f"presence {one['on']:g}", f"{one['off']:g}")
            for one in described["questions"]
        ]
        return table("Questions, and the thresholds of their events", heads, rows)
    state = described["state"]
    rows = [
        (one["question"], f"presence {state['on']:g} and more", f"below {state['off']:g}")
        for one in described["questions"]
    ]
    return table("Questions, and their thresholds", ("Question", "Present", "Absent"), rows)


def places(seen: Seen) -> Html:
    """Return how much was heard of each place."""
    numbers = {number: name for name, number in seen.places.numbers.items()}
    by_place = seen.recordings.by_place
    ordered = sorted(by_place, key=lambda number: (-by_place[number].hours, numbers[number]))
    rows = [
        (numbers[n], f"{one.n_recordings:,}", hours(one.hours), f"{one.n_not_whole:,}")
        for n, one in ((n, by_place[n]) for n in ordered[:MAX_ROWS])
    ]
    heads = (_title(seen), "Recordings", "Hours heard", "Not heard, or in part")
    return section(
        *("places", f"By {seen.places.title}"),
        table(f"Recordings by {seen.places.title}", heads, rows),
        *beyond(len(ordered), seen.places.title),
    )


def beyond(n_places: int, title: str) -> Sequence[Html]:
    """Return a note on places that a table has no room for."""
    n_more = n_places - MAX_ROWS
    return [note(f"The {MAX_ROWS} largest; {n_more:,} more of {title} are not shown.")] * (
        n_more > 0
    )


def _title(seen: Seen) -> str:
    return seen.places.title[:1].upper() + seen.places.title[1:]
