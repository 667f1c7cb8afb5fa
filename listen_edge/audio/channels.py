"""Several channels -> one or two mono signals that together hold what they hold.

The mean of all channels loses a sound that lies in them with opposite signs, and drowns a good
channel in a noisy one. So channels are mixed only with those that hear the same; the others are
heard by themselves, at the cost of one more encoding of such a window and never more.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_FRAME = 512  # samples, 32 ms at 16 kHz
_BAND_EDGES = (1, 4, 8, 16, 32, 64, 128)  # bins of 31 Hz: octaves from 31 Hz to 8 kHz
_DEAD = 1e-6  # energy beside the strongest channel's: -60 dB
_OPPOSITE = -0.5  # correlation from which a channel is mixed with its sign turned
_LOST = -0.3  # coherence of a band, -1 to 1, below which a mix loses what the channels hold
_FAINT_BAND = 1e-4  # energy beside the loudest band's, below which a band says nothing: -40 dB
_FAINT_CELL = 1e-5  # the same of one band in one frame: -50 dB
_UNLIKE_DB = 6.0  # mean difference of levels over time and frequency: another scene


def separate(samples: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Return one mono signal, or two where the channels do not hear the same.

    Args:
        samples: shape (n_samples, n_channels), at 16 kHz; an offset is no sound.

    Returns:
        Signals of shape (n_samples,): the mix of the strongest channel and of those that hear what
        it hears, then that of the others. A channel 60 dB below the strongest is dead.
    """
    if samples.shape[1] == 1 or (samples[:, 1:] == samples[:, :1]).all():
        return [samples[:, 0]]
    spectra = _spectra(samples)  # (n_channels, n_frames, n_bins)
    energy = np.add.reduceat(np.abs(spectra) ** 2, _BAND_EDGES, axis=2)
    totals = energy.sum(axis=(1, 2))
    live = [k for k in np.argsort(-totals, kind="stable") if totals[k] > _DEAD * totals.max()]
    if not live:
        return [samples[:, 0]]
    strongest = live[0]
    signs = {strongest: 1.0}
    others = []
    for channel in live[1:]:
        sign = _sign_to_agree(spectra, energy, strongest, channel)
        if sign is None:
            others.append(channel)
        else:
            signs[channel] = sign
    signals = [_mix(samples, signs)]
    if others:
        signals.append(_mix(samples, {k: _sign(spectra, others[0], k) for k in others}))
    return signals


def mix(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the first signal of separate: what the strongest channel hears, (n_samples,)."""
    return separate(samples)[0]


def _spectra(samples: NDArray[np.float32]) -> NDArray[np.complex64]:
    n_frames = max(1, len(samples) // _FRAME)
    padded = np.zeros((n_frames * _FRAME, samples.shape[1]), np.float32)
    n_taken = min(len(samples), len(padded))
    padded[:n_taken] = samples[:n_taken] - samples.mean(axis=0, dtype=np.float64)
    frames = padded.T.reshape(samples.shape[1], n_frames, _FRAME)
    window = np.hanning(_FRAME).astype(np.float32)
    spectra: NDArray[np.complex64] = np.fft.rfft(frames * window).astype(np.complex64)
    return spectra


def _sign_to_agree(
    spectra: NDArray[np.complex64], energy: NDArray[np.float32], a: int, b: int
) -> float | None:
    """Return the sign with which channel b can be mixed into a, None if it hears something else."""
    products = (spectra[a] * spectra[b].conj()).real
    common = np.add.reduceat(products, _BAND_EDGES, axis=1).sum(axis=0)  # (n_bands,)
    bands_a, bands_b = energy[a].sum(axis=0), energy[b].sum(axis=0)
    correlation = common.sum() / np.sqrt(bands_a.sum() * bands_b.sum())
    sign = -1.0 if correlation < _OPPOSITE else 1.0
    is_loud = np.maximum(bands_a / bands_a.max(), bands_b / bands_b.max()) > _FAINT_BAND
    coherence = 2 * sign * common / np.maximum(bands_a + bands_b, np.finfo(np.float32).tiny)
    if (coherence < _LOST)[is_loud].any():
        return None
    cells_a, cells_b = energy[a] / energy[a].max(), energy[b] / energy[b].max()
    levels = 10 * np.log10((cells_a + _FAINT_CELL) / (cells_b + _FAINT_CELL))
    levels = levels[np.maximum(cells_a, cells_b) > _FAINT_CELL]
    unlike_db = np.abs(levels - np.median(levels)).mean()
    return None if unlike_db > _UNLIKE_DB else sign


def _sign(spectra: NDArray[np.complex64], a: int, b: int) -> float:
    """Return the sign with which channel b adds to channel a."""
    return -1.0 if (spectra[a] * spectra[b].conj()).real.sum() < 0 else 1.0


def _mix(samples: NDArray[np.float32], signs: dict[int, float]) -> NDArray[np.float32]:
    total = np.zeros(len(samples), np.float32)
    for channel, sign in signs.items():
        total += np.float32(sign) * samples[:, channel]
    total /= np.float32(len(signs))
    return total
