"""The question head: prefix embeddings and question vectors -> logits, any number of questions.

The frozen LLM reads a question once (runtime/llama/question_encoder.py); the head turns its vector
into a query, which attends over a window's prefix embeddings. On a device the queries and biases
are constants, and a window costs two matrix products.

Source: a text-conditioned bias as in FLAM (Wu et al., 2025); METHOD in docs/method.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from listen_edge.errors import ListenEdgeError

_BIAS = -5.0  # at first every sound is as rare as they are, about one pair in 150


@dataclass(frozen=True)
class HeadSizes:
    """Sizes of a head.

    Attributes:
        n_embd: width of the prefix embeddings.
        d_vector: width of a question vector.
        d_head: of queries, keys and values.
        d_query: hidden width on the way to the query.
        d_bias: hidden width on the way to the bias.
        dropout: on question vectors, in training only.
    """

    n_embd: int = 576
    d_vector: int = 1152
    d_head: int = 256
    d_query: int = 512
    d_bias: int = 128
    dropout: float = 0.0

    def __post_init__(self) -> None:
        for name in ("n_embd", "d_vector", "d_head", "d_query", "d_bias"):
            if getattr(self, name) < 1:
                raise ListenEdgeError(f"{name} is {getattr(self, name)}, expected at least 1")


class QuestionHead(nn.Module):
    """Logits of presence, in nats, one for each window and question.

    The buffers `mean` and `deviation` standardise question vectors, see standardise_on.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, sizes: HeadSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.register_buffer("mean", torch.zeros(sizes.d_vector))
        self.register_buffer("deviation", torch.ones(sizes.d_vector))
        self.dropout = nn.Dropout(sizes.dropout)
        self.query = nn.Sequential(
            nn.Linear(sizes.d_vector, sizes.d_query),
            nn.GELU(),
            nn.Linear(sizes.d_query, sizes.d_head),
        )
        to_bias = nn.Linear(sizes.d_bias, 1)
        nn.init.constant_(to_bias.bias, _BIAS)
        self.bias = nn.Sequential(nn.Linear(sizes.d_vector, sizes.d_bias), nn.GELU(), to_bias)
        self.norm = nn.LayerNorm(sizes.n_embd)
        self.key = nn.Linear(sizes.n_embd, sizes.d_head)
        self.value = nn.Linear(sizes.n_embd, sizes.d_head)

    def standardise_on(self, vectors: Tensor) -> None:
        """Take mean and deviation of each coordinate from a vocabulary's vectors (n, d_vector)."""
        self.mean.copy_(vectors.mean(dim=0))
        self.deviation.copy_(vectors.std(dim=0).clamp(min=1e-4))

    def questions(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Return queries (n_questions, d_head), scaled, and biases (n_questions,)."""
        vectors = self.dropout((vectors - self.mean) / self.deviation)
        queries: Tensor = self.query(vectors) / self.sizes.d_head**0.5
        return queries, self.bias(vectors).squeeze(-1)

    def answers(self, prefix_embeddings: Tensor, queries: Tensor, biases: Tensor) -> Tensor:
        """Return logits (batch, n_questions) of prefix embeddings (batch, n_query, n_embd).

        The attended value's product with the query is the attention's mean of each value's own.
        """
        normed = self.norm(prefix_embeddings)
        weights = (self.key(normed) @ queries.T).softmax(dim=1)  # (batch, n_query, n_questions)
        products = self.value(normed) @ queries.T
        logits: Tensor = (weights * products).sum(dim=1) + biases
        return logits

    def forward(self, prefix_embeddings: Tensor, vectors: Tensor) -> Tensor:
        return self.answers(prefix_embeddings, *self.questions(vectors))
