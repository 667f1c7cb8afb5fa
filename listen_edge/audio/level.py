"""How loud samples are, in dB relative to full scale."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from listen_edge.log_mel import SAMPLE_RATE

LOUDEST_S = 0.25  # by which a sound is as loud as another, however long it lasts


def level_dbfs(samples: NDArray[np.float32]) -> float | None:
    """Return the RMS level of samples (n,) or of the loudest channel of (n, n_channels).

    None for digital silence.
    """
    if not len(samples):
        return None
    mean_square = float(np.max(np.mean(np.square(samples, dtype=np.float64), axis=0)))
    return float(10 * np.log10(mean_square)) if mean_square > 0 else None


def loudest_rms(samples: NDArray[np.float32]) -> float:
    """Return the RMS of the loudest LOUDEST_S of samples (n,) at 16 kHz."""
    n = min(round(LOUDEST_S * SAMPLE_RATE), len(samples))
    energy = np.cumsum(np.square(np.append(0, samples), dtype=np.float64))
    return float(np.sqrt(np.max(energy[n:] - energy[:-n]) / n))
