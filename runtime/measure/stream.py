"""What listening for long costs on this machine: compute, latency, lost windows, idling, memory."""

from __future__ import annotations

import itertools
import math
import os
import resource
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from listen_edge.audio import read_audio
from listen_edge.errors import AudioError
from listen_edge.lines.event import Event
from listen_edge.lines.health import Health
from listen_edge.log_mel import SAMPLE_RATE
from listen_edge.question import parse_concept
from listen_edge.runtime.engine import Engine
from listen_edge.runtime.listening.listen_config import ListenConfig
from listen_edge.runtime.listening.listener import Listener
from listen_edge.runtime.listening.pace import window_seconds
from listen_edge.runtime.measure.background import LEAD_S, TAIL_S, mix
from listen_edge.runtime.sources import Block, EndOfStream, Source
from listen_edge.runtime.sources.file import FileSource, SamplesSource
from listen_edge.runtime.sources.microphone import MicrophoneSource, input_devices

QUESTIONS = (
    "siren", "dog", "crying baby", "glass breaking", "rain", "cat", "door knock", "clock alarm",
)  # fmt: skip
_ROOM_DBFS = -50.0
_SNR_DB = 20.0  # of the example recordings over the room's noise
_EVERY_S = 25.0  # a recording is played: each question's cooldown is over by its next turn
_COMPUTE_S = 60.0
_IDLE_S = 30.0
_DAY_S = 86_400
_SOAK_RATE = 48_000
_GATE_DBFS = -40.0


def measure_stream(
    engine: Engine, questions: Sequence[str], *, minutes: float, seed: int
) -> dict[str, float]:
    """Return compute per second of audio, a real-time run's latencies and losses, and idling."""
    rng = np.random.default_rng(seed)
    return {
        **_measure_compute(engine, questions, rng),
        **_measure_real_time(engine, questions, minutes, rng),
        **_measure_idle(engine, questions, rng),
    }


