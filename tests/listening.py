"""A fake engine that answers by a table, and recordings to ask it about."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import Any

import numpy as np
import soundfile

from listen_edge.lines.answer import Answer
from listen_edge.question import parse_concept


class FakeEngine:
    """Gives the presence that stands in `heard` for (recording, concept), else `otherwise`.

    Attributes:
        asked: the recording and number of questions of each call.
    """

    def __init__(
        self, heard: dict[tuple[str, str], float | None], otherwise: float | None = 0.1
    ) -> None:
        self.heard, self.otherwise = heard, otherwise
        self.asked: list[tuple[str, int]] = []
        self.levels: list[float] = []
        self.bundle = SimpleNamespace(id="fake-1@0000")

    def ask(self, samples: Any, questions: Sequence[str], *, source: str) -> list[Answer]:
        self.asked.append((source, len(questions)))
        self.levels.append(float(np.abs(samples).max()))
        return [self._answer(question, source) for question in questions]

    def _answer(self, question: str, source: str) -> Answer:
        concept = parse_concept(question)
        presence = self.heard.get((source, concept), self.otherwise)
        return Answer(
            question=question,
            concept=concept,
            state="unknown" if presence is None else "present" if presence > 0.5 else "absent",
            reason=None,
            presence=presence,
            head_logit=None,
            logit_margin=None,
            prior_margin=None,
            calibrated=concept == "dog",
            window_s=(0.0, 1.0),
            level_dbfs=None,
            encode_ms=0.0,
            answer_ms=0.0,
            source=source,
            bundle=self.bundle.id,
        )

    def __enter__(self) -> FakeEngine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None
    ) -> None:
        return None


def record(folder: Path, *names: str) -> None:
    """Write short recordings of noise."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for name in names:
        soundfile.write(folder / name, rng.normal(0, 0.1, 8_000), 16_000)
