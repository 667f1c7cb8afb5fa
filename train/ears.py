"""Adapter and question head together: what is trained, averaged and kept."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from listen_edge.errors import BundleError
from listen_edge.train import checkpoint
from listen_edge.train.adapter import Adapter, AdapterConfig
from listen_edge.train.head import HeadSizes, QuestionHead

EARS_FILE = "ears.safetensors"


class Ears(nn.Module):
    """Encoder taps (batch, n_taps, n_frames, d_encoder) and vectors -> logits (batch, n).

    Args:
        adapter: gives what the head reads.
        head: of its questions.
        to_llm: gives what the LLM reads, of the same Q-Former's outputs; None: the LLM reads
            another adapter. The head takes any arrangement of its embeddings, the frozen LLM only
            such as stand for names: hence a linear layer each.
    """

    def __init__(
        self, adapter: Adapter, head: QuestionHead, to_llm: nn.Linear | None = None
    ) -> None:
        super().__init__()
        self.adapter, self.head, self.to_llm = adapter, head, to_llm

    def forward(self, taps: Tensor, vectors: Tensor) -> Tensor:
        logits: Tensor = self.head(self.adapter(taps), vectors)
        return logits


class Averaged(nn.Module):
    """A running mean of a module's weights, which answers better than the last step's.

    Args:
        module: trained elsewhere.
        decay: share of the old mean kept at each step; less in the first steps.
    """

    n_steps: Tensor

    def __init__(self, module: Ears, decay: float) -> None:
        super().__init__()
        self.module = copy.deepcopy(module).eval()
        self.module.requires_grad_(False)
        self.decay = decay
        self.register_buffer("n_steps", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def update(self, trained: Ears) -> None:
        """Take in the weights after one more step."""
        self.n_steps += 1
        n = int(self.n_steps)
        kept = min(self.decay, (1 + n) / (10 + n)) if self.decay else 0.0
        for mean, value in zip(self.module.parameters(), trained.parameters(), strict=True):
            mean.lerp_(value.detach(), 1 - kept)


@dataclass(frozen=True)
class Trained:
    """What a run leaves: ears, and the vocabulary that they know.

    Attributes:
        ears: in evaluation mode.
        texts: the vocabulary.
        vectors: of the texts, (n_texts, d_vector), not standardised.
    """

    ears: Ears
    texts: list[str]
    vectors: Tensor


def save_ears(folder: Path, ears: Ears, texts: Sequence[str], vectors: Tensor) -> None:
    """Write `ears.safetensors`: weights, the vocabulary's vectors as float16, and all sizes."""
    metadata = {
        "adapter": json.dumps(asdict(ears.adapter.config)),
        "head": json.dumps(asdict(ears.head.sizes)),
        "texts": json.dumps([*texts]),
    }
    tensors = {**ears.state_dict(), "vocabulary": vectors.to(torch.float16)}
    checkpoint.save_tensors(folder / EARS_FILE, tensors, metadata)


def load_ears(path: Path) -> Trained:
    """Return what a run's folder or an `ears.safetensors` holds.

    Raises:
        BundleError: missing, damaged or something else.
    """
    path = path / EARS_FILE if path.is_dir() else path
    tensors, metadata = checkpoint.load_tensors(path)
    try:
        vectors = tensors.pop("vocabulary").float()
        fields = json.loads(metadata["adapter"])
        adapter = Adapter(AdapterConfig(**{**fields, "taps": tuple(fields["taps"])}))
        to_llm = linear_to_llm(adapter.config) if "to_llm.weight" in tensors else None
        ears = Ears(adapter, QuestionHead(HeadSizes(**json.loads(metadata["head"]))), to_llm)
        ears.load_state_dict(tensors)
        return Trained(ears.eval(), json.loads(metadata["texts"]), vectors)
    except (KeyError, TypeError, RuntimeError, ValueError) as err:
        raise BundleError(f"{path}: not written by listen-edge train-head ({err})") from err


def copy_ears(paths: Sequence[Path], ears: Ears) -> None:
    """Fill ears with the weights of another run's, or the mean of several runs'.

    What goes to the LLM stays as it is where one of the runs has nothing for it.

    Raises:
        BundleError: missing, damaged or of other sizes.
    """
    sources = [load_ears(path).ears for path in paths]
    expected = _sizes(ears)
    for path, source in zip(paths, sources, strict=True):
        if (found := _sizes(source)) != expected:
            raise BundleError(
                f"{path}: {found[0]} and {found[1]}, expected {expected[0]} and {expected[1]}; "
                "train it with the same sizes"
            )
    states = [source.state_dict() for source in sources]
    common = [key for key in ears.state_dict() if all(key in state for state in states)]
    mean = {key: _mean(state[key] for state in states) for key in common}
    ears.load_state_dict({**ears.state_dict(), **mean})


def llm_adapter(ears: Ears) -> Adapter:
    """Return the ears' Q-Former with the layer to the LLM, as an adapter of its own."""
    assert ears.to_llm is not None
    adapter = copy.deepcopy(ears.adapter)
    adapter.linear = copy.deepcopy(ears.to_llm)
    return adapter


def linear_to_llm(config: AdapterConfig) -> nn.Linear:
    """Return a layer from a Q-Former's outputs to the LLM, not trained yet."""
    return nn.Linear(config.d_qformer, config.n_embd)


def _mean(tensors: Iterable[Tensor]) -> Tensor:
    return torch.stack([*tensors]).mean(dim=0)


def _sizes(ears: Ears) -> tuple[AdapterConfig, HeadSizes]:
    """Return what the weights' shapes depend on, without the dropout."""
    return replace(ears.adapter.config, dropout=0.0), replace(ears.head.sizes, dropout=0.0)
