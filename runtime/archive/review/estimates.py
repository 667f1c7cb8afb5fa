"""Verdicts -> precision and recall of a whole archive, with 95 % confidence intervals.

A stratum weighs by its rows in the scan. Of one stratum the interval is Wilson's; of several their
distances are added in squares, which also gives the interval of a ratio (recall). Nothing is drawn
at random here.

Source: Wilson (1927), Probable inference, the law of succession, and statistical inference, JASA
22; Brown, Cai, DasGupta (2001), Interval estimation for a binomial proportion, Statistical Science
16; Cochran (1977), Sampling techniques, 5A (strata); Zou, Donner (2008), Construction of confidence
limits about effect measures, Statistics in Medicine 27 (squares added); Donner, Zou (2012), Closed-
form confidence intervals for functions of the normal mean and standard deviation, Statistical
Methods in Medical Research 21 (ratios).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from listen_edge.errors import ListenEdgeError
from listen_edge.printable import printable
from listen_edge.runtime.archive.review.strata import REVIEW, State, Strata, read_strata
from listen_edge.runtime.archive.review.verdicts import TABLE, Judged, read_verdicts

Z = 1.959963984540054  # of 95 %
_BISECTIONS = 50


@dataclass(frozen=True)
class Share:
    """A share of an archive's rows.

    Attributes:
        value, low, high: in [0, 1]; low and high bound it with a confidence of 95 %.
        n: rows that were checked.
    """

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.value:.2f} ({self.low:.2f}-{self.high:.2f}) of {self.n} checked"


@dataclass(frozen=True)
class Checked:
    """A stratum and its verdicts.

    Attributes:
        state: what the scan said of it.
        n_rows: in the whole scan.
        n_yes, n_no: verdicts.
    """

    state: State
    n_rows: int
    n_yes: int = 0
    n_no: int = 0

    @property
    def n(self) -> int:
        """Rows with a verdict that says something."""
        return self.n_yes + self.n_no

    @property
    def share(self) -> Share:
        """The rows in which the sound is; what is not checked may be anything."""
        if not self.n:
            return Share(0.5, 0.0, 1.0, 0)
        wilson = wilson_interval(self.n_yes, self.n)
        low = max(wilson[0], self.n_yes / self.n_rows)  # known of the few rows of a small one
        high = min(wilson[1], 1 - self.n_no / self.n_rows)
        return Share(self.n_yes / self.n, low, high, self.n)


@dataclass(frozen=True)
class Estimate:
    """What the verdicts say of a question's answers in this archive.

    Attributes:
        question, concept: as in the rows.
        precision: of the rows stated present, those that are; of events: those that are right.
        recall: of the rows in which the sound is, those stated present; what could not be heard is
            in neither. None of events: what raised none is not in the scan's rows.
        wrong_absent: of the rows stated absent, those in which the sound is all the same.
        n_yes, n_no, n_unsure, n_open: clips, by verdict; open: none yet.
        of_events: rows are events.

    A share is None as long as no clip of its rows has a verdict.
    """

    question: str
    concept: str
    precision: Share | None
    recall: Share | None
    wrong_absent: Share | None
    n_yes: int
    n_no: int
    n_unsure: int
    n_open: int
    of_events: bool

    def to_text_line(self) -> str:
        """Return the estimate for people."""
        shares = {
            "precision": self.precision,
            "recall": self.recall,
            "wrong where absent": self.wrong_absent,
        }
        said = [f"{name} {share}" for name, share in shares.items() if share is not None]
        if self.of_events:
            said.append("recall needs a scan without --events")
        said += [f"{self.n_unsure} unsure"] * bool(self.n_unsure)
        said += [f"{self.n_open} without a verdict"] * bool(self.n_open)
        return f"{printable(self.question)}: {'; '.join(said)}"


def estimate(folder: Path) -> list[Estimate]:
    """Return what the verdicts in a job folder say of each of its questions.

    Raises:
        ListenEdgeError: no sample was drawn, or its table cannot be read or names what was not
            drawn.
    """
    strata = read_strata(folder)
    verdicts = read_verdicts(folder)
    for judged in verdicts:
        of_question = strata.get(judged.question)
        if of_question is None or all(s.name != judged.stratum for s in of_question.strata):
            raise ListenEdgeError(
                f"{printable(folder / REVIEW / TABLE)}: clip {printable(judged.clip)}: no stratum "
                f"{printable(judged.stratum)} of {printable(judged.question)}; put back the row's "
                "cells as they were drawn"
            )
    return [
        _of_question(one, [j for j in verdicts if j.question == one.question])
        for one in strata.values()
    ]


def _of_question(strata: Strata, verdicts: Sequence[Judged]) -> Estimate:
    given = Counter((judged.stratum, judged.verdict) for judged in verdicts)
    in_all = Counter(judged.verdict for judged in verdicts)
    checked = [
        Checked(s.state, s.n_rows, given[s.name, "yes"], given[s.name, "no"]) for s in strata.strata
    ]
    return Estimate(
        strata.question,
        strata.concept,
        share_of(c for c in checked if c.state == "present"),
        None if strata.of_events else recall(checked),
        share_of(c for c in checked if c.state == "absent"),
        *(in_all["yes"], in_all["no"], in_all["unsure"], in_all[None]),
        strata.of_events,
    )


def wilson_interval(n_yes: int, n: int) -> tuple[float, float]:
    """Return Wilson's interval of 95 % for a share of which n_yes of n were seen."""
    if not n:
        return 0.0, 1.0
    share, shrink = n_yes / n, 1 + Z * Z / n
    middle = (share + Z * Z / (2 * n)) / shrink
    half = Z / shrink * math.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n))
    low = 0.0 if n_yes == 0 else middle - half
    return low, 1.0 if n_yes == n else middle + half


