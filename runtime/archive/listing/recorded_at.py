r"""When a recording began, as its recorder wrote it into the file's name.

| recorder | name | zone |
|---|---|---|
| AudioMoth | `20240501_130000.WAV`, `20240501_130000T.WAV` | as it was set, at first UTC |
| AudioMoth to 2018 | `5AE864D0.WAV`, Unix time in hexadecimal | UTC |
| Song Meter | `PREFIX_20240501_130000.wav`, with GPS `PREFIX_20240501$130000.wav` | as it was set |
| SMART | `PREFIX_20240501_130000_123456.wav`, to the microsecond | as it was set |
| SoundTrap | `5146.240501130000.wav` | as it was set |
| Frigate | `2024-05-01/13/CAMERA/00.00.mp4` | UTC |
| Frigate to 0.11 | `2024-05/01/13/CAMERA/00.00.mp4` | of its machine |
| Frigate's clips | `CAMERA-1714568400.123456-abc123.mp4`, Unix time | UTC |
| BirdNET-Pi | `2024-05-01-birdnet-13:00:00.wav`, `...-RTSP_1-13:00:00.wav` | of its machine |
| ISO 8601 | `20240501T130000Z`, `2024-05-01T13-00-00.250+0200`, `2024-05-01 13:00` | as it says |

Not read, since they could as well be something else: a date alone, a date with a number behind it
(Zoom and Tascam: `240501_0001.wav`), days before months, years of two digits but for SoundTrap's.
No day before 1971 is believed: it is what a clock shows that was never set.

Source: AudioMoth-Firmware-Basic, src/main.c (generateFolderAndFilename: the time in the zone that
was configured); CRAN's seewave, audiomoth (hexadecimal) and songmeter ("$"); Wildlife Acoustics,
Song Meter Mini 2 and SMART user guides, "File Name Conventions"; PAMGuard's help, "File Dates"
(SoundTrap); Frigate, docs/configuration/record.md (UTC) and frigate/record.py (before: local);
BirdNET-Pi, scripts/birdnet_recording.sh; Zoom F3 and Tascam Portacapture X6 manuals; ISO 8601.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from listen_edge.runtime.archive.rows import TIME

# RE2's syntax, which Arrow matches with. A name begins after the last "/" and has a suffix.
_MONTH, _DAY = r"(?P<month>0[1-9]|1[0-2])", r"(?P<day>0[1-9]|[12]\d|3[01])"
_HOUR, _MINUTE = r"(?P<hour>[01]\d|2[0-3])", r"(?P<minute>[0-5]\d)"
_SECOND = r"(?P<second>[0-5]\d)"
_YEAR = r"(?P<year>(?:19|20)\d\d)"
_NAME, _SUFFIX = r"(?:^|/)", r"\.[^./]*$"
_HEAD = _NAME + r"(?:[^/]*?[^/0-9])?"
_DATE = _YEAR + r"[-_.]?" + _MONTH + r"[-_.]?" + _DAY
_CLOCK = _HOUR + r"[:_.-]?" + _MINUTE + r"[:_.-]?" + _SECOND
_FRACTION = r"(?:[.,](?P<fraction>\d{1,9})|_(?P<micro>\d{6}))?"
_JOIN = r"(?:[ _@$-]|-birdnet-(?:[A-Za-z]+_\d+-)?)"
_HOURS, _QUARTER = r"(?:0\d|1[0-4])", r"(?:00|15|30|45)"
_UTC = r"[Zz]|[ _]?(?:UTC|GMT)"
_ISO_ZONE = rf"(?P<zone>{_UTC}|[+-]{_HOURS}(?:[:_-]?{_QUARTER})?)"
_ZONE = rf"(?P<zone>{_UTC}|\+{_HOURS}:?{_QUARTER}|-{_HOURS}:{_QUARTER})"  # "-0100" is a number


def _end(zone: str) -> str:
    """Return what may follow a clock: its zone, or anything that is no digit."""
    return rf"(?:{zone}(?:[^0-9A-Za-z/][^/]*)?|[^0-9/][^/]*|){_SUFFIX}"


UNSAID, _MOTH = (
    -9999,
    -9998,
)  # minutes east of UTC where no zone is said; AudioMoth's, at first UTC
_DATED = (
    (rf"{_NAME}{_YEAR}-{_MONTH}-{_DAY}/{_HOUR}/[^/]+/{_MINUTE}\.{_SECOND}{_SUFFIX}", 0),
    (rf"{_NAME}{_YEAR}-{_MONTH}/{_DAY}/{_HOUR}/[^/]+/{_MINUTE}\.{_SECOND}{_SUFFIX}", UNSAID),
    (rf"{_NAME}{_YEAR}{_MONTH}{_DAY}_{_HOUR}{_MINUTE}{_SECOND}T?\.WAV$", _MOTH),
    (rf"{_HEAD}{_DATE}[Tt]?{_CLOCK}{_FRACTION}{_end(_ISO_ZONE)}", UNSAID),
    (rf"{_HEAD}{_DATE}{_JOIN}{_CLOCK}{_FRACTION}{_end(_ZONE)}", UNSAID),
    (rf"{_HEAD}{_DATE}[Tt]{_HOUR}[:_.-]?{_MINUTE}{_end(_ISO_ZONE)}", UNSAID),
    (rf"{_HEAD}{_DATE}[ _]{_HOUR}:{_MINUTE}{_end(_ZONE)}", UNSAID),
    (
        rf"{_NAME}\d+\.(?P<short_year>\d\d){_MONTH}{_DAY}{_HOUR}{_MINUTE}{_SECOND}\.",
        UNSAID,
    ),
)
_UNIX = (
    (rf"{_NAME}(?P<hexadecimal>[0-9A-F]{{8}})\.WAV$"),
    (rf"-(?P<seconds>1\d{{9}})\.(?P<fraction>\d{{1,9}})(?:-[0-9a-z]+)?{_SUFFIX}"),
    (rf"{_NAME}clips/(?:[^/]+/)*[^/]*-(?P<seconds>1\d{{9}}){_SUFFIX}"),
)
_ISO = (
    r"^\d{4}-?\d\d-?\d\d[Tt]\d\d:?\d\d(?::?\d\d(?:[.,]\d{1,9})?)?"
    rf"(?:{_UTC}|[+-]{_HOURS}(?::?{_QUARTER})?)?$"
)
_OFFSET = r"(?P<sign>[+-])(?P<hours>\d\d)[:_-]?(?P<minutes>\d\d)?"
_FIRST_US = np.datetime64("1971-01-01", "us")
_NO_SUMMERS = np.datetime64("2037-12-31", "us")  # from here on Arrow knows no summer time
_FIRST_HEXADECIMAL = 0x5685C180  # 2016: a year before the first AudioMoth

Moments = NDArray[np.datetime64]
Integers = NDArray[np.int64]


NO_DOUBT, NO_ZONE, UNCLEAR, BY_DEFAULT = range(4)


@dataclass(frozen=True)
class Times:
    """When recordings began, and what is not known of it.

    Attributes:
        instants: rows.TIME; null where it is not known.
        doubts: int8. NO_ZONE: a clock whose zone is neither said nor given; UNCLEAR: a time that
            the clocks of the zone show twice or never, when they are changed; both are null.
            BY_DEFAULT: AudioMoth's, read as UTC.
    """

    instants: pa.Array
    doubts: pa.Array


def times_in_names(paths: pa.Array, timezone: str | None) -> Times:
    """Return when recordings began by their paths, strings with "/" between names.

    Args:
        timezone: IANA name of the zone of clocks that do not say theirs; None: unknown.
    """
    has_suffix = pc.match_substring_regex(paths, r"\.(?:[A-Za-z]\w*|3gp)$")  # no part of a second
    paths = pc.if_else(has_suffix, paths, pc.binary_join_element_wise(paths, ".", ""))
    return resolved(*_clocks(paths), timezone)


def _clocks(paths: pa.Array) -> tuple[Moments, Integers]:
    """Return what clocks showed, NaT where there is none, and their minutes east of UTC."""
    n_rows = len(paths)
    local = np.full(n_rows, np.datetime64("NaT", "us"))
    east_min = np.full(n_rows, UNSAID)
    left = np.arange(n_rows)
    for pattern, zone in _DATED:
        left = _read(pattern, zone, paths, left, local, east_min)
    for pattern in _UNIX:
        left = _read(pattern, 0, paths, left, local, east_min)
    return local, east_min


def times_in_texts(texts: pa.Array, timezone: str | None) -> Times:
    """Return the times of texts that are ISO 8601 and nothing else; null for any other text."""
    texts = pc.replace_substring_regex(pc.utf8_trim_whitespace(texts), r"^(\S{8,10})[ _]", r"\1T")
    texts = pc.replace_substring(texts, " ", "")
    is_time = pc.match_substring_regex(texts, _ISO)
    return times_in_names(pc.if_else(is_time, texts, None), timezone)


def _read(
    pattern: str, zone: int, paths: pa.Array, left: Integers, local: Moments, east_min: Integers
) -> Integers:
    """Write the times of the rows that match into `local`; return the rows that do not."""
    found = pc.extract_regex(paths.take(pa.array(left)), pattern)
    is_found = found.is_valid().to_numpy(zero_copy_only=False)
    found, rows = found.filter(pa.array(is_found)), left[is_found]
    group = {field.name: found.field(k) for k, field in enumerate(found.type)}
    if len(rows):
        times = _unix_times(group) if zone == 0 and "year" not in group else _dated_times(group)
        local[rows] = np.where(times >= _FIRST_US, times, np.datetime64("NaT", "us"))
        east_min[rows] = _offsets(group["zone"], zone) if "zone" in group else zone
    others: Integers = left[~is_found]
    return others


def _dated_times(group: dict[str, pa.Array]) -> Moments:
    """Return the times that clocks show, NaT where there is no such day."""
    year = _integers(group["year"]) if "year" in group else 2000 + _integers(group["short_year"])
    month, day = _integers(group["month"]), _integers(group["day"])
    months = ((year - 1970) * 12 + month - 1).astype("M8[M]")
    days = months.astype("M8[D]") + (day - 1)
    seconds = _integers(group["hour"]) * 3600 + _integers(group["minute"]) * 60
    if "second" in group:
        seconds += _integers(group["second"])
    times = days.astype("M8[us]") + seconds * 1_000_000 + _fraction_us(group)
    return np.where(days.astype("M8[M]") == months, times, np.datetime64("NaT", "us"))


def _unix_times(group: dict[str, pa.Array]) -> Moments:
    if "hexadecimal" in group:
        seconds = _integers(pc.binary_join_element_wise("0x", group["hexadecimal"], ""))
        is_time = (seconds >= _FIRST_HEXADECIMAL) & (seconds < 1 << 31)
        times = (seconds * 1_000_000).astype("M8[us]")
        return np.where(is_time, times, np.datetime64("NaT", "us"))
    return (_integers(group["seconds"]) * 1_000_000 + _fraction_us(group)).astype("M8[us]")


def _fraction_us(group: dict[str, pa.Array]) -> Integers | int:
    """Return the microseconds behind the second; digits past the sixth are cut off."""
    if "fraction" not in group:
        return 0
    digits = group["fraction"]
    if "micro" in group:
        digits = pc.binary_join_element_wise(digits, group["micro"], "")
    return _integers(pc.utf8_slice_codeunits(pc.utf8_rpad(digits, 6, "0"), 0, 6))


def _offsets(zones: pa.Array, unsaid: int) -> Integers:
    """Return minutes east of UTC; `unsaid` for an empty zone."""
    parts = pc.extract_regex(zones, _OFFSET)
    minutes = _integers(parts.field(1), 0) * 60 + _integers(parts.field(2), 0)
    is_west = pc.equal(parts.field(0), "-").fill_null(False).to_numpy(zero_copy_only=False)
    is_said = pc.not_equal(zones, "").to_numpy(zero_copy_only=False)
    return np.where(is_said, np.where(is_west, -minutes, minutes), unsaid)


def _integers(digits: pa.Array, empty: int = 0) -> Integers:
    """Return numbers in digits; `empty` where there are none."""
    filled = pc.if_else(pc.equal(digits, "").fill_null(True), str(empty), digits)
    integers: Integers = filled.cast(pa.int64()).to_numpy(zero_copy_only=False)
    return integers


def resolved(local: Moments, east_min: Integers, timezone: str | None) -> Times:
    """Return instants of clocks: those with an offset, those of AudioMoth, and the rest."""
    nowhere = np.datetime64("NaT", "us")
    has_time = ~np.isnat(local)
    is_unsaid, is_moth = has_time & (east_min == UNSAID), has_time & (east_min == _MOTH)
    is_open = is_unsaid | is_moth
    instants = local - np.where(is_open | ~has_time, 0, east_min) * np.timedelta64(60, "s")
    doubts = np.zeros(len(local), np.int8)
    if timezone is None:
        instants[is_unsaid] = nowhere
        doubts[is_unsaid], doubts[is_moth] = NO_ZONE, BY_DEFAULT
    else:
        instants[is_open] = _in_zone(local[is_open], timezone)
        doubts[is_open & np.isnat(instants)] = UNCLEAR
    return Times(pa.array(instants).cast(TIME), pa.array(doubts))


def _in_zone(local: Moments, timezone: str) -> Moments:
    """Return instants of a zone's clocks; NaT for a time that they show twice, or never."""
    clocks = pa.array(local, pa.timestamp("us"))
    early, late = (
        pc.assume_timezone(clocks, timezone, ambiguous=which, nonexistent=which)
        .cast(pa.int64())
        .to_numpy(zero_copy_only=False)
        for which in ("earliest", "latest")
    )
    is_one = (early == late) & (local < _NO_SUMMERS)
    return np.where(is_one, early.astype("M8[us]"), np.datetime64("NaT", "us"))
