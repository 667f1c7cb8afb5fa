"""What the benchmarks of scans hear, made of the bundle's clips and of noise, and what they ask."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from listen_edge.audio import read_audio
from listen_edge.audio.folder import recordings_below
from listen_edge.bundle.opening import bundle_folder, open_bundle
from listen_edge.log_mel import SAMPLE_RATE
from listen_edge.runtime.archive.job import Job, begin
from listen_edge.runtime.archive.listing.inputs import ListingOptions, list_recordings
from listen_edge.runtime.archive.scan_config import ScanConfig
from listen_edge.runtime.listening.listen_config import ListenConfig
from listen_edge.runtime.listening.recorded import recorded_windows
from listen_edge.runtime.listening.window import Window

Samples = NDArray[np.float32]
QUESTIONS = (
    *("siren?", "dog barking?", "glass breaking?", "baby crying?"),
    *("smoke alarm?", "car horn?", "door knock?", "cat meowing?"),
)
WINDOW_S, HOP_S = 5.0, 2.5
_SOUND_EVERY_S = 60 * HOP_S  # and is in three windows: in one of twenty
_BED_S = 300.0


def clips() -> list[Samples]:
    """Return the bundle's clips of 5 s: a baby, a dog, breaking glass, a siren."""
    return [read_audio(path) for path in sorted((bundle_folder("tiny") / "clips").iterdir())]


def dense(seconds: float) -> Samples:
    """Return the clips over and over, with faint noise."""
    n_samples, sounds = round(seconds * SAMPLE_RATE), np.concatenate(clips())
    samples = np.resize(sounds, n_samples)
    return samples + _noise(np.random.default_rng(0), n_samples, 0.002)


def archive(seconds: float, seed: int = 0) -> Samples:
    """Return hours as most are: hum, rain or little, and in one window of twenty a clip."""
    rng = np.random.default_rng(seed)
    n_bed, n_samples = round(_BED_S * SAMPLE_RATE), round(seconds * SAMPLE_RATE)
    makers = cycle((_quiet, _hum, _rain))
    beds = [next(makers)(rng, n_bed) for _ in range(0, n_samples, n_bed)]
    samples, sounds = np.concatenate(beds)[:n_samples], cycle(clips())
    for start_s in np.arange(_SOUND_EVERY_S / 2, seconds - 5, _SOUND_EVERY_S):
        sound, start = next(sounds), round(start_s * SAMPLE_RATE)
        samples[start : start + len(sound)] += rng.uniform(0.2, 1) * sound
    return samples


def material(seconds: float, folder: Path | None) -> dict[str, Samples]:
    """Return what is heard by what it is called; recordings of a folder too, if there is one."""
    heard = {"dense": dense(seconds), "archive": archive(seconds)}
    if folder is not None:
        paths = sorted(recordings_below(folder))
        parts = [read_audio(path) for path in paths]
        heard[folder.name] = np.concatenate(parts)[: round(seconds * SAMPLE_RATE)]
    return heard


def _noise(rng: np.random.Generator, n_samples: int, deviation: float) -> Samples:
    return rng.normal(0, deviation, n_samples).astype(np.float32)


def _quiet(rng: np.random.Generator, n_samples: int) -> Samples:
    return _noise(rng, n_samples, rng.uniform(3e-4, 2e-3))


def _hum(rng: np.random.Generator, n_samples: int) -> Samples:
    """Return mains and a fan: 50 Hz and what is above it, with noise below 500 Hz."""
    times_s = np.arange(n_samples) / SAMPLE_RATE
    tones = sum(np.sin(2 * np.pi * 50 * k * times_s) / k**2 for k in range(1, 9))
    low = np.convolve(_noise(rng, n_samples, 0.03), np.full(32, 1 / 32, np.float32), "same")
    return (0.01 * np.asarray(tones) + low).astype(np.float32)


def _rain(rng: np.random.Generator, n_samples: int) -> Samples:
    """Return a hiss, and drops of a few milliseconds, forty a second."""
    drops = np.zeros(n_samples, np.float32)
    at = rng.integers(0, n_samples, 40 * n_samples // SAMPLE_RATE)
    drops[at] = rng.normal(0, 0.1, len(at))
    decay = np.exp(-np.arange(80) / 16).astype(np.float32)
    return (np.convolve(drops, decay, "same") + _noise(rng, n_samples, 0.01)).astype(np.float32)


def write_recordings(
    folder: Path, samples: Samples, seconds: float, rate: int = 48_000, suffix: str = "wav"
) -> Path:
    """Write samples as recordings of so many seconds, named by the times at which they begin."""
    folder.mkdir(parents=True, exist_ok=True)
    length = round(seconds * SAMPLE_RATE)
    for number, start in enumerate(range(0, len(samples), length)):
        cut = soxr.resample(samples[start : start + length], SAMPLE_RATE, rate)
        name = f"20260102_{number // 3600:02}{number // 60 % 60:02}{number % 60:02}"
        path = folder / f"{name}.{suffix}"
        # In blocks: libsndfile's encoder of Vorbis takes no hour at once.
        with soundfile.SoundFile(path, "w", rate, 1) as file:
            for first in range(0, len(cut), rate):
                file.write(np.clip(cut[first : first + rate], -1, 1))
    return folder


def small_recordings(folder: Path, n: int) -> Path:
    """Make n recordings of 0.2 s in folders of a thousand, unless all are there: hard links."""
    done, found = folder / f"{n}.made", folder / "recordings"
    if not done.exists():
        for number in range(n):
            within = found / f"{number // 1000:04}"
            path = within / f"{number:07}.wav"
            if number % 1000 == 0:  # a file has so many links at most
                within.mkdir(parents=True)
                soundfile.write(path, _quiet(np.random.default_rng(0), 3200), SAMPLE_RATE)
                first = path
            else:
                os.link(first, path)
        done.touch()
    return found


def windows_of(folder: Path) -> list[Window]:
    """Return all windows of a folder's recordings, decoded as a scan does."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return [window for path in paths for window in recorded_windows(path, WINDOW_S, HOP_S)]


def asking(llm: str = "auto") -> ScanConfig:
    """Return what the benchmarks ask."""
    bundle = open_bundle("tiny")
    config = ListenConfig(hop_s=HOP_S)
    return ScanConfig.of(bundle, QUESTIONS, config, "answers", llm=llm, backend="cpu")


@contextmanager
def new_job(out: Path, recordings: Path, config: ScanConfig) -> Iterator[Job]:
    """Yield a scan of a folder's recordings that has heard nothing yet."""
    listing = list_recordings([recordings], ListingOptions()).table
    with begin(out, config.describe(), listing) as job:
        yield job
