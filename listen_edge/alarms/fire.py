"""Fire, smoke and gas alarms: the patterns of buildings and of household detectors."""

from __future__ import annotations

import numpy as np

from listen_edge.alarms.tones import (
    Rng,
    Signal,
    bursts,
    cycle,
    gate,
    horn,
    near,
    partials,
    piezo,
    pulse_train,
    square,
    struck,
    tone,
)


def _temporal_three(rng: Rng, n: int, rate: int) -> Signal:
    """Return the envelope of three pulses of 0.5 s, 0.5 s apart, and a pause of 1.5 s, all +-10 %.

    Source: ISO 8201 and ANSI S3.41, with the tolerances of the Canadian building code's appendix
    A-3.2.4.18.(2).
    """
    pulses = pulse_train(3, near(rng, 0.5, 0.1), near(rng, 0.5, 0.1))
    return bursts(rng, n, rate, pulses, near(rng, 1.5, 0.1))


def smoke_alarm(rng: Rng, n: int, rate: int) -> Signal:
    """Temporal-three of a piezo disc at about 3.1 kHz, as household smoke alarms sound.

    Source: ISO 8201 pattern; 3 to 3.4 kHz is what household alarms with piezo horns emit.
    """
    hz = near(rng, 3150, 0.08)
    return _temporal_three(rng, n, rate) * tone(rng, hz, piezo(rng), n, rate)


def smoke_alarm_low(rng: Rng, n: int, rate: int) -> Signal:
    """Temporal-three of a 520 Hz +-10 % square wave, which wakes sleepers better.

    Source: NFPA 72, low-frequency audible signal for sleeping areas; ISO 8201 pattern.
    """
    return _temporal_three(rng, n, rate) * tone(rng, near(rng, 520, 0.1), square(), n, rate)


def carbon_monoxide_alarm(rng: Rng, n: int, rate: int) -> Signal:
    """Temporal-four: four pulses of 0.1 s, 0.1 s apart, and a pause of 5 s, all +-10 %.

    Source: UL 2034 and NFPA 72 (pattern of the first four minutes).
    """
    pulses = pulse_train(4, near(rng, 0.1, 0.1), near(rng, 0.1, 0.1))
    envelope = bursts(rng, n, rate, pulses, near(rng, 5.0, 0.1))
    return envelope * tone(rng, near(rng, 3150, 0.08), piezo(rng), n, rate)


def low_battery_chirp(rng: Rng, n: int, rate: int) -> Signal:
    """One short chirp of a smoke alarm's piezo disc, repeated every 30 to 60 s.

    Source: UL 217, trouble signal at least once a minute; chirp lengths are ours.
    """
    envelope = bursts(rng, n, rate, [(0.0, rng.uniform(0.03, 0.15))], rng.uniform(30, 60))
    return envelope * tone(rng, near(rng, 3150, 0.08), piezo(rng), n, rate)


def evacuation_sweep(rng: Rng, n: int, rate: int) -> Signal:
    """A pitch that falls from 1200 to 500 Hz once a second, without pause.

    Source: DIN 33404-3, as sounder makers' tone tables state it; 5 % is our tolerance.
    """
    period_s = near(rng, 1.0, 0.05)
    position = 1 - cycle(rng, n, rate, period_s) / period_s
    low_hz, high_hz = near(rng, 500, 0.05), near(rng, 1200, 0.05)
    return tone(rng, low_hz + (high_hz - low_hz) * position, horn(rng), n, rate)


def slow_whoop(rng: Rng, n: int, rate: int) -> Signal:
    """A pitch that climbs from 500 to 1200 Hz in 3.5 s and rests for 0.5 s (or 3.75 and 0.25 s).

    Source: NEN 2575, and AS 2220 for the second pair, as sounder makers' tone tables state them.
    """
    rise_s, pause_s = ((3.5, 0.5), (3.75, 0.25))[int(rng.integers(2))]
    rise_s, pause_s = near(rng, rise_s, 0.05), near(rng, pause_s, 0.05)
    local_s = cycle(rng, n, rate, rise_s + pause_s, rise_s)
    hz = near(rng, 500, 0.05) + near(rng, 700, 0.05) * np.clip(local_s / rise_s, 0, 1)
    return gate(local_s, [(0, rise_s)]) * tone(rng, hz, horn(rng), n, rate)


def alternating_fire_alarm(rng: Rng, n: int, rate: int) -> Signal:
    """Two tones in turn: 800 and 970 Hz twice a second, or 554 and 440 Hz for 0.1 and 0.4 s.

    Source: BS 5839-1 and NF S 32-001, as sounder makers' tone tables state them.
    """
    british = rng.uniform() < 0.5
    first_s, second_s, first_hz, second_hz = (
        (0.25, 0.25, 800, 970) if british else (0.1, 0.4, 554, 440)
    )
    scale, speed = near(rng, 1, 0.05), near(rng, 1, 0.05)
    local_s = cycle(rng, n, rate, (first_s + second_s) * speed)
    hz = np.where(local_s < first_s * speed, first_hz * scale, second_hz * scale)
    return tone(rng, hz, horn(rng), n, rate)


def evacuation_horn(rng: Rng, n: int, rate: int) -> Signal:
    """An electronic horn, temporal-three or intermittent: 0.6 s on and 0.65 s off at 420 Hz.

    Source: ISO 8201 at 970 Hz, and AS 2220 "alert", as sounder makers' tone tables state them.
    """
    if rng.uniform() < 0.5:
        return _temporal_three(rng, n, rate) * tone(rng, near(rng, 970, 0.05), horn(rng), n, rate)
    envelope = bursts(rng, n, rate, [(0.0, near(rng, 0.6, 0.05))], near(rng, 0.65, 0.05))
    return envelope * tone(rng, near(rng, 420, 0.05), horn(rng), n, rate)


def fire_bell(rng: Rng, n: int, rate: int) -> Signal:
    """A motor bell of 15 to 25 cm: one gong struck 8 to 16 times a second, without pause.

    Source: fire and school bells; rates and the gong's partials are ours.
    """
    step = rate / rng.uniform(8, 16)
    strike = partials(rng, rng.uniform(500, 1300), (1, 1.8, 2.6, 3.9, 5.2), 0.5, rate)
    starts = [int(k * step) for k in range(-20, int(n / step) + 1)]
    return struck(strike, starts, [float(rng.uniform(0.7, 1)) for _ in starts], n)
