"""Presence of the last days -> the events that other thresholds would have made of it.

The trigger is the listener's own. The confirmations and pauses that it was not asked about are
those of the configuration it is given.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from listen_edge.runtime.listening.trigger import Trigger, TriggerConfig
from listen_edge.runtime.service.records.history import Presence, Times
from listen_edge.runtime.thresholds import Thresholds


@dataclass(frozen=True)
class WouldBe:
    """An event that thresholds would have made.

    Attributes:
        started_s: Unix time.
        duration_s: from there to the end of the last window that heard it.
        has_ended: False for one that goes on where the presence ends.
    """

    started_s: float
    duration_s: float
    peak_presence: float
    has_ended: bool


def what_if(
    times: Times,
    presence: Presence,
    thresholds: Thresholds,
    config: TriggerConfig,
    hop_s: float,
) -> list[WouldBe]:
    """Return the events that thresholds would have made, in order.

    Where windows are missing for longer than an event outlasts, such as over a restart, an event
    ends and the trigger begins anew.

    Args:
        times, presence: of Store.presence, (n_windows,) each.
        config: confirmation, pauses and ends; its own thresholds are not used.
        hop_s: seconds between windows.

    Raises:
        ListenEdgeError: a configuration that cannot work with this hop.
    """
    config.check_hop(hop_s)
    gaps = np.flatnonzero(np.diff(times) > max(config.end_after_s, 3 * hop_s)) + 1
    pieces = list(zip(np.split(times, gaps), np.split(presence, gaps), strict=True))
    found = []
    for k, (ends_s, heard) in enumerate(pieces):
        if np.count_nonzero(heard >= thresholds.on) >= config.confirm[0]:
            trigger = Trigger(thresholds, config, hop_s)
            is_last = k == len(pieces) - 1
            found += list(_events(trigger, ends_s, heard, is_last=is_last))
    return found


def _events(
    trigger: Trigger, ends_s: Times, presence: Presence, *, is_last: bool
) -> Iterator[WouldBe]:
    for end_s, heard in zip(ends_s.tolist(), presence.tolist(), strict=True):
        change = trigger.update(end_s, None if math.isnan(heard) else heard)
        if change is not None and change.phase == "end":
            yield WouldBe(change.start_s, change.duration_s, change.peak_presence, True)
    change = trigger.close("no_audio")
    if change is not None:
        yield WouldBe(change.start_s, change.duration_s, change.peak_presence, not is_last)


def reach(presence: Presence, confirm: tuple[int, int]) -> float:
    """Return the highest `on` at which these windows still begin an event, NaN if none does.

    That is the k-th highest of some n windows in a row, or its last one if that is lower.
    """
    k, n = confirm
    heard: NDArray[np.float64] = np.where(np.isnan(presence), -1.0, presence)
    heard = np.concatenate([np.full(n - 1, -1.0), heard])
    if len(heard) < n:
        return math.nan
    rows = np.lib.stride_tricks.sliding_window_view(heard, n)  # (n_windows, n)
    kth = np.sort(rows, axis=1)[:, -k]
    best = float(np.max(np.minimum(kth, rows[:, -1])))
    return best if best >= 0 else math.nan
