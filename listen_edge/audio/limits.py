"""What samples may be: rates, lengths and values beyond which nothing can be said of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from listen_edge.errors import AudioError

MIN_DURATION_S = 0.1  # shorter holds less than one syllable: nothing can be said about it
MAX_DURATION_S = 3600.0  # of what is read into memory whole
MIN_RATE, MAX_RATE = 4_000, 768_000  # Hz
MAX_PEAK = 4.0  # full scale is 1; what lossy codecs overshoot is less, what is more is damage


def check_rate(rate: int) -> None:
    """Raise AudioError unless samples at this rate, in Hz, can be listened to."""
    if not MIN_RATE <= rate <= MAX_RATE:
        raise AudioError(f"sample rate {rate} Hz, expected {MIN_RATE} to {MAX_RATE} Hz")


def check_values(samples: NDArray[np.float32]) -> None:
    """Raise AudioError if samples are not finite or lie far beyond full scale."""
    if len(samples) == 0:
        return
    peak = np.abs(samples).max()
    if peak <= MAX_PEAK:  # false for NaN
        return
    n_bad = int(np.count_nonzero(~np.isfinite(samples)))
    if n_bad:
        raise AudioError(f"{n_bad} samples are NaN or infinite; the recording is damaged")
    raise AudioError(
        f"a sample of {peak:.3g}, expected -1 to 1; the recording is damaged, or its values must "
        "be scaled"
    )


def check_duration(n_samples: int, rate: int) -> None:
    """Raise AudioError unless there is at least MIN_DURATION_S."""
    if n_samples < MIN_DURATION_S * rate:
        raise AudioError(
            f"{n_samples} samples ({n_samples / rate:.4f} s), expected at least {MIN_DURATION_S} s"
        )
