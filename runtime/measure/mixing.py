"""How recordings of a sound are mixed into hours without it."""

from __future__ import annotations

from dataclasses import dataclass

ROOM_DBFS = -55.0  # noise of the quiet room of a condition without folders


@dataclass(frozen=True)
class Condition:
    """What an event is mixed into.

    Attributes:
        name: as figures quote it.
        snr_db: lowest and highest ratio of the event to its background, drawn evenly.
        over: kinds of natural hours, drawn in turn; None: all. Empty: a quiet room.
        n: mixtures per recording.
    """

    name: str
    snr_db: tuple[float, float]
    over: tuple[str, ...] | None = None
    n: int = 1


CLEAR = Condition("clear", (25.0, 25.0), ())
OVER = ("speech", "music", "ambience")
MASKED = tuple(Condition(f"{snr_db:g} dB", (snr_db, snr_db), OVER) for snr_db in (10.0, 5.0, 0.0))
MIXED = Condition("mixed", (0.0, 10.0), None, n=6)  # tune's
