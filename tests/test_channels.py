"""What a mix of channels keeps: every sound that one of them holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from listen_edge.audio.channels import mix, separate

Samples = NDArray[np.float32]
N = 80_000


@pytest.fixture(scope="module", params=["siren", "dog", "crying_baby"])
def sound(request: pytest.FixtureRequest, tiny_folder: Path) -> Samples:
    samples, _ = soundfile.read(tiny_folder / "clips" / f"{request.param}.ogg", dtype="float32")
    return np.asarray(samples[:N], np.float32)


def _noise(like: Samples, level_db: float, seed: int) -> Samples:
    rms = float(np.sqrt(np.mean(like**2)))
    noise = np.random.default_rng(seed).normal(0, rms * 10 ** (level_db / 20), len(like))
    return noise.astype(np.float32)


def _hum(like: Samples) -> Samples:
    rms = float(np.sqrt(np.mean(like**2)))
    return np.asarray(3 * rms * np.sin(2 * np.pi * 50 / 16_000 * np.arange(N)), np.float32)


def _best_correlation(signals: list[Samples], sound: Samples) -> float:
    return max(abs(float(np.corrcoef(signal, sound)[0, 1])) for signal in signals)


@pytest.mark.parametrize(
    ("name", "n_signals"),
    [
        ("opposite", 1),
        ("nearly opposite", 1),
        ("dead", 1),
        ("surround with one live channel", 1),
        ("self-noise", 1),
        ("quieter", 1),
        ("noise", 2),
        ("louder noise", 2),
        ("hum", 2),
        ("loud noise in four of five", 2),
        ("another loud noise in each of four", 2),
        ("40 dB below noise", 2),
        ("opposite beside noise", 2),
    ],
)
def test_no_channel_is_lost(sound: Samples, name: str, n_signals: int) -> None:
    zero = np.zeros_like(sound)
    channels = {
        "opposite": [sound, -sound],
        "nearly opposite": [sound, -0.98 * sound + _noise(sound, -40, 1)],
        "dead": [zero, sound],
        "surround with one live channel": [zero, zero, sound, zero, zero, zero],
        "self-noise": [sound + _noise(sound, -20, 1), 0.7 * sound + _noise(sound, -20, 2)],
        "quieter": [0.1 * sound, sound],
        "noise": [_noise(sound, 0, 1), sound],
        "louder noise": [_noise(sound, 10, 1), sound],
        "hum": [_hum(sound), sound],
        "loud noise in four of five": [_noise(sound, 10, 1)] * 4 + [sound],
        "40 dB below noise": [_noise(sound, 0, 1), 0.01 * sound],
        "opposite beside noise": [_noise(sound, 10, 1), 0.5 * sound, -0.5 * sound],
        "another loud noise in each of four": [_noise(sound, 10, k) for k in range(4)] + [sound],
    }[name]
    signals = separate(np.stack(channels, axis=1).astype(np.float32))
    assert len(signals) == n_signals
    assert _best_correlation(signals, sound) > 0.97


def test_a_sound_that_lies_with_opposite_signs_under_a_common_hum_is_kept(sound: Samples) -> None:
    hum = _hum(sound)
    signals = separate(np.stack([hum + 0.3 * sound, hum - 0.3 * sound], axis=1))
    assert len(signals) == 2
    for signal in signals:
        residue = signal - hum
        assert abs(float(np.corrcoef(residue, sound)[0, 1])) > 0.99


def test_a_sound_at_the_sides_of_noise_in_the_middle_is_kept(sound: Samples) -> None:
    noise = _noise(sound, 0, 1)
    signals = separate(np.stack([noise + sound, noise - sound], axis=1))
    assert _best_correlation(signals, sound) > 0.65


def test_equal_channels_are_one_signal_bit_for_bit(sound: Samples) -> None:
    (signal,) = separate(np.stack([sound] * 3, axis=1))
    np.testing.assert_array_equal(signal, sound)


def test_two_rooms_are_two_signals(sound: Samples) -> None:
    other = np.roll(sound[::-1], 9000).copy()
    signals = separate(np.stack([sound, other], axis=1))
    assert len(signals) in (1, 2)
    assert _best_correlation(signals, sound) > 0.6


@pytest.mark.parametrize("n_samples", [1, 100, 511, 513])
def test_short_and_silent_samples_have_a_mix(n_samples: int) -> None:
    assert mix(np.zeros((n_samples, 2), np.float32)).shape == (n_samples,)
    rng = np.random.default_rng(0)
    assert mix(rng.normal(0, 0.1, (n_samples, 2)).astype(np.float32)).shape == (n_samples,)


def test_an_offset_is_no_sound(sound: Samples) -> None:
    offset = np.full_like(sound, 0.9)
    signals = separate(np.stack([offset, 0.01 * sound], axis=1))
    assert _best_correlation(signals, sound) > 0.99


def test_a_file_is_mixed_as_its_samples_are(tmp_path: Path, sound: Samples) -> None:
    from listen_edge.audio import read_audio

    stereo = np.stack([sound, -sound], axis=1)
    soundfile.write(tmp_path / "a.wav", stereo, 16_000, "FLOAT")
    np.testing.assert_allclose(read_audio(tmp_path / "a.wav"), sound, atol=1e-6)
