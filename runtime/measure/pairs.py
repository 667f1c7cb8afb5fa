"""One encoder graph with one GGUF, measured in a process of its own: answers, time, memory."""

from __future__ import annotations

import math
import multiprocessing
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from listen_edge.audio import read_window
from listen_edge.prompt import Prompt
from listen_edge.runtime.encoder_session import EncoderSession
from listen_edge.runtime.llama.session import LlamaSession
from listen_edge.runtime.measure.memory import proc_mb


@dataclass(frozen=True)
class PairFigures:
    """What a pair answered and needed.

    Attributes:
        margins: one array a clip, in the order of its concepts, in nats.
        encode_ms, answer_ms: medians over the clips.
        peak_mb: of the whole process; NaN where there is no /proc.
    """

    margins: tuple[NDArray[np.float32], ...]
    encode_ms: float
    answer_ms: float
    peak_mb: float


@dataclass(frozen=True)
class Pair:
    """Files to measure.

    Attributes:
        gguf: of the vocabulary and the texts' embeddings.
        answering: the LLM that is run, see LlamaSession.
        n_samples: window of the encoder graph.
    """

    encoder: Path
    gguf: Path
    answering: Path
    prompt: Prompt
    n_samples: int
    n_threads: int


def measure_pair(
    pair: Pair, recordings: Sequence[Path], concepts: Sequence[Sequence[str]]
) -> PairFigures:
    """Ask about every recording in a fresh process.

    Args:
        recordings: one window is read of each.
        concepts: asked about each recording.
    """
    with multiprocessing.get_context("spawn").Pool(1) as process:
        return process.apply(_measure, (pair, recordings, concepts))


def _measure(
    pair: Pair, recordings: Sequence[Path], concepts: Sequence[Sequence[str]]
) -> PairFigures:
    encoder = EncoderSession(
        pair.encoder.read_bytes(), pair.n_samples, backend="cpu", n_threads=pair.n_threads
    )
    llama = LlamaSession(pair.gguf, pair.prompt, n_threads=pair.n_threads, answering=pair.answering)
    margins, encode_s, answer_s = [], [], []
    for path, asked in zip(recordings, concepts, strict=True):
        window = read_window(path, pair.n_samples)
        started = time.perf_counter()
        embeddings = encoder.embed(window)
        encoded = time.perf_counter()
        margins.append(llama.margins(embeddings, asked))
        answer_s.append(time.perf_counter() - encoded)
        encode_s.append(encoded - started)
    peak_mb = proc_mb("self/status", "VmHWM") or math.nan
    return PairFigures(tuple(margins), 1000 * median(encode_s), 1000 * median(answer_s), peak_mb)
