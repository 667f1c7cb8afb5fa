"""The engine's memory over thousands of different windows, the LLM asked about most: it levels out.

python -m benchmarks.engine_growth                  # 5,000 windows, about eight minutes
python -m benchmarks.engine_growth --windows 500
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from listen_edge.audio import read_audio
from listen_edge.bundle.opening import bundle_folder
from listen_edge.log_mel import SAMPLE_RATE
from listen_edge.runtime.engine import load

N_WINDOW = 5 * SAMPLE_RATE
QUESTIONS = (
    *("siren?", "dog barking?", "glass breaking?", "baby crying?"),
    *("smoke alarm?", "car horn?", "door knock?", "cat meowing?"),
)


def resident_mb() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--windows", type=int, default=5000)
    n_windows = parser.parse_args().windows
    rng = np.random.default_rng(0)
    clips = [read_audio(path) for path in sorted((bundle_folder("tiny") / "clips").iterdir())]
    n_asked = 0
    with load(n_threads=2) as engine:
        for number in range(1, n_windows + 1):
            level = 10 ** rng.uniform(-4, -1.5)
            window = rng.normal(0, level, N_WINDOW).astype(np.float32)
            clip, start = clips[number % len(clips)], int(rng.integers(0, N_WINDOW))
            sound = clip[: N_WINDOW - start] * np.float32(rng.uniform(0.05, 1))
            window[start : start + len(sound)] += sound
            answers = engine.answer_window(window, QUESTIONS)
            n_asked += sum(answer.logit_margin is not None for answer in answers)
            if number in (1, 10, 100, 200) or number % 500 == 0:
                print(f"{number:>6} windows  {n_asked:>6} opinions  {resident_mb():7.2f} MB")


if __name__ == "__main__":
    main()
