"""Quiet hours, against a clock that is walked minute by minute."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listen_edge.errors import ListenEdgeError
from listen_edge.runtime.service.config.schedule import (
    DAYS,
    QuietTime,
    is_quiet,
    parse_quiet,
    zone_of,
)

DAY = 24 * 60
MONDAY = datetime(2026, 6, 1, tzinfo=timezone.utc)

times = st.builds(
    QuietTime,
    st.frozensets(st.integers(0, 6), min_size=1),
    st.integers(0, DAY - 1),
    st.integers(0, DAY),
).filter(lambda time: time.begins != time.ends)


@given(times)
def test_a_time_reads_as_it_is_written(time: QuietTime) -> None:
    assert parse_quiet(str(time)) == time


@given(times)
def test_every_day_named_is_quiet_for_as_long_as_it_says(time: QuietTime) -> None:
    """The quiet minutes of a week are those that begin on its days, laid out one by one."""
    length = (time.ends - time.begins) % DAY or DAY
    quiet = {(day * DAY + time.begins + k) % (7 * DAY) for day in time.days for k in range(length)}
    assert {m for m in range(7 * DAY) if time.covers(m // DAY, m % DAY)} == quiet


@given(st.datetimes(datetime(2000, 1, 1), datetime(2035, 1, 1)), times)
def test_a_zone_shows_what_its_wall_shows(at: datetime, time: QuietTime) -> None:
    zone = ZoneInfo("Europe/Berlin")
    moment = at.replace(tzinfo=timezone.utc)
    wall = moment.astimezone(zone)
    minute = wall.hour * 60 + wall.minute
    assert is_quiet([time], moment, zone) == time.covers(wall.weekday(), minute)
    assert is_quiet([time], wall, zone) == is_quiet([time], moment, zone)


@pytest.mark.parametrize(
    ("day", "n_hours"),
    [
        (datetime(2026, 3, 28), 7),  # from 2 to 3 in the morning there is nothing
        (datetime(2026, 6, 1), 8),
        (datetime(2026, 10, 24), 9),  # that hour comes twice
    ],
    ids=["an hour is lost", "usual", "an hour comes twice"],
)
def test_a_night_ends_by_the_wall_when_clocks_change(day: datetime, n_hours: int) -> None:
    zone = ZoneInfo("Europe/Berlin")
    noon = day.replace(hour=12, tzinfo=zone).astimezone(timezone.utc)
    night = [parse_quiet("22:00-06:00")]
    minutes = [noon + timedelta(minutes=k) for k in range(DAY)]
    assert sum(is_quiet(night, at, zone) for at in minutes) == n_hours * 60
    assert not is_quiet(night, day.replace(hour=21, minute=59, tzinfo=zone), zone)


def test_days_may_wrap_and_be_listed() -> None:
    assert parse_quiet("fri-mon 22:00-06:00").days == {4, 5, 6, 0}
    assert parse_quiet("Sat,sun 00:00-24:00") == QuietTime(frozenset({5, 6}), 0, DAY)
    friday_night = [parse_quiet("fri 22:00-06:00")]
    saturday = MONDAY + timedelta(days=5, hours=5, minutes=59)
    assert is_quiet(friday_night, saturday, timezone.utc)
    assert not is_quiet(friday_night, saturday + timedelta(minutes=1), timezone.utc)
    assert not is_quiet(friday_night, saturday - timedelta(days=1), timezone.utc)


@pytest.mark.parametrize(
    "words",
    [
        *("", "22-06", "22:00", "25:00-26:00", "22:60-23:00", "24:00-06:00", "10:00-10:00"),
        *("mo-fr 08:00-17:00", "mon- 08:00-17:00", ",mon 08:00-17:00", "22:00-06:00 mon"),
        *("\u0662\u0662:00-06:00", "mon\x00 01:00-02:00", "22:00-\n06:00"),
    ],
)
def test_other_words_are_refused_with_an_example(words: str) -> None:
    with pytest.raises(ValueError, match=r"expected (quiet hours|days of)") as refused:
        parse_quiet(words)
    assert str(refused.value).isprintable()


@given(st.text(st.sampled_from("montuewed,-: 0123456789"), max_size=30))
def test_any_words_are_read_or_refused(words: str) -> None:
    try:
        assert parse_quiet(str(parse_quiet(words))) == parse_quiet(words)
    except ValueError as err:
        assert "expected" in str(err)


@pytest.mark.parametrize("name", ["Mars/Olympus", "../etc/passwd", "Europe", "", "a\0b"])
def test_a_zone_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ListenEdgeError, match="expected a time zone"):
        zone_of(name)


def test_the_days_are_those_of_the_week() -> None:
    assert [(MONDAY + timedelta(days=k)).strftime("%a").lower() for k in range(7)] == list(DAYS)
