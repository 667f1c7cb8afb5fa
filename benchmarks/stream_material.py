"""Lay out recordings for `tune` and `bench stream`: hours without the target, and the target.

    python benchmarks/stream_material.py --esc50 DATA/esc50 --background DATA/background \
        --prompts /usr/share/asterisk/sounds --out material

negatives/ holds speech (Debian's asterisk-core-sounds-en-wav, plain and in a noisy room), further
speech and crying babies, ESC-50 fold 5, noise of five colours at three levels, a quiet room and
digital silence. A folder that is named like a question holds that sound and is no negative of it.
positives/ holds ESC-50 fold 5's clips of the questions below.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import fftconvolve

from listen_edge.audio import read_audio
from listen_edge.evaluation.esc50 import clips_of_folds
from listen_edge.log_mel import SAMPLE_RATE

QUESTIONS = {
    "siren": "siren",
    "glass breaking": "glass breaking",
    "crying baby": "crying baby",
    "dog": "dog barking",
}
PIECE_S = 60
COLOURS = {"white": 0.0, "pink": 0.5, "brown": 1.0, "blue": -0.5, "room": 0.75}  # 1/f^x amplitude
LEVELS_DBFS = (-50, -35, -20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("esc50", "background", "prompts", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    negatives, positives = arguments.out / "negatives", arguments.out / "positives"

    for clip in clips_of_folds(arguments.esc50, [5]):
        label = QUESTIONS.get(clip.label, clip.label)
        _link(clip.path, negatives / "esc50" / label)
        if clip.label in QUESTIONS:
            _link(clip.path, positives / label)
    with (arguments.background / "meta.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            label = "crying baby" if "baby" in row["label"] else row["label"]
            path = arguments.background / "audio" / row["filename"]
            _link(path, negatives / "background" / label.replace("_", " "))

    speech = [p for p in sorted(arguments.prompts.rglob("*.wav")) if soundfile.info(p).frames > 800]
    _write_pieces(negatives / "speech", np.concatenate([read_audio(p) for p in speech]))
    rng.shuffle(speech)  # type: ignore[arg-type]
    far = _in_a_room(np.concatenate([read_audio(p) for p in speech]), rng)
    _write_pieces(negatives / "speech in a noisy room", far)
    for colour, slope in COLOURS.items():
        for level in LEVELS_DBFS:
            noise = _noise(2 * PIECE_S * SAMPLE_RATE, slope, level, rng)
            _write_pieces(negatives / f"noise {colour} {level} dBFS", noise)
    _write_pieces(negatives / "quiet room", _noise(10 * 60 * SAMPLE_RATE, 0.75, -75, rng))
    _write_pieces(negatives / "silence", np.zeros(5 * 60 * SAMPLE_RATE, np.float32))


def _link(path: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / path.name).symlink_to(path.resolve())


def _write_pieces(folder: Path, samples: NDArray[np.float32]) -> None:
    folder.mkdir(parents=True)
    for k, start in enumerate(range(0, len(samples), PIECE_S * SAMPLE_RATE)):
        piece = samples[start : start + PIECE_S * SAMPLE_RATE]
        if len(piece) >= SAMPLE_RATE:
            soundfile.write(folder / f"{k:03}.flac", piece, SAMPLE_RATE)


def _noise(
    n_samples: int, slope: float, level_dbfs: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    spectrum = np.fft.rfft(rng.normal(size=n_samples))
    frequency = np.fft.rfftfreq(n_samples, 1 / SAMPLE_RATE)
    spectrum *= np.maximum(frequency, 20.0) ** -slope
    noise = np.fft.irfft(spectrum, n_samples)
    noise *= 10 ** (level_dbfs / 20) / np.sqrt(np.mean(noise**2))
    return np.clip(noise, -1, 1).astype(np.float32)


def _in_a_room(samples: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return speech as from across a room: 0.5 s of reverberation, noise 15 dB below it."""
    time_s = np.arange(SAMPLE_RATE // 2) / SAMPLE_RATE
    response = rng.normal(size=len(time_s)) * 10 ** (-3 * time_s / 0.5) * 0.05
    response[0] = 0.5
    wet = fftconvolve(samples, response)[: len(samples)].astype(np.float32)
    level = 10 * np.log10(np.mean(wet**2))
    return np.clip(wet + _noise(len(wet), 0.75, level - 15, rng), -1, 1)


if __name__ == "__main__":
    main()
