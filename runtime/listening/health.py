"""What was counted since the start -> health lines: on every change, and from time to time."""

from __future__ import annotations

import time
from dataclasses import dataclass

from listen_edge.lines.health import Health
from listen_edge.runtime.listening.liveness import Liveness


@dataclass(frozen=True)
class Counts:
    """Since the start; lag and level are the last window's."""

    windows: int = 0
    dropped: int = 0
    gated: int = 0
    overflows: int = 0
    lag_s: float = 0.0
    level_dbfs: float | None = None

    def describe_losses(self, before: Counts) -> str:
        """Return what was lost since, in words; empty if nothing was."""
        dropped, overflows = self.dropped - before.dropped, self.overflows - before.overflows
        parts = [f"{dropped} windows skipped to keep up"] if dropped else []
        parts += [f"{overflows} overflows, samples were lost"] if overflows else []
        return ", ".join(parts)


class HealthReports:
    """The health lines of one source.

    Args:
        source: name to put into them.
        tick_s: between two lines about losses, at least.
        heartbeat_s: between lines when nothing changes.
    """

    def __init__(self, source: str, *, tick_s: float, heartbeat_s: float) -> None:
        self._source, self._tick_s, self._heartbeat_s = source, tick_s, heartbeat_s
        self._reported = Counts()
        self._reported_at_s = time.monotonic()
        self._said: tuple[str, int, str | None] = ("healthy", 0, None)

    def news(self, live: Liveness, counts: Counts) -> Health | None:
        """Return a line if something has changed or it is time for a heartbeat."""
        said, before = (live.state, live.n_restarts, live.message), self._said
        self._said = said
        losses = counts.describe_losses(self._reported)
        since_s = time.monotonic() - self._reported_at_s
        if said != before:
            return self.line("; ".join(filter(None, [live.message, losses])), live, counts)
        if losses and since_s >= self._tick_s:
            return self.line(losses, live, counts)
        if since_s >= self._heartbeat_s:
            return self.line(None, live, counts)
        return None

    def line(self, message: str | None, live: Liveness, counts: Counts) -> Health:
        """Return a line of how things stand, with a message."""
        self._reported, self._reported_at_s = counts, time.monotonic()
        return Health(
            source=self._source,
            state=live.state,
            message=message,
            n_windows=counts.windows,
            n_dropped=counts.dropped,
            n_gated=counts.gated,
            n_overflows=counts.overflows,
            n_restarts=live.n_restarts,
            lag_s=counts.lag_s,
            level_dbfs=counts.level_dbfs,
        )
