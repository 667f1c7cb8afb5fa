"""Rooms, backgrounds and cheap microphones, each measured on what comes out."""

from __future__ import annotations

import pickle
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from listen_edge.evaluation.far_field import (
    Room,
    add_background,
    draw_room,
    far_field,
    impulse_response,
    noise,
    put_in_room,
    room_bank,
)
from listen_edge.train.augmentation import Recording, apply, draw_recording

RATE = 16_000
ROOM = Room((6.0, 5.0, 2.7), 0.4, (1.5, 2.0, 1.2), (4.5, 2.5, 1.6))


def white(seed: int = 0, seconds: float = 2.0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(0, 0.1, int(seconds * RATE)).astype(np.float32)


def band_level(samples: NDArray[np.float32], low_hz: float, high_hz: float) -> float:
    """Return the mean power density in a band, in dB."""
    power = np.abs(np.fft.rfft(samples)) ** 2
    hz = np.fft.rfftfreq(len(samples), 1 / RATE)
    return float(10 * np.log10(power[(hz >= low_hz) & (hz < high_hz)].mean()))


def rms_db(samples: NDArray[np.float32]) -> float:
    return float(10 * np.log10(np.mean(np.square(samples, dtype=np.float64))))


def test_response_begins_with_the_direct_sound_at_one_over_the_distance() -> None:
    response = impulse_response(ROOM)
    assert np.abs(response[:12]).argmax() in (7, 8, 9)
    direct = np.abs(np.fft.rfft(response[:40], 1024))[128:256]  # 2 to 4 kHz, before any reflection
    assert direct.mean() == pytest.approx(1 / ROOM.distance_m, rel=0.1)


@pytest.mark.parametrize("rt60_s", [0.3, 0.5])
def test_reverberation_lasts_about_as_long_as_asked(rt60_s: float) -> None:
    energy = np.cumsum(impulse_response(replace(ROOM, rt60_s=rt60_s))[::-1] ** 2)[::-1]
    decay_db = 10 * np.log10(energy / energy[0])
    first, last = np.argmax(decay_db < -5), np.argmax(decay_db < -25)
    assert 0.8 * rt60_s < 3 * (last - first) / RATE < 1.5 * rt60_s


def test_drawn_rooms_keep_their_ranges() -> None:
    rooms = room_bank(64, seed=3)
    assert rooms == room_bank(64, seed=3)
    assert len({*rooms}) == 64
    for room in rooms:
        assert 0.49 < room.distance_m < 5.01
        assert 0.2 <= room.rt60_s <= 0.8
        positions = np.array([room.source_m, room.microphone_m])
        assert (positions > 0.25).all()
        assert (positions < np.array(room.size_m) - 0.25).all()


def test_a_room_can_be_drawn_at_one_distance() -> None:
    room = draw_room(np.random.default_rng(0), distance_m=(3.0, 3.0))
    assert room.distance_m == pytest.approx(3.0, abs=0.01)


def test_a_room_does_not_shift_the_sound() -> None:
    click = np.zeros(RATE, np.float32)
    click[4000] = 0.5
    heard = put_in_room(click, ROOM)
    assert abs(int(np.flatnonzero(np.abs(heard) > 0.05)[0]) - 4000) < 12


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 10.0])
def test_background_is_added_at_the_ratio_asked(snr_db: float) -> None:
    samples, background = white(0), 0.02 * white(1, seconds=0.7)
    added = add_background(samples, background, snr_db) - samples
    assert rms_db(samples) - rms_db(added) == pytest.approx(snr_db, abs=0.01)


def test_silence_gets_no_background_and_silent_background_adds_nothing() -> None:
    silence = np.zeros(RATE, np.float32)
    np.testing.assert_array_equal(add_background(silence, white(1, 1.0), 10), silence)
    np.testing.assert_array_equal(add_background(white(), silence, 10), white())


@pytest.mark.parametrize("slope", [0.0, -3.0, -6.0])
def test_noise_has_unit_rms_and_the_slope_asked(slope: float) -> None:
    samples = noise(10 * RATE, slope, seed=1)
    assert rms_db(samples) == pytest.approx(0, abs=0.01)
    per_octave = band_level(samples, 1600, 2000) - band_level(samples, 800, 1000)
    assert per_octave == pytest.approx(slope, abs=0.6)


def test_band_limits_cut_twelve_db_per_octave() -> None:
    samples = white(seconds=8)
    heard = apply(Recording(low_cut_hz=400, high_cut_hz=3000), samples)
    # Two octaves below: 24 dB. One above: the bilinear transform makes 22 dB of 12.
    for low_hz, high_hz, expected_db in ((95, 105, -24.1), (900, 1100, 0), (5900, 6100, -22.3)):
        change = band_level(heard, low_hz, high_hz) - band_level(samples, low_hz, high_hz)
        assert change == pytest.approx(expected_db, abs=1.5)


