"""What a step through the frozen LLM is trained on, and how the held-out figure is taken."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from listen_edge.evaluation.metrics import auroc
from listen_edge.train.adapter import Adapter
from listen_edge.train.config import TrainConfig
from listen_edge.train.material import Material
from listen_edge.train.packing import AudioLlama
from listen_edge.train.tap_cache import TapCache

_N_ABSENT = 3  # per held-out scene


def question_loss(
    llama: AudioLlama, prefix_embeddings: Tensor, asked: Sequence[Sequence[tuple[str, bool]]]
) -> Tensor:
    """Return the cross-entropy of yes against no, present and absent weighing the same in a scene.

    Rows without questions are left out.

    Args:
        prefix_embeddings: (batch, n_query, n_embd).
        asked: per row (concept, is_present) pairs.
    """
    rows = [k for k, row in enumerate(asked) if row]
    if not rows:
        return prefix_embeddings.sum() * 0
    asked = [asked[k] for k in rows]
    margins = llama.margins(prefix_embeddings[rows], [[name for name, _ in row] for row in asked])
    is_present, weights = [], []
    for row in asked:
        n_present = sum(present for _, present in row)
        for _, present in row:
            is_present.append(float(present))
            weights.append(0.5 / (n_present if present else len(row) - n_present))
    return functional.binary_cross_entropy_with_logits(
        margins,
        torch.tensor(is_present, device=margins.device),
        torch.tensor(weights, device=margins.device),
        reduction="sum",
    ) / len(asked)


def text_loss(
    llama: AudioLlama, prefix_embeddings: Tensor, texts: Sequence[Sequence[tuple[str, str]]]
) -> Tensor:
    """Return the next-token loss of the answers; rows without texts are left out.

    Args:
        prefix_embeddings: (batch, n_query, n_embd).
        texts: per row (instruction, answer) pairs.
    """
    rows = [k for k, row in enumerate(texts) if row]
    if not rows:
        return prefix_embeddings.sum() * 0
    return llama.text_loss(prefix_embeddings[rows], [texts[k] for k in rows])


def held_out_auroc(
    llama: AudioLlama,
    adapter: Adapter,
    cache: TapCache,
    material: Material,
    config: TrainConfig,
) -> float:
    """Return the AUROC of plain held-out scenes, one present and three absent sounds each.

    Absent sounds that could be confused with the present one are not asked about.
    """
    rng = np.random.default_rng((config.seed, 2))
    n_rows = min(config.n_held_out, len(material.held_out_rows))
    rows = rng.choice(material.held_out_rows, n_rows, replace=False).tolist()
    labels = {row: material.scenes[row].labels[0] for row in material.held_out_rows}
    margins: list[float] = []
    is_present: list[bool] = []
    device = next(adapter.parameters()).device
    for start in range(0, len(rows), config.batch):
        batch = rows[start : start + config.batch]
        asked = []
        for row in batch:
            others = sorted(material.bank.unlike(labels[row], set(labels.values())))
            drawn = rng.choice(others, min(_N_ABSENT, len(others)), replace=False).tolist()
            asked.append([labels[row], *drawn])
            is_present += [True] + [False] * len(drawn)
        with torch.no_grad():
            embeddings = adapter(cache.taps(batch).to(device))
            margins += llama.margins(embeddings, asked).tolist()
    return auroc(np.array(is_present), np.array(margins))
