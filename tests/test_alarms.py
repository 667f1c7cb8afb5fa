"""Alarms are measured: the timing of their envelopes and the pitch of their spectra."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from numpy.typing import NDArray

from listen_edge.alarms import ALARMS, make_alarm
from listen_edge.cli.alarms import alarms
from listen_edge.errors import AudioError

RATE = 16_000
SEEDS = range(8)


def make(kind: str, seed: int, seconds: float = 5.0, rate: int = RATE) -> NDArray[np.float32]:
    return make_alarm(kind, np.random.default_rng(seed), seconds, rate)


def pulses(samples: NDArray[np.float32], rate: int = RATE) -> NDArray[np.float64]:
    """Return (start, end) of every whole pulse in seconds, from a rectified 5 ms envelope."""
    block = rate // 400
    level = np.abs(samples[: len(samples) // block * block].reshape(-1, block)).max(axis=1)
    level = np.maximum(level[:-1], level[1:])
    is_on = np.concatenate([[False], level > 0.4 * level.max(), [False]])
    edges = np.flatnonzero(np.diff(is_on.astype(int))).reshape(-1, 2)
    whole = (edges[:, 0] > 1) & (edges[:, 1] < len(level) - 1)
    return edges[whole] * block / rate


def pitch_track(samples: NDArray[np.float32], rate: int = RATE) -> NDArray[np.float64]:
    """Return the strongest frequency of each 32 ms frame, in Hz."""
    n = rate * 32 // 1000
    frames = samples[: len(samples) // n * n].reshape(-1, n) * np.hanning(n)
    return np.abs(np.fft.rfft(frames, 8 * n)).argmax(axis=1) * rate / (8 * n)


def peak_hz(samples: NDArray[np.float32]) -> float:
    return float(np.abs(np.fft.rfft(samples)).argmax() * RATE / len(samples))


@pytest.mark.parametrize("kind", ALARMS)
def test_every_kind_is_finite_audible_and_repeatable(kind: str) -> None:
    samples = make(kind, 0)
    assert samples.shape == (5 * RATE,)
    assert samples.dtype == np.float32
    assert 0.29 < np.abs(samples).max() < 0.91
    assert np.sqrt(np.mean(samples**2)) > 0.01
    np.testing.assert_array_equal(samples, make(kind, 0))
    assert not np.array_equal(samples, make(kind, 1))


@pytest.mark.parametrize("kind", ["smoke-alarm", "smoke-alarm-520hz"])
def test_smoke_alarms_keep_temporal_three(kind: str) -> None:
    for seed in SEEDS:
        found = pulses(make(kind, seed, seconds=12))
        lengths, gaps = np.diff(found).ravel(), found[1:, 0] - found[:-1, 1]
        assert lengths.min() > 0.44
        assert lengths.max() < 0.56
        long_gaps = gaps[gaps > 1]
        assert (gaps[gaps < 1] > 0.43).all()
        assert (gaps[gaps < 1] < 0.56).all()
        assert ((long_gaps > 1.33) & (long_gaps < 1.67)).all()
        positions = np.flatnonzero(gaps > 1)
        assert len(positions) >= 2
        assert (np.diff(positions) == 3).all()  # three pulses between two pauses


@pytest.mark.parametrize(
    ("kind", "low_hz", "high_hz"),
    [
        ("smoke-alarm", 2890, 3410),
        ("smoke-alarm-520hz", 468, 572),
        ("carbon-monoxide-alarm", 2890, 3410),
    ],
)
def test_detectors_sound_at_their_pitch(kind: str, low_hz: float, high_hz: float) -> None:
    for seed in SEEDS:
        assert low_hz < peak_hz(make(kind, seed)) < high_hz


def test_the_low_smoke_alarm_is_a_square_wave() -> None:
    samples = make("smoke-alarm-520hz", 3)
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    first = spectrum.argmax()

    def level(k: int) -> float:
        return float(spectrum[k * first - 30 : k * first + 30].max() / spectrum[first])

    assert level(3) == pytest.approx(1 / 3, rel=0.05)
    assert level(5) == pytest.approx(1 / 5, rel=0.05)
    assert level(2) < 0.02


def test_carbon_monoxide_alarm_has_four_short_pulses_and_a_pause_of_five_seconds() -> None:
    for seed in SEEDS:
        found = pulses(make("carbon-monoxide-alarm", seed, seconds=14))
        gaps = found[1:, 0] - found[:-1, 1]
        assert np.diff(found).min() > 0.085
        assert np.diff(found).max() < 0.115
        assert 4.4 < gaps.max() < 5.6
        assert sorted(gaps)[2] < 0.12


def test_a_window_holds_one_whole_burst() -> None:
    for seed in range(20):
        assert len(pulses(make("carbon-monoxide-alarm", seed))) >= 4


def test_din_sweep_falls_from_1200_to_500_hz_every_second() -> None:
    track = pitch_track(make("evacuation-sweep", 1, seconds=10))
    within = track[track < 1300]  # a frame may be strongest at a harmonic
    assert np.percentile(within, 1) == pytest.approx(520, abs=60)
    assert np.percentile(within, 99) == pytest.approx(1190, abs=80)
    jumps = np.flatnonzero(np.diff(track) > 400)
    assert np.median(np.diff(jumps)) * 0.032 == pytest.approx(1.0, abs=0.08)


def test_slow_whoop_climbs_for_three_and_a_half_seconds() -> None:
    for seed in SEEDS:
        found = pulses(make("slow-whoop", seed, seconds=12))
        assert 3.3 < np.median(np.diff(found)) < 3.95
        gaps = found[1:, 0] - found[:-1, 1]
        assert ((gaps > 0.22) & (gaps < 0.54)).all()


def fundamental_track(kind: str, seed: int, seconds: float) -> NDArray[np.float64]:
    """Return a siren's pitch, found where its harmonics are summed, in Hz per 32 ms frame."""
    samples, n = make(kind, seed, seconds), 512
    frames = samples[: len(samples) // n * n].reshape(-1, n) * np.hanning(n)
    spectra = np.abs(np.fft.rfft(frames, 8192))
    candidates = np.arange(400, 2000, 5)
    bins = (candidates[:, None] * np.arange(1, 4) * 8192 / RATE).round().astype(int)
    return candidates[np.log(spectra[:, bins] + 1e-3).sum(axis=2).argmax(axis=1)]


def test_wail_sweeps_an_octave_ten_to_thirty_times_a_minute() -> None:
    for seed in SEEDS:
        track = fundamental_track("wail", seed, 12)
        low_hz, high_hz = np.percentile(track, [3, 97])
        assert 480 < low_hz < 830
        assert 1150 < high_hz < 1800
        high = track > np.sqrt(low_hz * high_hz)
        turns = np.flatnonzero(np.diff(high.astype(int)) == 1)
        turns = turns[np.concatenate([[True], np.diff(turns) > 20])]  # not a wrong frame
        assert all(60 / 31 < gap * 0.032 < 60 / 9 for gap in np.diff(turns))


def test_yelp_is_several_times_faster_than_wail() -> None:
    for seed in SEEDS:
        track = fundamental_track("yelp", seed, 10) - 1000.0
        spectrum = np.abs(np.fft.rfft((track - track.mean()) * np.hanning(len(track))))
        per_minute = spectrum.argmax() / (len(track) * 0.032) * 60
        assert 140 < per_minute < 260


def test_two_tone_horn_is_a_fourth() -> None:
    for seed in SEEDS:
        track = fundamental_horn_pitches(make("two-tone-horn", seed))
        assert track[1] / track[0] == pytest.approx(4 / 3, rel=0.02)
        assert 355 < track[0] < track[1] < 640


def fundamental_horn_pitches(samples: NDArray[np.float32]) -> tuple[float, float]:
    """Return the two lowest strong lines of the spectrum, in Hz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    low = spectrum[: 640 * 5 + 50]
    first = int(low.argmax())
    rest = low.copy()
    rest[max(first - 100, 0) : first + 100] = 0
    second = int(rest[300 * 5 :].argmax()) + 300 * 5
    pair = sorted((first / 5, second / 5))
    return pair[0], pair[1]


def test_air_raid_siren_stays_below_its_rotors_top_pitch() -> None:
    for seed in SEEDS:
        samples = make("air-raid-siren", seed, 10)
        track = pitch_track(samples)
        assert track.min() < 400
        loudest = np.abs(samples).argmax() // 512
        fundamental = track[loudest] / max(1, round(track[loudest] / 440))
        assert 300 < fundamental < 490


def test_reversing_beeper_beeps_once_or_twice_a_second_half_of_the_time() -> None:
    for seed in SEEDS:
        samples = make("reversing-beeper", seed, 8)
        found = pulses(samples)
        period = np.median(np.diff(found[:, 0]))
        assert 0.48 < period < 1.03
        assert 0.42 < np.median(np.diff(found)) / period < 0.58
        assert pitch_track(samples).max() > 690


def test_telephone_cadences_are_the_national_ones() -> None:
    seen = set()
    for seed in range(12):
        found = pulses(make("telephone-warble", seed, 14))
        gaps = found[1:, 0] - found[:-1, 1]
        on_s = float(np.median(np.diff(found)))
        seen.add(min((0.4, 1.0, 2.0), key=lambda value: abs(value - on_s)))
        assert 0.35 < on_s < 2.1
        assert gaps.max() == pytest.approx(4.0 if on_s > 0.7 else 2.0, rel=0.06)
    assert seen == {0.4, 1.0, 2.0}


def test_alarm_clock_beeps_at_a_quartz_fraction() -> None:
    pitches = {round(peak_hz(make("digital-alarm-clock", seed))) for seed in range(12)}
    assert pitches == {2048, 4096}


def test_doorbell_is_a_falling_third() -> None:
    for seed in SEEDS:
        samples = make("doorbell", seed)
        loud = np.flatnonzero(np.abs(samples) > 0.02)[0]
        first = peak_hz(samples[loud : loud + 5600])
        second = peak_hz(samples[loud + int(0.9 * RATE) :])
        assert 1.15 < first / second < 1.35


@pytest.mark.parametrize("kind", ["smoke-alarm-520hz", "yelp", "car-alarm", "telephone-warble"])
def test_nothing_aliases(kind: str) -> None:
    """Made at 16 kHz, a sound holds what it holds at 48 kHz below 7 kHz, and little above."""
    for seed in range(3):
        spectrum = np.abs(np.fft.rfft(make(kind, seed))) ** 2
        above = spectrum[(7400 * 5) :].sum() / spectrum.sum()
        assert above < 1e-3


def test_an_unknown_kind_is_an_error_that_lists_the_known() -> None:
    with pytest.raises(AudioError, match=r"'gong'.*smoke-alarm"):
        make_alarm("gong", np.random.default_rng(0))


@pytest.mark.parametrize(("seconds", "rate"), [(0, RATE), (61, RATE), (5, 4000)])
def test_a_length_or_rate_out_of_range_is_an_error(seconds: float, rate: int) -> None:
    with pytest.raises(AudioError, match="expected"):
        make_alarm("wail", np.random.default_rng(0), seconds, rate)


def test_command_writes_a_labelled_folder(tmp_path: Path) -> None:
    out = tmp_path / "alarms"
    arguments = [str(out), "--n", "2", "--kind", "doorbell", "--kind", "wail", "--seconds", "2"]
    result = CliRunner().invoke(alarms, arguments)
    assert result.exit_code == 0, result.output
    assert "4 alarms of 2 kinds" in result.output
    with (out / "meta.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == ["doorbell"] * 2 + ["police siren"] * 2
    assert {row["licence"] for row in rows} == {"CC0-1.0"}
    samples, rate = soundfile.read(out / "audio" / rows[2]["filename"])
    assert (len(samples), rate) == (2 * RATE, RATE)


def test_command_makes_the_same_recording_whatever_else_it_makes(tmp_path: Path) -> None:
    runner = CliRunner()
    alone, both = tmp_path / "alone", tmp_path / "both"
    runner.invoke(alarms, [str(alone), "--n", "1", "--kind", "wail"])
    runner.invoke(alarms, [str(both), "--n", "2", "--kind", "yelp", "--kind", "wail"])
    name = "audio/wail-0-0.flac"
    assert (alone / name).read_bytes() == (both / name).read_bytes()


def test_command_refuses_an_unknown_kind_and_a_used_folder(tmp_path: Path) -> None:
    runner = CliRunner()
    unknown = runner.invoke(alarms, [str(tmp_path / "a"), "--kind", "gong"])
    assert isinstance(unknown.exception, AudioError)
    assert "expected one of" in str(unknown.exception)
    runner.invoke(alarms, [str(tmp_path / "b"), "--n", "1", "--kind", "wail"])
    again = runner.invoke(alarms, [str(tmp_path / "b"), "--n", "1", "--kind", "wail"])
    assert "exists" in str(again.exception)
