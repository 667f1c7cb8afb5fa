"""A recording of a sound into a stretch of the hours without it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from listen_edge.audio import level_dbfs, read_audio
from listen_edge.errors import AudioError
from listen_edge.log_mel import SAMPLE_RATE
from listen_edge.runtime.measure.mixing import ROOM_DBFS

LEAD_S, TAIL_S = 6.0, 8.0  # of background around a mixed-in recording
_MAX_CLIP_S = 10.0
_MIN_BACKGROUND_DBFS = -60.0  # below, a signal-to-noise ratio says nothing
_ACTIVE_DB = 20.0  # frames so far below the loudest are not the sound
_FRAME = 800  # samples, 50 ms


@dataclass(frozen=True)
class Mixture:
    """A sound in its background.

    Attributes:
        samples: shape (n_samples,).
        onset_s: where the sound begins.
        duration_s: how long it sounds, pauses left out: its frames of 50 ms within 20 dB of the
            loudest.
    """

    samples: NDArray[np.float32]
    onset_s: float
    duration_s: float


def mixture(
    path: Path,
    backgrounds: Sequence[Path],
    snr_db: tuple[float, float],
    rng: np.random.Generator,
    hop_s: float,
) -> Mixture:
    """Return a recording, its first ten seconds, in a stretch of others.

    Args:
        backgrounds: to draw the stretch from; empty: the noise of a quiet room.
        hop_s: the lead is shortened by up to so much: windows meet the onset at any phase.

    Raises:
        AudioError: a recording cannot be heard.
    """
    sound = read_audio(path)[: round(_MAX_CLIP_S * SAMPLE_RATE)]
    if backgrounds:
        background = draw_background(list(backgrounds), len(sound), rng)
    else:
        n = len(sound) + round((LEAD_S + TAIL_S) * SAMPLE_RATE)
        background = rng.normal(0, 10 ** (ROOM_DBFS / 20), n).astype(np.float32)
    mixed, onset_s = mix(sound, background, snr_db, rng)
    n_cut = round(rng.uniform(0, hop_s) * SAMPLE_RATE)
    duration_s = float(_frames(sound)[1].sum()) * _FRAME / SAMPLE_RATE
    return Mixture(mixed[n_cut:], onset_s - n_cut / SAMPLE_RATE, duration_s)


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
    power, is_active = _frames(sound)
    start = round(LEAD_S * SAMPLE_RATE)
    beneath = background[start : start + len(sound)]
    wanted_db = (level_dbfs(beneath) or 0.0) + rng.uniform(*snr_db)
    gain = 10 ** ((wanted_db - 10 * np.log10(power[is_active].mean())) / 20)
    mixture = background.copy()
    beneath = mixture[start : start + len(sound)]
    beneath += (gain * sound).astype(np.float32)
    mixture /= max(1.0, float(np.abs(mixture).max()))
    return mixture, (start + int(np.argmax(is_active)) * _FRAME) / SAMPLE_RATE


def _frames(sound: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the power of each frame, shape (n_frames,), and whether it is the sound."""
    padded = np.pad(sound, (0, -len(sound) % _FRAME)).reshape(-1, _FRAME)
    power = np.mean(np.square(padded, dtype=np.float64), axis=1)
    return power, power > power.max() * 10 ** (-_ACTIVE_DB / 10)
