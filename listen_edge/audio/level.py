"""How loud samples are, in dB relative to full scale."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def level_dbfs(samples: NDArray[np.float32]) -> float | None:
    """Return the RMS level of samples (n,) or of the loudest channel of (n, n_channels).

    None for digital silence.
    """
    if not len(samples):
        return None
    mean_square = float(np.max(np.mean(np.square(samples, dtype=np.float64), axis=0)))
    return float(10 * np.log10(mean_square)) if mean_square > 0 else None
