"""Figures of merit of yes/no answers, from presence in [0, 1] and the truth.

Source: POPE-style reporting as in the Interspeech-2024 audio hallucination benchmark (accuracy,
precision/recall/F1 of both answers, yes-rate), with AUROC, ECE and TPR at a fixed FPR added.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from listen_edge.evaluation.questions import Question, Reply

_N_BINS = 10  # of the expected calibration error


@dataclass(frozen=True)
class PresenceMetrics:
    """What a set of yes/no answers is worth; all in [0, 1].

    AUROC, ECE and TPR are NaN for answers in words alone.
    """

    n_questions: int
    accuracy: float
    balanced_accuracy: float
    precision_yes: float
    recall_yes: float
    f1_yes: float
    precision_no: float
    recall_no: float
    f1_no: float
    f1_weighted: float
    yes_rate: float
    auroc: float
    ece: float
    tpr_at_fpr_1pct: float
    parse_failure_rate: float = 0.0


def presence_metrics(
    is_present: NDArray[np.bool_], presence: NDArray[np.floating], threshold: float = 0.5
) -> PresenceMetrics:
    """Return all figures; both arrays have shape (n_questions,), yes is presence >= threshold."""
    said_yes = presence >= threshold
    precision_yes, recall_yes, f1_yes = _precision_recall_f1(is_present, said_yes)
    precision_no, recall_no, f1_no = _precision_recall_f1(~is_present, ~said_yes)
    share_present = float(is_present.mean())
    return PresenceMetrics(
        n_questions=len(presence),
        accuracy=float((said_yes == is_present).mean()),
        balanced_accuracy=(recall_yes + recall_no) / 2,
        precision_yes=precision_yes,
        recall_yes=recall_yes,
        f1_yes=f1_yes,
        precision_no=precision_no,
        recall_no=recall_no,
        f1_no=f1_no,
        f1_weighted=share_present * f1_yes + (1 - share_present) * f1_no,
        yes_rate=float(said_yes.mean()),
        auroc=auroc(is_present, presence),
        ece=expected_calibration_error(is_present, presence),
        tpr_at_fpr_1pct=tpr_at_fpr(is_present, presence, 0.01),
    )


def reply_metrics(questions: Sequence[Question], replies: Sequence[Reply]) -> PresenceMetrics:
    """Return all figures of a system's replies, strictly: no reply is a wrong one."""
    is_present = np.array([question.is_present for question in questions])
    failed = np.array([reply.says_yes is None for reply in replies])
    said_yes = np.where(failed, ~is_present, [bool(reply.says_yes) for reply in replies])
    gives_presence = not all(reply.presence is None for reply in replies)
    presence = said_yes.astype(float)
    if gives_presence:
        given = [np.nan if reply.presence is None else reply.presence for reply in replies]
        presence = np.where(np.isnan(given), said_yes, given)
    metrics = presence_metrics(is_present, presence)
    said = [reply.says_yes for reply in replies if reply.says_yes is not None]
    metrics = replace(
        metrics,
        parse_failure_rate=float(failed.mean()),
        yes_rate=float(np.mean(said)) if said else float("nan"),
    )
    nan = float("nan")
    return metrics if gives_presence else replace(metrics, auroc=nan, ece=nan, tpr_at_fpr_1pct=nan)


def mean_metrics(each: Sequence[PresenceMetrics]) -> PresenceMetrics:
    """Return the mean of every figure, over wordings or seeds of the same number of questions."""
    means = {
        field.name: float(np.mean([getattr(metrics, field.name) for metrics in each]))
        for field in fields(PresenceMetrics)
    }
    return replace(PresenceMetrics(**means), n_questions=each[0].n_questions)  # type: ignore[arg-type]


def auroc(is_present: NDArray[np.bool_], scores: NDArray[np.floating]) -> float:
    """Return the chance that a present sound scores above an absent one, ties counting half.

    NaN if only one kind is there.
    """
    n_present = int(is_present.sum())
    n_absent = len(scores) - n_present
    if n_present == 0 or n_absent == 0:
        return float("nan")
    _, group, size = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(size) - (size - 1) / 2)[group]  # tied scores share their mean rank
    rank_sum = float(ranks[is_present].sum())
    return (rank_sum - n_present * (n_present + 1) / 2) / (n_present * n_absent)


def expected_calibration_error(
    is_present: NDArray[np.bool_], presence: NDArray[np.floating]
) -> float:
    """Return the mean distance of presence from the share present, over ten equal bins."""
    bins = np.minimum((presence * _N_BINS).astype(int), _N_BINS - 1)
    gap = np.bincount(bins, weights=presence - is_present, minlength=_N_BINS)
    return float(np.abs(gap).sum() / len(presence))


def tpr_at_fpr(
    is_present: NDArray[np.bool_], scores: NDArray[np.floating], max_fpr: float
) -> float:
    """Return the share of present sounds found when at most max_fpr of the absent ones are."""
    absent = np.sort(scores[~is_present])[::-1]
    if len(absent) == 0:
        return float("nan")
    threshold = absent[min(int(max_fpr * len(absent)), len(absent) - 1)]
    return float((scores[is_present] > threshold).mean())


def _precision_recall_f1(
    truth: NDArray[np.bool_], said: NDArray[np.bool_]
) -> tuple[float, float, float]:
    hits = int((truth & said).sum())
    precision = hits / max(1, int(said.sum()))
    recall = hits / max(1, int(truth.sum()))
    f1 = 2 * precision * recall / (precision + recall) if hits else 0.0
    return precision, recall, f1
