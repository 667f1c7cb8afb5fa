"""Sounds of a household that call someone: telephones, doors, appliances, clocks."""

from __future__ import annotations

import numpy as np

from listen_edge.alarms.tones import (
    Rng,
    Signal,
    bursts,
    cycle,
    either,
    gate,
    near,
    partials,
    piezo,
    pulse_train,
    square,
    struck,
    tone,
)


def _ring_cadence(rng: Rng, n: int, rate: int) -> Signal:
    """Return the envelope of a ringing line.

    Source: ITU-T E.180 national tones: North America 2 s on and 4 s off, United Kingdom 0.4 s on,
    0.2 s off, 0.4 s on and 2 s off, much of Europe 1 s on and 4 s off.
    """
    on_s, pause_s = (([2.0], 4.0), ([0.4, 0.4], 2.0), ([1.0], 4.0))[int(rng.integers(3))]
    scale = near(rng, 1, 0.03)
    return bursts(rng, n, rate, pulse_train(len(on_s), on_s[0] * scale, 0.2), pause_s * scale)


def telephone_bell(rng: Rng, n: int, rate: int) -> Signal:
    """Two gongs about a major third apart, struck in turn by one clapper.

    Source: ringing current of 16 to 25 Hz, two strokes a period; cadences of _ring_cadence. Gong
    pitches and partials are ours.
    """
    ringing = _ring_cadence(rng, n, rate)
    step = int(rate / (2 * rng.uniform(16, 25)))
    low_hz = rng.uniform(800, 1500)
    decay_s = rng.uniform(0.08, 0.25)
    samples = np.zeros(n)
    for gong in range(2):
        hz = low_hz * (1, rng.uniform(1.15, 1.3))[gong]
        strike = partials(rng, hz, (1, 2.05, 2.9, 4.2), decay_s, rate)
        starts = [k for k in range(gong * step, n, 2 * step) if ringing[k] > 0.5]
        samples += struck(strike, starts, [float(rng.uniform(0.7, 1)) for _ in starts], n)
    return samples


def telephone_warble(rng: Rng, n: int, rate: int) -> Signal:
    """Two tones at a ratio of 4 to 5, switched some 12 times a second.

    Source: data sheets of the ringer circuits MC34012 (0.4, 0.8 or 1.6 kHz low tone, 12.5 Hz) and
    LS1240 (f2 = 0.725 f1, about 10 Hz); cadences of _ring_cadence.
    """
    low_hz = near(rng, either(rng, 400, 800, 1600), 0.1)
    ratio = either(rng, 1.25, 1 / 0.725)
    switch_hz = rng.uniform(9.5, 13.5)
    time = np.arange(n) / rate
    hz = np.where((time * switch_hz) % 1 < 0.5, low_hz, low_hz * ratio)
    return _ring_cadence(rng, n, rate) * tone(rng, hz, square(9), n, rate)


def doorbell(rng: Rng, n: int, rate: int) -> Signal:
    """Ding-dong: two bars about a major third apart, the second lower and 0.4 to 0.9 s later.

    Source: mechanical chimes; partials of a free bar (1, 2.756, 5.404: Fletcher and Rossing, The
    Physics of Musical Instruments, section 2.16). Pitch and decay are ours.
    """
    high_hz = rng.uniform(550, 900)
    decay_s = rng.uniform(0.3, 0.9)
    gap = int(rng.uniform(0.4, 0.9) * rate)
    first = int(rng.uniform(0, max(n - gap - 0.5 * rate, 1)))
    samples = np.zeros(n)
    for hz, start in ((high_hz, first), (high_hz / rng.uniform(1.2, 1.3), first + gap)):
        strike = partials(rng, hz, (1, 2.756, 5.404), decay_s, rate)
        samples += struck(strike, [start], [float(rng.uniform(0.8, 1))], n)
    return samples


def door_buzzer(rng: Rng, n: int, rate: int) -> Signal:
    """A mains-driven armature: 100 or 120 Hz with many harmonics, pressed once or twice.

    Source: twice the mains frequency of 50 or 60 Hz; lengths and spectrum are ours.
    """
    on_s = rng.uniform(0.4, 1.5)
    pulses = pulse_train(int(rng.integers(1, 3)), on_s, rng.uniform(0.2, 0.6))
    envelope = bursts(rng, n, rate, pulses, rng.uniform(3, 10))
    harmonics = [float(rng.uniform(0.2, 1)) / k**0.3 for k in range(1, 40)]
    return envelope * tone(rng, near(rng, either(rng, 100, 120), 0.005), harmonics, n, rate)