def measure_soak(engine: Engine, questions: Sequence[str], *, minutes: float) -> dict[str, float]:
    """Return how memory grows over a day that is compressed into some minutes.

    All of the day's 86,400 seconds go through resampler, windows, gate and trigger. As many of its
    windows as fit into the minutes hold a burst of sound and are answered, spread evenly; the
    others are below the level gate.
    """
    source = _CompressedDay(engine, minutes * 60 / window_seconds(engine, questions))
    config = ListenConfig(gate_dbfs=_GATE_DBFS)
    memory: list[tuple[float, float]] = []
    n_windows = n_answered = 0
    for line in Listener(engine, source, questions, config):
        if isinstance(line, Event) or line.question != questions[0]:  # type: ignore[union-attr]
            continue
        n_windows += 1
        n_answered += line.presence is not None  # type: ignore[union-attr]
        if n_windows % 600 == 0:
            memory.append((source.played_s / 3600, _resident_mb()))
    hours, megabytes = np.array(memory[len(memory) // 12 :]).T  # the first two hours warm up
    return {
        "soak_hours": source.played_s / 3600,
        "soak_windows": n_windows,
        "soak_windows_answered": n_answered,
        "soak_resident_mb": float(megabytes[-1]),
        "soak_slope_per_hour_mb": float(np.polyfit(hours, megabytes, 1)[0]),
    }


def _measure_compute(
    engine: Engine, questions: Sequence[str], rng: np.random.Generator
) -> dict[str, float]:
    source = SamplesSource(_room(_COMPUTE_S, rng), SAMPLE_RATE)
    engine.prior_margins([parse_concept(question) for question in questions])
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in Listener(engine, source, questions):
        pass
    return {
        "questions": len(questions),
        "compute_per_audio_second_s": (time.perf_counter() - wall) / _COMPUTE_S,
        "cpu_per_audio_second_s": (time.process_time() - cpu) / _COMPUTE_S,
    }


def _measure_real_time(
    engine: Engine, questions: Sequence[str], minutes: float, rng: np.random.Generator
) -> dict[str, float]:
    """Play the bundle's examples in a room, at the pace of a microphone."""
    samples = _room(minutes * 60, rng)
    concepts = [parse_concept(question) for question in questions]
    examples = [
        (path.stem.replace("_", " "), read_audio(path)) for path in engine.bundle.paths("clip")
    ]
    examples = [(concept, sound) for concept, sound in examples if concept in concepts]
    onsets: list[tuple[str, float]] = []
    for start_s, (concept, sound) in zip(
        np.arange(10.0, minutes * 60 - 20.0, _EVERY_S), itertools.cycle(examples)
    ):
        start = round((start_s + rng.uniform()) * SAMPLE_RATE)
        n_stretch = len(sound) + round((LEAD_S + TAIL_S) * SAMPLE_RATE)
        stretch = samples[start : start + n_stretch]
        if len(stretch) < n_stretch:
            break
        mixture, onset_s = mix(sound, stretch, (_SNR_DB, _SNR_DB), rng)
        stretch[:] = mixture
        onsets.append((concept, start / SAMPLE_RATE + onset_s))
    latencies: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "room.wav"
        soundfile.write(path, samples, SAMPLE_RATE)
        source = FileSource(path, is_realtime=True)
        health: Health | None = None
        config = replace(ListenConfig.of(engine.bundle.manifest.events), heartbeat_s=1.0)
        for line in Listener(engine, source, questions, config):
            now_s = time.monotonic() - source.started_s
            if isinstance(line, Health):
                health = line
            elif isinstance(line, Event) and line.phase == "start":
                due = [t for c, t in onsets if c == line.concept and t <= now_s < t + _EVERY_S]
                latencies += [now_s - due[-1]] if due else []
    assert health is not None
    return {
        "real_time_minutes": minutes,
        "real_time_windows": health.n_windows,
        "dropped_windows": health.n_dropped,
        "sounds_played": len(onsets),
        "sounds_with_event": len(latencies),
        "onset_to_event_median_s": _quantile(latencies, 0.5),
        "onset_to_event_p95_s": _quantile(latencies, 0.95),
    }


def _measure_idle(
    engine: Engine, questions: Sequence[str], rng: np.random.Generator
) -> dict[str, float]:
    """Return the share of a core that a closed gate takes, the capture process included."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "room.wav"
        soundfile.write(path, _room(_IDLE_S, rng), SAMPLE_RATE)
        source: Source = FileSource(path, is_realtime=True)
        is_microphone = _has_microphone()
        if is_microphone:
            source = MicrophoneSource()
        listener = Listener(engine, source, questions, ListenConfig(gate_dbfs=0.0))
        lines = iter(listener)
        next(lines)  # the start-up measurement is over
        wall, cpu = time.monotonic(), _cpu_seconds()
        for _ in lines:
            if time.monotonic() - wall > _IDLE_S:
                listener.stop()
    return {
        "idle_with_microphone": float(is_microphone),
        "idle_cpu_percent": 100 * (_cpu_seconds() - cpu) / (time.monotonic() - wall),
    }


class _CompressedDay:
    """A day in a quiet room, with bursts of the bundle's examples, as fast as it is taken."""

    name, is_live = "day", False

    def __init__(self, engine: Engine, n_answered: float) -> None:
        rng = np.random.default_rng(0)
        quiet = _room(1.0, rng)
        sounds = [read_audio(path)[: SAMPLE_RATE // 2] for path in engine.bundle.paths("clip")]
        bursts = [np.concatenate([sound, quiet[: SAMPLE_RATE - len(sound)]]) for sound in sounds]
        self.played_s = 0.0
        self._quiet = self._stereo(quiet)
        self._bursts = itertools.cycle([self._stereo(burst) for burst in bursts or [quiet]])
        per_burst = engine.window_s / engine.hop_s  # windows that hold a burst
        self._period_s = max(round(per_burst), math.ceil(_DAY_S * per_burst / n_answered))

    def open(self) -> None:
        self.played_s = 0.0

    def read(self, timeout_s: float) -> Block:
        if self.played_s >= _DAY_S:
            raise EndOfStream
        is_burst = round(self.played_s) % self._period_s == 0
        self.played_s += 1
        return Block(next(self._bursts) if is_burst else self._quiet, _SOAK_RATE, time.monotonic())

    def close(self) -> None:
        pass

    def _stereo(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.repeat(np.repeat(samples, _SOAK_RATE // SAMPLE_RATE)[:, None], 2, axis=1)


def _room(seconds: float, rng: np.random.Generator) -> NDArray[np.float32]:
    noise = rng.normal(0, 10 ** (_ROOM_DBFS / 20), round(seconds * SAMPLE_RATE))
    return noise.astype(np.float32)


def _has_microphone() -> bool:
    try:
        return bool(input_devices())
    except AudioError:
        return False


def _cpu_seconds() -> float:
    """Return the CPU time of this process and of the children that have ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _quantile(values: Sequence[float], quantile: float) -> float:
    return float(np.quantile(values, quantile)) if values else math.nan
