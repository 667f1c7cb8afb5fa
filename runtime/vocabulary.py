"""The sounds that `hear` tells: presence of some hundreds of concepts at once, by the head alone.

Two names of one thing must not fill the list: of sounds that the head can hardly tell apart only
the likeliest is told.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from listen_edge.bundle.head import HeadManifest, levelled
from listen_edge.runtime.encoder_session import Encoded
from listen_edge.runtime.head import Head, highest_logits

# Cosine of two queries from which they ask for nearly the same: 90 % of other names of one class,
# 62 % of a class and its parent, 16 % of siblings and 0.6 % of other pairs (docs/method.md).
_ALIKE = 0.7


class Vocabulary:
    """What a bundle can tell without being asked; its constants are computed when it is made.

    Args:
        head: of the bundle.
        manifest: says which concepts are shown, and what their logits are worth.

    Attributes:
        names: the concepts.
    """

    def __init__(self, head: Head, manifest: HeadManifest) -> None:
        self.names = manifest.shown
        self._places = {name: k for k, name in enumerate(self.names)}
        self._questions = head.questions(self.names)
        self._usual = self._questions.usual.astype(np.float64)
        self._deviation = self._questions.deviation.astype(np.float64)
        self._fusion = manifest.fusion
        queries = self._questions.queries
        directions = queries / np.maximum(np.linalg.norm(queries, axis=1, keepdims=True), 1e-9)
        # Not by a BLAS, which would wake its threads, see logits.
        self._is_alike = np.einsum("ad,bd->ab", directions, directions) >= _ALIKE

    def presences(self, encoded: Sequence[Encoded]) -> NDArray[np.float64]:
        """Return the presence of each name, shape (n,), in the surer of a window's signals."""
        highest = highest_logits(encoded, self._questions).astype(np.float64)
        over = levelled(highest, self._usual, self._deviation)
        return np.asarray(self._fusion.presences_alone(over), np.float64)

    def likeliest(
        self, presences: NDArray[np.float64], top: int, least: float
    ) -> tuple[tuple[str, float], ...]:
        """Return at most `top` names with their presence, the likeliest first.

        Args:
            presences: of all names, see presences.
            least: presence from which a sound is told.
        """
        told: list[int] = []
        for k in np.argsort(-presences, kind="stable").tolist():
            if presences[k] < least or len(told) == top:
                break
            if not self._is_alike[k, told].any():
                told.append(k)
        return tuple((self.names[k], float(presences[k])) for k in told)

    def are_alike(self, name: str, other: str) -> bool:
        """Tell whether two names are so much alike that the list holds only one of them."""
        return bool(self._is_alike[self._places[name], self._places[other]])
