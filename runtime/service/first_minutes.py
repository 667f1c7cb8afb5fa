"""What is heard most in the first minutes: the answer to "why is there nothing?".

Whoever asks for a siren and hears nothing wants to know first whether anything is heard at all, and
what the model takes it for.
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field

from listen_edge.lines.heard import NOTHING, HeardLine

N_TOLD = 8  # sounds of a report
_MAX_NAMES = 1000  # that are counted for a source; a bundle's vocabulary has some hundreds


@dataclass
class _Tally:
    n_windows: int = 0
    n_nothing: int = 0
    unheard: Counter[str] = field(default_factory=Counter)
    windows: Counter[str] = field(default_factory=Counter)
    highest: dict[str, float] = field(default_factory=dict)

    def take(self, line: HeardLine) -> None:
        self.n_windows += 1
        if line.sounds is None:
            self.unheard[str(line.reason)] += 1
            return
        self.n_nothing += not line.sounds
        for name, presence in line.sounds:
            if name in self.windows or len(self.windows) < _MAX_NAMES:
                self.windows[name] += 1
                self.highest[name] = max(presence, self.highest.get(name, 0.0))

    def share(self, n_windows: int) -> str:
        return f"{100 * n_windows / self.n_windows:.0f} %"


class FirstMinutes:
    """Counts what is heard of each source; every method from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tallies: dict[str, _Tally] = {}

    def take(self, line: HeardLine) -> None:
        """Count a window."""
        with self._lock:
            self._tallies.setdefault(line.source, _Tally()).take(line)

    def heard(self) -> list[tuple[str, float, float]]:
        """Return (name, share of all windows, highest presence), the most frequent first."""
        with self._lock:
            n_windows = sum(tally.n_windows for tally in self._tallies.values())
            counted, highest = Counter[str](), dict[str, float]()
            for tally in self._tallies.values():
                counted.update(tally.windows)
                for name, presence in tally.highest.items():
                    highest[name] = max(presence, highest.get(name, 0.0))
        ranked = sorted(counted, key=lambda name: (-counted[name], -highest[name], name))
        return [(name, counted[name] / n_windows, highest[name]) for name in ranked]

    def report(self) -> list[str]:
        """Return a line a source: what was heard most, and how much was not heard at all."""
        with self._lock:
            return [f"{source}: {_words(tally)}" for source, tally in self._tallies.items()]


def _words(tally: _Tally) -> str:
    heard = [
        f"{name} {tally.share(n)} (up to {tally.highest[name]:.2f})"
        for name, n in tally.windows.most_common(N_TOLD)
    ]
    nothing = [f"{NOTHING} {tally.share(tally.n_nothing)}"] if tally.n_nothing else []
    unheard = [f"unknown ({why}) {tally.share(n)}" for why, n in tally.unheard.most_common()]
    return f"in {tally.n_windows} windows: {', '.join(heard + nothing + unheard)}"
