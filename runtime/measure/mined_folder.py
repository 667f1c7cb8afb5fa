"""The folder that mining writes: windows as FLAC, a table of what is not in them, and a journal.

The journal has a line for every so many windows of a recording, of which the last counts: a run
that is killed at any moment goes on from there. The table is made of it at the end.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from listen_edge.errors import ListenEdgeError, one_line
from listen_edge.json_fields import parse_json
from listen_edge.log_mel import SAMPLE_RATE
from listen_edge.printable import printable
from listen_edge.replacing import replacing

JOURNAL, TABLE, AUDIO = "mining.jsonl", "meta.csv", "audio"
COLUMNS = ("filename", "label", "absent", "source", "start_s", "presence", "licence")
_MAX_CHANNELS = 8  # of FLAC
_MAX_SLUG = 40  # characters of a recording's name in a window's


@dataclass
class Finds:
    """What was found in a recording until now; a line of the journal.

    Attributes:
        recording: its path in the folder of hours.
        licence: of it.
        n_windows: that were heard.
        heard_s: where the last of them ends.
        n_wrong: how many of these each concept was wrongly heard in.
        kept: concept -> [start in seconds, presence] of each window that is kept.
        is_done: it was heard to its end, and its windows are written.
        error: why it could not be.
    """

    recording: str
    licence: str = ""
    n_windows: int = 0
    heard_s: float = 0.0
    n_wrong: dict[str, int] = field(default_factory=dict)
    kept: dict[str, list[list[float]]] = field(default_factory=dict)
    is_done: bool = False
    error: str | None = None

    def note(
        self, concept: str, start_s: float, presence: float, *, apart_s: float, n: int
    ) -> None:
        """Keep a window if it is among the n surest that lie apart; they come in order."""
        self.n_wrong[concept] = self.n_wrong.get(concept, 0) + 1
        kept = self.kept.setdefault(concept, [])
        near = [one for one in kept if start_s - one[0] < apart_s]
        if any(one[1] >= presence for one in near):
            return
        kept[:] = [*(one for one in kept if one not in near), [start_s, presence]]
        if len(kept) > n:
            kept.remove(min(kept, key=lambda one: one[1]))

    def by_window(self) -> dict[float, dict[str, float]]:
        """Return start in seconds -> concept -> presence of the windows that are kept."""
        windows: dict[float, dict[str, float]] = {}
        for concept, kept in self.kept.items():
            for start_s, presence in kept:
                windows.setdefault(start_s, {})[concept] = presence
        return dict(sorted(windows.items()))


class MinedFolder:
    """The folder of one run; its table is written when it is left, however that is.

    Args:
        folder: made, or the folder of the same run.
        described: the run, in JSON's types: another one may not go on here.

    Raises:
        ListenEdgeError: it holds another run, a damaged journal or files of somebody else, or
            cannot be written to.
    """

    def __init__(self, folder: Path, described: Mapping[str, Any]) -> None:
        self._folder = folder
        self._places: dict[str, int] = {}  # recording -> where its last line begins
        with self._writing():
            _refuse_strangers(folder)
            (folder / AUDIO).mkdir(parents=True, exist_ok=True)
            self._journal = (folder / JOURNAL).open("a+b")
            try:
                self._read_journal(dict(described))
            except BaseException:
                self._journal.close()
                raise

    def __enter__(self) -> MinedFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None
    ) -> None:
        with self._writing(), closing(self._journal):
            self._write_table()

    def last(self, recording: str) -> Finds:
        """Return what was found of a recording until now."""
        place = self._places.get(recording)
        return Finds(recording) if place is None else self._at(place)

    def append(self, finds: Finds) -> None:
        """Write finds to the journal, so that they outlive the process."""
        with self._writing():
            self._places[finds.recording] = self._append(asdict(finds))

    def write_window(self, recording: str, start_s: float, samples: NDArray[np.float32]) -> None:
        """Write a window (n_samples, n_channels) whole or not at all."""
        encoded = as_flac(samples)  # the disk sees plain writes, whose errors are plain
        path = self._folder / AUDIO / window_name(recording, start_s)
        with self._writing(), replacing(path) as temporary:
            temporary.write_bytes(encoded)

    def _read_journal(self, described: dict[str, Any]) -> None:
        self._journal.seek(0)
        while (line := self._journal.readline()).endswith(b"\n"):
            place = self._journal.tell() - len(line)
            if place > 0:
                self._places[self._parsed(line).recording] = place
            elif line != _line(described):
                raise ListenEdgeError(
                    f"{printable(self._folder)}: holds another run (bundle, questions or options "
                    f"differ, see {JOURNAL}); give another --out"
                )
        end = self._journal.tell() - len(line)
        self._journal.truncate(end)  # what a killed process wrote in part
        if end == 0:
            self._append(described)

    def _append(self, fields: dict[str, Any]) -> int:
        """Write a line and return where it begins."""
        place = self._journal.seek(0, os.SEEK_END)
        self._journal.write(_line(fields))
        self._journal.flush()
        os.fsync(self._journal.fileno())
        return place

    def _at(self, place: int) -> Finds:
        self._journal.seek(place)
        return self._parsed(self._journal.readline())

    def _parsed(self, line: bytes) -> Finds:
        try:
            finds = Finds(**parse_json(line))
        except (ValueError, TypeError) as err:
            raise ListenEdgeError(
                f"{printable(self._folder / JOURNAL)}: damaged ({one_line(err)}); give another "
                "--out"
            ) from err
        return finds

    def _write_table(self) -> None:
        """Write a row for each window of the recordings that are done."""
        with (
            replacing(self._folder / TABLE) as temporary,
            temporary.open("w", encoding="utf-8", newline="") as file,
        ):
            table = csv.writer(file, lineterminator="\n")
            table.writerow(COLUMNS)
            for finds in map(self._at, self._places.values()):
                for start_s, wrong in finds.by_window().items() if finds.is_done else ():
                    name, absent = window_name(finds.recording, start_s), "; ".join(sorted(wrong))
                    surest = f"{max(wrong.values()):.3f}"
                    row = (name, "", absent, finds.recording, start_s, surest, finds.licence)
                    table.writerow(row)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as err:
            raise ListenEdgeError(
                f"--out {printable(self._folder)}: cannot be written ({one_line(err)}); what is in "
                "it is kept"
            ) from err


def _refuse_strangers(folder: Path) -> None:
    """Refuse a folder that no run began: the table would take another one's place."""
    if (folder / JOURNAL).exists() or not folder.exists():
        return
    others = [path for path in folder.iterdir() if path.name[0] != "." and path.name != AUDIO]
    others += (folder / AUDIO).glob("*")
    if others:
        raise ListenEdgeError(
            f"{printable(folder)}: holds files that mining did not write "
            f"({printable(min(others).name)}); give an empty folder or a new one"
        )


def as_flac(samples: NDArray[np.float32]) -> bytes:
    """Return samples (n_samples, n_channels) at 16 kHz as a FLAC file of 16 bits."""
    encoded = io.BytesIO()
    pcm = np.round(np.clip(samples[:, :_MAX_CHANNELS], -1, 1) * 32767).astype(np.int16)
    soundfile.write(encoded, pcm, SAMPLE_RATE, format="FLAC")
    return encoded.getvalue()


def window_name(recording: str, start_s: float) -> str:
    """Return the file name of a window, another one for each recording and start."""
    slug = re.sub(r"[^A-Za-z0-9]+", "-", Path(recording).stem)[-_MAX_SLUG:].strip("-")
    digest = hashlib.sha256(recording.encode()).hexdigest()[:8]
    return f"{slug}-{digest}-{round(1000 * start_s):09d}.flac"


def _line(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields).encode() + b"\n"