def share_of(strata: Iterable[Checked]) -> Share | None:
    """Return the share of the rows of some strata with the sound, None if none was checked."""
    joined = _joined(list(strata))
    n_rows = sum(one.n_rows for one in joined)
    if not joined:
        return None
    value = sum(one.n_rows * one.share.value for one in joined) / n_rows
    below = math.hypot(*(one.n_rows * (one.share.value - one.share.low) for one in joined))
    above = math.hypot(*(one.n_rows * (one.share.high - one.share.value) for one in joined))
    n = sum(one.n for one in joined)
    return Share(value, max(0.0, value - below / n_rows), min(1.0, value + above / n_rows), n)


def recall(strata: Sequence[Checked]) -> Share | None:
    """Return the share of the rows with the sound that are stated present.

    None if the sound was nowhere heard, or the rows of one state were not checked at all.
    """
    states = dict.fromkeys(one.state for one in strata)
    by_state = [_joined([one for one in strata if one.state == state]) for state in states]
    if not all(by_state):
        return None
    joined = [one for of_state in by_state for one in of_state]
    found = [one for one in joined if one.state == "present"]
    missed = [one for one in joined if one.state != "present"]
    n_found, n_missed = (
        sum(one.n_rows * one.share.value for one in part) for part in (found, missed)
    )
    if not n_found + n_missed:
        return None

    def middle(r: float) -> float:
        return (1 - r) * n_found - r * n_missed

    def slack(r: float, *, is_low: bool) -> float:
        """Return how far (1 - r) found - r missed may lie below its estimate, or above."""
        return math.hypot(
            *((1 - r) * one.n_rows * _reach(one.share, below=is_low) for one in found),
            *(r * one.n_rows * _reach(one.share, below=not is_low) for one in missed),
        )

    low = _crossing(lambda r: middle(r) - slack(r, is_low=True))
    high = _crossing(lambda r: middle(r) + slack(r, is_low=False))
    return Share(n_found / (n_found + n_missed), low, high, sum(one.n for one in joined))


def _reach(share: Share, *, below: bool) -> float:
    return share.value - share.low if below else share.high - share.value


def _crossing(falling: Callable[[float], float]) -> float:
    """Return where in [0, 1] a falling function goes through 0, or the end next to that."""
    if falling(1.0) >= 0:
        return 1.0
    if falling(0.0) <= 0:
        return 0.0
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if falling(middle) > 0 else (low, middle)
    return (low + high) / 2


def _joined(strata: Sequence[Checked]) -> list[Checked]:
    """Return strata of one state; one without verdicts is joined with its neighbour."""
    joined: list[Checked] = []
    for one in strata:
        if joined and not (one.n and joined[-1].n):
            last = joined[-1]
            n_rows, n_yes = last.n_rows + one.n_rows, last.n_yes + one.n_yes
            joined[-1] = Checked(one.state, n_rows, n_yes, last.n_no + one.n_no)
        else:
            joined.append(one)
    return joined if joined and joined[-1].n else []
