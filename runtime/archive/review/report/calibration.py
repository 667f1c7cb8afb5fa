"""What was checked by hand: is a presence of 0.8 right eight times of ten?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from listen_edge.runtime.archive.review.estimates import Estimate, estimate, wilson_interval
from listen_edge.runtime.archive.review.report.charts import Bin
from listen_edge.runtime.archive.review.strata import REVIEW
from listen_edge.runtime.archive.review.verdicts import TABLE, Judged, read_verdicts

_N_BINS, _MANY = (5, 10), 100  # with fewer verdicts than _MANY, and with more


@dataclass(frozen=True)
class Calibration:
    """The verdicts of one question.

    Attributes:
        estimate: of precision and recall; None: too little was checked.
        bins: by presence, those that hold a verdict.
    """

    estimate: Estimate | None
    bins: tuple[Bin, ...]


def read_calibration(folder: Path) -> Mapping[str, Calibration]:
    """Return question -> what was checked of it; nothing where there are no verdicts.

    Raises:
        ListenEdgeError: verdicts or strata that cannot be read.
    """
    if not (folder / REVIEW / TABLE).exists():
        return {}
    judged = [one for one in read_verdicts(folder) if one.verdict is not None]
    if not judged:
        return {}
    estimates = {one.question: one for one in estimate(folder)}
    return {
        question: Calibration(
            estimates.get(question), bins_of([one for one in judged if one.question == question])
        )
        for question in dict.fromkeys(one.question for one in judged)
    }


def bins_of(judged: Sequence[Judged]) -> tuple[Bin, ...]:
    """Return verdicts by presence; those that are unsure say nothing."""
    said = [
        (one.presence, one.verdict == "yes")
        for one in judged
        if one.presence is not None and one.verdict in ("yes", "no")
    ]
    n_bins = _N_BINS[len(said) >= _MANY]
    bins = []
    for number in range(n_bins):
        inside = [one for one in said if min(int(one[0] * n_bins), n_bins - 1) == number]
        if inside:
            n_yes, n = sum(is_yes for _, is_yes in inside), len(inside)
            mean = sum(presence for presence, _ in inside) / n
            bins.append(Bin(mean, n_yes, n, wilson_interval(n_yes, n)))
    return tuple(bins)
