"""Kept traces -> a row for each choice of thresholds, and a bundle's thresholds out of one."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from listen_edge.runtime.listening.trigger import TriggerConfig
from listen_edge.runtime.measure.false_alarms import Operation, operate, together
from listen_edge.runtime.measure.traces import Traces
from listen_edge.runtime.measure.tune import operations
from listen_edge.runtime.thresholds import Thresholds


@dataclass(frozen=True)
class Choice:
    """One row of the grid: the settings, and what they do for all questions together."""

    config: TriggerConfig
    operation: Operation


def sweep(
    traces: Traces,
    ons: Sequence[float],
    offs: Sequence[float],
    confirms: Sequence[tuple[int, int]],
    config: TriggerConfig,
) -> Iterator[Choice]:
    """Yield every choice with off <= on; the configuration has the rest of the settings."""
    for confirm, on, off in itertools.product(confirms, ons, offs):
        if off <= on:
            tried = replace(config, thresholds=Thresholds(on, off), confirm=confirm)
            yield Choice(tried, together(operations(traces, {}, tried).values()))


def own_thresholds(
    traces: Traces, ons: Sequence[float], config: TriggerConfig, *, per_100: float
) -> dict[str, Thresholds]:
    """Return the thresholds of those questions that need others than the configuration's.

    A question gets the lowest of `ons` that, as all above it, raises no alarm in the natural hours
    and at most so many at look-alikes; off follows on in proportion.

    Args:
        per_100: alarms of one question at 100 look-alikes.
    """
    own = {}
    on, off = config.thresholds.on, config.thresholds.off
    for concept in traces.concepts:
        best = None
        for tried in sorted(ons, reverse=True):
            thresholds = Thresholds(tried, round(tried * off / on, 4))
            operation = operate(traces, concept, thresholds, config)
            if operation.false_alarms or operation.per_100_lookalikes > per_100:
                break
            best = thresholds
        best = best or Thresholds(max(ons), round(max(ons) * off / on, 4))
        if best != config.thresholds:
            own[concept] = best
    return own


def manifest_field(config: TriggerConfig, own: Mapping[str, Thresholds]) -> dict[str, Any]:
    """Return what a bundle's manifest holds under "events"."""
    by_concept = {concept: {"on": t.on, "off": t.off} for concept, t in own.items()}
    return {
        "on": config.thresholds.on,
        "off": config.thresholds.off,
        "confirm": list(config.confirm),
        "by_concept": by_concept,
    }
