"""Keep the sound of events, only when asked: some seconds before, the event, some seconds after."""

from __future__ import annotations

import io
import re
import threading
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from listen_edge.errors import ListenEdgeError
from listen_edge.log_mel import SAMPLE_RATE
from listen_edge.runtime.listening.window import spread

_MAX_CHANNELS = 8  # of FLAC
MAX_CLIP_S = 60.0  # a longer event is kept up to here


@dataclass
class _Clip:
    path: Path
    pieces: list[NDArray[np.int16]] = field(default_factory=list)
    n_samples: int = 0
    n_left: int | None = None  # samples still to come; None while the event goes on


class _Stamps:
    """Times to the millisecond, none twice: two sources may hear one sound at one moment."""

    def __init__(self) -> None:
        self._lock, self._newest = threading.Lock(), deque[datetime](maxlen=64)

    def next(self) -> str:
        with self._lock:
            now = datetime.now(timezone.utc)
            now = now.replace(microsecond=now.microsecond // 1000 * 1000)
            while now in self._newest:
                now += timedelta(milliseconds=1)
            self._newest.append(now)
            return now.strftime("%Y%m%dT%H%M%S.%f")[:-3] + "Z"


_stamps = _Stamps()


class ClipRecorder:
    """Writes one FLAC file per event into a folder.

    Args:
        folder: made if it is not there.
        before_s, after_s: kept around each event.
        history_s: how long after its begin an event may be reported, at most.

    Raises:
        ListenEdgeError: the folder cannot be written to.
    """

    def __init__(
        self, folder: Path, *, before_s: float = 5.0, after_s: float = 5.0, history_s: float = 15.0
    ) -> None:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            (folder / ".writable").touch()
            (folder / ".writable").unlink()
        except OSError as err:
            raise ListenEdgeError(f"--save-clips {folder}: {err.strerror}; give a folder") from err
        self._folder, self._before_s = folder, before_s
        self._n_after = round(after_s * SAMPLE_RATE)
        self._n_history = round((before_s + history_s) * SAMPLE_RATE)
        self._history: deque[NDArray[np.int16]] = deque()
        self._n_kept = 0
        self._clips: dict[str, _Clip] = {}
        self._problems: list[str] = []

    def hear(self, samples: NDArray[np.float32]) -> None:
        """Take the stream as it comes: (n, n_channels) at 16 kHz."""
        piece = np.round(np.clip(samples, -1, 1) * 32767).astype(np.int16)
        self._history.append(piece)
        self._n_kept += len(piece)
        while self._n_kept - len(self._history[0]) >= self._n_history:
            self._n_kept -= len(self._history.popleft())
        for concept, clip in list(self._clips.items()):
            self._extend(clip, piece)
            if clip.n_left == 0 or clip.n_samples >= MAX_CLIP_S * SAMPLE_RATE:
                self._write(self._clips.pop(concept))

    def begin(self, concept: str, ago_s: float) -> str:
        """Begin a clip of an event that began ago_s ago; return its path."""
        self.close_one(concept)
        name = re.sub(r"[^a-z0-9]+", "-", concept.lower()).strip("-") or "sound"
        clip = self._clips[concept] = _Clip(self._folder / f"{_stamps.next()}_{name}.flac")
        past = _joined(list(self._history))
        self._extend(clip, past[-round((ago_s + self._before_s) * SAMPLE_RATE) :])
        return str(clip.path)

    def end(self, concept: str) -> None:
        """The event is over; its clip goes on for after_s."""
        if concept in self._clips:
            self._clips[concept].n_left = self._n_after

    def close_one(self, concept: str) -> None:
        """Write a clip that is still going on."""
        if concept in self._clips:
            self._write(self._clips.pop(concept))

    def close(self) -> None:
        """Write all clips that are still going on."""
        for concept in list(self._clips):
            self.close_one(concept)

    def take_problems(self) -> list[str]:
        """Return what could not be written since the last call."""
        problems, self._problems = self._problems, []
        return problems

    def _extend(self, clip: _Clip, piece: NDArray[np.int16]) -> None:
        if clip.n_left is not None:
            piece = piece[: clip.n_left]
            clip.n_left -= len(piece)
        clip.pieces.append(piece)
        clip.n_samples += len(piece)

    def _write(self, clip: _Clip) -> None:
        encoded = io.BytesIO()  # the disk sees plain writes, whose errors are plain
        soundfile.write(encoded, _joined(clip.pieces), SAMPLE_RATE, format="FLAC")
        part = clip.path.with_suffix(".part")
        try:
            part.touch(0o600)  # what was heard at home is nobody else's
            part.write_bytes(encoded.getbuffer())
            part.replace(clip.path)
        except OSError as err:
            part.unlink(missing_ok=True)
            self._problems.append(f"{clip.path}: not saved ({err.strerror}); events go on")


def _joined(pieces: list[NDArray[np.int16]]) -> NDArray[np.int16]:
    """Return pieces (n, n_channels) as one; where some have fewer channels, these are repeated."""
    n_channels = min(_MAX_CHANNELS, max((piece.shape[1] for piece in pieces), default=1))
    empty = np.zeros((0, n_channels), np.int16)
    return np.concatenate([empty, *(spread(piece, n_channels) for piece in pieces)])
