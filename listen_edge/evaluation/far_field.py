"""Rooms, distance and background noise: a clean recording -> what a far microphone hears of it.

Room responses are made by pyroomacoustics' image sources in a shoebox. A room is a description
first: frozen, picklable and drawn from a seed; its response is computed once per process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from listen_edge.log_mel import SAMPLE_RATE

Samples = NDArray[np.float32]

MAX_ORDER = 40  # of image sources: 50 ms a room; cuts the last part of a small live room's tail
FAR_FIELD_DISTANCE_M, FAR_FIELD_SNR_DB = 3.0, 10.0
_FAR_FIELD_ROOMS, _FAR_FIELD_SEED = 16, 20_260_101
_WALL_M = 0.3  # no source or microphone nearer to a wall


@dataclass(frozen=True)
class Room:
    """A shoebox room with a source and a microphone in it.

    Attributes:
        size_m: length, width, height.
        rt60_s: reverberation time by Sabine's formula; a shoebox rings 0.9 to 1.4 times as long.
        source_m, microphone_m: positions from one corner.
    """

    size_m: tuple[float, float, float]
    rt60_s: float
    source_m: tuple[float, float, float]
    microphone_m: tuple[float, float, float]

    @property
    def distance_m(self) -> float:
        """From source to microphone."""
        return float(np.linalg.norm(np.subtract(self.source_m, self.microphone_m)))


def draw_room(
    rng: np.random.Generator,
    *,
    distance_m: tuple[float, float] = (0.5, 5.0),
    rt60_s: tuple[float, float] = (0.2, 0.8),
) -> Room:
    """Return a room of 3 to 8 by 2.5 to 6 by 2.3 to 3.5 m that has space for the distance.

    Args:
        distance_m, rt60_s: ranges, drawn evenly; distances of up to 5 m fit.
    """
    distance = rng.uniform(*distance_m)
    rt60 = float(rng.uniform(*rt60_s))
    while True:
        size = rng.uniform((3, 2.5, 2.3), (8, 6, 3.5))
        if size.prod() < 60 * rt60:  # a small room is not that live, and its tail would be cut
            continue
        microphone = rng.uniform(_WALL_M, size - _WALL_M)
        direction = rng.normal(size=3) * (1, 1, 0.3)
        source = microphone + distance * direction / np.linalg.norm(direction)
        if (source > _WALL_M).all() and (source < size - _WALL_M).all():
            return Room(_triple(size), rt60, _triple(source), _triple(microphone))


def _triple(values: NDArray[np.float64]) -> tuple[float, float, float]:
    first, second, third = (round(float(value), 3) for value in values)
    return first, second, third


def room_bank(n: int, seed: int) -> tuple[Room, ...]:
    """Return n rooms to draw recordings from; responses are computed when first used."""
    rng = np.random.default_rng(seed)
    return tuple(draw_room(rng) for _ in range(n))


@lru_cache(maxsize=256)
def impulse_response(room: Room) -> Samples:
    """Return a room's response from the arrival of the direct sound on, shape (n,).

    Direct sound has an amplitude of 1 / distance in metres, so sounds get weaker with distance.

    Source: image sources, Allen and Berkley 1979, by pyroomacoustics; absorption by Sabine.
    """
    import pyroomacoustics

    absorption, order = pyroomacoustics.inverse_sabine(room.rt60_s, room.size_m)
    shoebox = pyroomacoustics.ShoeBox(
        room.size_m,
        fs=SAMPLE_RATE,
        materials=pyroomacoustics.Material(absorption),
        max_order=min(order, MAX_ORDER),
    )
    shoebox.add_source(room.source_m)
    shoebox.add_microphone(room.microphone_m)
    shoebox.compute_rir()
    response = np.asarray(shoebox.rir[0][0], np.float64)
    travel = room.distance_m / shoebox.c * SAMPLE_RATE
    delay = int(travel) + pyroomacoustics.constants.get("frac_delay_length") // 2
    # Keep a few samples of the fractional delay's filter before its peak.
    trimmed = np.asarray(response[max(delay - 8, 0) :], np.float32)
    trimmed.setflags(write=False)
    return trimmed


def put_in_room(samples: Samples, room: Room) -> Samples:
    """Return the samples as heard in the room, the same shape: what rings on is cut."""
    response = impulse_response(room)
    n = len(samples) + len(response) - 1
    n_fft = 1 << (n - 1).bit_length()
    spectrum = np.fft.rfft(samples, n_fft) * np.fft.rfft(response, n_fft)
    return np.asarray(np.fft.irfft(spectrum, n_fft)[: len(samples)], np.float32)


def noise(n: int, db_per_octave: float, seed: int) -> Samples:
    """Return noise of unit RMS whose spectrum slopes from 50 Hz on: 0 is white, -3 pink."""
    rng = np.random.default_rng(seed)
    hz = np.maximum(np.fft.rfftfreq(n, 1 / SAMPLE_RATE), 50.0)
    shaped = np.fft.irfft(np.fft.rfft(rng.normal(size=n)) * hz ** (db_per_octave / 6.0206), n)
    return np.asarray(shaped / np.sqrt(np.mean(shaped**2)), np.float32)


def add_background(samples: Samples, background: Samples, snr_db: float) -> Samples:
    """Return samples plus background at a ratio of their mean powers over the whole window.

    Silence on either side leaves the samples as they are. A background that is shorter repeats.

    Args:
        snr_db: of the samples over the background, in dB.
    """
    signal_power = float(np.mean(np.square(samples, dtype=np.float64)))
    background = np.resize(background, samples.shape)
    power = float(np.mean(np.square(background, dtype=np.float64)))
    if not signal_power or not power:
        return samples
    gain = np.sqrt(signal_power / power / 10 ** (snr_db / 10))
    return np.asarray(samples + gain * background, np.float32)


@lru_cache(maxsize=1)
def _far_field_rooms() -> Sequence[Room]:
    rng = np.random.default_rng(_FAR_FIELD_SEED)
    distance_m = (FAR_FIELD_DISTANCE_M, FAR_FIELD_DISTANCE_M)
    return [draw_room(rng, distance_m=distance_m) for _ in range(_FAR_FIELD_ROOMS)]


def far_field(samples: Samples, seed: int) -> Samples:
    """Return evaluation's far-field copy: one of 16 fixed rooms, 3 m, pink noise at 10 dB SNR.

    The same samples and seed always give the same copy; training draws other rooms.

    Args:
        samples: shape (n_samples,), mono at 16 kHz.
        seed: picks the room and the noise; take the clip's place in the list.
    """
    room = _far_field_rooms()[seed % _FAR_FIELD_ROOMS]
    heard = put_in_room(samples, room)
    heard = add_background(heard, noise(len(samples), -3.0, seed), FAR_FIELD_SNR_DB)
    return np.clip(heard, -1, 1)
