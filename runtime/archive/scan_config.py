"""What a scan asks: all that changes its rows. The command line and each worker make it alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from listen_edge import __version__
from listen_edge.bundle.opening import Bundle
from listen_edge.errors import ListenEdgeError
from listen_edge.runtime.archive.description import Unit
from listen_edge.runtime.engine import Engine, load
from listen_edge.runtime.listening.listen_config import ListenConfig
from listen_edge.runtime.listening.question import Question, by_concept
from listen_edge.runtime.listening.trigger import TriggerConfig
from listen_edge.runtime.thresholds import Thresholds


@dataclass(frozen=True)
class ScanConfig:
    """What a scan asks.

    Attributes:
        bundle: folder, which every worker sees.
        bundle_id: which it must be.
        questions: by concept, with the settings of their events.
        unit: what a row is of.
        state: thresholds of present and absent.
        hop_s, window_s: from window to window, and its length.
        gate_dbfs: see ListenConfig.
        llm, backend: see Engine.
    """

    bundle: str
    bundle_id: str
    questions: Mapping[str, Question]
    unit: Unit
    state: Thresholds
    hop_s: float
    window_s: float
    gate_dbfs: float | None
    llm: str
    backend: str

    @classmethod
    def of(
        cls,
        bundle: Bundle,
        questions: Sequence[str],
        config: ListenConfig,
        unit: Unit,
        *,
        state: Thresholds,
        llm: str,
        backend: str,
    ) -> ScanConfig:
        """Return what questions and options ask of a bundle.

        Raises:
            QuestionError: a question that names no sound.
            ListenEdgeError: an impossible hop.
        """
        manifest = bundle.manifest
        hop_s = manifest.hop_s if config.hop_s is None else config.hop_s
        if not 0.1 <= hop_s <= manifest.window_s:
            raise ListenEdgeError(
                f"--hop {hop_s:g}: expected 0.1 to {manifest.window_s:g} s, the bundle's window"
            )
        asked = by_concept([config.asked(question) for question in questions])
        for one in asked.values():
            one.trigger.check_hop(hop_s)
        return cls(
            bundle=str(bundle.folder),
            bundle_id=bundle.id,
            questions=asked,
            unit=unit,
            state=state,
            hop_s=hop_s,
            window_s=manifest.window_s,
            gate_dbfs=config.gate_dbfs,
            llm=llm,
            backend=backend,
        )

    def describe(self) -> dict[str, Any]:
        """Return it in JSON's types, for a job's description."""
        asked = [
            {
                "question": one.words,
                "concept": concept,
                "on": one.trigger.thresholds.on,
                "off": one.trigger.thresholds.off,
            }
            for concept, one in self.questions.items()
        ]
        trigger = next(iter(self.questions.values())).trigger  # all but thresholds are alike
        return {
            "version": __version__,
            "bundle": self.bundle_id,
            "unit": self.unit,
            "questions": asked,
            "trigger": {
                "confirm": list(trigger.confirm),
                "end_after_s": trigger.end_after_s,
                "cooldown_s": trigger.cooldown_s,
                "long_event_s": trigger.long_event_s,
            },
            "state": {"on": self.state.on, "off": self.state.off},
            "hop_s": self.hop_s,
            "window_s": self.window_s,
            "gate_dbfs": self.gate_dbfs,
            "llm": self.llm,
            "backend": self.backend,
        }

    @classmethod
    def from_described(cls, described: Mapping[str, Any], bundle: str) -> ScanConfig:
        """Return what a job's description asks, of a bundle that lies here."""
        return cls(
            bundle=bundle,
            bundle_id=described["bundle"],
            questions={
                one["concept"]: _question(one, described["trigger"])
                for one in described["questions"]
            },
            unit=described["unit"],
            state=Thresholds(**described["state"]),
            hop_s=described["hop_s"],
            window_s=described["window_s"],
            gate_dbfs=described["gate_dbfs"],
            llm=described["llm"],
            backend=described["backend"],
        )

    def load(self) -> Engine:
        """Return an engine of one thread; ListenEdgeError if the bundle there is another."""
        engine = load(
            self.bundle,
            backend=self.backend,
            n_threads=1,
            thresholds=self.state,
            llm=self.llm,
        )
        if engine.bundle.id != self.bundle_id:
            engine.close()
            raise ListenEdgeError(
                f"--bundle {self.bundle}: is {engine.bundle.id} here, the scan asks "
                f"{self.bundle_id}; give every worker the same bundle"
            )
        return engine


def _question(described: Mapping[str, Any], trigger: Mapping[str, Any]) -> Question:
    k, n = trigger["confirm"]
    thresholds = Thresholds(described["on"], described["off"])
    rest = (trigger[name] for name in ("end_after_s", "cooldown_s", "long_event_s"))
    return Question(described["question"], TriggerConfig(thresholds, (k, n), *rest))
