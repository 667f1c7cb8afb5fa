"""Constants of Whisper's log-mel spectrogram, as arrays that torch and ONNX both build on.

The one definition of the front end: train/backbones.py wraps these arrays in a module and export
traces that module into the graph, so a device runs the training front end itself.

Source: openai/whisper `audio.py` (16 kHz, 25 ms Hann window, 10 ms hop, floor at max - 8);
mel scale of Slaney's Auditory Toolbox, area-normalised, as librosa's default.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000  # Hz
N_FFT = 400  # samples, 25 ms
HOP_LENGTH = 160  # samples, 10 ms
SAMPLES_PER_ENCODER_FRAME = 2 * HOP_LENGTH  # Whisper's second convolution halves the frames
N_BINS = N_FFT // 2 + 1

_LINEAR_HZ_PER_MEL = 200 / 3
_LOG_START_HZ = 1000.0
_LOG_STEP = np.log(6.4) / 27


def dft_kernels() -> NDArray[np.float32]:
    """Return the Hann-windowed DFT as convolution kernels.

    Returns:
        Shape (2 * N_BINS, 1, N_FFT): the cosine rows, then the sine rows.
    """
    time = np.arange(N_FFT)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * time / N_FFT)  # periodic Hann
    phase = 2 * np.pi * np.outer(np.arange(N_BINS), time) / N_FFT
    kernels = np.concatenate([np.cos(phase), np.sin(phase)]) * window
    return kernels[:, None, :].astype(np.float32)


def mel_filters(n_mels: int) -> NDArray[np.float32]:
    """Return the triangular mel filterbank from 0 Hz to the Nyquist frequency.

    Returns:
        Shape (n_mels, N_BINS).
    """
    edges_hz = _mel_to_hz(np.linspace(0, _hz_to_mel(SAMPLE_RATE / 2), n_mels + 2))
    bins_hz = np.linspace(0, SAMPLE_RATE / 2, N_BINS)
    rising = (bins_hz - edges_hz[:-2, None]) / np.diff(edges_hz)[:-1, None]
    falling = (edges_hz[2:, None] - bins_hz) / np.diff(edges_hz)[1:, None]
    triangles = np.maximum(0, np.minimum(rising, falling))
    area = 2 / (edges_hz[2:] - edges_hz[:-2])
    return np.asarray(triangles * area[:, None], np.float32)


def _hz_to_mel(hz: float) -> float:
    if hz < _LOG_START_HZ:
        return hz / _LINEAR_HZ_PER_MEL
    return float(_LOG_START_HZ / _LINEAR_HZ_PER_MEL + np.log(hz / _LOG_START_HZ) / _LOG_STEP)


def _mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    log_start_mel = _LOG_START_HZ / _LINEAR_HZ_PER_MEL
    linear = mel * _LINEAR_HZ_PER_MEL
    logarithmic = _LOG_START_HZ * np.exp((mel - log_start_mel) * _LOG_STEP)
    return np.where(mel < log_start_mel, linear, logarithmic)
