"""Hours without a sound, and recordings of it -> from which presence a question should alarm.

The windows are the listener's own; false_alarms.py counts the events that their presence makes.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from listen_edge.audio import read_audio
from listen_edge.audio.folder import recordings_below
from listen_edge.errors import AudioError
from listen_edge.lines.answer import Answer
from listen_edge.log_mel import SAMPLE_RATE
from listen_edge.question import can_be_asked, parse_concept
from listen_edge.runtime.engine import Engine
from listen_edge.runtime.listening.listener import ListenConfig, Listener
from listen_edge.runtime.measure.background import draw_background, mix
from listen_edge.runtime.measure.false_alarms import Operation, Trace, operate, tune_thresholds
from listen_edge.runtime.measure.mixing import Mixing
from listen_edge.runtime.sources import Source
from listen_edge.runtime.sources.file import FolderSource, SamplesSource
from listen_edge.runtime.thresholds import Thresholds

logger = logging.getLogger(__name__)

_MAX_CLIP_S = 10.0
TARGETS = ("siren", "glass breaking", "crying baby", "dog barking")  # of the false-alarm figures


def measure_operations(
    engine: Engine,
    concepts: Sequence[str],
    negatives: Path,
    positives: Path | None,
    config: ListenConfig,
    mixing: Mixing,
    *,
    per_hour: float,
    on_window: Callable[[], None],
) -> tuple[dict[str, Operation], dict[str, Operation]]:
    """Return each concept's operation at the trigger's thresholds, and at tuned ones.

    Arguments as for negative_traces, positive_traces and tune_thresholds.
    """
    hop_s = config.hop_s or engine.hop_s
    absent = negative_traces(engine, concepts, negatives, config, on_window)
    present: dict[str, list[Trace]] = {concept: [] for concept in concepts}
    if positives is not None:
        present = positive_traces(engine, concepts, positives, negatives, config, mixing, on_window)

    def operations(thresholds: Mapping[str, Thresholds]) -> dict[str, Operation]:
        return {c: operate(absent[c], present[c], thresholds[c], config, hop_s) for c in thresholds}

    default = config.trigger.thresholds
    tuned = {
        c: tune_thresholds(absent[c], config, hop_s, per_hour=per_hour, ratio=default)
        for c in concepts
    }
    return operations(dict.fromkeys(concepts, default)), operations(tuned)


def negative_traces(
    engine: Engine,
    concepts: Sequence[str],
    folder: Path,
    config: ListenConfig,
    on_window: Callable[[], None] = lambda: None,
) -> dict[str, Trace]:
    """Return each concept's presence over all recordings of a folder, played as one stream.

    A sub-folder that is named like a concept holds that sound: its windows are left out of that
    concept's trace.
    """
    source = FolderSource(folder)
    ends, rows = _listen(engine, source, concepts, config, on_window)
    starts_s = np.array([start_s for start_s, _ in source.parts])
    holds = np.array([[c in _names(path, folder) for c in concepts] for _, path in source.parts])
    first = np.searchsorted(starts_s, ends - engine.window_s, side="right") - 1
    last = np.searchsorted(starts_s, ends, side="left") - 1
    is_left_out = np.array(
        [holds[a : b + 1].any(axis=0) for a, b in zip(np.maximum(first, 0), last, strict=True)]
    )
    traces = {}
    for k, concept in enumerate(concepts):
        kept = ~is_left_out[:, k]
        if not kept.any():
            raise AudioError(f"{folder}: every recording holds {concept}; expected some without it")
        hop_s = config.hop_s or engine.hop_s
        traces[concept] = Trace(hop_s * np.arange(1, kept.sum() + 1), rows[kept, k])
    return traces


def positive_traces(
    engine: Engine,
    concepts: Sequence[str],
    folder: Path,
    negatives: Path,
    config: ListenConfig,
    mixing: Mixing,
    on_window: Callable[[], None] = lambda: None,
) -> dict[str, list[Trace]]:
    """Return each concept's presence over its recordings, mixed into stretches of the negatives.

    Args:
        folder: one sub-folder per concept, named like it; a single concept's recordings may lie in
            the folder itself.
        negatives: as for negative_traces.
        mixing: see Mixing.
    """
    rng = np.random.default_rng(mixing.seed)
    traces: dict[str, list[Trace]] = {concept: [] for concept in concepts}
    backgrounds = recordings_below(negatives)
    for concept in concepts:
        usable = [path for path in backgrounds if concept not in _names(path, negatives)]
        for path in _recordings_of(folder, concept, len(concepts)):
            try:
                sound = read_audio(path)[: round(_MAX_CLIP_S * SAMPLE_RATE)]
            except AudioError as err:  # one bad file among many
                logger.warning("%s", err)
                continue
            for _ in range(mixing.n_mixtures):
                background = draw_background(usable, len(sound), rng)
                mixture, onset_s = mix(sound, background, mixing.snr_db, rng)
                source = SamplesSource(mixture, SAMPLE_RATE, name=path.name)
                ends, rows = _listen(engine, source, [concept], config, on_window)
                traces[concept].append(Trace(ends, rows[:, 0], onset_s))
    return traces


def _listen(
    engine: Engine,
    source: Source,
    concepts: Sequence[str],
    config: ListenConfig,
    on_window: Callable[[], None],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return window ends (n_windows,) and presences (n_windows, n_concepts), NaN if unheard."""
    ends, rows, row = [], [], []
    for line in Listener(engine, source, concepts, config):
        if not isinstance(line, Answer):
            continue
        row.append(math.nan if line.presence is None else line.presence)
        if len(row) == len(concepts):
            ends.append(line.window_s[1])
            rows.append(row)
            row = []
            on_window()
    return np.array(ends), np.array(rows)


def _names(path: Path, folder: Path) -> set[str]:
    """Return the concepts that the sub-folders of a recording are named after.

    A name that cannot be asked ("noise", "2026-01-01") is no sound's.
    """
    parts = path.relative_to(folder).parts[:-1]
    return {parse_concept(part) for part in parts if can_be_asked(part)}


def _recordings_of(folder: Path, concept: str, n_concepts: int) -> list[Path]:
    own = [path for path in recordings_below(folder) if concept in _names(path, folder)]
    if not own and n_concepts == 1:
        return recordings_below(folder)
    if not own:
        raise AudioError(
            f"{folder}: no sub-folder named {concept!r}; expected one per question, with recordings"
        )
    return own
