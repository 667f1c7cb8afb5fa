"""Recordings of tones, and a listener that hears them: whose card is known."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import soundfile

from listen_edge.lines.answer import Answer
from listen_edge.question import parse_concept
from tests.listening import FakeEngine

RATE = 16_000
LABELS = ("dog", "cow", "pig", "rain", "piano", "cat", "sheep", "helicopter")  # none confusable
HZ = {label: 300.0 + 200 * k for k, label in enumerate(LABELS)}


class ToneEngine(FakeEngine):
    """Hears a label where its tone is; `deaf` hears the names alone.

    Attributes:
        n_heard: how many windows that are not silent were asked about, by source.
    """

    backend = "cpu"

    def __init__(self, deaf: bool = False) -> None:
        super().__init__({})
        self.deaf = deaf
        self.n_heard: Counter[str] = Counter()
        manifest = SimpleNamespace(
            name="tones",
            files=(SimpleNamespace(precision="int8", backends=("cpu",)),),
            gguf=SimpleNamespace(quantization="f16"),
            raw={
                "parity": [
                    _rung("encoder torch, LLM torch", 0.98, 0.0),
                    _rung("encoder onnx x86-avx2, LLM gguf", 0.97, 0.01),
                    _rung("head torch", 0.99, 0.0),
                    _rung("head onnx x86-avx2", 0.985, 0.02),
                ]
            },
        )
        self.bundle = SimpleNamespace(id="tones@0", manifest=manifest, paths=lambda role: [])

    def ask(self, samples: Any, questions: Sequence[str], *, source: str) -> list[Answer]:
        is_silent = not samples.any()
        self.n_heard[source] += not is_silent
        power = np.abs(np.fft.rfft(samples)) ** 2
        for concept in map(parse_concept, questions):
            at = round(HZ[concept] * len(samples) / RATE)
            tells = power[at - 2 : at + 3].sum() > 0.01 * power.sum()
            says_yes = concept in LABELS[::2] if self.deaf else tells
            silent = is_silent and not self.deaf
            self.heard[source, concept] = None if silent else 0.9 if says_yes else 0.1
        return super().ask(samples, questions, source=source)


def _rung(name: str, auroc: float, flips: float) -> dict[str, Any]:
    return {"name": name, "auroc": auroc, "flips": flips}


def _write_tones(folder: Path, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Write a table and a second of tone per row, the label's in its last column but one."""
    (folder / "audio").mkdir(parents=True)
    with (folder / "meta.csv").open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    time = np.arange(RATE) / RATE
    for row in rows:
        tone = 0.3 * np.sin(2 * np.pi * HZ[str(row[columns.index("label")])] * time)
        soundfile.write(folder / "audio" / str(row[0]), tone, RATE)


def tone_folders(root: Path) -> tuple[Path, Path]:
    """Write ESC-50 with two clips a label in folds 4 and 5, and other sources: 12 clips and 2."""
    esc50, others = root / "esc50", root / "others"
    rows = [
        (f"{fold}-{k}-{take}.wav", label, fold, k, label)
        for fold in (4, 5)
        for k, label in enumerate(LABELS)
        for take in "AB"
    ]
    _write_tones(esc50, ("filename", "label", "fold", "target", "category"), rows)
    sources = ["A farm"] * 12 + ["A few"] * 2
    of_others = [(f"{k}.wav", LABELS[k % len(LABELS)], source) for k, source in enumerate(sources)]
    _write_tones(others, ("filename", "label", "source"), of_others)
    return esc50, others
