"""One recording in every format, for the tests of what is read."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import soundfile

from listen_edge.audio import read_audio

RATE, SECONDS = 16_000, 6.0
SNDFILE = ("wav", "rf64", "w64", "aiff", "au", "caf", "voc", "sph", "flac", "ogg", "opus", "mp3")
FFMPEG = {
    "m4a": ("-c:a", "aac"),
    "mp4": ("-c:a", "aac"),
    "aac": (),
    "webm": ("-c:a", "libopus"),
    "mka": ("-c:a", "libvorbis"),
    "wma": (),
    "wv": (),
    "g722.wav": ("-c:a", "g722"),
}


def write_formats(folder: Path) -> Path:
    """Write six seconds that grow louder as whole.* in every format; return the folder."""
    rng = np.random.default_rng(0)
    loudness = np.linspace(0.01, 0.2, round(RATE * SECONDS))
    samples = (loudness * rng.normal(0, 1, len(loudness))).astype(np.float32)
    formats = {"ogg": ("OGG", "VORBIS"), "opus": ("OGG", "OPUS"), "mp3": ("MP3", None)}
    formats["sph"] = ("NIST", "PCM_16")
    for name in SNDFILE:
        form, subtype = formats.get(name, (name.upper(), "PCM_16"))
        soundfile.write(folder / f"whole.{name}", samples, RATE, subtype, format=form)
    for name, codec in FFMPEG.items():
        ffmpeg("-i", folder / "whole.wav", *codec, folder / f"whole.{name}")
    return folder


def ffmpeg(*arguments: str | Path) -> bytes:
    """Run ffmpeg and return what it wrote to stdout."""
    command = ["ffmpeg", "-loglevel", "error", "-nostdin", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True).stdout


def seconds_of(path: Path) -> float:
    """Return how much is read of a recording."""
    return len(read_audio(path)) / RATE
