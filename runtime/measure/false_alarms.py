"""Traces -> what thresholds make of them: false alarms, look-alikes, recall, latency.

Events are counted by running the listener's trigger over the windows' presence, so that hundreds of
thresholds cost no more than one. Each recording begins with a fresh trigger.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from listen_edge.runtime.listening.trigger import Trigger, TriggerConfig
from listen_edge.runtime.measure.mixing import CLEAR
from listen_edge.runtime.measure.traces import Trace, Traces
from listen_edge.runtime.thresholds import Thresholds

CONFIDENCE = 0.95
_LOGIT_STEP = 0.05


def upper_bound(n_alarms: int) -> float:
    """Return the mean of a Poisson count that is exceeded with a probability of 5 % at most.

    One-sided and exact: with that mean, n_alarms or fewer have a probability of 5 %. None seen
    gives -ln(0.05) = 3.0.

    Source: Garwood, Fiducial limits for the Poisson distribution (1936).
    """
    low, high = float(n_alarms), 2.0 * n_alarms + 10.0
    while high - low > 1e-9 * high:
        mean = (low + high) / 2
        terms = [k * math.log(mean) - mean - math.lgamma(k + 1) for k in range(n_alarms + 1)]
        low, high = (mean, high) if sum(map(math.exp, terms)) > 1 - CONFIDENCE else (low, mean)
    return high


@dataclass(frozen=True)
class Outcome:
    """What became of one event.

    Attributes:
        condition: what it was mixed into, such as "10 dB".
        duration_s: how long it sounds.
        latency_s: from its onset to the end of the window that raised the event; None: missed.
    """

    condition: str
    duration_s: float
    latency_s: float | None


@dataclass(frozen=True)
class Operation:
    """What thresholds do, for one question or for several together.

    Attributes:
        hours: of natural sound that each question was asked about.
        alarms: events in them, by kind of sound.
        n_lookalikes: sounds that may be taken for what is asked.
        lookalike_alarms: events at them, by label.
        outcomes: of the events.
    """

    hours: float
    alarms: Mapping[str, int]
    n_lookalikes: int
    lookalike_alarms: Mapping[str, int]
    outcomes: tuple[Outcome, ...]

    @property
    def false_alarms(self) -> int:
        return sum(self.alarms.values())

    @property
    def per_day(self) -> float:
        return self._daily(self.false_alarms)

    @property
    def upper_bound_per_day(self) -> float:
        """With a confidence of 95 % the true rate is not above: see upper_bound."""
        return self._daily(upper_bound(self.false_alarms))

    @property
    def per_100_lookalikes(self) -> float:
        n_alarms = sum(self.lookalike_alarms.values())
        return 100 * n_alarms / self.n_lookalikes if self.n_lookalikes else math.nan

    def recall(self, *conditions: str, shortest_s: float = 0.0, longest_s: float = 1e9) -> float:
        """Return the share of events that were heard, NaN without any.

        Args:
            conditions: of these; none given: of all.
            shortest_s, longest_s: that sound at least and less than so long.
        """
        heard = [
            outcome.latency_s is not None
            for outcome in self.outcomes
            if (not conditions or outcome.condition in conditions)
            and shortest_s <= outcome.duration_s < longest_s
        ]
        return float(np.mean(heard)) if heard else math.nan

    def recall_by_duration(self) -> dict[str, float]:
        """Return recall by how long the events sound."""
        return {
            "under 0.5 s": self.recall(longest_s=0.5),
            "0.5 to 1.5 s": self.recall(shortest_s=0.5, longest_s=1.5),
            "from 1.5 s": self.recall(shortest_s=1.5),
        }

    def latency_s(self, quantile: float, *conditions: str) -> float:
        """Return a quantile over the events that were heard, NaN without any.

        Args:
            conditions: of these; none given: of all.
        """
        latencies = [
            outcome.latency_s
            for outcome in self.outcomes
            if outcome.latency_s is not None and (not conditions or outcome.condition in conditions)
        ]
        return float(np.quantile(latencies, quantile)) if latencies else math.nan

    def to_json(self) -> dict[str, float | None]:
        """Return the figures, None for those that were not measured."""
        recalls = {
            f"recall_{condition.replace(' ', '_').lower()}": self.recall(condition)
            for condition in dict.fromkeys(outcome.condition for outcome in self.outcomes)
        }
        lengths = {
            f"recall_{name.replace(' ', '_')}": figure
            for name, figure in self.recall_by_duration().items()
        }
        figures = {
            "hours": self.hours,
            "false_alarms": float(self.false_alarms),
            "false_alarms_per_day": self.per_day,
            "upper_bound_per_day": self.upper_bound_per_day,
            "lookalikes": float(self.n_lookalikes),
            "alarms_per_100_lookalikes": self.per_100_lookalikes,
            "events": float(len(self.outcomes)),
            **recalls,
            **lengths,
            "onset_to_event_p50_s": self.latency_s(0.5),
            "onset_to_event_p95_s": self.latency_s(0.95),
            "onset_to_event_clear_p95_s": self.latency_s(0.95, CLEAR.name),
        }
        return {k: None if math.isnan(v) else round(v, 3) for k, v in figures.items()}

    def _daily(self, count: float) -> float:
        return 24 * count / self.hours if self.hours else math.nan


def operate(
    traces: Traces, concept: str, thresholds: Thresholds, config: TriggerConfig
) -> Operation:
    """Return what the trigger makes of one question's traces."""

    def starts_of(trace: Trace) -> list[float]:
        presence = trace.presence[concept]
        return list(_starts(trace.ends_s, presence, thresholds, config, traces.hop_s))

    natural, lookalikes, events = (
        [trace for trace in part if concept in trace.presence]
        for part in (traces.natural, traces.lookalikes, traces.events)
    )
    outcomes = []
    for trace in events:
        assert trace.onset_s is not None and trace.duration_s is not None
        after = [at - trace.onset_s for at in starts_of(trace) if at >= trace.onset_s]
        outcomes.append(Outcome(trace.kind, trace.duration_s, after[0] if after else None))
    return Operation(
        hours=traces.hop_s * sum(len(trace.ends_s) for trace in natural) / 3600,
        alarms=_counted(natural, starts_of),
        n_lookalikes=len(lookalikes),
        lookalike_alarms=_counted(lookalikes, starts_of),
        outcomes=tuple(outcomes),
    )


