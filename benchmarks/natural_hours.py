"""What a home's or a street's day sounds like, out of recordings that hold no alarm.

Each function returns n samples at 16 kHz, shape (n,). Levels are RMS in dBFS of what sounds, drawn
within what rooms and microphones give; beneath all of it lies a room's noise.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve

from listen_edge.audio import read_audio
from listen_edge.errors import AudioError, ListenEdgeError
from listen_edge.log_mel import SAMPLE_RATE

Samples = NDArray[np.float32]
Rng = np.random.Generator

# Labels of ESC-50 and of the held-out sources that make no alarm.
BEDS = {
    "ambience": (
        *("rain", "wind", "sea waves", "ocean waves", "crackling fire", "crickets", "water drops"),
        *("crickets chirping", "chirping birds", "birds chirping", "pouring water"),
        *("city traffic", "people in a restaurant", "people in a tavern"),
    ),
    "machines": ("washing machine", "vacuum cleaner", "engine", "airplane"),
    "quiet": ("clock tick", "keyboard typing", "mouse click", "breathing"),
    "audience": ("laughing", "person laughing", "clapping", "applause"),
}
VOICES = (
    *(("espeak-ng", voice) for voice in ("en-us", "en-gb+f3", "en-gb-scotland+m4", "de", "fr+f2")),
    *(("flite", voice) for voice in ("slt", "rms", "awb", "kal16")),
)
_FADE_S = 0.7


@dataclass(frozen=True)
class Pools:
    """The recordings to draw from.

    Attributes:
        speech: utterances of one speaker or voice each, longer than 0.5 s.
        music: pieces of a minute and more.
        beds: by kind of BEDS and label.
    """

    speech: Sequence[Sequence[Samples]]
    music: Sequence[Samples]
    beds: Mapping[str, Mapping[str, Sequence[Samples]]]


def recordings(
    paths: Sequence[Path], shortest_s: float = 0.3, longest_s: float = 60.0
) -> list[Samples]:
    """Return what can be read and lasts long enough, no more of each than longest_s."""
    found = []
    for path in paths:
        try:
            samples = read_audio(path)
        except AudioError:  # shorter than can be heard
            continue
        if len(samples) >= shortest_s * SAMPLE_RATE:
            found.append(samples[: round(longest_s * SAMPLE_RATE)])
    return found


def read_out(texts: Sequence[Path], minutes: float) -> list[list[Samples]]:
    """Return paragraphs as each voice of espeak-ng and flite reads them, minutes in all.

    Raises:
        ListenEdgeError: a program is missing.
    """
    for program, _ in VOICES:
        if shutil.which(program) is None:
            raise ListenEdgeError(f"{program} is not there; apt install espeak-ng flite")
    paragraphs = [
        " ".join(paragraph.split())
        for text in texts
        for paragraph in text.read_text(errors="replace").split("\n\n")
        if len(paragraph) > 100
    ]
    wanted = minutes * 60 * SAMPLE_RATE / len(VOICES)
    return [
        _read_by(*voice, paragraphs[k :: len(VOICES)], wanted) for k, voice in enumerate(VOICES)
    ]


def _read_by(program: str, voice: str, paragraphs: Sequence[str], wanted: float) -> list[Samples]:
    said: list[Samples] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "said.wav"
        words = {"espeak-ng": ["-v", voice, "-w", str(path)], "flite": ["-voice", voice]}[program]
        for paragraph in paragraphs:
            if sum(map(len, said)) >= wanted:
                break
            tail = [paragraph] if program == "espeak-ng" else ["-t", paragraph, "-o", str(path)]
            subprocess.run([program, *words, *tail], check=True, capture_output=True)
            said.append(read_audio(path))
    return said


def speech(n: int, pools: Pools, rng: Rng) -> Samples:
    """Talks of 20 to 90 s with pauses, half of them across a room."""
    return _in_turn(n, rng, lambda: _talk(pools, rng, level_dbfs=rng.uniform(-38, -20)), (1, 8))


def music(n: int, pools: Pools, rng: Rng) -> Samples:
    """Pieces of 1 to 3 minutes, faded in and out."""
    return _in_turn(n, rng, lambda: _tune(pools, rng, (60, 180), rng.uniform(-36, -20)), (1, 5))


def television(n: int, pools: Pools, rng: Rng) -> Samples:
    """Talk over music, jingles, and an audience that laughs and claps."""

    def programme() -> Samples:
        kind = rng.choice(["over music", "jingle", "audience"], p=[0.5, 0.2, 0.3])
        if kind == "jingle":
            return _tune(pools, rng, (3, 8), -24)
        talk = _talk(pools, rng, level_dbfs=-26, is_dry=True)
        if kind == "over music":
            under = _tune(pools, rng, (len(talk) / SAMPLE_RATE,) * 2, rng.uniform(-44, -34))
            return (talk[: len(under)] + under[: len(talk)]).astype(np.float32)
        crowd = _bed(round(rng.uniform(2, 6) * SAMPLE_RATE), pools.beds["audience"], rng)
        return np.concatenate([talk, at_level(crowd, rng.uniform(-36, -28))])

    return _in_turn(n, rng, programme, (0, 1))


def ambience(n: int, pools: Pools, rng: Rng) -> Samples:
    """Rain, wind, sea, birds, a street, a restaurant: beds of 1 to 4 minutes, two at a time."""

    def stretch() -> Samples:
        n_bed = round(rng.uniform(60, 240) * SAMPLE_RATE)
        beds = [_bed(n_bed, pools.beds["ambience"], rng) for _ in range(2)]
        levels = rng.uniform(-46, -30), rng.uniform(-60, -40)
        return sum(map(at_level, beds, levels), np.zeros(n_bed, np.float32))

    return _in_turn(n, rng, stretch, (0, 1))


def machines(n: int, pools: Pools, rng: Rng) -> Samples:
    """Mains hum, fans and household machines that run for minutes."""

    def stretch() -> Samples:
        n_run = round(rng.uniform(60, 240) * SAMPLE_RATE)
        time_s = np.arange(n_run) / SAMPLE_RATE
        hum = sum(rng.uniform() / k * np.sin(2 * np.pi * 50 * k * time_s) for k in range(1, 9))
        fan = noise(n_run, rng.uniform(0.3, 1.0), rng) * (1 + 0.2 * np.sin(time_s))
        machine = _bed(n_run, pools.beds["machines"], rng)
        levels = rng.uniform(-55, -40), rng.uniform(-50, -35), rng.uniform(-48, -32)
        parts = (np.asarray(hum), fan, machine)
        return sum(map(at_level, parts, levels), np.zeros(n_run, np.float32))

    return _in_turn(n, rng, stretch, (2, 20))


def quiet(n: int, pools: Pools, rng: Rng) -> Samples:
    """A quiet room; now and then a clock, a keyboard, somebody who breathes."""
    samples = at_level(noise(n, rng.uniform(0.5, 0.9), rng), rng.uniform(-68, -54))
    at = 0
    while (at := at + round(rng.uniform(20, 90) * SAMPLE_RATE)) < n:
        sound = _bed(round(rng.uniform(3, 20) * SAMPLE_RATE), pools.beds["quiet"], rng)
        piece = samples[at : at + len(sound)]
        piece += at_level(sound, rng.uniform(-60, -46))[: len(piece)]
    return samples


KINDS: dict[str, tuple[float, Callable[[int, Pools, Rng], Samples]]] = {  # share of the hours
    "speech": (0.22, speech),
    "music": (0.20, music),
    "television": (0.18, television),
    "ambience": (0.20, ambience),
    "machines": (0.08, machines),
    "quiet": (0.12, quiet),
}


def natural_hours(pools: Pools, minutes: float, seed: int) -> Iterator[tuple[str, int, Samples]]:
    """Yield (kind, number, samples) in recordings of at most ten minutes."""
    for at, (kind, (share, make)) in enumerate(KINDS.items()):
        left = round(share * minutes * 60 * SAMPLE_RATE)
        number = 0
        while left > SAMPLE_RATE:
            n = min(left, 600 * SAMPLE_RATE)
            made = make(n, pools, np.random.default_rng([seed, at, number]))
            yield kind, number, np.clip(made, -1, 1).astype(np.float32)
            left, number = left - n, number + 1


def at_level(samples: NDArray[np.floating], level_dbfs: float) -> Samples:
    """Return samples at an RMS level, measured where they are within 40 dB of their peak."""
    power = np.square(samples, dtype=np.float64)
    loud = power[power > 1e-4 * power.max()] if power.any() else np.ones(1)
    return (samples * (10 ** (level_dbfs / 20) / np.sqrt(loud.mean()))).astype(np.float32)


def noise(n: int, slope: float, rng: Rng) -> NDArray[np.float64]:
    """Return noise whose amplitude falls as 1/f^slope, white 0, pink 0.5, brown 1."""
    spectrum = np.fft.rfft(rng.normal(size=n))
    spectrum *= np.maximum(np.fft.rfftfreq(n, 1 / SAMPLE_RATE), 20.0) ** -slope
    return np.fft.irfft(spectrum, n)


def _in_turn(
    n: int, rng: Rng, make: Callable[[], Samples], pause_s: tuple[float, float]
) -> Samples:
    """Return pieces in turn with pauses between them, over a room's noise."""
    samples = at_level(noise(n, rng.uniform(0.5, 0.9), rng), rng.uniform(-72, -58))
    at = 0
    while at < n:
        made = make()
        piece = samples[at : at + len(made)]
        piece += made[: len(piece)]
        at += len(made) + round(rng.uniform(*pause_s) * SAMPLE_RATE)
    return samples


