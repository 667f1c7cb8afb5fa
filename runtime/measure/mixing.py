"""How recordings of a sound are mixed into hours without it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mixing:
    """What is drawn for each recording.

    Attributes:
        snr_db: lowest and highest ratio of the recording to its background, drawn evenly.
        n_mixtures: per recording.
        seed: of every draw.
    """

    snr_db: tuple[float, float] = (0.0, 10.0)
    n_mixtures: int = 6
    seed: int = 0
