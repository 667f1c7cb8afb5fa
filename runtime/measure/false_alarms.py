"""Presence over hours -> false alarms, recall and latency, at any thresholds.

Events are counted by running the listener's trigger over the windows' presence, so that hundreds of
thresholds cost no more than one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from listen_edge.runtime.listening.listener import ListenConfig
from listen_edge.runtime.listening.trigger import Trigger
from listen_edge.runtime.thresholds import Thresholds

_LOGIT_STEP = 0.05


@dataclass(frozen=True)
class Trace:
    """A question's presence over a stream.

    Attributes:
        ends_s: each window's end, shape (n_windows,).
        presence: NaN where nothing was heard, shape (n_windows,).
        onset_s: where the sound begins; None where it is absent.
    """

    ends_s: NDArray[np.float64]
    presence: NDArray[np.float64]
    onset_s: float | None = None


@dataclass(frozen=True)
class Operation:
    """What one pair of thresholds does.

    Attributes:
        false_alarms: events in the negatives.
        recall: share of the mixtures with an event; NaN without positives.
        latencies_s: from onset to the end of the window that raised the event, of those.
    """

    thresholds: Thresholds
    false_alarms: int
    hours: float
    recall: float
    latencies_s: tuple[float, ...]

    @property
    def false_alarms_per_hour(self) -> float:
        return self.false_alarms / self.hours

    def latency_s(self, quantile: float) -> float:
        """Return a quantile of the latencies, NaN without any."""
        return float(np.quantile(self.latencies_s, quantile)) if self.latencies_s else math.nan

    def to_json(self) -> dict[str, float | None]:
        """Return the figures, None for those that were not measured."""
        figures = {
            "false_alarms": float(self.false_alarms),
            "negatives_h": self.hours,
            "false_alarms_per_hour": self.false_alarms_per_hour,
            "recall": self.recall,
            "onset_to_event_p50_s": self.latency_s(0.5),
            "onset_to_event_p95_s": self.latency_s(0.95),
        }
        return {k: None if math.isnan(v) else round(v, 3) for k, v in figures.items()}


def operate(
    negatives: Trace,
    positives: Sequence[Trace],
    thresholds: Thresholds,
    config: ListenConfig,
    hop_s: float,
) -> Operation:
    """Return what the trigger makes of the traces."""
    alarms = sum(1 for _ in _starts(negatives, thresholds, config, hop_s))
    latencies = []
    for trace in positives:
        assert trace.onset_s is not None
        after = [t - trace.onset_s for t in _starts(trace, thresholds, config, hop_s)]
        latencies += [t for t in after if t >= 0][:1]
    recall = len(latencies) / len(positives) if positives else math.nan
    hours = hop_s * len(negatives.presence) / 3600
    return Operation(thresholds, alarms, hours, recall, tuple(latencies))


def tune_thresholds(
    negatives: Trace, config: ListenConfig, hop_s: float, *, per_hour: float, ratio: Thresholds
) -> Thresholds:
    """Return the lowest thresholds that, as all above them, keep a rate of false alarms.

    Far below, everything would be one event that never ends: one false alarm, and full recall.

    Args:
        per_hour: the wanted rate.
        ratio: off stays as far below on, in logits, as here.
    """
    gap = _logit(ratio.on) - _logit(ratio.off)
    allowed = per_hour * hop_s * len(negatives.presence) / 3600
    lowest = Thresholds(0.9999, _sigmoid(_logit(0.9999) - gap))
    for logit in np.arange(_logit(0.5), _logit(0.9999), _LOGIT_STEP)[::-1]:
        thresholds = Thresholds(_sigmoid(logit), _sigmoid(logit - gap))
        alarms = sum(1 for _ in _starts(negatives, thresholds, config, hop_s))
        if alarms > allowed:
            break
        lowest = thresholds
    return lowest


def _starts(
    trace: Trace, thresholds: Thresholds, config: ListenConfig, hop_s: float
) -> Iterator[float]:
    """Yield when events begin."""
    if np.nanmax(trace.presence, initial=0.0) < thresholds.on:
        return
    trigger = Trigger(thresholds, config.trigger, hop_s)
    for end_s, presence in zip(trace.ends_s.tolist(), trace.presence.tolist(), strict=True):
        change = trigger.update(end_s, None if math.isnan(presence) else presence)
        if change is not None and change.phase == "start":
            yield end_s


def summarize(operations: Mapping[str, Operation]) -> dict[str, float]:
    """Return figures over all questions: false alarms per hour at worst, recall, latency."""
    figures = {
        "worst_false_alarms_per_hour": max(o.false_alarms_per_hour for o in operations.values())
    }
    latencies = [t for operation in operations.values() for t in operation.latencies_s]
    if latencies:
        figures["mixture_recall"] = float(np.mean([o.recall for o in operations.values()]))
        figures["mixture_onset_to_event_p50_s"] = float(np.median(latencies))
        figures["mixture_onset_to_event_p95_s"] = float(np.quantile(latencies, 0.95))
    return figures


def _logit(presence: float) -> float:
    return math.log(presence / (1 - presence))


def _sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))
