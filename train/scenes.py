"""Scenes: recordings placed in a window as a cheap microphone in some room would hear them.

Everything random is drawn once from a seed, before any audio is read, so a scene's features can be
cached on disk (train/tap_cache.py) and a run can be repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from listen_edge.audio import read_audio
from listen_edge.evaluation.far_field import noise, room_bank
from listen_edge.log_mel import SAMPLE_RATE
from listen_edge.train.augmentation import Recording, apply, draw_recording
from listen_edge.train.datasets import Row

_LOUDEST_S = 0.5  # the part of a recording that a scene may not cut off
_N_ROOMS = 96
_TRIES = 30  # pairs drawn per mixed scene


@dataclass(frozen=True)
class Placement:
    """A recording in a scene.

    Attributes:
        row: the recording.
        shift: where in the window its loudest half second lies, in [0, 1] of the window, so that
            sounds also begin or end there; None places its start at the window's start.
        gain_db: its gain.
    """

    row: Row
    shift: float | None = None
    gain_db: float = 0.0


@dataclass(frozen=True)
class Scene:
    """What a training window holds; no placement at all is a window of noise alone.

    Attributes:
        placements: recordings mixed together.
        recording: how the mixture is recorded: room, noise, microphone; None as it is.
        noise_db: level in dBFS of a window that holds noise alone.
        seed: of that noise.
    """

    placements: tuple[Placement, ...]
    recording: Recording | None = None
    noise_db: float | None = None
    seed: int = 0

    @property
    def labels(self) -> tuple[str, ...]:
        tags = [tag for placement in self.placements for tag in placement.row.tags]
        return tuple(dict.fromkeys(tags))

    @property
    def splits(self) -> frozenset[str]:
        return frozenset(placement.row.split for placement in self.placements)

    @property
    def is_plain(self) -> bool:
        """One recording as it is: what evaluation asks about."""
        plain = [Placement(placement.row) for placement in self.placements[:1]]
        return self.recording is None and self.noise_db is None and plain == [*self.placements]

    @property
    def rows(self) -> tuple[Row, ...]:
        return tuple(placement.row for placement in self.placements)

    def described(self) -> object:
        """Return what the samples depend on, for JSON."""
        return [
            [[p.row.path.name, p.row.path.stat().st_size, p.shift, p.gain_db]
             for p in self.placements],
            asdict(self.recording) if self.recording else None,
            self.noise_db,
            self.seed,
        ]  # fmt: skip

    def samples(self, n_samples: int) -> NDArray[np.float32]:
        """Return the window, shape (n_samples,), errors as for render."""
        return render(self, n_samples)


def draw_scenes(
    rows: Sequence[Row],
    *,
    n_augmented: int,
    n_mixed: int,
    seed: int,
    may_mix: Callable[[str, str], bool],
) -> list[Scene]:
    """Return every recording plain, then augmented, mixed and noise-only scenes.

    Args:
        rows: of all splits; two are mixed unless they are of different folds.
        n_augmented: scenes per recording with gain, shift, room, noise and microphone at random.
        n_mixed: scenes of two tagged recordings, and a twentieth as many of noise alone; fewer
            where few may be mixed.
        seed: of all draws.
        may_mix: tells of two tags whether they may be heard together without confusion.
    """
    rng = np.random.default_rng(seed)
    rooms = room_bank(_N_ROOMS, seed)

    def scene(*rows: Row) -> Scene:
        placements = tuple(
            Placement(row, float(rng.uniform()), float(rng.uniform(-12, 6))) for row in rows
        )
        return Scene(placements, draw_recording(rng, rooms))

    scenes = [Scene((Placement(row),)) for row in rows]
    for _ in range(n_augmented):
        scenes += [scene(row) for row in rows]
    n_drawn = 0
    for _ in range(_TRIES * n_mixed):
        if n_drawn == n_mixed:
            break
        first, second = (rows[int(k)] for k in rng.integers(len(rows), size=2))
        if (
            first.tags
            and second.tags
            and _may_share(first, second)
            and all(may_mix(a, b) for a in first.tags for b in second.tags)
        ):
            scenes.append(scene(first, second))
            n_drawn += 1
            if n_drawn % 20 == 0:
                noise_seed = int(rng.integers(2**31))
                scenes.append(Scene((), None, float(rng.uniform(-75, -25)), noise_seed))
    return scenes


def _may_share(first: Row, second: Row) -> bool:
    """Tell whether a scene of both can be trained on where one of the folds is held out."""
    is_folds = first.split.startswith("fold") and second.split.startswith("fold")
    return first.split == second.split or not is_folds


def render(scene: Scene, n_samples: int) -> NDArray[np.float32]:
    """Return the scene's samples, shape (n_samples,).

    Raises:
        AudioError: a recording cannot be read.
    """
    window = np.zeros(n_samples, np.float32)
    for placement in scene.placements:
        samples = read_audio(placement.row.path)
        start = 0 if placement.shift is None else _start(samples, placement.shift, n_samples)
        heard = samples[max(0, -start) :][: n_samples - max(0, start)]
        window[max(0, start) :][: len(heard)] += heard * np.float32(10 ** (placement.gain_db / 20))
    if scene.recording is not None:
        window = apply(scene.recording, window)
    if scene.noise_db is not None:
        slope_db = float(np.random.default_rng(scene.seed).uniform(-6, 0))  # white to brown
        level = np.float32(10 ** (scene.noise_db / 20))
        window += level * noise(n_samples, slope_db, scene.seed)
    return np.clip(window, -1, 1)


def _start(samples: NDArray[np.float32], shift: float, n_samples: int) -> int:
    """Return where the recording starts, its loudest half second at `shift` of the window."""
    n_loudest = round(_LOUDEST_S * SAMPLE_RATE)
    energy = np.cumsum(np.square(np.append(0, samples), dtype=np.float64))
    if len(samples) <= n_loudest:
        loudest, n_loudest = 0, len(samples)
    else:
        loudest = int(np.argmax(energy[n_loudest:] - energy[:-n_loudest]))
    return round(shift * max(0, n_samples - n_loudest)) - loudest
