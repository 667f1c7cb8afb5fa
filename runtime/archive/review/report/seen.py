"""All that a report shows of a scan, read in one pass over its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from listen_edge.runtime.archive.job import RECORDINGS, Job
from listen_edge.runtime.archive.parts import read_rows
from listen_edge.runtime.archive.review.report import recordings
from listen_edge.runtime.archive.review.report.clock import Clock
from listen_edge.runtime.archive.review.report.counts import Counts
from listen_edge.runtime.archive.review.report.places import Places
from listen_edge.runtime.archive.review.report.players import Clip, read_clips
from listen_edge.runtime.archive.review.report.recordings import Recordings
from listen_edge.runtime.archive.review.report.sheet import Pick, Sheet

MAX_SOUND_BYTES = 8 << 20  # in the page, where it takes a third more
MAX_EACH = 6  # clips of a question, of the surest and of the least certain
_CLIP_BYTES = 36_000  # about
_COLUMNS = ("question", "recording", "heard_at", "start_s")
_OF_ANSWERS = (*_COLUMNS, "end_s", "state", "reason", "presence")
_REPEATED = ("question", "recording", "state")  # texts that are never null, read as dictionaries
_OF_EVENTS = (*_COLUMNS, "duration_s", "peak_presence")


@dataclass(frozen=True)
class Seen:
    """A scan as it is shown.

    Attributes:
        zone: of all times.
        clips: of the sheet's picks.
    """

    job: Job
    zone: ZoneInfo
    places: Places
    counts: Counts
    recordings: Recordings
    sheet: Sheet
    clips: Mapping[Pick, Clip]


def see(job: Job, zone: ZoneInfo, by: str | None) -> Seen:
    """Read a scan's tables, and the recordings of a few clips.

    Args:
        by: see Places.

    Raises:
        ListenEdgeError: a table that cannot be read, or no such column.
    """
    places, asked = Places(job, by), job.described["questions"]
    counts = Counts([one["question"] for one in asked], Clock(zone), places)
    found, sheet = Recordings(places), Sheet(_middles(job), _n_each(len(asked)))
    for batch in read_rows(job, RECORDINGS, [*recordings.COLUMNS, places.column], _REPEATED):
        found.add(batch)
        if job.unit == "events":
            counts.add_listened(batch)
    columns = _OF_EVENTS if job.unit == "events" else _OF_ANSWERS
    for batch in read_rows(job, job.unit, [*columns, places.column], _REPEATED):
        question = counts.numbers(batch.column("question"))
        if job.unit == "events":
            counts.add_events(batch, question)
            sheet.add_events(batch, question)
        else:
            counts.add_answers(batch, question)
            sheet.add_answers(batch, question)
    picks = [pick for n in range(len(asked)) for pick in (*sheet.surest(n), *sheet.least(n))]
    return Seen(job, zone, places, counts, found, sheet, _clips(job, picks))


def _middles(job: Job) -> list[float]:
    """Return by question the presence nearest to which it is least certain."""
    asked, state = job.described["questions"], job.described["state"]
    if job.unit == "events":
        return [one["on"] for one in asked]
    return [(state["on"] + state["off"]) / 2] * len(asked)


def _n_each(n_questions: int) -> int:
    n_fitting = MAX_SOUND_BYTES // (2 * _CLIP_BYTES * max(1, n_questions))
    return min(MAX_EACH, max(1, n_fitting))


def _clips(job: Job, picks: Sequence[Pick]) -> dict[Pick, Clip]:
    """Return each pick's sound, as much as the page may hold."""
    names = pa.array(sorted({pick.recording for pick in picks}), pa.string())
    paths: dict[str, bytes] = {}
    for batch in read_rows(job, RECORDINGS, ["recording", "path"]):
        found = batch.filter(pc.is_in(batch.column("recording"), names)).to_pydict()
        paths.update(zip(found["recording"], found["path"], strict=True))
    clips: dict[Pick, Clip] = {}
    n_bytes = 0
    for pick, clip in read_clips(picks, paths):
        n_bytes += len(clip.ogg or b"")
        is_over = n_bytes > MAX_SOUND_BYTES
        clips[pick] = Clip(None, "left out: the page would be too large") if is_over else clip
    return clips
