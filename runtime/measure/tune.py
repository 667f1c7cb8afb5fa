"""Hours without a sound, and recordings of it -> from which presence a question should alarm.

The windows are the listener's own; events are counted by running its trigger over their presence,
so that hundreds of thresholds cost no more than one.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
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
from listen_edge.runtime.listening.trigger import Trigger
from listen_edge.runtime.measure.background import draw_background, mix
from listen_edge.runtime.measure.mixing import Mixing
from listen_edge.runtime.sources import Source
from listen_edge.runtime.sources.file import FolderSource, SamplesSource
from listen_edge.runtime.thresholds import Thresholds

logger = logging.getLogger(__name__)

_MAX_CLIP_S = 10.0
_LOGIT_STEP = 0.05
TARGETS = ("siren", "glass breaking", "crying baby", "dog barking")  # of the false-alarm figures


@dataclass(frozen=True)
class Trace:
    """A question's presence over a stream.

    Attributes:
        ends_s: each window's end, shape (n_windows,).
        presence: NaN where nothing was heard, shape (n_windows,).
        onset_s: where the sound begins; None where it is absent.
    """

    ends_s: NDArray[np.float64]
    presence: NDArray[np.float64]
    onset_s: float | None = None


@dataclass(frozen=True)
class Operation:
    """What one pair of thresholds does.

    Attributes:
        false_alarms: events in the negatives.
        recall: share of the mixtures with an event; NaN without positives.
        latencies_s: from onset to the end of the window that raised the event, of those.
    """

    thresholds: Thresholds
    false_alarms: int
    hours: float
    recall: float
    latencies_s: tuple[float, ...]

    @property
    def false_alarms_per_hour(self) -> float:
        return self.false_alarms / self.hours

    def latency_s(self, quantile: float) -> float:
        """Return a quantile of the latencies, NaN without any."""
        return float(np.quantile(self.latencies_s, quantile)) if self.latencies_s else math.nan

    def to_json(self) -> dict[str, float | None]:
        """Return the figures, None for those that were not measured."""
        figures = {
            "false_alarms": float(self.false_alarms),
            "negatives_h": self.hours,
            "false_alarms_per_hour": self.false_alarms_per_hour,
            "recall": self.recall,
            "onset_to_event_p50_s": self.latency_s(0.5),
            "onset_to_event_p95_s": self.latency_s(0.95),
        }
        return {k: None if math.isnan(v) else round(v, 3) for k, v in figures.items()}


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


def operate(
    negatives: Trace,
    positives: Sequence[Trace],
    thresholds: Thresholds,
    config: ListenConfig,
    hop_s: float,
) -> Operation:
    """Return what the trigger makes of the traces."""
    alarms = sum(1 for _ in _starts(negatives, thresholds, config, hop_s))
    latencies = []
    for trace in positives:
        assert trace.onset_s is not None
        after = [t - trace.onset_s for t in _starts(trace, thresholds, config, hop_s)]
        latencies += [t for t in after if t >= 0][:1]
    recall = len(latencies) / len(positives) if positives else math.nan
    hours = hop_s * len(negatives.presence) / 3600
    return Operation(thresholds, alarms, hours, recall, tuple(latencies))


def tune_thresholds(
    negatives: Trace, config: ListenConfig, hop_s: float, *, per_hour: float, ratio: Thresholds
) -> Thresholds:
    """Return the lowest thresholds that, as all above them, keep a rate of false alarms.

    Far below, everything would be one event that never ends: one false alarm, and full recall.

    Args:
        per_hour: the wanted rate.
        ratio: off stays as far below on, in logits, as here.
    """
    gap = _logit(ratio.on) - _logit(ratio.off)
    allowed = per_hour * hop_s * len(negatives.presence) / 3600
    lowest = Thresholds(0.9999, _sigmoid(_logit(0.9999) - gap))
    for logit in np.arange(_logit(0.5), _logit(0.9999), _LOGIT_STEP)[::-1]:
        thresholds = Thresholds(_sigmoid(logit), _sigmoid(logit - gap))
        alarms = sum(1 for _ in _starts(negatives, thresholds, config, hop_s))
        if alarms > allowed:
            break
        lowest = thresholds
    return lowest


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


def _starts(
    trace: Trace, thresholds: Thresholds, config: ListenConfig, hop_s: float
) -> Iterator[float]:
    """Yield when events begin."""
    if np.nanmax(trace.presence, initial=0.0) < thresholds.on:
        return
    trigger = Trigger(thresholds, config.trigger, hop_s)
    for end_s, presence in zip(trace.ends_s.tolist(), trace.presence.tolist(), strict=True):
        change = trigger.update(end_s, None if math.isnan(presence) else presence)
        if change is not None and change.phase == "start":
            yield end_s


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


def summarize(operations: Mapping[str, Operation]) -> dict[str, float]:
    """Return figures over all questions: false alarms per hour at worst, recall, latency."""
    figures = {
        "worst_false_alarms_per_hour": max(o.false_alarms_per_hour for o in operations.values())
    }
    latencies = [t for operation in operations.values() for t in operation.latencies_s]
    if latencies:
        figures["mixture_recall"] = float(np.mean([o.recall for o in operations.values()]))
        figures["mixture_onset_to_event_p50_s"] = float(np.median(latencies))
        figures["mixture_onset_to_event_p95_s"] = float(np.quantile(latencies, 0.95))
    return figures


def _logit(presence: float) -> float:
    return math.log(presence / (1 - presence))


def _sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))
