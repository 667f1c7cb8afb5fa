"""The second opinion in a head's training: the LLM's yes or no from the head's Q-Former.

The frozen LLM reads only what stands for names. So the first steps pull its prefix embeddings to
the names of what is heard (train/alignment.py), and later ones ask it about some of each step's
scenes, while the head goes on answering all of them from the same Q-Former.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from listen_edge.evaluation.metrics import auroc
from listen_edge.ontology import Ontology
from listen_edge.prompt import Prompt
from listen_edge.runtime.llama.gguf_file import Vocabulary
from listen_edge.train.adapter import AdapterConfig
from listen_edge.train.alignment import WarmStart
from listen_edge.train.backbones import load_llama
from listen_edge.train.ears import linear_to_llm
from listen_edge.train.head_config import HeadConfig
from listen_edge.train.objectives import question_loss
from listen_edge.train.packing import AudioLlama
from listen_edge.train.texts.templates import facts_of

_SURELY, _HARDLY = 0.5, 0.01  # a scene's probability of a concept that is asked as there, as absent
_AT_ONCE = 12  # scenes asked at once where nothing is learned

Asked = list[tuple[str, bool]]


class SecondOpinion:
    """What the LLM is trained to say of scenes, through the adapter alone.

    Args:
        config: gives the LLM, the number of slots and what a step asks.
        prompt: the bundle's.
        texts: the vocabulary, whose phrases are asked as they are.
        labels: of the recordings, to which the adapter's outputs are pulled at first.
    """

    def __init__(
        self, config: HeadConfig, prompt: Prompt, texts: Sequence[str], labels: Sequence[str]
    ) -> None:
        ontology = Ontology.read(Path(config.ontology))
        llama = load_llama(config.llm)
        self._config, self._texts = config, texts
        self._tokens = Vocabulary(Path(config.llm))
        self._warm = WarmStart(
            {label: facts_of(label, ontology) for label in labels},
            self._tokens.tokenize,
            llama.get_input_embeddings().weight,
            config.n_query,
        )
        self._llama = AudioLlama(llama, self._tokens.tokenize, prompt)

    def new_layer(self, config: AdapterConfig) -> nn.Linear:
        """Return a layer to the LLM whose outputs have the norm of token embeddings."""
        layer = linear_to_llm(config)
        with torch.no_grad():  # of inputs whose coordinates have a variance of one
            layer.weight.mul_(self._warm.norm / float(layer.weight.norm()))
            layer.bias.zero_()
        return layer

    def alignment(self, prefix_embeddings: Tensor, labels: Sequence[str]) -> Tensor:
        """Return the loss of outputs (batch, n_query, n_embd) that stand for one label each."""
        return self._warm.loss(prefix_embeddings, labels)

    def loss(
        self,
        prefix_embeddings: Tensor,
        probability: NDArray[np.float32],
        known: NDArray[np.bool_],
        rng: np.random.Generator,
    ) -> Tensor:
        """Return the cross-entropy of the LLM's yes against no.

        Args:
            prefix_embeddings: of some scenes, (batch, n_query, n_embd).
            probability, known: of each scene and phrase of the vocabulary, (batch, n_texts).
        """
        asked = draw_asked(probability, known, self._config.opinion_questions, rng)
        named = [[(self._texts[k], there) for k, there in row] for row in asked]
        return question_loss(self._llama, prefix_embeddings, named)

    def auroc(self, prefix_embeddings: Tensor, asked: Sequence[Asked]) -> float:
        """Return the AUROC of the margin; each scene is asked all its (phrase, is_present)."""
        margins: list[float] = []
        with torch.no_grad():
            for k in range(0, len(asked), _AT_ONCE):
                names = [[name for name, _ in row] for row in asked[k : k + _AT_ONCE]]
                batch = prefix_embeddings[k : k + _AT_ONCE]
                margins += self._llama.margins(batch, names).tolist()
        truth = [there for row in asked for _, there in row]
        return auroc(np.array(truth), np.array(margins))


def draw_asked(
    probability: NDArray[np.float32],
    known: NDArray[np.bool_],
    n_questions: int,
    rng: np.random.Generator,
) -> list[list[tuple[int, bool]]]:
    """Return up to n_questions different (place of a phrase, is_present) of each scene.

    Absent ones are drawn from what other scenes are asked as present: so a phrase is asked as often
    either way, and the question alone says nothing.

    Args:
        probability, known: of each scene and phrase, (batch, n_texts).
    """
    present = known & (probability >= _SURELY)
    absent = known & (probability < _HARDLY)
    drawn = [rng.permutation(np.flatnonzero(row))[: n_questions // 2].tolist() for row in present]
    pool = np.array(sorted({place for row in drawn for place in row}), int)
    asked = []
    for row, there in enumerate(drawn):
        others = rng.permutation(pool[absent[row, pool]])[: n_questions - len(there)].tolist()
        asked.append([(k, True) for k in there] + [(k, False) for k in others])
    return asked
