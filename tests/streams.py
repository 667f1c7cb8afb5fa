"""What a test must control: a source that delivers on cue, an engine that hears loudness."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from types import SimpleNamespace
from typing import Any

import numpy as np

from listen_edge.errors import AudioError
from listen_edge.lines.answer import Answer, Reason
from listen_edge.lines.heard import HeardLine
from listen_edge.question import parse_concept
from listen_edge.runtime.engine import Engine
from listen_edge.runtime.hear_config import HearConfig
from listen_edge.runtime.listening.listen_config import ListenConfig
from listen_edge.runtime.listening.listener import Listener
from listen_edge.runtime.score import judge
from listen_edge.runtime.sources import Block, EndOfStream, Source
from listen_edge.runtime.thresholds import Thresholds

RATE = 16_000


def tone(seconds: float, level: float = 0.5, rate: int = RATE) -> np.ndarray:
    """Samples (n, 1) of a constant: the level is the presence that LevelEngine hears."""
    return np.full((round(seconds * rate), 1), level, np.float32)


class ScriptedSource:
    """Plays a list of steps: an array is a block, a number a pause in seconds, an error is raised.

    After the last step a live source stays silent, a recording ends. Opened again, it goes on with
    the script.
    """

    def __init__(self, steps: Sequence[np.ndarray | float | AudioError | Block], *, is_live: bool):
        self.name, self.is_live = "scripted", is_live
        self.n_opened = self.n_closed = 0
        self._steps = list(steps)
        self._resume_s = 0.0

    def open(self) -> None:
        self.n_opened += 1

    def read(self, timeout_s: float) -> Block | None:
        now = time.monotonic()
        if now < self._resume_s:
            time.sleep(min(timeout_s, self._resume_s - now))
            return None
        if not self._steps:
            if not self.is_live:
                raise EndOfStream
            time.sleep(timeout_s)
            return None
        step = self._steps.pop(0)
        if isinstance(step, AudioError):
            raise step
        if isinstance(step, float):
            self._resume_s = now + step
            return None
        return step if isinstance(step, Block) else Block(step, RATE, now)

    def close(self) -> None:
        self.n_closed += 1


class LevelEngine:
    """Hears a sound as present as the newest tenth of its window is loud; one second a window."""

    window_s, hop_s, sample_rate = 1.0, 0.5, RATE
    bundle = SimpleNamespace(
        id="fake@sha256:00000000",
        require_head=lambda: None,
        manifest=SimpleNamespace(name="fake", raw={}, files=(), events=None),
    )

    def __init__(self, *, seconds_per_window: float = 0.0):
        self.n_windows = 0
        self._seconds = seconds_per_window

    def listen_window(
        self,
        window: np.ndarray,
        questions: Sequence[str],
        hearing: HearConfig | None = None,
        *,
        start_s: float = 0.0,
        source: str = "samples",
        doubt: Reason | None = None,
    ) -> tuple[list[Answer], HeardLine | None]:
        self.n_windows += 1
        time.sleep(self._seconds)
        presence = float(np.clip(window[-len(window) // 10 :].mean(), 0.01, 0.99))
        answers = []
        for question in questions:
            state, reason = judge(presence, Thresholds(), doubt)
            answers.append(
                self._answer(question, state, reason, presence, start_s, len(window), source)
            )
        if hearing is None:
            return answers, None
        window_s, bundle = (start_s, start_s + len(window) / RATE), self.bundle.id
        sounds = (("level", presence),)
        return answers, HeardLine(source, window_s, sounds, doubt, -20.0, 0.0, 0.0, bundle)

    def windows(
        self, samples: np.ndarray, sample_rate: int
    ) -> list[tuple[np.ndarray, float, Reason | None]]:
        return [(samples[k : k + RATE], k / RATE, None) for k in range(0, len(samples), RATE // 2)]

    def answer_window(
        self, window: np.ndarray, questions: Sequence[str], **options: Any
    ) -> list[Answer]:
        return self.listen_window(window, questions, **options)[0]

    def unheard(
        self,
        questions: Sequence[str],
        reason: Reason,
        *,
        window_s: tuple[float, float],
        source: str = "samples",
        level: float | None = None,
    ) -> list[Answer]:
        state = "absent" if reason == "below_gate" else "unknown"
        n_samples = round((window_s[1] - window_s[0]) * RATE)
        return [
            self._answer(question, state, reason, None, window_s[0], n_samples, source)
            for question in questions
        ]

    def _answer(
        self,
        question: str,
        state: str,
        reason: Reason | None,
        presence: float | None,
        start_s: float,
        n_samples: int,
        source: str,
    ) -> Answer:
        return Answer(
            question=question,
            concept=parse_concept(question),
            state=state,  # type: ignore[arg-type]
            reason=reason,
            presence=presence,
            head_logit=None,
            logit_margin=None,
            prior_margin=None,
            calibrated=True,
            window_s=(start_s, start_s + n_samples / RATE),
            level_dbfs=-20.0,
            encode_ms=0.0,
            answer_ms=0.0,
            source=source,
            bundle=self.bundle.id,
        )


def muted_answers(questions: Sequence[str], engine: Engine) -> list[Answer]:
    """Return what is said of a source that is muted before it is opened."""
    source = ScriptedSource([], is_live=True)
    listener = Listener(engine, source, questions, ListenConfig(checks_pace=False))
    listener.mute()
    with closing(iter(listener)) as lines:
        answers = (line for line in lines if isinstance(line, Answer))
        return [next(answers) for _ in questions]


def read_all(source: Source, timeout_s: float = 20.0) -> list[Block]:
    """Read to the end of the stream."""
    blocks, deadline = [], time.monotonic() + timeout_s
    source.open()
    try:
        while time.monotonic() < deadline:
            block = source.read(0.2)
            if block is not None:
                blocks.append(block)
    except EndOfStream:
        return blocks
    finally:
        source.close()
    raise AssertionError("the source did not end")


def sweep(seconds: float, rate: int = RATE, n_channels: int = 1) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.uniform(-0.5, 0.5, (round(seconds * rate), n_channels)).astype(np.float32)
