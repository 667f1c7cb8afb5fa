"""Recordings on disk -> mono samples at 16 kHz.

Whatever libsndfile decodes, at any rate, width and channel count; what it cannot decode, or what
holds no sound that could be listened to, is an AudioError that names the file.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from listen_edge.errors import AudioError
from listen_edge.log_mel import SAMPLE_RATE

MIN_DURATION_S = 0.1  # shorter holds less than one syllable: nothing can be said about it
MAX_DURATION_S = 3600.0  # a recording is read into memory whole
# What libsndfile logs of a file that ends early. A WAV written to a pipe leaves its size open.
_CUT_SHORT = re.compile(
    r"lacks an end-of-stream bit|^data : (?!0 |4294967295 )\d+ \(should be \d+\)", re.MULTILINE
)
_BLOCK_FRAMES = 1 << 16
MIN_RATE, MAX_RATE = 4_000, 768_000  # Hz


def read_window(path: Path, n_samples: int) -> NDArray[np.float32]:
    """Return the recording's first n_samples, silence after its end; errors as read_audio."""
    window = np.zeros(n_samples, np.float32)
    samples = read_audio(path)[:n_samples]
    window[: len(samples)] = samples
    return window


def read_audio(path: Path) -> NDArray[np.float32]:
    """Return the recording as mono samples at 16 kHz, shape (n_samples,), in [-1, 1].

    Raises:
        AudioError: the file is missing, empty, truncated, no audio, shorter than MIN_DURATION_S,
            longer than MAX_DURATION_S, or holds NaN or infinite samples.
    """
    if not path.is_file():
        raise AudioError(f"{path}: no such file" if not path.exists() else f"{path}: not a file")
    if path.stat().st_size == 0:
        raise AudioError(f"{path}: the file is empty")
    try:
        with soundfile.SoundFile(path) as file:
            rate, n_expected = file.samplerate, file.frames
            if n_expected > MAX_DURATION_S * rate:
                raise AudioError(
                    f"{path}: {n_expected / rate:.0f} s long, expected at most "
                    f"{MAX_DURATION_S:.0f} s; use `listen-edge replay`, which takes any length"
                )
            mono = _read_mono(file)
            is_cut = is_cut_short(file)
    except (soundfile.LibsndfileError, OSError) as err:
        raise AudioError(
            f"{path}: cannot be decoded ({str(err).splitlines()[0]}); expected a recording that "
            "libsndfile reads, such as WAV, FLAC, Ogg or MP3"
        ) from err
    if is_cut or len(mono) < n_expected:
        raise AudioError(
            f"{path}: truncated, it ends after {len(mono) / rate:.1f} s in mid-stream; "
            "copy or record it again"
        )
    try:
        return prepare(mono, rate)
    except AudioError as err:
        raise AudioError(f"{path}: {err}") from err


def is_cut_short(file: soundfile.SoundFile) -> bool:
    """Tell whether libsndfile found that the file ends before its header or container says."""
    return _CUT_SHORT.search(file.extra_info) is not None


def _read_mono(file: soundfile.SoundFile) -> NDArray[np.float32]:
    """Return the mean of the channels at the file's rate, shape (n_samples,).

    Reads block by block: a header may claim more than the file holds.
    """
    blocks = [np.zeros(0, np.float32)]
    while len(block := file.read(_BLOCK_FRAMES, dtype="float32", always_2d=True)):
        blocks.append(block.mean(axis=1))
    return np.concatenate(blocks)


def prepare(samples: NDArray[np.floating], sample_rate: int) -> NDArray[np.float32]:
    """Return samples of any rate, (n_samples,) or (n_samples, n_channels), as mono at 16 kHz.

    Raises:
        AudioError: too short, not finite, or an impossible rate or shape.
    """
    if not MIN_RATE <= sample_rate <= MAX_RATE:
        raise AudioError(f"sample rate {sample_rate} Hz, expected {MIN_RATE} to {MAX_RATE} Hz")
    samples = np.asarray(samples, np.float32)
    if samples.ndim == 2:
        samples = samples.mean(axis=1)
    if samples.ndim != 1:
        raise AudioError(f"samples of shape {samples.shape}, expected (n_samples,)")
    duration_s = len(samples) / sample_rate
    if duration_s < MIN_DURATION_S:
        raise AudioError(
            f"{len(samples)} samples ({duration_s:.3f} s), expected at least {MIN_DURATION_S} s"
        )
    if not np.isfinite(samples).all():
        raise AudioError(
            f"{np.count_nonzero(~np.isfinite(samples))} samples are NaN or infinite; "
            "the recording is damaged"
        )
    if sample_rate == SAMPLE_RATE:
        return samples
    return np.asarray(soxr.resample(samples, sample_rate, SAMPLE_RATE), np.float32)


def level_dbfs(samples: NDArray[np.float32]) -> float | None:
    """Return the RMS level in dB relative to full scale, None for digital silence."""
    mean_square = float(np.mean(np.square(samples, dtype=np.float64))) if len(samples) else 0.0
    return float(10 * np.log10(mean_square)) if mean_square > 0 else None