def together(operations: Iterable[Operation]) -> Operation:
    """Return the figures of all questions asked at once: an alarm of any of them is one."""
    parts = list(operations)
    return Operation(
        hours=max(part.hours for part in parts),
        alarms=sum((Counter(part.alarms) for part in parts), Counter()),
        n_lookalikes=max(part.n_lookalikes for part in parts),
        lookalike_alarms=sum((Counter(part.lookalike_alarms) for part in parts), Counter()),
        outcomes=tuple(outcome for part in parts for outcome in part.outcomes),
    )


def tune_thresholds(
    traces: Traces, concept: str, config: TriggerConfig, *, per_day: float
) -> Thresholds:
    """Return the lowest thresholds that, as all above them, keep a rate of false alarms.

    Far below, everything would be one event that never ends: one false alarm, and full recall. Off
    stays as far below on, in logits, as in the configuration.
    """
    gap = _logit(config.thresholds.on) - _logit(config.thresholds.off)
    natural = Traces(traces.bundle, traces.hop_s, natural=traces.natural)
    lowest = Thresholds(0.9999, _sigmoid(_logit(0.9999) - gap))
    for logit in np.arange(_logit(0.5), _logit(0.9999), _LOGIT_STEP)[::-1]:
        thresholds = Thresholds(_sigmoid(logit), _sigmoid(logit - gap))
        operation = operate(natural, concept, thresholds, config)
        if operation.false_alarms > per_day * operation.hours / 24:
            break
        lowest = thresholds
    return lowest


def _counted(traces: Iterable[Trace], starts_of: Callable[[Trace], list[float]]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for trace in traces:
        counts[trace.kind] += len(starts_of(trace))
    return dict(+counts)


def _starts(
    ends_s: NDArray[np.float64],
    presence: NDArray[np.float64],
    thresholds: Thresholds,
    config: TriggerConfig,
    hop_s: float,
) -> Iterator[float]:
    """Yield when events begin."""
    if np.count_nonzero(presence >= thresholds.on) < config.confirm[0]:
        return
    trigger = Trigger(thresholds, config, hop_s)
    for end_s, heard in zip(ends_s.tolist(), presence.tolist(), strict=True):
        change = trigger.update(end_s, None if math.isnan(heard) else heard)
        if change is not None and change.phase == "start":
            yield end_s


def _logit(presence: float) -> float:
    return math.log(presence / (1 - presence))


def _sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))
