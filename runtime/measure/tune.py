"""Hours without a sound, and recordings of it -> from which presence a question should alarm."""

from __future__ import annotations

from collections.abc import Mapping

from listen_edge.runtime.listening.trigger import TriggerConfig
from listen_edge.runtime.measure.false_alarms import Operation, operate, tune_thresholds
from listen_edge.runtime.measure.traces import Traces
from listen_edge.runtime.thresholds import Thresholds

TARGETS = (  # of the figures that a safety user asks for
    *("siren", "smoke alarm", "glass breaking", "crying baby", "screaming"),
    *("gunshot", "explosion", "dog barking", "door knock", "car horn"),
)


def operations(
    traces: Traces, thresholds: Mapping[str, Thresholds], config: TriggerConfig
) -> dict[str, Operation]:
    """Return what each question's thresholds do; the configuration's where it has none."""
    return {
        concept: operate(traces, concept, thresholds.get(concept, config.thresholds), config)
        for concept in traces.concepts
    }


def tuned(traces: Traces, config: TriggerConfig, *, per_day: float) -> dict[str, Thresholds]:
    """Return each question's thresholds for a rate of false alarms, see tune_thresholds."""
    return {
        concept: tune_thresholds(traces, concept, config, per_day=per_day)
        for concept in traces.concepts
    }
