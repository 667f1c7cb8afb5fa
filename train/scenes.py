"""Scenes: one or two clips placed in a window, and the cache of their encoder taps.

Everything random is drawn once from a seed, before any audio is read, so a scene's features can be
cached on disk and a run can be repeated. The Whisper encoder is frozen: each scene goes through it
once, ever.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import Progress

from listen_edge.audio import read_audio
from listen_edge.errors import ListenEdgeError
from listen_edge.log_mel import SAMPLE_RATE
from listen_edge.train.backbones import WhisperTaps
from listen_edge.train.concepts import may_be_confused
from listen_edge.train.datasets import ANY_FOLD, Clip

_SHARD = 256  # scenes per cache file


@dataclass(frozen=True)
class Placement:
    """A clip in a scene: `shift` in [0, 1] of the free room, gain in dB."""

    clip: Clip
    shift: float = 0.0
    gain_db: float = 0.0


@dataclass(frozen=True)
class Scene:
    """What a training window holds; no placement at all is a window of noise alone.

    Attributes:
        placements: clips mixed together.
        noise_db: level of added pink noise in dBFS, None for none.
        seed: of the noise.
    """

    placements: tuple[Placement, ...]
    noise_db: float | None = None
    seed: int = 0

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(placement.clip.label for placement in self.placements))

    @property
    def fold(self) -> int:
        return max((placement.clip.fold for placement in self.placements), default=ANY_FOLD)

    @property
    def is_plain(self) -> bool:
        """One clip as it was recorded: what evaluation asks about."""
        return self.noise_db is None and self.placements == (Placement(self.placements[0].clip),)


def draw_scenes(clips: Sequence[Clip], *, n_augmented: int, n_mixed: int, seed: int) -> list[Scene]:
    """Return every clip plain, then augmented, mixed and noise-only scenes.

    Args:
        clips: of all folds; two clips are mixed only within a fold (or with a clip of no fold).
        n_augmented: scenes per clip with gain, shift and noise drawn at random.
        n_mixed: scenes of two clips, and a twentieth as many of noise alone.
        seed: of all draws.
    """
    rng = np.random.default_rng(seed)

    def place(clip: Clip) -> Placement:
        return Placement(clip, float(rng.uniform()), float(rng.uniform(-18, 6)))

    def noise_db() -> float | None:
        return float(rng.uniform(-70, -35)) if rng.uniform() < 0.5 else None

    def next_seed() -> int:
        return int(rng.integers(2**31))

    scenes = [Scene((Placement(clip),)) for clip in clips]
    for _ in range(n_augmented):
        scenes += [Scene((place(clip),), noise_db(), next_seed()) for clip in clips]
    while n_mixed > 0:
        first, second = (clips[int(k)] for k in rng.integers(len(clips), size=2))
        same_fold = first.fold == second.fold or ANY_FOLD in (first.fold, second.fold)
        if same_fold and not may_be_confused(first.label, second.label):
            scenes.append(Scene((place(first), place(second)), noise_db(), next_seed()))
            n_mixed -= 1
            if n_mixed % 20 == 0:
                scenes.append(Scene((), float(rng.uniform(-75, -25)), next_seed()))
    return scenes


def render(scene: Scene, n_samples: int) -> NDArray[np.float32]:
    """Return the scene's samples, shape (n_samples,)."""
    window = np.zeros(n_samples, np.float32)
    for placement in scene.placements:
        samples = read_audio(placement.clip.path)
        room = n_samples - len(samples)
        if room >= 0:
            start = int(placement.shift * room)
            target = window[start : start + len(samples)]
        else:
            samples = samples[int(placement.shift * -room) :][:n_samples]
            target = window
        target += samples * np.float32(10 ** (placement.gain_db / 20))
    if scene.noise_db is not None:
        window += _pink_noise(n_samples, scene.noise_db, scene.seed)
    return np.clip(window, -1, 1)


