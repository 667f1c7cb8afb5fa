"""Augmentation: how a recording was made, drawn first, applied later.

A `Recording` says in plain numbers which room, background and microphone a sound went through. It
is drawn from a seed before any audio is read, so that a run can be described, cached and repeated;
applying it draws nothing. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from listen_edge.evaluation.far_field import Room, add_background, noise, put_in_room
from listen_edge.log_mel import SAMPLE_RATE

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Recording:
    """One way of recording a sound; None leaves a step out.

    Attributes:
        room: where it sounded, and how far away.
        snr_db: level of the sound over the background, mean powers of the whole window.
        noise_slope_db: of the noise that stands in for a missing background, in dB per octave.
        low_cut_hz, high_cut_hz: what a cheap microphone or codec passes, 12 dB per octave.
        clip_db: input gain beyond full scale: the share of the waveform that is cut off flat.
        gain_db: of the finished recording.
        seed: of the noise.
    """

    room: Room | None = None
    snr_db: float | None = None
    noise_slope_db: float = -3.0
    low_cut_hz: float | None = None
    high_cut_hz: float | None = None
    clip_db: float | None = None
    gain_db: float = 0.0
    seed: int = 0


def draw_recording(rng: np.random.Generator, rooms: Sequence[Room] = ()) -> Recording:
    """Return a recording drawn at random; every step is left out in some.

    Args:
        rng: of every draw.
        rooms: to choose from, as of far_field.room_bank; without any there is no room.
    """

    def perhaps(share: float, low: float, high: float) -> float | None:
        value = float(rng.uniform(low, high))
        return value if rng.uniform() < share else None

    room = rooms[int(rng.integers(len(rooms)))] if rooms and rng.uniform() < 0.6 else None
    low_cut_hz = perhaps(0.4, np.log2(60), np.log2(400))
    high_cut_hz = perhaps(0.4, np.log2(3000), np.log2(7500))
    return Recording(
        room=room,
        snr_db=perhaps(0.7, 0, 35),
        noise_slope_db=float(rng.uniform(-6, 0)),
        low_cut_hz=None if low_cut_hz is None else 2**low_cut_hz,
        high_cut_hz=None if high_cut_hz is None else 2**high_cut_hz,
        clip_db=perhaps(0.1, 1, 12),
        gain_db=float(rng.uniform(-18, 6)),
        seed=int(rng.integers(2**31)),
    )


def apply(recording: Recording, samples: Samples, background: Samples | None = None) -> Samples:
    """Return the samples as this recording holds them: same shape, float32, in [-1, 1].

    The order is nature's: room, background, microphone's band, its clipping, gain.

    Args:
        samples: shape (n_samples,), mono at 16 kHz.
        background: what else sounded, any length; None takes noise.
    """
    if recording.room is not None:
        samples = put_in_room(samples, recording.room)
    if recording.snr_db is not None:
        if background is None or not background.any():
            background = noise(len(samples), recording.noise_slope_db, recording.seed)
        samples = add_background(samples, background, recording.snr_db)
    samples = _limit_band(samples, recording.low_cut_hz, recording.high_cut_hz)
    peak = float(np.abs(samples).max(initial=0))
    if recording.clip_db is not None and peak > 0:
        samples = _clip(samples, peak / 10 ** (recording.clip_db / 20))
    gain = np.float32(10 ** (recording.gain_db / 20))
    return np.asarray(np.clip(samples * gain, -1, 1), np.float32)


def _limit_band(samples: Samples, low_cut_hz: float | None, high_cut_hz: float | None) -> Samples:
    """Return the samples without what lies below and above, 12 dB per octave."""
    from audiomentations import HighPassFilter, LowPassFilter

    for kind, cut_hz in ((HighPassFilter, low_cut_hz), (LowPassFilter, high_cut_hz)):
        if cut_hz is not None:
            step = kind()
            # Set, not drawn: audiomentations draws from the process's global generators.
            step.parameters = {"should_apply": True, "cutoff_freq": cut_hz, "rolloff": 12}
            step.freeze_parameters()
            samples = np.asarray(step(samples, SAMPLE_RATE), np.float32)
    return samples


def _clip(samples: Samples, level: float) -> Samples:
    from audiomentations import Clip

    return np.asarray(Clip(-level, level, p=1.0)(samples, SAMPLE_RATE), np.float32)
