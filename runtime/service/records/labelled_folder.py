"""Events that people judged -> a labelled folder that training reads: `labelled:OUT`.

A right event's clip has its concept as label; a false alarm's lists it under `absent`, which in
training makes exactly this phrase and its other names 0 there (see docs/data.md).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from listen_edge.audio.reading import read_channels
from listen_edge.errors import ListenEdgeError, one_line
from listen_edge.log_mel import SAMPLE_RATE
from listen_edge.replacing import replacing
from listen_edge.runtime.service.records.clip_files import is_plain
from listen_edge.runtime.service.records.store import Store
from listen_edge.runtime.service.records.types import StoredEvent
from listen_edge.runtime.service.records.verdicts import every_event

COLUMNS = ("filename", "label", "absent", "source", "presence", "note")
BEFORE_S, MARGIN_S = 5.0, 1.0  # of a clip before its event; what is kept of that, and after it
_OF_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n")
_MAX_CHANNELS = 8  # of FLAC


@dataclass(frozen=True)
class Exported:
    """What was written, and what was not.

    Attributes:
        left_out: a line for each event without a clip that can be read.
    """

    n_right: int
    n_false: int
    left_out: tuple[str, ...]


def export_labelled(store: Store, out: Path) -> Exported:
    """Write the clips of all judged events to OUT/audio and what they are to OUT/meta.csv.

    Of a clip, the event is kept and MARGIN_S around it: what else was heard then is not what was
    judged. The column `source` holds the id of the microphone, so that whole ones can be left out.
    Nobody but their owner can read what is written.

    Args:
        out: a folder that is made, or an empty one.

    Raises:
        ListenEdgeError: it holds something, or cannot be written to.
    """
    rows, left_out = [], []
    try:
        out.mkdir(mode=0o700, parents=True, exist_ok=True)  # of the home, as the clips are
        (out / "audio").mkdir(mode=0o700, exist_ok=True)
        if any(out.glob("meta.csv")) or any((out / "audio").iterdir()):
            raise ListenEdgeError(f"--out {out}: holds a data set already; give an empty folder")
        for event in reversed(list(every_event(store))):
            if event.verdict is None:
                continue
            name = f"{event.uid}.flac"  # a database may come from a backup, or another program
            if not is_plain(name):
                left_out.append(f"event {event.id}: its uid is no name for a file")
                continue
            if (problem := _write_clip(store, event, out / "audio" / name)) is not None:
                left_out.append(f"event {event.id}: {problem}")
                continue
            is_right = event.verdict == "right"
            named = (event.concept, "") if is_right else ("", event.concept)
            rows.append(
                (name, *named, event.source, f"{event.peak_presence:.4f}", _text(event.note))
            )
        _write_table(out / "meta.csv", rows)
    except OSError as err:
        raise ListenEdgeError(f"--out {out}: cannot be written ({one_line(err)})") from err
    n_right = sum(bool(row[1]) for row in rows)
    return Exported(n_right, len(rows) - n_right, tuple(left_out))


def _write_clip(store: Store, event: StoredEvent, path: Path) -> str | None:
    """Write an event's part of its clip; return why not, None if it is written."""
    clip = store.clip_path(event)
    if clip is None:
        return "has no clip"
    try:
        samples = read_channels(clip)  # (n_samples, n_channels)
    except ListenEdgeError as err:
        return str(err)
    first = round((BEFORE_S - MARGIN_S) * SAMPLE_RATE)
    last = round((BEFORE_S + event.duration_s + MARGIN_S) * SAMPLE_RATE)
    if len(samples) > last:  # else it began with less before it: all of it
        samples = samples[first:last]
    encoded = io.BytesIO()  # the disk sees plain writes, whose errors are plain
    pcm = np.round(np.clip(samples[:, :_MAX_CHANNELS], -1, 1) * 32767).astype(np.int16)
    soundfile.write(encoded, pcm, SAMPLE_RATE, format="FLAC")
    with replacing(path) as temporary:
        temporary.touch(0o600)
        temporary.write_bytes(encoded.getbuffer())
    return None


def _write_table(path: Path, rows: Sequence[tuple[str, ...]]) -> None:
    with replacing(path) as temporary:
        temporary.touch(0o600)
        with temporary.open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)  # a note's \r too
            table.writerow(COLUMNS)
            table.writerows(rows)


def _text(note: str) -> str:
    """Return a note that no spreadsheet takes for a formula.

    Source: OWASP, "CSV Injection".
    """
    return f"'{note}" if note.startswith(_OF_FORMULAS) else note
