"""Question vectors kept on disk: each phrase is read once per device, LLM and llama.cpp.

The kept vector is of the LLM and its prompt alone, not of an adapter: all bundles with that LLM
share it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from listen_edge.bundle.manifest import Manifest
from listen_edge.replacing import replacing
from listen_edge.runtime.llama.kept import kept_path, short_hash
from listen_edge.runtime.llama.question_encoder import NEUTRAL, QuestionEncoder
from listen_edge.runtime.llama.session import LlamaSession

logger = logging.getLogger(__name__)

_MAX_FILES = 10_000  # of one LLM and prompt, 5 kB each


class KeptVectors:
    """Concepts -> question vectors, read by the LLM where they are not on disk yet.

    Args:
        manifest: of the bundle, for LLM and prompt.
        session: gives the LLM; called only when something must be read.
        on_gpu: whether it computes on the GPU, whose last bits are others.
    """

    def __init__(
        self, manifest: Manifest, session: Callable[[], LlamaSession], *, on_gpu: bool
    ) -> None:
        self._session, self._prompt = session, manifest.prompt
        self._n_query, self.width = manifest.n_query, 2 * manifest.n_embd
        prompt = f"{manifest.prompt.to_json()} {NEUTRAL} {manifest.n_query}"
        place = "gpu" if on_gpu else "cpu"
        self._folder = kept_path(manifest.gguf, place, short_hash(prompt), "questions")

    def __call__(self, concepts: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors, shape (len(concepts), width)."""
        vectors = [self._load(concept) for concept in concepts]
        missing = [k for k, vector in enumerate(vectors) if vector is None]
        if missing:
            encoder = QuestionEncoder(self._session(), self._prompt, self._n_query)
            read = encoder([concepts[k] for k in missing])
            for k, vector in zip(missing, read, strict=True):
                vectors[k] = vector
                self._keep(concepts[k], vector)
        return np.stack([vector for vector in vectors if vector is not None])

    def _path(self, concept: str) -> Path:
        return self._folder / f"{short_hash(concept)}.npy"

    def _load(self, concept: str) -> NDArray[np.float32] | None:
        """Return a kept vector; a damaged file counts as none."""
        try:
            vector = np.load(self._path(concept), allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        is_sound = vector.shape == (self.width,) and vector.dtype == np.float32
        return vector if is_sound and np.isfinite(vector).all() else None

    def _keep(self, concept: str, vector: NDArray[np.float32]) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            if sum(1 for _ in self._folder.iterdir()) < _MAX_FILES:
                with replacing(self._path(concept)) as temporary, temporary.open("wb") as file:
                    np.save(file, vector)
        except OSError as err:
            logger.warning("%s: question vectors cannot be kept (%s)", self._folder, err.strerror)