def test_clipping_flattens_the_peaks() -> None:
    tone = (0.8 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)).astype(np.float32)
    heard = apply(Recording(clip_db=6.0), tone)
    level = 0.8 / 10 ** (6 / 20)
    assert np.abs(heard).max() == pytest.approx(level, rel=1e-3)
    assert np.mean(np.abs(heard) > 0.999 * level) == pytest.approx(2 / 3, abs=0.02)  # |sin| > 1/2


def test_an_empty_recording_changes_nothing() -> None:
    samples = white()
    np.testing.assert_array_equal(apply(Recording(), samples), samples)


def test_gain_is_in_decibels_and_full_scale_is_kept() -> None:
    samples = white()
    assert rms_db(apply(Recording(gain_db=-6.0), samples)) == pytest.approx(rms_db(samples) - 6)
    assert np.abs(apply(Recording(gain_db=40.0), samples)).max() == 1.0


def test_a_given_background_replaces_noise() -> None:
    background = np.sin(2 * np.pi * 3000 * np.arange(RATE) / RATE).astype(np.float32)
    heard = apply(Recording(snr_db=0.0), white(), background)
    assert band_level(heard, 2990, 3010) - band_level(heard, 2000, 2500) > 20


def test_recordings_are_repeatable_hashable_and_picklable() -> None:
    rooms = room_bank(2, seed=0)
    recordings = [draw_recording(np.random.default_rng(k), rooms) for k in range(30)]
    assert recordings == [draw_recording(np.random.default_rng(k), rooms) for k in range(30)]
    assert pickle.loads(pickle.dumps(recordings)) == recordings
    assert len({*recordings}) == 30
    samples = white()
    for recording in recordings:
        heard = apply(recording, samples)
        assert heard.shape == samples.shape
        assert heard.dtype == np.float32
        assert np.abs(heard).max() <= 1
        np.testing.assert_array_equal(heard, apply(recording, samples))


def test_every_step_is_drawn_in_some_recordings_and_left_out_in_others() -> None:
    rng, rooms = np.random.default_rng(0), room_bank(2, seed=0)
    recordings = [draw_recording(rng, rooms) for _ in range(200)]
    for step in ("room", "snr_db", "low_cut_hz", "high_cut_hz", "clip_db"):
        share = np.mean([getattr(recording, step) is not None for recording in recordings])
        assert 0.05 < share < 0.85
    assert all(draw_recording(rng).room is None for _ in range(20))


def test_applying_leaves_the_global_generators_alone() -> None:
    np.random.seed(1)
    state = np.random.get_state()[1].copy()  # type: ignore[index,union-attr]
    apply(Recording(low_cut_hz=100.0, high_cut_hz=3000.0, clip_db=3.0, snr_db=10.0), white())
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # type: ignore[index]


def test_silence_stays_silent() -> None:
    silence = np.zeros(RATE, np.float32)
    recording = Recording(ROOM, 10.0, -3.0, 100.0, 3000.0, 6.0, 0.0, 1)
    assert not apply(recording, silence).any()


def test_far_field_copies_differ_by_seed_only() -> None:
    samples = white()
    copy = far_field(samples, 7)
    assert copy.shape == samples.shape
    np.testing.assert_array_equal(copy, far_field(samples, 7))
    assert not np.array_equal(copy, far_field(samples, 8))


def test_far_field_has_ten_decibels_of_noise() -> None:
    """A tone in pink noise: what the tone does not explain is the noise."""
    time = np.arange(4 * RATE) / RATE
    tone = (0.5 * np.sin(2 * np.pi * 1000 * time)).astype(np.float32)
    heard = far_field(tone, 3)[RATE:].astype(np.float64)  # past the room's build-up
    basis = np.stack(
        [np.sin(2 * np.pi * 1000 * time[RATE:]), np.cos(2 * np.pi * 1000 * time[RATE:])]
    )
    weights = basis @ heard / (len(heard) / 2)
    signal = weights @ basis
    snr_db = 10 * np.log10(np.mean(signal**2) / np.mean((heard - signal) ** 2))
    assert snr_db == pytest.approx(10, abs=1)


def test_far_field_imports_nothing_heavy() -> None:
    code = (
        "import sys, listen_edge.evaluation.far_field;"
        "sys.exit(sum(m in sys.modules for m in ('torch', 'audiomentations', 'pyroomacoustics')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
