"""When presence becomes an event: the state machine between answers and alarms.

One machine a question, fed with each window's presence:

    idle ──k of the last n windows reach `on`──> active ──nothing reaches `off` for end_after_s──┐
     ^                                            │  ^                                            │
     │                              every long_event_s: "update", notice long_event               │
     └──────────────── cooldown_s are over ── cooldown <──────────────────────────────────────────┘

- Confirmation counts windows, whatever the hop. An unknown window counts as one that did not hear.
- Hysteresis: an event begins at `on` and goes on as long as windows reach `off`.
- In cooldown, windows are counted but nothing begins; what is confirmed when it ends begins then.
- A long event ends only after long_event_s of quiet: a hum that comes and goes is one event.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal

from listen_edge.errors import ListenEdgeError
from listen_edge.event_settings import MAX_CONFIRM_WINDOWS
from listen_edge.lines.event import Ending, Phase
from listen_edge.runtime.thresholds import Thresholds

EVENT_THRESHOLDS = Thresholds(on=0.99, off=0.9)


@dataclass(frozen=True)
class TriggerConfig:
    """How sure, and for how long.

    Attributes:
        thresholds: of presence: an event begins at on and goes on down to off. Presence takes
            present and absent for equally likely; where a sound is in one window of a hundred, it
            is more likely there than not from 0.99 (Bayes), which is the default.
        confirm: (k, n): k of the last n windows must reach `on`.
        end_after_s: an event ends when nothing has reached `off` for so long.
        cooldown_s: no new event of this question for so long after one has ended.
        long_event_s: an event so long is stationary: it says so at this interval, and ends only
            after so much quiet.
    """

    thresholds: Thresholds = EVENT_THRESHOLDS
    confirm: tuple[int, int] = (3, 4)
    end_after_s: float = 5.0
    cooldown_s: float = 15.0
    long_event_s: float = 120.0

    def __post_init__(self) -> None:
        k, n = self.confirm
        if not 1 <= k <= n <= MAX_CONFIRM_WINDOWS:
            raise ListenEdgeError(
                f"--confirm {k}/{n}: {k} of {n} windows can never be; expected K/N with "
                f"1 <= K <= N <= {MAX_CONFIRM_WINDOWS}"
            )
        if not 0 < self.end_after_s <= 3600:
            raise ListenEdgeError(f"--end-after {self.end_after_s:g}: expected 0 to 3600 s")
        if not 0 <= self.cooldown_s <= 86_400:
            raise ListenEdgeError(f"--cooldown {self.cooldown_s:g}: expected 0 to 86400 s")
        if not self.end_after_s < self.long_event_s:
            raise ListenEdgeError(
                f"--long-event {self.long_event_s:g}: expected more than --end-after "
                f"{self.end_after_s:g}, else every event would be long"
            )

    def check_hop(self, hop_s: float) -> None:
        """Refuse what cannot work with windows at this hop.

        Raises:
            ListenEdgeError: an event would end between two windows that both hear it.
        """
        if self.end_after_s < hop_s:
            raise ListenEdgeError(
                f"--end-after {self.end_after_s:g} is shorter than --hop {hop_s:g}: every event "
                "would end before the next window; give at least the hop"
            )


@dataclass(frozen=True)
class Change:
    """What a window changed: an event began, goes on for long, or ended."""

    phase: Phase
    start_s: float
    duration_s: float
    peak_presence: float
    is_long: bool = False
    ending: Ending | None = None


class Trigger:
    """One question's state.

    Args:
        thresholds: this question's.
        config: see TriggerConfig, whose thresholds are those of questions without their own.
        hop_s: seconds between windows: a sound's begin lies in the newest hop that first heard it.
    """

    def __init__(self, thresholds: Thresholds, config: TriggerConfig, hop_s: float) -> None:
        config.check_hop(hop_s)
        self.state: Literal["idle", "active", "cooldown"] = "idle"
        self._thresholds, self._config, self._hop_s = thresholds, config, hop_s
        self._hits: deque[tuple[float, float] | None] = deque(maxlen=config.confirm[1])
        self._start_s = self._heard_s = self._peak = 0.0
        self._n_long = 0
        self._cooldown_until_s = 0.0

    def update(self, now_s: float, presence: float | None) -> Change | None:
        """Take a window's presence and return what it changed.

        Args:
            now_s: the window's end, in seconds of the stream; never less than before.
            presence: None if the window was not listened to.
        """
        heard = presence is not None and presence >= self._thresholds.on
        self._hits.append((now_s, presence) if heard and presence is not None else None)
        if self.state == "active":
            return self._go_on(now_s, presence)
        if self.state == "cooldown" and now_s >= self._cooldown_until_s:
            self.state = "idle"
        hits = [hit for hit in self._hits if hit is not None]
        if self.state == "idle" and len(hits) >= self._config.confirm[0] and self._hits[-1]:
            return self._begin(now_s, hits)
        return None

    def retune(self, thresholds: Thresholds, config: TriggerConfig) -> None:
        """Go on with other settings: an event, a cooldown and what is confirmed so far are kept."""
        config.check_hop(self._hop_s)
        self._thresholds, self._config = thresholds, config
        hits = (hit if hit is not None and hit[1] >= thresholds.on else None for hit in self._hits)
        self._hits = deque(hits, maxlen=config.confirm[1])

    def close(self, ending: Ending) -> Change | None:
        """End an event that is going on, because listening ends."""
        return self._end(self._heard_s, ending) if self.state == "active" else None

    def _begin(self, now_s: float, hits: list[tuple[float, float]]) -> Change:
        self.state = "active"
        self._start_s, self._heard_s = hits[0][0] - self._hop_s, now_s
        self._peak, self._n_long = max(presence for _, presence in hits), 0
        return self._change("start")

    def _go_on(self, now_s: float, presence: float | None) -> Change | None:
        if presence is not None:
            self._peak = max(self._peak, presence)
            if presence >= self._thresholds.off:
                self._heard_s = now_s
        end_after_s = self._config.long_event_s if self._n_long else self._config.end_after_s
        if now_s - self._heard_s >= end_after_s:
            return self._end(now_s, "not_heard" if presence is not None else "no_audio")
        if self._heard_s - self._start_s >= (self._n_long + 1) * self._config.long_event_s:
            self._n_long += 1
            return self._change("update", is_long=True)
        return None

    def _end(self, now_s: float, ending: Ending) -> Change:
        self.state, self._cooldown_until_s = "cooldown", now_s + self._config.cooldown_s
        self._hits.clear()
        return self._change("end", ending=ending)

    def _change(
        self, phase: Phase, *, is_long: bool = False, ending: Ending | None = None
    ) -> Change:
        duration_s = self._heard_s - self._start_s
        return Change(phase, self._start_s, duration_s, self._peak, is_long, ending)