def microwave_beep(rng: Rng, n: int, rate: int) -> Signal:
    """Three to five beeps of 2 kHz and some, 0.4 to 1 s long with gaps of the same order.

    Source: public descriptions of microwave ovens' end signals; ranges are ours.
    """
    on_s = rng.uniform(0.3, 1.0)
    pulses = pulse_train(int(rng.integers(3, 6)), on_s, on_s * rng.uniform(0.6, 1.4))
    envelope = bursts(rng, n, rate, pulses, rng.uniform(2, 20))
    return envelope * tone(rng, rng.uniform(1900, 2800), piezo(rng), n, rate)


def washing_machine_beep(rng: Rng, n: int, rate: int) -> Signal:
    """The end of a programme: groups of two or three beeps, or a scale of four to six notes.

    Source: public descriptions of household appliances; pitches and lengths are ours.
    """
    if rng.uniform() < 0.5:
        pulses = pulse_train(int(rng.integers(2, 4)), rng.uniform(0.1, 0.3), rng.uniform(0.08, 0.2))
        envelope = bursts(rng, n, rate, pulses, rng.uniform(0.8, 2))
        return envelope * tone(rng, rng.uniform(2000, 4200), piezo(rng), n, rate)
    note_s, n_notes = rng.uniform(0.12, 0.3), int(rng.integers(4, 7))
    steps = np.cumsum(rng.choice([-4, -3, 2, 3, 4, 5], n_notes))  # semitones
    local_s = cycle(rng, n, rate, n_notes * note_s + 10, n_notes * note_s)
    note = np.minimum((local_s / note_s).astype(int), n_notes - 1)
    hz = rng.uniform(1000, 1500) * 2 ** (steps[note] / 12)
    envelope = gate(local_s, pulse_train(n_notes, 0.9 * note_s, 0.1 * note_s))
    return envelope * tone(rng, hz, piezo(rng), n, rate)


def digital_alarm_clock(rng: Rng, n: int, rate: int) -> Signal:
    """Groups of two or four short beeps at 2048 Hz (or 4096 Hz), about once a second.

    Source: buzzers clocked by a quartz of 32,768 Hz, divided by 16 or 8; timing is ours.
    """
    on_s = rng.uniform(0.04, 0.09)
    n_beeps = int(either(rng, 2, 4))
    pulses = pulse_train(n_beeps, on_s, on_s * rng.uniform(0.8, 1.2))
    envelope = bursts(rng, n, rate, pulses, near(rng, 1 - pulses[-1][1], 0.1))
    return envelope * tone(rng, either(rng, 2048, 2048, 4096), [1, 0, 0.3, 0, 0.15], n, rate)


def kitchen_timer(rng: Rng, n: int, rate: int) -> Signal:
    """Beeps of a small piezo disc at an even pace of three to eight a second.

    Source: public descriptions of countdown timers; ranges are ours.
    """
    period_s = 1 / rng.uniform(3, 8)
    envelope = bursts(rng, n, rate, [(0.0, 0.5 * period_s)], 0.5 * period_s)
    return envelope * tone(rng, rng.uniform(2200, 4200), piezo(rng), n, rate)


def wind_up_alarm_clock(rng: Rng, n: int, rate: int) -> Signal:
    """A hammer that strikes one or two small bells 12 to 25 times a second, without pause.

    Source: twin-bell clocks; rates and the partials of a small bell are ours.
    """
    step = rate / rng.uniform(12, 25)
    hz = rng.uniform(1800, 3200)
    samples = np.zeros(n)
    for bell in range(2):
        strike = partials(rng, hz * rng.uniform(1, 1.12), (1, 1.5, 2.3, 2.8), 0.15, rate)
        starts = [int((k + bell / 2) * step) for k in range(-8, int(n / step) + 1)]
        samples += struck(strike, starts, [float(rng.uniform(0.6, 1)) for _ in starts], n)
    return samples
