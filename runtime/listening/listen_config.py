"""How to listen to a source: between which windows, for how long, and what becomes an event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from listen_edge.event_settings import EventSettings
from listen_edge.question import parse_concept
from listen_edge.runtime.hear_config import HearConfig
from listen_edge.runtime.listening.liveness import LivenessConfig
from listen_edge.runtime.listening.question import Question
from listen_edge.runtime.listening.trigger import TriggerConfig
from listen_edge.runtime.thresholds import Thresholds


@dataclass(frozen=True)
class ListenConfig:
    """How to listen.

    Attributes:
        hop_s: seconds between windows; None: the bundle's.
        hearing: what to tell of each window beside the answers; None: nothing.
        trigger: when presence becomes an event.
        thresholds: of events, by concept, for those that differ from the trigger's.
        gate_dbfs: windows whose loudest 0.1 s is below are "absent (below_gate)", without the LLM;
            None: no gate.
        liveness: when a live source is opened again.
        waits_for_device: a live source that is not there yet is waited for, not an error.
        clips_dir: where the sound of events is kept; None: nowhere.
        heartbeat_s: between health lines when nothing changes.
        checks_pace: whether a window is timed before a live source is listened to.
    """

    hop_s: float | None = None
    hearing: HearConfig | None = None
    trigger: TriggerConfig = field(default_factory=TriggerConfig)
    thresholds: Mapping[str, Thresholds] = field(default_factory=dict)
    gate_dbfs: float | None = None
    liveness: LivenessConfig = field(default_factory=LivenessConfig)
    waits_for_device: bool = False
    clips_dir: Path | None = None
    heartbeat_s: float = 60.0
    checks_pace: bool = True

    @classmethod
    def of(cls, settings: EventSettings | None) -> ListenConfig:
        """Return how to listen with a bundle that carries these settings, see Manifest.events."""
        if settings is None:
            return cls()
        thresholds = Thresholds(settings.on, settings.off)
        own = {one.concept: Thresholds(one.on, one.off) for one in settings.by_concept}
        return cls(trigger=TriggerConfig(thresholds, settings.confirm), thresholds=own)

    def asked(self, question: str) -> Question:
        """Return a question with the settings of its events."""
        limits = self.thresholds.get(parse_concept(question), self.trigger.thresholds)
        return Question(question, replace(self.trigger, thresholds=limits))
