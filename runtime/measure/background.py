"""A recording of a sound into a stretch of the hours without it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from listen_edge.audio import level_dbfs, read_audio
from listen_edge.errors import AudioError
from listen_edge.log_mel import SAMPLE_RATE

LEAD_S, TAIL_S = 6.0, 8.0  # of background around a mixed-in recording
_MIN_BACKGROUND_DBFS = -60.0  # below, a signal-to-noise ratio says nothing
_ACTIVE_DB = 20.0  # frames so far below the loudest are not the sound
_FRAME = 800  # samples, 50 ms


def draw_background(
    paths: list[Path], n_sound: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return a stretch of recordings that is long enough for mix and not silent.

    Args:
        paths: one that cannot be heard is taken out; FolderSource has told of it.
        n_sound: samples of the sound.

    Raises:
        AudioError: all of them are nearly silent, or none can be heard.
    """
    n_wanted = n_sound + round((LEAD_S + TAIL_S) * SAMPLE_RATE)
    for _ in range(1000):
        at = int(rng.integers(len(paths)))
        pieces: list[NDArray[np.float32]] = []
        while sum(map(len, pieces)) < n_wanted + SAMPLE_RATE:
            try:
                pieces.append(read_audio(paths[at % len(paths)]))
                at += 1
            except AudioError:
                del paths[at % len(paths)]
                if not paths:
                    raise
        samples = np.concatenate(pieces)
        start = int(rng.integers(len(samples) - n_wanted))
        stretch = samples[start : start + n_wanted]
        quiet, loud = round(LEAD_S * SAMPLE_RATE), n_sound
        level = level_dbfs(stretch[quiet : quiet + loud])
        if level is not None and level > _MIN_BACKGROUND_DBFS:
            return stretch
    raise AudioError("the negatives are nearly silent throughout; expected sounds of a room")


def mix(
    sound: NDArray[np.float32],
    background: NDArray[np.float32],
    snr_db: tuple[float, float],
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], float]:
    """Return the sound LEAD_S into its background, and where it begins in seconds.

    The ratio is that of the sound's active frames to the background beneath it.
    """
    frames = sound[: len(sound) // _FRAME * _FRAME].reshape(-1, _FRAME)
    power = np.mean(np.square(frames, dtype=np.float64), axis=1)
    is_active = power > power.max() * 10 ** (-_ACTIVE_DB / 10)
    start = round(LEAD_S * SAMPLE_RATE)
    beneath = background[start : start + len(sound)]
    wanted_db = (level_dbfs(beneath) or 0.0) + rng.uniform(*snr_db)
    gain = 10 ** ((wanted_db - 10 * np.log10(power[is_active].mean())) / 20)
    mixture = background.copy()
    beneath = mixture[start : start + len(sound)]
    beneath += (gain * sound).astype(np.float32)
    mixture /= max(1.0, float(np.abs(mixture).max()))
    return mixture, (start + int(np.argmax(is_active)) * _FRAME) / SAMPLE_RATE
