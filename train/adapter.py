"""The adapter: a multi-tap Q-Former and one linear layer, the only trained weights.

It turns the taps of a frozen Whisper encoder into prefix embeddings of a frozen LLaMA.

Source: DeSTA2's Q-Former connector (learned queries per tapped layer, one Q-Former shared by all
taps, softmax weights over taps per query, LayerNorm + Linear), as LISTEN (Kuan & Lee, 2025) uses.
Unlike there, layers normalise before attention, which trains without a warm-up, and the taps are
normalised too, because Whisper's residual stream grows with depth.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from listen_edge.errors import ListenEdgeError


@dataclass(frozen=True)
class AdapterConfig:
    """Sizes of an adapter.

    Attributes:
        taps: Whisper blocks read, counted from 1 (see WhisperTaps).
        d_encoder: width of the Whisper encoder.
        n_embd: width of the LLaMA.
        n_query: prefix embeddings per window.
        d_qformer: width of the Q-Former.
        n_heads: attention heads of the Q-Former.
        n_layers: Q-Former layers.
        dropout: on attention and feed-forward outputs, in training only.
    """

    taps: tuple[int, ...] = (3, 5)
    d_encoder: int = 512
    n_embd: int = 576
    n_query: int = 8
    d_qformer: int = 256
    n_heads: int = 8
    n_layers: int = 2
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if self.d_qformer % self.n_heads:
            raise ListenEdgeError(
                f"d_qformer {self.d_qformer} is not a multiple of n_heads {self.n_heads}"
            )
        for name in ("d_encoder", "n_embd", "n_query", "n_layers"):
            if getattr(self, name) < 1:
                raise ListenEdgeError(f"{name} is {getattr(self, name)}, expected at least 1")
        if not self.taps:
            raise ListenEdgeError("taps is empty, expected at least one Whisper block")


class Attention(nn.Module):
    """Multi-head attention of (batch, n_query, d) on (batch, n_keys, d_keys)."""

    def __init__(self, d: int, d_keys: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.query = nn.Linear(d, d)
        self.key = nn.Linear(d_keys, d, bias=False)
        self.value = nn.Linear(d_keys, d)
        self.out = nn.Linear(d, d)

    def forward(self, queries: Tensor, keys: Tensor) -> Tensor:
        query, key, value = (
            rows.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)  # (batch, heads, n, d_head)
            for rows in (self.query(queries), self.key(keys), self.value(keys))
        )
        mixed = functional.scaled_dot_product_attention(query, key, value)
        output: Tensor = self.out(mixed.transpose(1, 2).flatten(-2))
        return output


class QFormerLayer(nn.Module):
    """Self-attention of the queries, cross-attention to the frames, feed-forward."""

    def __init__(self, config: AdapterConfig) -> None:
        super().__init__()
        d = config.d_qformer
        self.self_norm = nn.LayerNorm(d)
        self.self_attention = Attention(d, d, config.n_heads)
        self.cross_norm = nn.LayerNorm(d)
        self.cross_attention = Attention(d, config.d_encoder, config.n_heads)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(d), nn.Linear(d, 4 * d), nn.GELU(), nn.Linear(4 * d, d)
        )
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, queries: Tensor, frames: Tensor) -> Tensor:
        normed = self.self_norm(queries)
        queries = queries + self.dropout(self.self_attention(normed, normed))
        queries = queries + self.dropout(self.cross_attention(self.cross_norm(queries), frames))
        output: Tensor = queries + self.dropout(self.feed_forward(queries))
        return output


class Adapter(nn.Module):
    """Encoder taps (batch, n_taps, n_frames, d_encoder) -> prefix embeddings.

    Returns (batch, n_query, n_embd).
    """

    def __init__(self, config: AdapterConfig) -> None:
        super().__init__()
        self.config = config
        n_taps, d = len(config.taps), config.d_qformer
        self.query_tokens = nn.Parameter(torch.randn(n_taps, config.n_query, d) * 0.02)
        self.tap_weights = nn.Parameter(torch.zeros(n_taps, config.n_query))  # before softmax
        self.frame_norms = nn.ModuleList(nn.LayerNorm(config.d_encoder) for _ in config.taps)
        self.layers = nn.ModuleList(QFormerLayer(config) for _ in range(config.n_layers))
        self.norm = nn.LayerNorm(d)
        self.linear = nn.Linear(d, config.n_embd)

    def forward(self, taps: Tensor) -> Tensor:
        prefix_embeddings: Tensor = self.linear(self.outputs(taps))
        return prefix_embeddings

    def outputs(self, taps: Tensor) -> Tensor:
        """Return what the Q-Former says of the taps, normalised: (batch, n_query, d_qformer)."""
        batch = taps.shape[0]
        outputs = []
        for k, norm in enumerate(self.frame_norms):
            frames = norm(taps[:, k])
            queries = self.query_tokens[k].expand(batch, -1, -1)
            for layer in self.layers:
                queries = layer(queries, frames)
            outputs.append(queries)
        weights = self.tap_weights.softmax(dim=0)[:, None, :, None]
        mixed = (torch.stack(outputs) * weights).sum(dim=0)  # (batch, n_query, d_qformer)
        normed: Tensor = self.norm(mixed)
        return normed
