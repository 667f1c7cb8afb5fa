"""Building blocks of electronic and struck sounds: envelopes, harmonic tones, decaying partials.

Nothing here knows of alarms. Every random draw comes from the generator that is passed in.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Rng = np.random.Generator
Signal = NDArray[np.float64]

EDGE_S = 0.004  # rise and fall of an electronic tone: audible as clean, not as a click


def near(rng: Rng, value: float, tolerance: float) -> float:
    """Return a value drawn evenly within a relative tolerance, as a standard states it."""
    return value * float(rng.uniform(1 - tolerance, 1 + tolerance))


def either(rng: Rng, *values: float) -> float:
    """Return one of the values."""
    return float(values[int(rng.integers(len(values)))])


def cycle(rng: Rng, n: int, rate: int, period_s: float, burst_s: float | None = None) -> Signal:
    """Return each sample's time since its cycle began, in [0, period_s), shape (n,).

    Args:
        period_s: length of the repeated pattern.
        burst_s: from the pattern's first sound to its last; the window then opens so that one
            burst is whole, where it fits. None opens the window anywhere.
    """
    latest_s = period_s if burst_s is None else max(n / rate - burst_s, 0.0)
    start_s = rng.uniform(0, min(latest_s, period_s))
    return np.asarray((np.arange(n) / rate - start_s) % period_s, np.float64)


def gate(local_s: Signal, pulses: Sequence[tuple[float, float]], edge_s: float = EDGE_S) -> Signal:
    """Return an envelope in [0, 1] that is up within the pulses (start, end) of a cycle."""
    envelope = np.zeros_like(local_s)
    for start, end in pulses:
        ramp = np.minimum(local_s - start, end - local_s) / edge_s
        envelope += 0.5 - 0.5 * np.cos(np.pi * np.clip(ramp, 0, 1))
    return envelope


def pulse_train(n_pulses: int, on_s: float, off_s: float) -> list[tuple[float, float]]:
    """Return pulses (start, end) that begin at 0."""
    return [(k * (on_s + off_s), k * (on_s + off_s) + on_s) for k in range(n_pulses)]


def bursts(
    rng: Rng, n: int, rate: int, pulses: list[tuple[float, float]], pause_s: float
) -> Signal:
    """Return the envelope of a group of pulses repeated after a pause."""
    burst_s = pulses[-1][1]
    return gate(cycle(rng, n, rate, burst_s + pause_s, burst_s), pulses)


def tone(rng: Rng, hz: Signal | float, amplitudes: Sequence[float], n: int, rate: int) -> Signal:
    """Return a harmonic tone of fixed or moving pitch, shape (n,), phase-continuous.

    Harmonics fade out between 0.40 and 0.45 of the sample rate, so none aliases.

    Args:
        hz: pitch, one value or shape (n,).
        amplitudes: of the fundamental and its harmonics 2, 3, ...
    """
    pitch = np.broadcast_to(np.asarray(hz, np.float64), (n,))
    phase = 2 * np.pi * (np.cumsum(pitch) / rate + rng.uniform())
    samples = np.zeros(n)
    for k, amplitude in enumerate(amplitudes, start=1):
        if amplitude:
            fade = np.clip((0.45 - k * pitch / rate) / 0.05, 0, 1)
            samples += amplitude * fade * np.sin(k * phase)
    return samples


def square(n_harmonics: int = 15) -> list[float]:
    """Return a square wave's harmonics."""
    return [(k % 2) / k for k in range(1, n_harmonics + 1)]


def horn(rng: Rng, n_harmonics: int = 12) -> list[float]:
    """Return harmonics of an overdriven horn loudspeaker: a falling, uneven series."""
    slope = rng.uniform(0.7, 1.6)
    return [float(rng.uniform(0.4, 1.0)) / k**slope for k in range(1, n_harmonics + 1)]


def piezo(rng: Rng) -> list[float]:
    """Return harmonics of a piezo disc: a strong resonance, weak overtones."""
    return [1.0, float(rng.uniform(0.02, 0.2)), float(rng.uniform(0.02, 0.25))]


def glide(position: Signal, low_hz: float, high_hz: float) -> Signal:
    """Return a pitch that moves on a musical scale from low (position 0) to high (1)."""
    return np.asarray(low_hz * (high_hz / low_hz) ** position, np.float64)


def triangle(local_s: Signal, period_s: float, rise: float = 0.5) -> Signal:
    """Return a position that climbs for a share `rise` of the period and falls for the rest."""
    part = (local_s % period_s) / period_s
    return np.where(part < rise, part / rise, (1 - part) / (1 - rise))


def partials(rng: Rng, hz: float, ratios: Sequence[float], decay_s: float, rate: int) -> Signal:
    """Return one strike of a bar, gong or bell; higher partials are weaker and die sooner."""
    time = np.arange(int(4 * decay_s * rate)) / rate
    strike = np.zeros_like(time)
    for k, ratio in enumerate(ratios):
        if hz * ratio < 0.45 * rate:
            level = rng.uniform(0.5, 1.0) / (1 + k)
            wave = np.sin(2 * np.pi * hz * ratio * time + rng.uniform(0, 2 * np.pi))
            strike += level * wave * np.exp(-time * ratio**0.5 / decay_s)
    ramp_s = 0.001  # the clapper's contact
    return np.asarray(strike * np.clip(time / ramp_s, 0, 1), np.float64)


def struck(strike: Signal, starts: Sequence[int], levels: Sequence[float], n: int) -> Signal:
    """Return the sum of strikes beginning at the given samples (negative: before the window)."""
    samples = np.zeros(n)
    for start, level in zip(starts, levels, strict=True):
        first, last = max(start, 0), min(start + len(strike), n)
        if first < last:
            samples[first:last] += level * strike[first - start : last - start]
    return samples
