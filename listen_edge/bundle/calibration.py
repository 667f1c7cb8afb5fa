"""Logit margin -> presence, and how the map between them is fitted.

A logistic map of the margin and of the same question's margin on blank audio, fitted on clips that
the adapter never trained on, half of the questions about absent sounds. Presence is therefore the
chance of "present" where present and absent are equally likely beforehand.

Source: Platt scaling; subtracting the blank-audio margin is audio-aware decoding
(arXiv 2506.07233) with its weight fitted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_RIDGE = 1e-3
_ITERATIONS = 50


@dataclass(frozen=True)
class Calibration:
    """presence = sigmoid(scale * (margin - prior_weight * prior) + bias).

    Attributes:
        concepts: what the fit has seen; any other concept is answered `calibrated: false`.
        fitted_on: the clips, in words.
    """

    scale: float = 1.0
    prior_weight: float = 1.0
    bias: float = 0.0
    concepts: tuple[str, ...] = ()
    fitted_on: str = "nothing"

    def presence(self, margin: float, prior: float) -> float:
        """Return presence in [0, 1] from two margins in nats."""
        exponent = self.scale * (margin - self.prior_weight * prior) + self.bias
        return float(sigmoid(exponent))

    def covers(self, concept: str) -> bool:
        return concept in self.concepts

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Calibration:
        return cls(**{**fields, "concepts": tuple(fields["concepts"])})


def fit_calibration(
    is_present: NDArray[np.bool_],
    margins: NDArray[np.floating],
    priors: NDArray[np.floating],
    *,
    concepts: tuple[str, ...],
    fitted_on: str,
) -> Calibration:
    """Return the map of the highest likelihood, present and absent weighing the same.

    All arrays have shape (n_questions,).
    """
    weights = balanced_weights(is_present, np.zeros(len(is_present)))
    scale, prior, bias = fit_logistic([margins, priors], is_present, weights)
    return Calibration(scale, -prior / scale, bias, concepts, fitted_on)


def fit_logistic(
    columns: Sequence[NDArray[np.floating]],
    is_present: NDArray[np.bool_],
    weights: NDArray[np.floating],
) -> list[float]:
    """Return the weights of a logistic map of the highest likelihood: one a column, and the bias.

    Args:
        columns: what is known of each question, each (n_questions,).
        is_present: (n_questions,).
        weights: of each question in the likelihood, summing to one; (n_questions,).
    """
    inputs = np.stack([*columns, np.ones(len(is_present))], axis=1).astype(np.float64)
    truth = is_present.astype(np.float64)
    ridge = _RIDGE * np.diag([1.0] * len(columns) + [0.0]) / len(truth)
    beta = np.zeros(inputs.shape[1])
    for _ in range(_ITERATIONS):  # Newton's method
        presence = sigmoid(inputs @ beta)
        gradient = inputs.T @ (weights * (truth - presence)) - ridge @ beta
        curvature = inputs.T @ (inputs * (weights * presence * (1 - presence))[:, None])
        beta += np.linalg.solve(curvature + ridge + 1e-9 * np.eye(len(beta)), gradient)
    return [float(weight) for weight in beta]


def balanced_weights(
    is_present: NDArray[np.bool_], groups: NDArray[np.generic]
) -> NDArray[np.float64]:
    """Return weights for fit_logistic: groups weigh the same, and in each present and absent.

    Args:
        is_present: (n_questions,).
        groups: what each question belongs to, (n_questions,).
    """
    weights = np.zeros(len(is_present))
    for group in np.unique(groups):
        for state in (True, False):
            chosen = (groups == group) & (is_present == state)
            weights[chosen] = 1 / max(1, chosen.sum())
    return np.asarray(weights / weights.sum())


def sigmoid(exponent: Any) -> Any:
    """Return the logistic function, in float64 and without overflow."""
    return 1 / (1 + np.exp(-np.clip(exponent, -60, 60)))
