"""Warm start: bring the adapter's outputs to where the names of the sounds lie.

Before any step through the LLM, each prefix embedding is pulled to the token embedding that would
stand in its place if the window were described in text: cross-entropy by cosine over the tokens of
all names, and a squared error that keeps the norm. Names are repeated to fill the slots; padding
with full stops instead put the loss where no name is and left the adapter at chance.

Source: measured; see docs/method.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

_COSINE_SCALE = 20.0
_NORM_WEIGHT = 0.1


class NameTargets:
    """Token embeddings of every label, repeated to n_query slots.

    Args:
        names: label -> token ids of its name with the separator, e.g. of " dog,".
        embedding: the LLM's token embeddings, (n_vocab, n_embd).
        n_query: slots of the adapter.
    """

    def __init__(self, names: Mapping[str, Sequence[int]], embedding: Tensor, n_query: int) -> None:
        used = sorted({token for tokens in names.values() for token in tokens})
        column = {token: k for k, token in enumerate(used)}
        self._embedding = embedding[used].detach().clone().float()  # (n_used, n_embd)
        self._unit = functional.normalize(self._embedding, dim=-1)
        self._mean_square = self._embedding.square().mean()
        self._slots = {
            label: torch.tensor([column[tokens[k % len(tokens)]] for k in range(n_query)])
            for label, tokens in names.items()
        }

    def loss(self, prefix_embeddings: Tensor, labels: Sequence[str]) -> Tensor:
        """Return the mean alignment loss of (batch, n_query, n_embd) with one label each."""
        targets = torch.stack([self._slots[label] for label in labels])
        targets = targets.to(prefix_embeddings.device)  # (batch, n_query)
        unit, embedding = self._unit.to(targets.device), self._embedding.to(targets.device)
        cosine = functional.normalize(prefix_embeddings, dim=-1) @ unit.T
        name_loss = functional.cross_entropy(
            _COSINE_SCALE * cosine.flatten(0, 1), targets.flatten()
        )
        error = functional.mse_loss(prefix_embeddings, embedding[targets])
        return name_loss + _NORM_WEIGHT * error / self._mean_square
