"""A sample of a scan to listen to: clips, and the table that people fill in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from listen_edge.errors import AudioError, ListenEdgeError
from listen_edge.printable import printable
from listen_edge.runtime.archive.job import RECORDINGS, Job
from listen_edge.runtime.archive.parts import read_rows
from listen_edge.runtime.archive.review.drawing import Drawn, draw
from listen_edge.runtime.archive.review.spans import Span, read_recorded
from listen_edge.runtime.archive.review.strata import REVIEW, Strata, write_strata
from listen_edge.runtime.archive.review.verdicts import TABLE, as_cell, read_table
from listen_edge.runtime.measure.mined_folder import as_flac, window_name

CLIPS = "clips"
MARGIN_S = 1.0  # heard before and after a window
LONGEST_S = 30.0  # of an event's clip
MAX_SAMPLE = 10_000  # rows of a question


@dataclass(frozen=True)
class Sample:
    """What lies in a job folder's review/ now.

    Attributes:
        table: to fill in.
        n_rows: in it.
        n_new: of them, those that were not there before.
        notes: one line each: what is left out, and which clips could not be written.
    """

    table: Path
    n_rows: int
    n_new: int
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Wanted:
    """A row of the table to be, and what its clip holds."""

    strata: Strata
    drawn: Drawn
    span: Span

    @property
    def clip(self) -> str:
        return window_name(self.drawn.recording, self.drawn.start_s)

    @property
    def row(self) -> dict[str, str]:
        presence = self.drawn.presence
        return {
            "clip": self.clip,
            "question": self.strata.question,
            "concept": self.strata.concept,
            "recording": as_cell(self.drawn.recording),
            "start_s": f"{self.drawn.start_s:.3f}",
            "presence": "" if presence is None else f"{presence:.4f}",
            "stratum": self.drawn.stratum,
            "verdict": "",
        }


def check_size(n: int) -> None:
    """Raise ListenEdgeError unless so many rows of a question can be drawn."""
    if not 1 <= n <= MAX_SAMPLE:
        raise ListenEdgeError(f"--sample {n}: expected 1 to {MAX_SAMPLE} clips of each question")


def draw_sample(folder: Path, n: int, seed: int = 0) -> Sample:
    """Draw rows of each question of a scan, write their clips and the table for verdicts.

    Windows are drawn at random from strata of presence (drawing.allot says how many of each); of
    an events' scan it is events. Drawn again, the table keeps every row and verdict; a larger n or
    another seed adds rows.

    Args:
        folder: of a scan that is finished.
        n: rows of each question, 1 to MAX_SAMPLE.

    Raises:
        ListenEdgeError: no scan or an unfinished one, n out of range, a table that cannot be read,
            or a folder that cannot be written to.
        AudioError: not one of the clips could be cut from its recording.
    """
    check_size(n)
    job = Job(folder)
    _refuse_unfinished(job)
    table = read_table(folder)
    strata: list[Strata] = []
    wanted: list[_Wanted] = []
    notes: list[str] = []
    for of_question, rows in draw(job, n, seed):
        strata.append(of_question)
        notes += _notes(of_question)
        wanted += [_Wanted(of_question, row, _span(job, row)) for row in rows]
    known = table.has()
    new = [one for one in wanted if (one.clip, one.strata.question) not in known]
    write_strata(job, strata)
    errors = dict(_write_clips(job, new))
    kept = [one.row for one in new if one.clip not in errors]
    if errors and not kept and not table.rows:
        raise next(iter(errors.values()))
    table.write(job, kept)
    notes += [f"no clip of {error}" for error in errors.values()]
    return Sample(folder / REVIEW / TABLE, len(table.rows) + len(kept), len(kept), tuple(notes))


def _refuse_unfinished(job: Job) -> None:
    """Refuse to speak for an archive of which a part was heard."""
    n_listed: int = job.described["listing"]["recordings"]
    with job.reading("recordings"):
        n_done = job.recordings().count_rows()
    if n_done < n_listed:
        raise ListenEdgeError(
            f"{printable(job.folder)}: {n_done} of {n_listed} recordings are done, and a sample of "
            "them would not speak for all; go on with the scan first"
        )


def _notes(strata: Strata) -> Iterator[str]:
    name, rows = printable(strata.question), "events" if strata.of_events else "windows"
    n_in = sum(stratum.n_rows for stratum in strata.strata)
    if not n_in:
        yield f"{name}: nothing to check, no {rows} that could be judged"
    if strata.n_left_out:
        yield (
            f"{name}: {strata.n_left_out} of {n_in + strata.n_left_out} windows are left out, "
            "nothing could be said about them"
        )


def _span(job: Job, row: Drawn) -> Span:
    """Return the window, or an event from the begin of the first window that heard it."""
    if job.unit == "answers":
        return row.start_s, row.end_s
    before_s: float = job.described["window_s"] - job.described["hop_s"]
    return max(0.0, row.start_s - before_s), min(row.end_s, row.start_s + LONGEST_S)


def _write_clips(job: Job, wanted: Iterable[_Wanted]) -> Iterator[tuple[str, AudioError]]:
    """Write clips, a recording at a time, and yield those that could not be."""
    by_recording: dict[str, dict[Span, str]] = defaultdict(dict)
    for one in wanted:
        by_recording[one.drawn.recording][one.span] = one.clip
    paths = paths_of(job, by_recording)
    for recording, clips in sorted(by_recording.items()):
        folder = job.folder / REVIEW / CLIPS
        missing = {span: clip for span, clip in clips.items() if not (folder / clip).exists()}
        try:
            path = one_path(paths, recording)
            for span, samples in read_recorded(path, recording, missing, margin_s=MARGIN_S):
                with job.writing(folder / missing[span]) as temporary:
                    temporary.touch(0o600)  # what was heard at home is nobody else's
                    temporary.write_bytes(as_flac(samples))
                del missing[span]
        except AudioError as err:
            yield from ((clip, err) for clip in missing.values())


def paths_of(job: Job, recordings: Iterable[str]) -> dict[str, list[bytes]]:
    """Return recording -> its paths; more than one where their names look the same."""
    wanted = pa.array(sorted(recordings), pa.string())
    paths: dict[str, list[bytes]] = defaultdict(list)
    for batch in read_rows(job, RECORDINGS, ["recording", "path"]):
        found = batch.filter(pc.is_in(batch.column("recording"), wanted))
        for row in found.to_pylist():
            paths[row["recording"]].append(row["path"])
    return paths


def one_path(paths: Mapping[str, list[bytes]], recording: str) -> bytes:
    """Return the path of a recording; AudioError unless it has exactly one."""
    found = paths.get(recording, [])
    if len(found) != 1:
        raise AudioError(
            f"{recording}: {len(found)} recordings of the scan have this name, expected one; "
            "rename them and scan again"
        )
    return found[0]
