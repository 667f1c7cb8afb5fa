"""A recording of a siren in every state of the field, and what is answered about it.

    python -m tests.outcomes --write

writes the table "What is present, absent, unknown, an error" of docs/listening.md, which
test_outcomes.py compares with what happens. Every recording is made from the bundle's own siren.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from listen_edge.bundle.opening import bundle_folder
from listen_edge.errors import ListenEdgeError
from listen_edge.lines.answer import Answer
from listen_edge.runtime.answers import summarize
from listen_edge.runtime.engine import Engine, load
from listen_edge.runtime.listening.asking import ask_whole_recording
from listen_edge.runtime.listening.listener import Listener
from listen_edge.runtime.sources import Source
from listen_edge.runtime.sources.file import FileSource
from listen_edge.runtime.sources.stdin import StdinSource
from tests.streams import muted_answers

PAGE = Path(__file__).parent.parent / "docs/listening.md"
BEGIN, END = "<!-- outcomes: python -m tests.outcomes --write -->\n", "<!-- end of outcomes -->\n"
THERE, NOT_THERE = "siren?", "dog barking?"
RATE, N = 16_000, 80_000
SNDFILE = {
    "WAV": ("WAV", "PCM_16"),
    "RF64": ("RF64", "PCM_16"),
    "Wave64": ("W64", "PCM_16"),
    "AIFF": ("AIFF", "PCM_16"),
    "AU": ("AU", "PCM_16"),
    "CAF": ("CAF", "PCM_16"),
    "VOC": ("VOC", "PCM_16"),
    "SPHERE": ("NIST", "PCM_16"),
    "FLAC": ("FLAC", "PCM_16"),
    "Ogg Vorbis": ("OGG", "VORBIS"),
    "Opus": ("OGG", "OPUS"),
    "MP3": ("MP3", "MPEG_LAYER_III"),
}
FFMPEG = {
    "M4A": ("m4a", ()),
    "WebM": ("webm", ("-c:a", "libopus")),
    "Matroska": ("mka", ()),
    "AAC": ("aac", ()),
    "WMA": ("wma", ()),
    "WavPack": ("wv", ()),
}
PIPED = ("wav", "aiff", "au", "w64", "caf", "flac", "mp3", "webm")
CUT_SHARE = 0.8
_NO_TAG = ("-id3v2_version", "0", "-write_xing", "0")

Samples = NDArray[np.float32]
Asking = Callable[[Engine], list[Answer]]


@dataclass(frozen=True)
class Case:
    """One line's worth of the table.

    Attributes:
        kind, name: what is the matter with it.
        ask: how it is asked about.
        path: the recording, None for one that is no file.
    """

    kind: str
    name: str
    ask: Asking
    path: Path | None = None


def outcome(ask: Asking, engine: Engine) -> tuple[str, str]:
    """Return what is said of the siren, and of the dog that is not there."""
    try:
        there, not_there = ask(engine)
    except ListenEdgeError:
        return "error", "error"
    return _words(there), _words(not_there)


def replayed(engine: Engine, source: Source) -> list[Answer]:
    """Return what listening to a source comes to, as ask does of a recording."""
    heard: dict[str, list[Answer]] = {THERE: [], NOT_THERE: []}
    for line in Listener(engine, source, [THERE, NOT_THERE]):
        if isinstance(line, Answer):
            heard[line.question].append(line)
    return [summarize(answers) for answers in heard.values()]


def cases(folder: Path) -> Iterator[Case]:
    """Make all recordings in a folder and yield their cases."""
    siren, _ = soundfile.read(bundle_folder("tiny") / "clips/siren.ogg", dtype="float32")
    yield from _formats(folder, siren[:N])
    for kind, variants in (
        ("channels", _channels(siren[:N])),
        ("level of the loudest 0.1 s", _levels(siren[:N])),
        ("no sound", _silences()),
        ("little sound", _short(siren[:N])),
        ("values", _values(siren[:N])),
    ):
        for k, (name, samples) in enumerate(variants.items()):
            path = folder / f"{kind} {k}.wav"
            is_whole = np.abs(samples).max() <= 1  # false for NaN
            soundfile.write(path, samples, RATE, "PCM_16" if is_whole else "FLOAT")
            yield _case(kind, name, path)
    yield from _bands(folder, siren[:N])
    yield from _arrays(siren[:N])
    yield from _streams(folder, siren[:N])
    yield Case("a live source", "muted", partial(muted_answers, [THERE, NOT_THERE]))


def _formats(folder: Path, siren: Samples) -> Iterator[Case]:
    whole = {}
    for name, (form, subtype) in SNDFILE.items():
        whole[name] = folder / f"whole.{name}"
        soundfile.write(whole[name], siren, RATE, subtype, format=form)
    for name, (suffix, codec) in FFMPEG.items():
        whole[name] = folder / f"whole.{suffix}"
        _ffmpeg("-i", whole["WAV"], *codec, whole[name])
    yield from (_case("whole", name, path) for name, path in whole.items())
    for name, path in whole.items():
        data = path.read_bytes()
        yield _case("cut", name, _write(folder / f"cut {name}", data[: int(len(data) * CUT_SHARE)]))
    for form in PIPED:
        data = _ffmpeg("-i", whole["WAV"], "-f", form, "-")
        yield _case("written to a pipe", form, _write(folder / f"piped.{form}", data))
    wav = whole["WAV"].read_bytes()
    for size in (0x7FFF_F000, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF):
        data = wav[:40] + struct.pack("<I", size) + wav[44:]
        path = _write(folder / f"{size}", data)
        yield _case("written to a pipe", f"WAV of {size:#x} bytes", path)
    rf64 = _ffmpeg("-i", whole["WAV"], "-f", "wav", "-rf64", "always", "-")
    for name, data in {"WAV": wav[:40] + bytes(4) + wav[44:], "RF64": rf64}.items():
        yield _case("recorder died", f"{name} of 0 bytes", _write(folder / f"died {name}", data))


def _channels(siren: Samples) -> dict[str, Samples]:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 2 * siren.std(), N).astype(np.float32)
    hum = (0.5 * np.sin(2 * np.pi * 50 / RATE * np.arange(N))).astype(np.float32)
    zero = np.zeros_like(siren)
    half = 0.5 * siren
    variants = {
        "two alike": [half, half],
        "opposite phase": [half, -half],
        "opposite phase, 2 % apart": [half, -0.98 * half],
        "one dead": [zero, half],
        "one of noise, 6 dB louder": [0.3 * noise, 0.3 * siren],
        "one of hum": [hum, half],
        "one of an offset": [np.full_like(siren, 0.5), half],
        "5.1 with one live": [zero, zero, half, zero, zero, zero],
    }
    return {name: np.stack(channels, axis=1) for name, channels in variants.items()}


def _levels(siren: Samples) -> dict[str, Samples]:
    loudest = max(float(np.sqrt(np.mean(piece**2))) for piece in np.split(siren, 50))
    peak = float(np.abs(siren).max())
    levels = {f"{20 * np.log10(loudest / peak):.0f} dBFS, full scale": siren / peak}
    steps = (-10, -20, -30, -40, -50, -60, -69, -71, -80, -90, -100)
    return levels | {f"{db} dBFS": siren / loudest * 10 ** (db / 20) for db in steps}


def _silences() -> dict[str, Samples]:
    rng = np.random.default_rng(0)
    click = np.zeros(N, np.float32)
    click[9_000:9_002] = 0.5, -0.4
    step = np.zeros(N, np.float32)
    step[9_000] = 1 / 32768
    return {
        "zeros": np.zeros(N, np.float32),
        "a constant of 0.25": np.full(N, 0.25, np.float32),
        "a constant of -1": np.full(N, -1, np.float32),
        "one step of 16 bits": step,
        "noise of one step": rng.integers(-1, 2, N).astype(np.float32) / 32768,
        "that on an offset of 0.3": 0.3 + rng.integers(-1, 2, N).astype(np.float32) / 32768,
        "noise of one step of 8 bits": rng.integers(-1, 2, N).astype(np.float32) / 128,
        "a click and zeros": click,
    }


def _short(siren: Samples) -> dict[str, Samples]:
    def then(value: float) -> Samples:
        padded = np.full(N, value, np.float32)
        padded[:RATE] += 0.5 * siren[:RATE]
        return padded

    seconds = {f"{s:g} s": siren[: round(s * RATE)] for s in (0.0999, 0.1, 0.4, 1, 2)}
    return seconds | {"1 s, then zeros": then(0), "1 s, then a constant": then(0.3)}


def _values(siren: Samples) -> dict[str, Samples]:
    def with_one(value: float) -> Samples:
        spiked = 0.5 * siren
        spiked[9_000] = value
        return spiked

    return {
        "on an offset of 0.3": 0.3 * siren + 0.3,
        "1.9 times full scale": siren / np.abs(siren).max() * 1.9,
        "a sample of 10,000": with_one(1e4),
        "a sample of 1e38": with_one(1e38),
        "NaN": with_one(np.nan),
        "infinity": with_one(np.inf),
    }


def _bands(folder: Path, siren: Samples) -> Iterator[Case]:
    rates = (4000, 6000, 8000, 11025, 22050, 44100)
    codecs: dict[str, tuple[int, tuple[str, ...], str]] = {
        **{f"{rate / 1000:g} kHz": (rate, (), "wav") for rate in rates},
        "G.711 A-law, 8 kHz": (8000, ("-c:a", "pcm_alaw"), "wav"),
        "G.711 mu-law, 8 kHz": (8000, ("-c:a", "pcm_mulaw"), "wav"),
        "MP3, 8 kHz, 8 kbit/s": (8000, ("-b:a", "8k"), "mp3"),
        "MP3, 16 kHz, 8 kbit/s": (16000, ("-b:a", "8k"), "mp3"),
        "G.722": (16000, ("-c:a", "g722"), "wav"),
        "Speex, 8 kHz": (8000, ("-c:a", "libspeex"), "ogg"),
    }
    soundfile.write(folder / "band.wav", siren / np.abs(siren).max() * 0.8, RATE)
    for k, (name, (rate, codec, suffix)) in enumerate(codecs.items()):
        path = folder / f"band {k}.{suffix}"
        _ffmpeg("-i", folder / "band.wav", "-ar", str(rate), *codec, path)
        yield _case("rate and codec", name, path)
    path = folder / "gsm.wav"
    soundfile.write(path, soxr.resample(0.5 * siren, RATE, 8000), 8000, "GSM610")
    yield _case("rate and codec", "GSM, 8 kHz", path)
    path = folder / "brought up.wav"
    _ffmpeg("-i", folder / "band 2.wav", "-ar", "48000", path)
    yield _case("rate and codec", "8 kHz brought to 48 kHz", path)


def _arrays(siren: Samples) -> Iterator[Case]:
    scaled = np.clip(siren, -1, 1).astype(np.float64)
    arrays: dict[str, NDArray[Any]] = {
        "float64": scaled,
        "int16": (scaled * 32767).astype(np.int16),
        "int32": (scaled * 2147483647).astype(np.int32),
        "uint8": (scaled * 127 + 128).astype(np.uint8),
        "int64": (scaled * 32767).astype(np.int64),
        "uint16": (scaled * 32767 + 32768).astype(np.uint16),
        "integers as floats": scaled * 32767,
    }
    yield from (Case("arrays in Python", n, partial(_ask_samples, a)) for n, a in arrays.items())


def _ask_samples(samples: NDArray[Any], engine: Engine) -> list[Answer]:
    return engine.ask(samples, [THERE, NOT_THERE])


def _streams(folder: Path, siren: Samples) -> Iterator[Case]:
    wav = folder / "whole.WAV"
    opposite = np.stack([0.5 * siren, -0.5 * siren], axis=1)
    streams = {
        "s16le": ((16384 * siren).astype("<i2").tobytes(), 1, "s16le"),
        "two channels of opposite phase": (opposite.tobytes(), 2, "f32le"),
        "a constant": (np.full((N, 2), 0.25, "<f4").tobytes(), 2, "f32le"),
        "nothing": (b"", 1, "s16le"),
        "a WAV file": (wav.read_bytes(), 1, "s16le"),
        "an MP3 file without a tag": (_ffmpeg("-i", wav, *_NO_TAG, "-f", "mp3", "-"), 1, "s16le"),
    }
    for name, (data, n_channels, dtype) in streams.items():
        path = _write(folder / f"stream {name}", data)
        yield Case("raw PCM on stdin", name, partial(_listen, path, n_channels, dtype))


def _listen(path: Path, n_channels: int, dtype: str, engine: Engine) -> list[Answer]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        source = StdinSource(RATE, n_channels, dtype, is_live=False, fd=descriptor)
        return replayed(engine, source)
    finally:
        os.close(descriptor)


def _case(kind: str, name: str, path: Path) -> Case:
    return Case(kind, name, partial(_ask_file, path), path)


def _ask_file(path: Path, engine: Engine) -> list[Answer]:
    return ask_whole_recording(engine, path, [THERE, NOT_THERE], source=path.name)


def replaying(path: Path) -> Asking:
    """Return how `replay` asks about a file."""
    return lambda engine: replayed(engine, FileSource(path))


def _words(answer: Answer) -> str:
    return answer.state if answer.reason is None else f"{answer.state} ({answer.reason})"


def _write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def _ffmpeg(*arguments: str | Path) -> bytes:
    command = ["ffmpeg", "-loglevel", "error", "-nostdin", "-y", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True).stdout


def table(found: dict[tuple[str, str], tuple[str, str]]) -> str:
    """Return the Markdown: one row for all of a kind of which the same is said."""
    rows: dict[tuple[str, str, str], list[str]] = {}
    for (kind, name), (there, not_there) in found.items():
        rows.setdefault((kind, there, not_there), []).append(name)
    lines = ["| a siren, 5 s | | siren? | dog barking? |", "|---|---|---|---|"]
    lines += [
        f"| {kind} | {'; '.join(names)} | {there} | {not_there} |"
        for (kind, there, not_there), names in rows.items()
    ]
    return "\n".join(lines) + "\n"


def documented() -> str:
    """Return the table as the page has it."""
    return PAGE.read_text().partition(BEGIN)[2].partition(END)[0]


def main() -> None:
    """Print the table, or write it into the page."""
    with tempfile.TemporaryDirectory() as folder, load("tiny") as engine:
        made = cases(Path(folder))
        text = table({(case.kind, case.name): outcome(case.ask, engine) for case in made})
    if sys.argv[1:] != ["--write"]:
        sys.stdout.write(text)
        return
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(before + BEGIN + text + END + rest.partition(END)[2])


if __name__ == "__main__":
    main()
