"""Excerpts: a window of one recording as it is, what evaluation asks about."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import soundfile
from numpy.typing import NDArray

from listen_edge.audio import read_audio
from listen_edge.log_mel import SAMPLE_RATE
from listen_edge.train.datasets import Row


@dataclass(frozen=True)
class Excerpt:
    """A window of a recording, silence after its end.

    Attributes:
        row: the recording.
        start_s: where the window begins.
    """

    row: Row
    start_s: float = 0.0

    @property
    def rows(self) -> tuple[Row, ...]:
        return (self.row,)

    @property
    def faint(self) -> tuple[bool, ...]:
        return (False,)

    def described(self) -> object:
        """Return what the samples depend on, for JSON."""
        return [self.row.path.name, self.row.path.stat().st_size, self.start_s]

    def samples(self, n_samples: int) -> NDArray[np.float32]:
        """Return the window, shape (n_samples,); errors as for read_audio."""
        start = round(self.start_s * SAMPLE_RATE)
        heard = read_audio(self.row.path)[start : start + n_samples]
        window = np.zeros(n_samples, np.float32)
        window[: len(heard)] = heard
        return window


def excerpts(row: Row, window_s: float, hop_s: float = 1.0) -> list[Excerpt]:
    """Return the windows that the engine takes of a recording: at the hop, the last at its end."""
    last_s = max(0.0, soundfile.info(row.path).duration - window_s)
    return [Excerpt(row, start_s) for start_s in (*np.arange(0, last_s, hop_s).tolist(), last_s)]
