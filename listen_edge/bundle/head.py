"""What a manifest says of a question head: its vocabulary, and how two readers make one presence.

The head answers every window from question vectors; the LLM's margin is a second opinion, asked for
where the head suspects something and the LLM's adapter was trained on the name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from listen_edge.bundle.calibration import sigmoid

_LEAST_DEVIATION = 1.0  # nats; of the names that were measured with it is 1.06 to 6.6


@dataclass(frozen=True)
class Reading:
    """What the two readers found of one concept in one window.

    Attributes:
        logit: the head's; None for a bundle without one.
        usual: mean of the head's logit for this concept over reference windows.
        deviation: its standard deviation there.
        margin: the LLM's, in nats; None where it was not asked.
        prior: the LLM's on blank audio.
    """

    logit: float | None = None
    usual: float = 0.0
    deviation: float = 1.0
    margin: float | None = None
    prior: float | None = None


@dataclass(frozen=True)
class Fusion:
    """presence = sigmoid of a weighted sum, without the LLM's margin and with it.

    Attributes:
        alone: weights of the head's levelled logit, and a bias.
        both: weights of the levelled logit, the LLM's margin and its prior, and a bias.
        asked_from: presence by the head alone from which the LLM is asked.
    """

    alone: tuple[float, float]
    both: tuple[float, float, float, float]
    asked_from: float

    def presence(self, reading: Reading) -> float:
        """Return presence in [0, 1] of what is known."""
        if reading.margin is None:
            return self.presence_alone(reading)
        assert reading.prior is not None
        values = (_levelled(reading), reading.margin, reading.prior, 1.0)
        return float(sigmoid(sum(w * v for w, v in zip(self.both, values, strict=True))))

    def presence_alone(self, reading: Reading) -> float:
        """Return presence in [0, 1] by the head alone."""
        return float(self.presences_alone(_levelled(reading)))

    def presences_alone(self, levelled: Any) -> Any:
        """Return the same of levelled logits, an array or a figure."""
        return sigmoid(self.alone[0] * levelled + self.alone[1])


def levelled(logit: Any, usual: Any, deviation: Any) -> Any:
    """Return how far a logit is over what is usual for its question, in its deviations.

    The head answers some phrases high everywhere and some with wide swings; only what is unusual
    says that something is there. Arrays or figures, as in a Reading.
    """
    return (logit - usual) / np.maximum(deviation, _LEAST_DEVIATION)


@dataclass(frozen=True)
class HeadManifest:
    """The `head` of a manifest.

    Attributes:
        path: of the file with its weights, see listen_edge.runtime.head.
        vocabulary: concepts whose queries lie in that file, in its order.
        shown: those of them that `hear` tells, by what they are called there.
        asked: concepts that the LLM's adapter was trained on.
        fusion: see Fusion.
        familiar_within: distance to the nearest concept of the vocabulary beyond which a phrase is
            unfamiliar, see listen_edge.runtime.head.Questions.
        support: held-out recordings, and sources of them, that a concept's calibration rests on.
    """

    path: str
    vocabulary: tuple[str, ...]
    shown: tuple[str, ...]
    asked: tuple[str, ...]
    fusion: Fusion
    familiar_within: float
    support: tuple[tuple[str, int, int], ...]

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a manifest has them."""
        return {
            "path": self.path,
            "vocabulary": [*self.vocabulary],
            "shown": [*self.shown],
            "asked": [*self.asked],
            "fusion": {
                "alone": [*self.fusion.alone],
                "both": [*self.fusion.both],
                "asked_from": self.fusion.asked_from,
            },
            "familiar_within": self.familiar_within,
            "support": {name: [n, n_sources] for name, n, n_sources in self.support},
        }

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> HeadManifest:
        """Return what a manifest says; types are checked with the manifest's."""
        fusion = fields["fusion"]
        return cls(
            path=fields["path"],
            vocabulary=tuple(fields["vocabulary"]),
            shown=tuple(fields["shown"]),
            asked=tuple(fields["asked"]),
            fusion=Fusion(tuple(fusion["alone"]), tuple(fusion["both"]), fusion["asked_from"]),
            familiar_within=fields["familiar_within"],
            support=tuple((name, n, m) for name, (n, m) in fields["support"].items()),
        )


def _levelled(reading: Reading) -> float:
    assert reading.logit is not None
    return float(levelled(reading.logit, reading.usual, reading.deviation))
