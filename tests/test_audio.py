"""Recordings of any form become mono 16 kHz; anything else is one clear error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from listen_edge.audio import at_16_khz, level_dbfs, read_audio, read_channels
from listen_edge.errors import AudioError


def _tone(rate: int, seconds: float = 1.0) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * 440 * np.arange(int(rate * seconds)) / rate)


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 96_000])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT", "DOUBLE"])
def test_every_rate_and_width_is_the_same_tone(tmp_path: Path, rate: int, subtype: str) -> None:
    path = tmp_path / "tone.wav"
    soundfile.write(path, _tone(rate), rate, subtype)
    samples = read_audio(path)
    assert samples.dtype == np.float32
    assert len(samples) == pytest.approx(16_000, abs=2)
    spectrum = np.abs(np.fft.rfft(samples[:16_000]))
    assert int(spectrum.argmax()) == 440
    assert level_dbfs(samples) == pytest.approx(-9.03, abs=0.1)  # 0.5 / sqrt(2)


@pytest.mark.parametrize("n_samples", [0, 1, 200])
def test_a_recording_too_short_to_judge(tmp_path: Path, n_samples: int) -> None:
    path = tmp_path / "short.wav"
    soundfile.write(path, np.zeros(n_samples), 16_000)
    with pytest.raises(AudioError, match=f"short.wav: {n_samples} samples .* at least 0.1 s"):
        read_audio(path)


def test_files_that_are_no_recordings(tmp_path: Path) -> None:
    cases = {"missing.wav": "no such file", "": "not a file but a folder"}
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("this is not audio" * 100)
    cases |= {"empty.wav": "file is empty", "text.wav": "cannot be decoded"}
    for name, match in cases.items():
        with pytest.raises(AudioError, match=match):
            read_audio(tmp_path / name)


@pytest.mark.parametrize("extension", ["wav", "flac", "ogg", "mp3"])
def test_a_truncated_recording_is_refused(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"cut.{extension}"
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 160_000), 16_000)
    assert len(read_audio(path)) == pytest.approx(160_000, abs=1200)  # MP3 pads
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(AudioError, match=rf"cut.{extension}: (truncated|cannot be decoded)"):
        read_audio(path)


def test_a_wav_written_to_a_pipe_has_no_size_and_is_read(tmp_path: Path) -> None:
    path = tmp_path / "pipe.wav"
    soundfile.write(path, _tone(16_000), 16_000, "PCM_16")
    data = bytearray(path.read_bytes())
    data[4:8] = data[40:44] = b"\xff" * 4  # RIFF and data sizes
    path.write_bytes(data)
    assert len(read_audio(path)) == 16_000


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_samples_that_are_not_finite_are_refused(tmp_path: Path, bad: float) -> None:
    samples = _tone(16_000)
    samples[100:103] = bad
    path = tmp_path / "nan.wav"
    soundfile.write(path, samples, 16_000, "FLOAT")
    with pytest.raises(AudioError, match=r"nan\.wav: 3 samples are NaN or infinite"):
        read_audio(path)


def test_impossible_samples_are_refused() -> None:
    with pytest.raises(AudioError, match="sample rate 0 Hz"):
        at_16_khz(np.zeros(16_000), 0)
    with pytest.raises(AudioError, match="shape"):
        at_16_khz(np.zeros((16_000, 2, 2)), 16_000)


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 44_100, 48_000])
@pytest.mark.parametrize("offset", [0.25, -1.0])
def test_a_constant_stays_one_at_any_rate(tmp_path: Path, rate: int, offset: float) -> None:
    """A resampler's filter would begin and end it with a click."""
    constant = np.full((5 * rate, 2), offset, np.float32)
    soundfile.write(tmp_path / "constant.wav", constant, rate, "FLOAT")
    for samples in (read_channels(tmp_path / "constant.wav"), at_16_khz(constant, rate)):
        assert samples.shape == (80_000, 2) and (samples == offset).all()


@pytest.mark.parametrize("dtype", [np.int64, np.uint16, np.uint32, bool, complex])
def test_types_that_do_not_say_their_scale_are_refused(dtype: type) -> None:
    with pytest.raises(AudioError, match=r"expected floats in \[-1, 1\], or int8, int16, int32"):
        at_16_khz(np.ones(16_000, dtype), 16_000)


def test_level_of_silence_is_none() -> None:
    assert level_dbfs(np.zeros(100, np.float32)) is None


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=3000))
def test_no_bytes_crash_the_decoder(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.wav"
    path.write_bytes(b"RIFF" + data)
    try:
        assert np.isfinite(read_audio(path)).all()
    except AudioError as err:
        assert "fuzz.wav" in str(err)
