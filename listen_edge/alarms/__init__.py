"""Alarms made from their standards: kind and seed -> samples that no one holds rights to.

An alarm is an electronic (or struck) sound whose pattern a standard, a regulation or a data sheet
lays down, so it can be made instead of recorded. Every parameter is drawn within the tolerance its
source allows; where a source is silent on timbre, the range is ours. Sources stand in docstrings.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from listen_edge.alarms import fire, household, sirens
from listen_edge.alarms.tones import Rng, Signal
from listen_edge.errors import AudioError
from listen_edge.log_mel import SAMPLE_RATE

MAX_DURATION_S = 60.0


@dataclass(frozen=True)
class Alarm:
    """What an alarm is called, and how it is made.

    Attributes:
        labels: what a person would call it, the plainest name first.
        hypernyms: what it is a kind of, nearest first.
        make: (generator, n samples, sample rate in Hz) -> samples of any level, shape (n,).
    """

    labels: tuple[str, ...]
    hypernyms: tuple[str, ...]
    make: Callable[[Rng, int, int], Signal]


def make_alarm(
    kind: str, rng: Rng, seconds: float = 5.0, sample_rate: int = SAMPLE_RATE
) -> NDArray[np.float32]:
    """Return an alarm of the kind, shape (seconds * sample_rate,), peak between 0.3 and 0.9.

    Args:
        kind: a key of ALARMS.
        rng: of every draw; the same state gives the same samples.
        seconds: 0.1 to 60; one whole burst of the pattern is inside where it fits.
        sample_rate: in Hz, 8000 to 96000.

    Raises:
        AudioError: an unknown kind, or a duration or rate out of range.
    """
    if kind not in ALARMS:
        raise AudioError(f"no alarm of kind {kind!r}; expected one of {', '.join(ALARMS)}")
    if not 0.1 <= seconds <= MAX_DURATION_S or not 8_000 <= sample_rate <= 96_000:
        raise AudioError(
            f"an alarm of {seconds} s at {sample_rate} Hz; expected 0.1 to {MAX_DURATION_S:.0f} s "
            "at 8000 to 96000 Hz"
        )
    samples = ALARMS[kind].make(rng, round(seconds * sample_rate), sample_rate)
    peak = max(float(np.abs(samples).max()), 1e-9)
    return np.asarray(samples * (rng.uniform(0.3, 0.9) / peak), np.float32)


_FIRE = ("fire alarm", "alarm")
_SIREN = ("siren", "emergency vehicle", "alarm")
_EVACUATION = ("evacuation alarm", "fire alarm")
_PHONE = ("telephone ringing", "phone ringing")
_BEEP = ("beep", "electronic sound")

ALARMS: dict[str, Alarm] = {
    "smoke-alarm": Alarm(("smoke alarm", "smoke detector"), _FIRE, fire.smoke_alarm),
    "smoke-alarm-520hz": Alarm(("smoke alarm", "smoke detector"), _FIRE, fire.smoke_alarm_low),
    "carbon-monoxide-alarm": Alarm(
        ("carbon monoxide alarm", "carbon monoxide detector"),
        ("alarm",),
        fire.carbon_monoxide_alarm,
    ),
    "low-battery-chirp": Alarm(("low battery chirp",), ("beep", "alarm"), fire.low_battery_chirp),
    "evacuation-sweep": Alarm(_EVACUATION, ("siren", "alarm"), fire.evacuation_sweep),
    "slow-whoop": Alarm(_EVACUATION, ("siren", "alarm"), fire.slow_whoop),
    "alternating-fire-alarm": Alarm(("fire alarm",), ("alarm",), fire.alternating_fire_alarm),
    "evacuation-horn": Alarm(
        ("evacuation horn", "fire alarm"), ("horn", "alarm"), fire.evacuation_horn
    ),
    "fire-bell": Alarm(("fire bell", "alarm bell"), ("bell", "alarm"), fire.fire_bell),
    "wail": Alarm(("police siren", "ambulance siren", "fire engine siren"), _SIREN, sirens.wail),
    "yelp": Alarm(("police siren", "ambulance siren", "fire engine siren"), _SIREN, sirens.yelp),
    "hi-lo": Alarm(("ambulance siren", "police siren"), _SIREN, sirens.hi_lo),
    "two-tone-horn": Alarm(
        ("emergency vehicle siren", "police siren", "ambulance siren", "fire engine siren"),
        _SIREN,
        sirens.two_tone_horn,
    ),
    "fire-engine-horn": Alarm(("fire engine siren",), _SIREN, sirens.fire_engine_horn),
    "air-raid-siren": Alarm(
        ("air raid siren", "civil defence siren"), ("siren", "alarm"), sirens.air_raid_siren
    ),
    "car-alarm": Alarm(("car alarm",), ("alarm", "vehicle"), sirens.car_alarm),
    "reversing-beeper": Alarm(
        ("reversing beeper", "backup alarm"), ("beep", "vehicle"), sirens.reversing_beeper
    ),
    "reversing-beeper-broadband": Alarm(
        ("reversing alarm", "backup alarm"), ("vehicle",), sirens.reversing_beeper_broadband
    ),
    "telephone-bell": Alarm(_PHONE, ("telephone", "bell"), household.telephone_bell),
    "telephone-warble": Alarm(
        _PHONE, ("telephone", "electronic sound"), household.telephone_warble
    ),
    "doorbell": Alarm(("doorbell", "door chime"), ("bell",), household.doorbell),
    "door-buzzer": Alarm(("door buzzer", "buzzer"), ("electronic sound",), household.door_buzzer),
    "microwave-beep": Alarm(("microwave beep", "microwave oven"), _BEEP, household.microwave_beep),
    "washing-machine-beep": Alarm(("appliance beep",), _BEEP, household.washing_machine_beep),
    "kitchen-timer": Alarm(("kitchen timer", "timer"), ("alarm", *_BEEP), household.kitchen_timer),
    "digital-alarm-clock": Alarm(
        ("alarm clock",), ("alarm", *_BEEP), household.digital_alarm_clock
    ),
    "wind-up-alarm-clock": Alarm(
        ("alarm clock",), ("bell", "alarm"), household.wind_up_alarm_clock
    ),
}
