"""What an answer is worth about sound that is narrow, short or faint: copies of ESC-50's clips.

    python benchmarks/impaired.py ESC50 [--every 2] [--bundle tiny] [--out impaired.json]

Each clip is asked for its own sound and for three that are not there, as it is and in copies: of
lower rates, through codecs, its loudest part alone, and down to the noise of 16 bits. The limits
in listen_edge/audio/audibility.py rest on this table (docs/listening.md has it). The
engine's own doubts are left out: presence is what the ears alone say.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from listen_edge.audio import read_audio
from listen_edge.evaluation.esc50 import clips_of_folds, draw_absent
from listen_edge.evaluation.metrics import auroc
from listen_edge.log_mel import SAMPLE_RATE
from listen_edge.runtime.engine import Engine, load

Samples = NDArray[np.float32]
_N_ABSENT = 3
_CODECS = {  # rate, libsndfile's format and subtype, compression level in [0, 1]
    "G.711, 8 kHz": (8000, "WAV", "ALAW", None),
    "GSM, 8 kHz": (8000, "WAV", "GSM610", None),
    "MP3, 8 kHz, lowest rate": (8000, "MP3", "MPEG_LAYER_III", 0.99),
    "MP3, 16 kHz, lowest rate": (16000, "MP3", "MPEG_LAYER_III", 0.99),
    "Opus, 16 kHz, lowest rate": (16000, "OGG", "OPUS", 0.99),
}


def from_rate(rate: int) -> Callable[[Samples], Samples]:
    """Return a source of this rate, brought back to 16 kHz."""

    def change(samples: Samples) -> Samples:
        low = soxr.resample(samples, SAMPLE_RATE, rate)
        return np.asarray(soxr.resample(low, rate, SAMPLE_RATE), np.float32)[: len(samples)]

    return change


def through_codec(
    rate: int, form: str, subtype: str, compression: float | None
) -> Callable[[Samples], Samples]:
    """Return what libsndfile's codec makes of the samples and back."""

    def change(samples: Samples) -> Samples:
        coded = io.BytesIO()
        low = np.clip(soxr.resample(samples, SAMPLE_RATE, rate), -1, 1)
        soundfile.write(coded, low, rate, subtype, format=form, compression_level=compression)
        coded.seek(0)
        decoded, _ = soundfile.read(coded, dtype="float32")
        return np.asarray(soxr.resample(decoded, rate, SAMPLE_RATE), np.float32)[: len(samples)]

    return change


def first(seconds: float) -> Callable[[Samples], Samples]:
    """Return the loudest stretch of this length alone."""

    def change(samples: Samples) -> Samples:
        n = round(seconds * SAMPLE_RATE)
        energy = np.cumsum(np.r_[0.0, samples.astype(np.float64) ** 2])
        start = int(np.argmax(energy[n:] - energy[:-n]))
        return samples[start : start + n]

    return change


def at_level(dbfs: float) -> Callable[[Samples], Samples]:
    """Return 16-bit samples whose loudest 0.1 s has this level."""

    def change(samples: Samples) -> Samples:
        pieces = np.array_split(samples, max(1, len(samples) // 1600))
        loudest = max(float(np.mean(piece.astype(np.float64) ** 2)) for piece in pieces)
        gain = 10 ** (dbfs / 20) / max(np.sqrt(loudest), 1e-9)
        return np.asarray(np.round(samples * gain * 32768) / 32768, np.float32)

    return change


def copies() -> dict[str, Callable[[Samples], Samples]]:
    """Return the changes by name."""
    found: dict[str, Callable[[Samples], Samples]] = {"as they are": lambda samples: samples}
    found |= {
        f"source of {rate / 1000:g} kHz": from_rate(rate) for rate in (11025, 8000, 6000, 4000)
    }
    found |= {name: through_codec(*options) for name, options in _CODECS.items()}
    found |= {f"{seconds:g} s alone": first(seconds) for seconds in (3, 2, 1, 0.5, 0.25, 0.1)}
    found |= {f"loudest 0.1 s at {db} dBFS": at_level(db) for db in (-50, -60, -70, -80, -85, -90)}
    return found


def measure(engine: Engine, esc50: Path, every: int) -> dict[str, dict[str, float]]:
    """Return figures per copy; see main's table for what they are."""
    clips = clips_of_folds(esc50, [5])[::every]
    absent = draw_absent(clips, "random", _N_ABSENT, seed=1)
    calibration, n_window = engine.bundle.manifest.calibration, round(5 * SAMPLE_RATE)
    rows: dict[str, list[list[float]]] = {name: [] for name in copies()}
    for k, (clip, others) in enumerate(zip(clips, absent, strict=True)):
        samples = read_audio(clip.path)[:n_window]
        labels = [clip.label, *others]
        priors = engine.prior_margins(labels)
        for name, change in copies().items():
            margins = engine.margins(engine.embed(change(samples)), labels)
            rows[name].append(
                [
                    calibration.presence(float(m), float(p))
                    for m, p in zip(margins, priors, strict=True)
                ]
            )
        print(f"\r{k + 1} of {len(clips)} clips", end="", file=sys.stderr)
    print(file=sys.stderr)
    return {name: _figures(np.array(values), engine) for name, values in rows.items()}


def _figures(presence: NDArray[np.float64], engine: Engine) -> dict[str, float]:
    present, absent = presence[:, 0], presence[:, 1:].ravel()
    truth = np.r_[np.ones(len(present), bool), np.zeros(len(absent), bool)]
    on, off = engine.thresholds.on, engine.thresholds.off
    return {
        "auroc": auroc(truth, np.r_[present, absent]),
        "present_right": float(np.mean(present >= on)),
        "present_wrong": float(np.mean(absent >= on)),
        "absent_right": float(np.mean(absent < off)),
        "absent_wrong": float(np.mean(present < off)),
    }


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("esc50", type=Path)
    parser.add_argument("--every", type=int, default=2)
    parser.add_argument("--bundle", default="tiny")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    with load(arguments.bundle, n_threads=1) as engine:
        figures = measure(engine, arguments.esc50, arguments.every)
    if arguments.out:
        arguments.out.write_text(json.dumps(figures, indent=1))
    print("| copy | AUROC | heard | wrongly present | rightly absent | wrongly absent |")
    print("|---|---|---|---|---|---|")
    for name, row in figures.items():
        cells = [
            f"{row['auroc']:.3f}",
            *(f"{100 * v:.1f} %" for k, v in row.items() if k != "auroc"),
        ]
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
