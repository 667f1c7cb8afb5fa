"""Question vectors: what the frozen LLM makes of a question, read once and without any audio.

One implementation for training and device. A concept is asked behind the constant prefix and a
neutral description in the audio's place; its vector is the hidden state after the final norm at
the question's last token, joined with the mean over the concept's tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from listen_edge.prompt import Prompt
from listen_edge.runtime.llama.session import LlamaSession

NEUTRAL = " noise,"  # repeated to fill the audio's slots


class QuestionEncoder:
    """Concepts -> question vectors.

    Args:
        session: the LLM, with the prompt's prefix in place.
        prompt: the bundle's.
        n_query: slots that audio takes.
    """

    def __init__(self, session: LlamaSession, prompt: Prompt, n_query: int) -> None:
        self._session = session
        neutral = session.tokenize(NEUTRAL)
        self._description = (neutral * n_query)[:n_query]
        # What a question ends with behind its concept: "?"
        self._n_end = len(session.tokenize(prompt.question.partition("{}")[2]))
        self.width = 2 * session.n_embd

    def __call__(self, concepts: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors, shape (len(concepts), 2 * n_embd), not standardised."""
        vectors = np.zeros((len(concepts), self.width), np.float32)
        states = self._session.question_states(self._description, concepts)
        for vector, tokens in zip(vectors, states, strict=True):
            named = tokens[: max(1, len(tokens) - self._n_end)]
            vector[:] = np.concatenate([tokens[-1], named.mean(axis=0)])
        return vectors
