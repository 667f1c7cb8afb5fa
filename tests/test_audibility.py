"""What can be heard in a window, from the loudest to nothing."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray

from listen_edge.audio.audibility import (
    audibility,
    audible,
    bandwidth_hz,
    heard_s,
    is_clipped,
    is_louder,
)

N = 80_000
Samples = NDArray[np.float32]


def _window(samples: Samples) -> Samples:
    return samples.astype(np.float32).reshape(len(samples), -1)


def _deaf(window: Samples) -> str | None:
    return audibility(window, N).deaf


def _tone(level_dbfs: float, seconds: float = 5.0) -> Samples:
    amplitude = 10 ** (level_dbfs / 20) * np.sqrt(2)
    time_s = np.arange(round(16_000 * seconds)) / 16_000
    return np.asarray(amplitude * np.sin(2 * np.pi * 440 * time_s), np.float32)


def _sixteen_bits(samples: Samples) -> Samples:
    return np.asarray(np.round(samples * 32768) / 32768, np.float32)


@pytest.mark.parametrize("level_dbfs", range(0, -101, -5))
def test_a_sound_is_heard_down_to_the_noise_of_its_format(level_dbfs: int) -> None:
    deaf = _deaf(_window(_sixteen_bits(0.999 * _tone(level_dbfs - 3))))
    if level_dbfs > -67:
        assert deaf is None
    else:
        assert deaf in ("inaudible", "silent_input")


def test_a_bang_in_a_quiet_window_is_heard() -> None:
    samples = _sixteen_bits(np.random.default_rng(0).normal(0, 2e-5, N).astype(np.float32))
    samples[40_000:42_000] = _tone(-30)[:2000]
    assert _deaf(_window(samples)) is None


@pytest.mark.parametrize("value", [0.0, 0.25, -1.0, 1.0, 1 / 32768])
@pytest.mark.parametrize("n_channels", [1, 2])
def test_a_constant_is_no_sound(value: float, n_channels: int) -> None:
    window = np.full((N, n_channels), value, np.float32)
    assert _deaf(window) == "silent_input"


def test_an_offset_hides_no_silence_and_no_sound() -> None:
    hiss = _sixteen_bits(np.random.default_rng(0).normal(0, 2e-5, N).astype(np.float32))
    assert _deaf(_window(hiss + np.float32(0.3))) == "inaudible"
    assert _deaf(_window(_tone(-40) + np.float32(0.3))) is None


@pytest.mark.parametrize("bits", [8, 12, 16, 24])
def test_a_few_steps_of_any_format_are_a_muted_input(bits: int) -> None:
    steps = np.random.default_rng(0).integers(-2, 3, N)
    assert _deaf(_window(steps / 2 ** (bits - 1))) == "inaudible"


@pytest.mark.parametrize("name", ["slow", "settling", "ramp"])
def test_a_drift_is_no_sound(name: str) -> None:
    time_s = np.arange(N) / 16_000
    drift = {
        "slow": 0.01 * np.sin(2 * np.pi * 0.3 * time_s),
        "settling": 0.02 * np.exp(-time_s),
        "ramp": 0.1 * time_s,
    }[name]
    hiss = np.random.default_rng(0).normal(0, 2e-5, N)
    assert _deaf(_window(drift + hiss)) == "inaudible"
    assert _deaf(_window(drift + _tone(-40))) is None


def test_one_sample_is_no_sound() -> None:
    for value in (1 / 32768, 0.01, 0.9):
        samples = np.zeros(N, np.float32)
        samples[20_000] = value
        assert _deaf(_window(samples)) in ("inaudible", "too_short")


@pytest.mark.parametrize("seconds", [0.1, 0.2, 0.5, 1.0, 2.0, 2.4, 2.6, 4.0, 5.0])
def test_short_and_padded_windows_are_never_enough_for_an_absence(seconds: float) -> None:
    alone = _window(_tone(-20, seconds))
    padded = np.zeros((N, 1), np.float32)
    padded[N - len(alone) :] = alone
    for window in (alone, padded):
        assert heard_s(window) == pytest.approx(seconds, abs=0.011)
        reasons = {_deaf(window), *audibility(window, N).doubts} - {None}
        assert reasons == (set() if seconds > 2.5 else {"too_short"})


@pytest.mark.parametrize("rest", [0.0, 0.3, -1 / 128, 1e-6])
def test_a_second_of_sound_and_a_constant_is_a_second_of_sound(rest: float) -> None:
    samples = np.full(N, rest, np.float32)
    samples[:16_000] += _tone(-20, 1.0)
    assert heard_s(_window(samples)) == pytest.approx(1.0, abs=0.011)
    assert audibility(_window(samples), N).doubts == ("too_short",)


def test_a_narrow_band_does_not_hide_a_graver_doubt(tiny_folder: Path) -> None:
    samples, _ = soundfile.read(tiny_folder / "clips/siren.ogg", dtype="float32")
    narrow = soxr.resample(soxr.resample(samples[:N], 16_000, 8_000), 8_000, 16_000)[:N]
    narrow[:16_000] *= np.hanning(16_000)  # a cut would be heard over the whole band
    narrow[16_000:] = 0
    assert audibility(_window(narrow), N).doubts == ("too_short", "narrow_band")


def test_one_overdriven_channel_is_clipped() -> None:
    square = np.sign(np.sin(np.arange(N) / 10)).astype(np.float32)
    assert is_clipped(_window(square))
    assert audibility(np.stack([_tone(-20), square], axis=1), N).doubts == ("clipped",)
    assert not is_clipped(_window(_tone(-4)))


def test_one_channel_that_hears_is_enough() -> None:
    dead = np.zeros(N, np.float32)
    assert _deaf(np.stack([dead, _tone(-30)], axis=1)) is None
    assert is_louder(-40, np.stack([dead, _tone(-30)], axis=1))


def test_the_examples_can_be_heard(tiny_folder: Path) -> None:
    for path in sorted((tiny_folder / "clips").glob("*.ogg")):
        samples, _ = soundfile.read(path, dtype="float32", always_2d=True)
        assert _deaf(samples[:N]) is None, path.name


@pytest.mark.parametrize(
    ("rate", "deaf", "doubts"),
    [
        (4_000, "narrow_band", ()),
        (6_000, "narrow_band", ()),
        (8_000, None, ("narrow_band",)),
        (11_025, None, ()),
        (16_000, None, ()),
    ],
)
def test_a_narrow_band_is_seen_in_the_samples(
    tiny_folder: Path, rate: int, deaf: str | None, doubts: tuple[str, ...]
) -> None:
    for name in ("siren", "dog", "crying_baby"):
        samples, _ = soundfile.read(tiny_folder / "clips" / f"{name}.ogg", dtype="float32")
        low = soxr.resample(samples[:N], 16_000, rate)
        window = _window(soxr.resample(low, rate, 16_000)[:N])
        assert (_deaf(window), audibility(window, N).doubts) == (deaf, doubts), name


def test_a_band_ends_where_its_source_did_and_not_at_the_resamplers_mirror(
    tiny_folder: Path, tmp_path: Path
) -> None:
    command = ["ffmpeg", "-loglevel", "error", "-i", tiny_folder / "clips/siren.ogg"]
    for rate in ("8000", "16000"):
        subprocess.run([*command, "-ar", rate, "-y", tmp_path / f"{rate}.wav"], check=True)
        command[-1] = tmp_path / f"{rate}.wav"
    samples, _ = soundfile.read(tmp_path / "16000.wav", dtype="float32")
    assert 4000 < bandwidth_hz(_window(samples[:N])) < 4700
    assert audibility(_window(samples[:N]), N).doubts == ("narrow_band",)


@pytest.mark.parametrize("hertz", [50, 440, 1000, 3100])
def test_a_pure_tone_has_no_narrow_band(hertz: int) -> None:
    time_s = np.arange(N) / 16_000
    window = _window(0.3 * np.sin(2 * np.pi * hertz * time_s))
    assert bandwidth_hz(window) == 8000


def test_a_signal_of_noise_alone_is_not_asked_about_beside_another() -> None:
    hiss = np.random.default_rng(0).normal(0, 2e-5, N).astype(np.float32)
    first, faint, loud = hiss, hiss, _tone(-40)
    assert [len(audible([first, other])) for other in (faint, loud)] == [1, 2]
