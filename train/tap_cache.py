"""Encoder taps of all scenes on disk: the encoder is frozen, each scene goes through it once."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import Progress

from listen_edge.errors import ListenEdgeError
from listen_edge.log_mel import SAMPLE_RATE
from listen_edge.replacing import replacing
from listen_edge.train.backbones import WhisperTaps

logger = logging.getLogger(__name__)

SHARD = 256  # scenes per cache file
_BATCH = 4  # scenes per encoder call; more does not help a CPU


class Heard(Protocol):
    """What can be encoded."""

    def described(self) -> object:
        """Return what the samples depend on, for JSON."""

    def samples(self, n_samples: int) -> NDArray[np.float32]:
        """Return a window, shape (n_samples,)."""


class TapCache:
    """Taps as float16 on disk, read by row.

    Files are named after a hash of everything they depend on (weights, taps, window, scene, the
    recordings' sizes), written to a temporary name and renamed: a run that was killed goes on where
    it stopped.
    """

    def __init__(self, folder: Path, encoder: WhisperTaps, window_s: float) -> None:
        self._folder = folder
        self._encoder = encoder
        self._n_samples = round(window_s * SAMPLE_RATE)
        digest = hashlib.sha256(
            f"{encoder.taps} {encoder.frame_pool} from the first {window_s}".encode()
        )
        for parameter in encoder.parameters():
            digest.update(parameter.detach().numpy().tobytes())
        self._weights_hash = digest.hexdigest()
        self._shards: list[NDArray[np.float16]] = []

    def fill(self, scenes: Sequence[Heard], device: str, progress: Progress) -> None:
        """Encode the scenes that are not on disk yet and map all of them.

        Raises:
            ListenEdgeError: the cache cannot be written.
            AudioError: a recording cannot be read any more.
        """
        task = progress.add_task("encode", total=len(scenes))
        encoder = self._encoder.to(device)
        self._shards = []
        for start in range(0, len(scenes), SHARD):
            shard = scenes[start : start + SHARD]
            path = self._folder / f"{self._key(shard)}.npy"
            if not path.is_file():
                batches = [shard[k : k + _BATCH] for k in range(0, len(shard), _BATCH)]
                _save(path, np.concatenate([self._encode(encoder, b, device) for b in batches]))
            self._shards.append(np.load(path, mmap_mode="r"))
            progress.advance(task, len(shard))
        encoder.to("cpu")
        progress.remove_task(task)

    def taps(self, rows: Sequence[int]) -> torch.Tensor:
        """Return (len(rows), n_taps, n_frames, d_encoder) float32."""
        return torch.from_numpy(
            np.stack([self._shards[row // SHARD][row % SHARD] for row in rows]).astype(np.float32)
        )

    def _encode(
        self, encoder: WhisperTaps, scenes: Sequence[Heard], device: str
    ) -> NDArray[np.float16]:
        samples = np.stack([scene.samples(self._n_samples) for scene in scenes])
        with torch.inference_mode():
            taps: torch.Tensor = encoder(torch.from_numpy(samples).to(device))
        return np.asarray(taps.to(torch.float16).cpu().numpy())

    def _key(self, scenes: Sequence[Heard]) -> str:
        described = json.dumps([scene.described() for scene in scenes])
        return hashlib.sha256((self._weights_hash + described).encode()).hexdigest()[:32]


def _save(path: Path, taps: NDArray[np.float16]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            np.save(temporary, taps)
    except OSError as err:
        raise ListenEdgeError(
            f"{path.parent}: encoder taps cannot be written ({err.strerror or err}); "
            "free some space or choose another --out"
        ) from err
