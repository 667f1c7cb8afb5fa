"""A llama_batch that takes embeddings, and questions grouped into as few of them as have room."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import llama_cpp
import numpy as np
from numpy.typing import NDArray

import listen_edge.runtime.llama.native  # noqa: F401  before llama.cpp is loaded
from listen_edge.errors import BundleError


def batches(
    questions: Sequence[NDArray[np.float32]], n_questions: int, n_rows: int
) -> Iterator[list[NDArray[np.float32]]]:
    """Yield the questions in turn, as many together as have room.

    Args:
        questions: embeddings of each one's tokens, (n_tokens, n_embd).
        n_questions, n_rows: together at most.
    """
    batch: list[NDArray[np.float32]] = []
    for question in questions:
        n_taken = sum(map(len, batch))
        if batch and (len(batch) == n_questions or n_taken + len(question) > n_rows):
            yield batch
            batch = []
        batch.append(question)
    if batch:
        yield batch


class EmbeddingBatch:
    """A llama_batch of embeddings, allocated once and filled row by row."""

    def __init__(self, n_rows: int, n_embd: int, n_sequences: int) -> None:
        self._batch = llama_cpp.llama_batch_init(n_rows, n_embd, n_sequences)
        self._n_rows = n_rows
        self._rows = np.ctypeslib.as_array(self._batch.embd, (n_rows, n_embd))

    def add(
        self,
        embedding: NDArray[np.float32],
        position: int,
        sequences: Sequence[int],
        *,
        logits: bool = False,
    ) -> int:
        """Append one row, an embedding (n_embd,); return its index."""
        batch, row = self._batch, self._batch.n_tokens
        if row >= self._n_rows:
            self._batch.n_tokens = 0
            raise BundleError(f"the prompt needs more than {self._n_rows} tokens; shorten it")
        self._rows[row] = embedding
        batch.pos[row] = position
        batch.n_seq_id[row] = len(sequences)
        for k, sequence in enumerate(sequences):
            batch.seq_id[row][k] = sequence
        batch.logits[row] = logits
        batch.n_tokens = row + 1
        return int(row)

    def decode(self, context: Any) -> None:
        status = llama_cpp.llama_decode(context, self._batch)
        self._batch.n_tokens = 0
        if status != 0:
            raise BundleError(f"llama.cpp could not decode the prompt (status {status})")

    def free(self) -> None:
        llama_cpp.llama_batch_free(self._batch)
