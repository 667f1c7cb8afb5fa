"""What people said of events -> a higher threshold, where their verdicts bear one.

An event's reach is the highest `on` at which it would still have begun. Events that were marked
right must all still begin; a threshold just below the lowest of them is as far as one may go.
Verdicts speak of what was raised: what was missed is not among them, so that they never lower a
threshold, and what is not marked says nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from listen_edge.runtime.service.records.store import Store
from listen_edge.runtime.service.records.types import StoredEvent, Verdict
from listen_edge.runtime.service.records.what_if import reach
from listen_edge.runtime.thresholds import Thresholds

CONFIDENCE = 0.95
_AROUND = timedelta(seconds=5)
_HIGHEST = 0.999999
_PAGE = 200


@dataclass(frozen=True)
class Advice:
    """What the verdicts about one question say.

    Attributes:
        question, ask: its id, and its words.
        now: the thresholds of its newest event.
        then: those that the verdicts bear; None: none but what is.
        n_right, n_false: events that were marked so, of this bundle.
        n_right_kept, n_false_left: of them, those that would still begin: then, or now.
        n_unmarked: events without a verdict.
        n_left_out: events with a verdict whose presence is not (or no longer) written: they do
            not count.
        why: in one sentence.
    """

    question: str
    ask: str
    now: Thresholds
    then: Thresholds | None
    n_right: int
    n_false: int
    n_right_kept: int
    n_false_left: int
    n_unmarked: int
    n_left_out: int
    why: str

    @property
    def right_kept_at_least(self) -> float:
        """With a confidence of 95 % no smaller share of such right events would begin."""
        return share_at_least(self.n_right_kept, self.n_right)


def advice(store: Store, confirm: tuple[int, int]) -> list[Advice]:
    """Return what the verdicts say of every question that has one.

    Only events of the newest bundle count: another's presence means something else.

    Args:
        confirm: (k, n) with which events begin.
    """
    events = list(every_event(store))
    by_question: dict[str, list[StoredEvent]] = {}
    for event in events:
        if event.bundle == events[0].bundle:
            by_question.setdefault(event.question, []).append(event)
    return [
        _advice(store, of_one, confirm)
        for _, of_one in sorted(by_question.items())
        if any(event.verdict for event in of_one)
    ]


def every_event(store: Store, verdict: Verdict | None = None) -> Iterator[StoredEvent]:
    """Yield events, newest first, all or those with a verdict; none that only tried the outputs."""
    before = None
    while page := store.events(before=before, limit=_PAGE, verdict=verdict):
        yield from page
        before = page[-1].id


def share_at_least(n: int, of: int) -> float:
    """Return the share that is exceeded with a confidence of 95 %, one-sided and exact.

    With all of n it is 0.05 ** (1 / n), which also holds for a threshold that was laid below the
    lowest of them: 3 bear 37 %, 10 bear 74 %, 59 bear 95 %.

    Source: Clopper and Pearson, The use of confidence or fiducial limits (1934); Wilks, On the
    determination of sample sizes for setting tolerance limits (1941).
    """
    low, high = 0.0, n / of if of else 0.0
    while high - low > 1e-6:
        share = (low + high) / 2
        at_least = sum(
            math.comb(of, k) * share**k * (1 - share) ** (of - k) for k in range(n, of + 1)
        )
        low, high = (share, high) if at_least < 1 - CONFIDENCE else (low, share)
    return low


def _advice(store: Store, events: list[StoredEvent], confirm: tuple[int, int]) -> Advice:
    newest = events[0]
    now = Thresholds(newest.on, newest.off)
    reaches: dict[str, list[float]] = {"right": [], "false_alarm": []}
    n_left_out = 0
    for event in events:
        if event.verdict is not None:
            height = _reach(store, event, confirm)
            if math.isnan(height):
                n_left_out += 1
            else:
                reaches[event.verdict].append(height)
    right, false = reaches["right"], reaches["false_alarm"]
    then, why = _borne(now, right, false)
    on = (then or now).on
    return Advice(
        question=newest.question,
        ask=newest.ask,
        now=now,
        then=then,
        n_right=len(right),
        n_false=len(false),
        n_right_kept=_n_from(right, on),
        n_false_left=_n_from(false, on),
        n_unmarked=sum(event.verdict is None for event in events),
        n_left_out=n_left_out,
        why=why,
    )


def _reach(store: Store, event: StoredEvent, confirm: tuple[int, int]) -> float:
    """Return an event's reach, NaN where its presence is not written."""
    ended_at = event.ended_at or event.started_at + timedelta(seconds=event.duration_s)
    _, presence = store.presence(
        event.source, event.question, event.started_at - _AROUND, ended_at + _AROUND
    )
    height = reach(presence, confirm)
    return height if math.isnan(height) else max(height, event.on)  # it did begin


def _borne(
    now: Thresholds, right: list[float], false: list[float]
) -> tuple[Thresholds | None, str]:
    """Return higher thresholds that keep all that is right, or None, and why."""
    if not false:
        return None, "no false alarm is marked: nothing asks for another threshold"
    if not right:
        return None, (
            "no event is marked right, so that nobody knows what a higher threshold would miss: "
            "make the sound (an alarm's test button), and mark that event"
        )
    lowest = min(right)
    below = [height for height in false if height < lowest]
    if not below:
        return None, (
            f"the false alarms reach as high as what is right (from {lowest:.4f}): no threshold "
            "tells them apart; export them and train"
        )
    on = _between(max(below), min(lowest, _HIGHEST))
    if on <= now.on:
        return None, f"on {now.on:g} is already above what the verdicts ask for ({on:.4f})"
    off = round(_sigmoid(_logit(on) - (_logit(now.on) - _logit(now.off))), 4)
    then = Thresholds(on, min(on, max(off, now.off)))
    return then, "lies between what is right and the false alarms below"


def _between(below: float, lowest: float) -> float:
    """Return a threshold halfway, in logits, that the lower one misses and the higher reaches."""
    halfway = round(_sigmoid((_logit(below) + _logit(lowest)) / 2), 4)
    return halfway if below < halfway <= lowest else lowest


def _n_from(heights: Iterable[float], on: float) -> int:
    return sum(height >= on for height in heights)


def _logit(presence: float) -> float:
    kept = min(max(presence, 1e-6), 1 - 1e-6)
    return math.log(kept / (1 - kept))


def _sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))
