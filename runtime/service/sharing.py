"""One engine for all sources and uploads: one window at a time, in a fair order."""

from __future__ import annotations

from listen_edge.errors import ListenEdgeError


class BusyError(ListenEdgeError):
    """More uploads wait for the engine than it takes.

    Attributes:
        retry_after_s: when it is worth to try again.
    """

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(
            f"too many recordings wait to be answered; try again in {retry_after_s:.0f} s"
        )
        self.retry_after_s = retry_after_s
