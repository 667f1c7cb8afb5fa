"""Each concept's margin on blank audio: what the LLM says of a sound before it has heard any."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

_MAX_PRIORS = 4096  # concepts whose margin is kept


class Priors:
    """Computed once per concept, of one encoder and LLM.

    Args:
        blank: gives the prefix embeddings of blank audio.
        margins: of concepts behind prefix embeddings, see Engine.margins.
    """

    def __init__(
        self,
        blank: Callable[[], NDArray[np.float32]],
        margins: Callable[[NDArray[np.float32], Sequence[str]], NDArray[np.float32]],
    ) -> None:
        self._embed_blank, self._margins = blank, margins
        self._blank: NDArray[np.float32] | None = None
        self._kept: dict[str, float] = {}

    def __call__(self, concepts: Sequence[str]) -> NDArray[np.float32]:
        """Return the margin of each concept in nats, shape (len(concepts),)."""
        missing = [c for c in dict.fromkeys(concepts) if c not in self._kept]
        if missing:
            if self._blank is None:
                self._blank = self._embed_blank()
            if len(self._kept) + len(missing) > _MAX_PRIORS:
                self._kept.clear()
                missing = list(dict.fromkeys(concepts))
            for concept in missing:  # alone: what is decoded beside it would change it by rounding
                self._kept[concept] = float(self._margins(self._blank, [concept])[0])
        return np.array([self._kept[concept] for concept in concepts], np.float32)
