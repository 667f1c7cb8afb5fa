"""File names of recorders -> when they began, and what is not guessed."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from listen_edge.runtime.archive.listing.recorded_at import (
    BY_DEFAULT,
    NO_DOUBT,
    NO_ZONE,
    UNCLEAR,
    times_in_names,
)
from listen_edge.runtime.archive.listing.time_columns import times_in_column

NOON = datetime(2024, 5, 1, 12, 34, 56, tzinfo=timezone.utc)
BERLIN = NOON - timedelta(hours=2)


def _read(name: str, zone: str | None = None) -> tuple[datetime | None, int]:
    times = times_in_names(pa.array([name]), zone)
    return times.instants[0].as_py(), times.doubts[0].as_py()


@pytest.mark.parametrize(
    ("name", "moment"),
    [
        ("663236F0.WAV", NOON),
        ("recordings/2024-05-01/12/yard/34.56.mp4", NOON),
        ("clips/yard-1714566896.mp4", NOON),
        ("yard-1714566896.250000-x1y2z3.mp4", NOON + timedelta(seconds=0.25)),
        ("yard@20240501123456+0000.mp4", NOON),
        ("CAM_2024-05-01_12-34-56_UTC.mp4", NOON),
        ("20240501T123456Z.flac", NOON),
        ("siren-20240501T123456.250Z-1.flac", NOON + timedelta(seconds=0.25)),
        ("2024-05-01T14-34-56+0200.wav", NOON),
        ("2024-05-01T08_34_56-04_00 garden.wav", NOON),
        ("2024-05-01T18:04:56,5+05:30.wav", NOON + timedelta(seconds=0.5)),
        ("20240501_143456+02:00.wav", NOON),
        ("20240501T1434+02.wav", NOON - timedelta(seconds=56)),
        ("20240501T123456.5Z", NOON + timedelta(seconds=0.5)),
    ],
)
def test_a_name_that_says_its_zone(name: str, moment: datetime) -> None:
    for zone in (None, "Europe/Berlin"):
        assert _read(f"/archive.2024/a/{name}", zone) == (moment, NO_DOUBT)


@pytest.mark.parametrize(
    ("name", "later_s"),
    [
        ("SITE-1_20240501_123456.wav", 0),
        ("SITE_0+1_20240501$123456.wav", 0),
        ("00123_20240501_123456_250000.wav", 0.25),
        ("SITE_20240501_123456_001.wav", 0),
        ("5146.240501123456.wav", 0),
        ("1677738025.240501123456.d24.d8.wav", 0),
        ("PAM_20240501_123456_789.wav", 0),
        ("recordings/2024-05/01/12/yard/34.56.mp4", 0),
        ("2024-05-01-birdnet-12:34:56.wav", 0),
        ("Great_Tit-85-2024-05-01-birdnet-RTSP_1-12:34:56.mp3", 0),
        ("yard_20240501_123456-20240501_133456.mp4", 0),
        ("Recording 2024-05-01 12.34.56.m4a", 0),
        ("20240501_123456.3gp", 0),
        ("20240501_123456Zoo.wav", 0),
        ("20240501_123456-0100.wav", 0),  # a number
        ("2024-05-01 12:34.wav", -56),
    ],
)
def test_a_name_without_a_zone_is_of_the_zone_that_is_given_or_of_none(
    name: str, later_s: float
) -> None:
    assert _read(name) == (None, NO_ZONE)
    assert _read(name, "Europe/Berlin") == (BERLIN + timedelta(seconds=later_s), NO_DOUBT)


@pytest.mark.parametrize("name", ["20240501_123456.WAV", "card/20240501_123456T.WAV"])
def test_an_audiomoth_is_of_the_zone_that_is_given_or_of_its_default(name: str) -> None:
    assert _read(name) == (NOON, BY_DEFAULT)
    assert _read(name, "Europe/Berlin") == (BERLIN, NO_DOUBT)


@pytest.mark.parametrize(
    "name",
    [
        *("20240501.WAV", "10160435.wav", "00030039.WAV", "240501_0001.wav", "210101_001_Tr1.WAV"),
        *("20241301_123456.wav", "20240532_123456.wav", "20240230_123456.wav", "20230229T120000Z"),
        *("20240501_243456.wav", "20240501_126056.wav", "20240501_123460.wav"),
        *("120240501_123456.wav", "20240501_1234567.wav", "20240501_1234.wav", "x"),
        *("01052024_123456.wav", "2024-05-01_12-34.wav", "phone-1714566896.wav", "ZOOM0001.WAV"),
        *("19700101_000554.WAV", "20240501_123456/take.wav", "2024-05-01/12/34.56.mp4"),
    ],
)
def test_what_could_be_something_else_is_no_time(name: str) -> None:
    assert _read(name, "Europe/Berlin") == (None, NO_DOUBT)


@pytest.mark.parametrize(
    ("clock", "zone", "moment"),
    [
        ("20241027_023000", "Europe/Berlin", None),  # twice
        ("20240331_023000", "Europe/Berlin", None),  # never
        ("20241027_015959", "Europe/Berlin", datetime(2024, 10, 26, 23, 59, 59)),
        ("20241027_030000", "Europe/Berlin", datetime(2024, 10, 27, 2)),
        ("20241027_023000", "Etc/GMT-1", datetime(2024, 10, 27, 1, 30)),
        ("20240407_014500", "Australia/Lord_Howe", None),  # half an hour of summer time
        ("20111230_120000", "Pacific/Apia", None),  # a day that was left out
    ],
)
def test_a_time_that_clocks_show_twice_or_never_is_not_known(
    clock: str, zone: str, moment: datetime | None
) -> None:
    expected = (moment.replace(tzinfo=timezone.utc), NO_DOUBT) if moment else (None, UNCLEAR)
    assert _read(f"P_{clock}.wav", zone) == expected


def _offset_text(moment: datetime, mark: str) -> str:
    text = moment.strftime("%z")
    return f"{text[:3]}{mark}{text[3:]}"


@given(
    moment=st.datetimes(datetime(1971, 1, 2), datetime(2099, 12, 30)),
    quarters=st.integers(-12 * 4, 14 * 4),
    pattern=st.sampled_from(["%Y%m%dT%H%M%S.%f", "%Y-%m-%dT%H-%M-%S.%f", "%Y-%m-%dT%H_%M_%S,%f"]),
    mark=st.sampled_from(["", ":", "_"]),
    prefix=st.text("abz-_ .$é", max_size=5),
    suffix=st.sampled_from([".wav", "-1.mp3", " x.y.flac", ""]),
)
def test_an_iso_8601_name_goes_there_and_back(
    moment: datetime, quarters: int, pattern: str, mark: str, prefix: str, suffix: str
) -> None:
    moment = moment.replace(tzinfo=timezone(timedelta(minutes=15 * quarters)))
    name = f"{prefix}{moment.strftime(pattern)}{_offset_text(moment, mark)}{suffix}"
    assert _read(name, "Asia/Tokyo") == (moment, NO_DOUBT)


@given(
    moment=st.datetimes(datetime(1971, 1, 2), datetime(2037, 12, 30)),
    zone=st.sampled_from(["Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "Pacific/Apia"]),
)
def test_a_local_name_is_what_zoneinfo_says(moment: datetime, zone: str) -> None:
    moment = moment.replace(microsecond=0)
    both = {
        moment.replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(timezone.utc) for fold in (0, 1)
    }
    expected = (both.pop(), NO_DOUBT) if len(both) == 1 else (None, UNCLEAR)
    assert _read(f"P_{moment:%Y%m%d_%H%M%S}.wav", zone) == expected


@given(st.text(max_size=40), st.sampled_from(["", "20240501_12", "20240501T123456"]))
def test_any_name_is_read_without_an_error(text: str, begin: str) -> None:
    moment, doubt = _read(begin + text.encode(errors="replace").decode())
    assert moment is None or (moment.year > 1970 and doubt in (NO_DOUBT, BY_DEFAULT))


@pytest.mark.parametrize(
    ("values", "moments"),
    [
        (pa.array([NOON, None], pa.timestamp("ns", "Asia/Tokyo")), [NOON, None]),
        (pa.array([NOON.replace(tzinfo=None)], pa.timestamp("s")), [BERLIN]),
        (pa.array([1714566896, 5, -1, None]), [NOON, None, None, None]),
        (pa.array([1714566896.5, 5.0, 1e30]), [NOON + timedelta(seconds=0.5), None, None]),
        (pa.array(["2024-05-01 12:34:56"]), [BERLIN]),
        (pa.array([" 2024-05-01T12:34:56Z "]), [NOON]),
        (pa.array(["2024-05-01 14:34:56 +0200"]), [NOON]),
        (pa.array(["2024-05-01 12:34:56.5 UTC"]), [NOON + timedelta(seconds=0.5)]),
        (pa.array(["2024-05-01T12:34:56+0137", "2024-05-01", "x 20240501T123456Z"]), [None] * 3),
        (pa.array([True]), [None]),
    ],
)
def test_a_column_of_times(values: pa.Array, moments: list[datetime | None]) -> None:
    times = times_in_column(pa.chunked_array([values]), "Europe/Berlin")
    assert times.instants.to_pylist() == moments
