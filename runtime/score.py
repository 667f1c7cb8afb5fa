"""Calibrated presence -> state: present, absent, or an honest unknown."""

from __future__ import annotations

from listen_edge.lines.answer import Reason, State
from listen_edge.runtime.thresholds import Thresholds

# In a narrow band ears that were trained on a whole one are sure of less: with these limits as few
# answers are wrong there as elsewhere (benchmarks/impaired.py, docs/listening.md).
NARROW_ON, NARROW_OFF = 0.9, 0.15


def judge(
    presence: float, thresholds: Thresholds, *doubts: Reason | None
) -> tuple[State, Reason | None]:
    """Return the state, and the reason if it is unknown.

    Args:
        presence: calibrated, in [0, 1].
        thresholds: of this question.
        doubts: what may have hidden a sound in this window, so that it is never "absent"; but for a
            narrow band, which asks for more certainty. None is no doubt.
    """
    on, off = thresholds.on, thresholds.off
    uncertain: Reason = "uncertain"
    if "narrow_band" in doubts:
        on, off, uncertain = max(on, NARROW_ON), min(off, NARROW_OFF), "narrow_band"
    if presence >= on:
        return "present", None
    for doubt in doubts:
        if doubt not in (None, "narrow_band"):
            return "unknown", doubt
    return ("absent", None) if presence < off else ("unknown", uncertain)