def _pink_noise(n_samples: int, level_db: float, seed: int) -> NDArray[np.float32]:
    """Return noise whose spectrum falls by a random 0 to 6 dB per octave (white to brown)."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft(rng.standard_normal(n_samples))
    exponent = rng.uniform(0, 1)
    spectrum /= np.maximum(np.arange(len(spectrum)), 10) ** exponent
    noise = np.fft.irfft(spectrum, n_samples)
    noise *= 10 ** (level_db / 20) / np.sqrt(np.mean(noise**2))
    return noise.astype(np.float32)


class TapCache:
    """Encoder taps of all scenes as float16 on disk, read by row.

    Files are named after a hash of everything they depend on (weights, taps, window, scene, the
    clips' sizes), written to a temporary name and renamed: a run that was killed goes on where it
    stopped.
    """

    def __init__(self, folder: Path, encoder: WhisperTaps, window_s: float) -> None:
        self._folder = folder
        self._encoder = encoder
        self._n_samples = round(window_s * SAMPLE_RATE)
        digest = hashlib.sha256(f"{encoder.taps} {window_s}".encode())
        for parameter in encoder.parameters():
            digest.update(parameter.detach().numpy().tobytes())
        self._weights_hash = digest.hexdigest()
        self._shards: list[NDArray[np.float16]] = []

    def fill(self, scenes: Sequence[Scene], device: str, progress: Progress) -> None:
        """Encode the scenes that are not on disk yet and map all of them.

        Raises:
            ListenEdgeError: the cache cannot be written.
        """
        task = progress.add_task("encode", total=len(scenes))
        encoder = self._encoder.to(device)
        self._shards = []
        for start in range(0, len(scenes), _SHARD):
            shard = scenes[start : start + _SHARD]
            path = self._folder / f"{self._key(shard)}.npy"
            if not path.is_file():
                taps = np.concatenate([self._encode(encoder, s, device) for s in _batches(shard)])
                _save(path, taps)
            self._shards.append(np.load(path, mmap_mode="r"))
            progress.advance(task, len(shard))
        encoder.to("cpu")
        progress.remove_task(task)

    def taps(self, rows: Sequence[int]) -> torch.Tensor:
        """Return (len(rows), n_taps, n_frames, d_encoder) float32."""
        return torch.from_numpy(
            np.stack([self._shards[row // _SHARD][row % _SHARD] for row in rows]).astype(np.float32)
        )

    def _encode(
        self, encoder: WhisperTaps, scenes: Sequence[Scene], device: str
    ) -> NDArray[np.float16]:
        samples = np.stack([render(scene, self._n_samples) for scene in scenes])
        with torch.inference_mode():
            taps: torch.Tensor = encoder(torch.from_numpy(samples).to(device))
        return np.asarray(taps.to(torch.float16).cpu().numpy())

    def _key(self, scenes: Sequence[Scene]) -> str:
        described = json.dumps(
            [
                [
                    [[p.clip.path.name, p.clip.path.stat().st_size, p.shift, p.gain_db]
                     for p in scene.placements],
                    scene.noise_db,
                    scene.seed,
                ]
                for scene in scenes
            ]
        )  # fmt: skip
        return hashlib.sha256((self._weights_hash + described).encode()).hexdigest()[:32]


def _save(path: Path, taps: NDArray[np.float16]) -> None:
    temporary = path.with_suffix(f".{os.getpid()}.npy")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(temporary, taps)
        temporary.rename(path)
    except OSError as err:
        temporary.unlink(missing_ok=True)
        raise ListenEdgeError(
            f"{path.parent}: encoder taps cannot be written ({err.strerror or err}); "
            "free some space or choose another --out"
        ) from err


def _batches(scenes: Sequence[Scene], size: int = 4) -> list[Sequence[Scene]]:
    return [scenes[k : k + size] for k in range(0, len(scenes), size)]
