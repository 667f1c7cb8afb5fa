"""Sirens and vehicles: emergency vehicles, air raids, car alarms, reversing beepers."""

from __future__ import annotations

import numpy as np

from listen_edge.alarms.tones import (
    Rng,
    Signal,
    bursts,
    cycle,
    gate,
    glide,
    horn,
    near,
    tone,
    triangle,
)


def _sweeping_siren(rng: Rng, n: int, rate: int, per_minute: float) -> Signal:
    """Return an electronic siren whose pitch and level rise and fall together."""
    period_s = 60 / per_minute
    position = triangle(cycle(rng, n, rate, period_s), period_s, rise=rng.uniform(0.35, 0.65))
    hz = glide(position, rng.uniform(500, 750), rng.uniform(1250, 1750))
    level = 10 ** (-rng.uniform(0, 8) / 20 * (1 - position))
    return level * tone(rng, hz, horn(rng), n, rate)


def wail(rng: Rng, n: int, rate: int) -> Signal:
    """A siren that rises and falls 10 to 30 times a minute, at most 10 dB weaker when low.

    Source: California Code of Regulations, title 13, section 1028 (a) (1), in the terms of
    SAE J1849; the pitches are those usual of electronic sirens.
    """
    return _sweeping_siren(rng, n, rate, rng.uniform(10, 30))


def yelp(rng: Rng, n: int, rate: int) -> Signal:
    """A siren that rises and falls 150 to 250 times a minute.

    Source: California Code of Regulations, title 13, section 1028 (a) (3), in the terms of
    SAE J1849; the pitches are those usual of electronic sirens.
    """
    return _sweeping_siren(rng, n, rate, rng.uniform(150, 250))


def _two_pitches(
    rng: Rng, n: int, rate: int, low_hz: float, high_hz: float, period_s: float
) -> Signal:
    """Return two pitches in turn, half a period each, with the short glide of a real horn."""
    local_s = cycle(rng, n, rate, period_s)
    glide_s = rng.uniform(0.005, 0.03)
    return tone(
        rng,
        glide(gate(local_s, [(0, period_s / 2)], glide_s), low_hz, high_hz),
        horn(rng),
        n,
        rate,
    )


def two_tone_horn(rng: Rng, n: int, rate: int) -> Signal:
    """The horn of German emergency vehicles: two tones a fourth apart, two pairs in 3 s +-0.5 s.

    Source: DIN 14610 (360 to 630 Hz, ratio 1 to 1.333), sections as quoted in public descriptions.
    """
    low_hz = rng.uniform(360, 630 / 1.333)
    return _two_pitches(rng, n, rate, low_hz, low_hz * 1.333, rng.uniform(2.5, 3.5) / 2)


def hi_lo(rng: Rng, n: int, rate: int) -> Signal:
    """The two-tone siren of French police and ambulances, Italian ones, or Japanese ambulances.

    Source: France 435 Hz with 580 (police) or 651 Hz (ambulance), +-2 %, 50 to 60 cycles a minute;
    Italy, decree of 17 October 1980, 392 and 660 Hz +-5 %, 3 s a cycle; Japan 960 and 770 Hz,
    1.3 s. From public descriptions of the national rules.
    """
    low_hz, high_hz, tolerance, period_s = (
        (435, 580, 0.02, 60 / rng.uniform(50, 60)),
        (435, 651, 0.02, 60 / rng.uniform(50, 60)),
        (392, 660, 0.05, near(rng, 3.0, 0.05)),
        (770, 960, 0.02, near(rng, 1.3, 0.05)),
    )[int(rng.integers(4))]
    scale = near(rng, 1, tolerance)
    return _two_pitches(rng, n, rate, low_hz * scale, high_hz * scale, period_s)


def fire_engine_horn(rng: Rng, n: int, rate: int) -> Signal:
    """The French fire engine's two tones: 435 and 488 Hz +-2 %, 25 to 30 cycles a minute.

    Source: public descriptions of the French rules for priority vehicles.
    """
    scale = near(rng, 1, 0.02)
    return _two_pitches(rng, n, rate, 435 * scale, 488 * scale, 60 / rng.uniform(25, 30))