def _talk(pools: Pools, rng: Rng, *, level_dbfs: float, is_dry: bool = False) -> Samples:
    speaker = pools.speech[int(rng.integers(len(pools.speech)))]
    pieces: list[Samples] = []
    wanted = rng.uniform(20, 90) * SAMPLE_RATE
    while sum(map(len, pieces)) < wanted:
        pieces.append(speaker[int(rng.integers(len(speaker)))])
        pieces.append(np.zeros(round(rng.uniform(0.2, 1.5) * SAMPLE_RATE), np.float32))
    said = np.concatenate(pieces)
    if not is_dry and rng.uniform() < 0.5:
        time_s = np.arange(SAMPLE_RATE // 2) / SAMPLE_RATE
        response = rng.normal(size=len(time_s)) * 10 ** (-3 * time_s / rng.uniform(0.25, 0.6))
        response[0] = 5.0
        said = fftconvolve(said, response)[: len(said)].astype(np.float32)
    return at_level(said, level_dbfs)


def _tune(pools: Pools, rng: Rng, seconds: tuple[float, float], level_dbfs: float) -> Samples:
    piece = pools.music[int(rng.integers(len(pools.music)))]
    n = min(round(rng.uniform(*seconds) * SAMPLE_RATE), len(piece))
    start = int(rng.integers(len(piece) - n + 1))
    return at_level(_faded(piece[start : start + n]), level_dbfs)


def _bed(n: int, clips_of: Mapping[str, Sequence[Samples]], rng: Rng) -> Samples:
    """Return clips of one label, each faded into the next."""
    labels = sorted(clips_of)
    clips = clips_of[labels[int(rng.integers(len(labels)))]]
    samples = np.zeros(n, np.float32)
    at = 0
    while at < n:
        clip = at_level(_faded(np.trim_zeros(clips[int(rng.integers(len(clips)))])), -30)
        piece = samples[at : at + len(clip)]
        piece += clip[: len(piece)]
        at += max(len(clip) - round(_FADE_S * SAMPLE_RATE), SAMPLE_RATE // 4)
    return samples


def _faded(samples: Samples) -> Samples:
    n = min(round(_FADE_S * SAMPLE_RATE), len(samples) // 2)
    ramp = np.ones(len(samples), np.float32)
    ramp[:n] = np.linspace(0, 1, n)
    ramp[len(ramp) - n :] = np.linspace(1, 0, n)
    return samples * ramp
