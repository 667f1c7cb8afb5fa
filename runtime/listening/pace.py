"""Can this machine keep up? Measured before listening; a hop that it can keep is proposed."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from listen_edge.runtime.engine import Engine
    from listen_edge.runtime.hear_config import HearConfig

_HEADROOM = 0.7  # of the hop that a window may take before the machine is too slow for it
_REPEATS = 3


def window_seconds(
    engine: Engine, questions: Sequence[str], hearing: HearConfig | None = None
) -> float:
    """Return the median seconds that a window of noise takes."""
    n_samples = round(engine.window_s * engine.sample_rate)
    noise = np.random.default_rng(0).normal(0, 0.05, n_samples).astype(np.float32)
    seconds = []
    engine.listen_window(noise, questions, hearing)  # computes what is constant, once
    for _ in range(_REPEATS):
        started = time.perf_counter()
        engine.listen_window(noise, questions, hearing)
        seconds.append(time.perf_counter() - started)
    return median(seconds)


def pace_remedy(
    seconds: float, hop_s: float, longest_hop_s: float, *, is_asked: bool = True
) -> str | None:
    """Return what to do where a window takes too many seconds for the hop, None if it does not."""
    if seconds <= _HEADROOM * hop_s:
        return None
    sustainable_s = math.ceil(2 * seconds / _HEADROOM) / 2
    hop = f"use --hop {sustainable_s:g}, or " if sustainable_s <= longest_hop_s else ""
    return hop + ("ask fewer questions" if is_asked else "let less run beside it")


def pace_warning(
    engine: Engine, questions: Sequence[str], hearing: HearConfig | None, *, hop_s: float
) -> str | None:
    """Measure a window, and return what to do if it takes too long for the hop."""
    seconds = window_seconds(engine, questions, hearing)
    remedy = pace_remedy(seconds, hop_s, engine.window_s, is_asked=bool(questions))
    if remedy is None:
        return None
    asked = f" with {len(questions)} questions" if questions else ""
    return (
        f"a window{asked} takes {seconds:.2f} s here, too long for a hop of {hop_s:g} s; {remedy}"
    )
