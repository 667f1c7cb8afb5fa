"""How patient a connection with a broker is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """How long things may take, in seconds.

    Attributes:
        answer_s: for the broker to answer, until it is given up.
        first_s, longest_s: before connecting again; doubled from the one to the other.
        steady_s: a connection that held so long makes the next wait short again.
        will_delay_s: from a connection's loss until the broker says that the node is offline.
    """

    answer_s: float = 10.0
    first_s: float = 1.0
    longest_s: float = 60.0
    steady_s: float = 30.0
    will_delay_s: int = 5