def air_raid_siren(rng: Rng, n: int, rate: int) -> Signal:
    """A motor siren that swells and sinks every 7 to 12 s, with one rotor or two a 5 : 6 apart.

    Source: public descriptions of civil-defence sirens (wavering "attack" signal; rotors of 10 and
    12 ports, top pitch of 400 to 480 Hz).
    """
    period_s = rng.uniform(7, 12)
    sinus = 0.5 - 0.5 * np.cos(2 * np.pi * cycle(rng, n, rate, period_s) / period_s)
    speed = 1 - rng.uniform(0.25, 0.6) * (1 - sinus)  # a rotor's momentum rounds the turns
    high_hz = rng.uniform(400, 480)
    level = speed ** rng.uniform(1, 3)  # a faster rotor moves more air
    samples = tone(rng, high_hz * speed, horn(rng), n, rate)
    if rng.uniform() < 0.6:
        samples += rng.uniform(0.5, 1) * tone(rng, high_hz * speed * 5 / 6, horn(rng), n, rate)
    return level * samples


def car_alarm(rng: Rng, n: int, rate: int) -> Signal:
    """Six patterns in turn: wail, fast rise, fast fall, two tones, warble, pulses; 2 to 4 s each.

    Source: public descriptions of six-tone aftermarket sirens; pitches 0.7 to 3 kHz are ours.
    """
    low_hz, high_hz = rng.uniform(700, 1300), rng.uniform(1800, 3000)
    step_s = rng.uniform(2, 4)
    local_s = cycle(rng, n, rate, 6 * step_s)
    time = np.arange(n) / rate
    slow, fast = rng.uniform(0.6, 1.2), rng.uniform(0.12, 0.3)
    pulse_s = rng.uniform(0.1, 0.25)
    positions = [
        triangle(time, slow),
        time % fast / fast,
        1 - time % fast / fast,
        (time % slow < slow / 2).astype(np.float64),
        (time % 0.07 < 0.035).astype(np.float64),
        np.full(n, rng.uniform(0.3, 1)),
    ]
    step = np.minimum((local_s / step_s).astype(int), 5)
    hz = glide(np.choose(step, positions), low_hz, high_hz)
    pulses = gate(time % (2 * pulse_s), [(0, pulse_s)])
    return np.where(step == 5, pulses, 1.0) * tone(rng, hz, horn(rng, 6), n, rate)


def reversing_beeper(rng: Rng, n: int, rate: int) -> Signal:
    """One or two beeps a second of 700 to 2800 Hz, about as long as their gaps.

    Source: SAE J994, as quoted by Laroche et al., Canadian Acoustics 21 (3), 1993.
    """
    period_s, duty = 1 / rng.uniform(1, 2), rng.uniform(0.45, 0.55)
    envelope = bursts(rng, n, rate, [(0.0, duty * period_s)], (1 - duty) * period_s)
    hz = rng.uniform(1000, 1400) if rng.uniform() < 0.6 else rng.uniform(700, 2800)
    return envelope * tone(rng, hz, horn(rng, 6), n, rate)


def reversing_beeper_broadband(rng: Rng, n: int, rate: int) -> Signal:
    """Pulses of noise in the rhythm of a reversing beeper, easier to locate by ear.

    Source: ISO 9533 and makers' descriptions of broadband alarms; the band (0.4 to 8 kHz) is ours.
    """
    period_s, duty = 1 / rng.uniform(1, 2), rng.uniform(0.4, 0.55)
    envelope = bursts(rng, n, rate, [(0.0, duty * period_s)], (1 - duty) * period_s)
    spectrum = np.fft.rfft(rng.normal(size=n))
    hz = np.fft.rfftfreq(n, 1 / rate)
    band = (hz > rng.uniform(300, 900)) & (hz < min(rng.uniform(5000, 8000), 0.45 * rate))
    return envelope * np.fft.irfft(spectrum * band, n)
