"""Several questions behind one audio prefix, through the frozen LLM in one pass.

A row of the packed batch is [audio][bridge][question 1][question 2]...; a question sees the
constant prefix, the audio, the bridge and itself, and its positions restart after the bridge. That
is what runtime/llama.py decodes, so training and device agree. The prefix's KV is computed once:
no gradient is needed through it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from transformers import DynamicCache, LlamaForCausalLM

from listen_edge.prompt import Prompt


class PackedQuestions:
    """The frozen LLM with the constant prefix in its cache.

    Args:
        llama: frozen; its dtype is the one computed in.
        tokenize: the tokeniser that the device uses, Vocabulary.tokenize.
        prompt: the bundle's.
    """

    def __init__(
        self, llama: LlamaForCausalLM, tokenize: Callable[[str], list[int]], prompt: Prompt
    ) -> None:
        self._tokenize = functools.cache(lambda concept: tokenize(prompt.ask(concept)))
        self._model = llama.model
        self._embed = llama.get_input_embeddings()
        self._bridge = torch.tensor(tokenize(prompt.bridge), device=llama.device)
        head = llama.get_output_embeddings().weight
        self._yes, self._no = (
            head[[token for text in texts for token in tokenize(text)]].float()
            for texts in (prompt.yes, prompt.no)
        )
        prefix = tokenize(prompt.prefix)
        self._n_prefix = len(prefix)
        with torch.inference_mode(False), torch.no_grad():
            tokens = torch.tensor([prefix], device=llama.device)
            cache = self._model(input_ids=tokens, use_cache=True).past_key_values
        self._prefix_kv = [(layer.keys, layer.values) for layer in cache.layers]

    def margins(self, prefix_embeddings: Tensor, concepts: Sequence[Sequence[str]]) -> Tensor:
        """Return logit(yes) - logit(no), flat, in the order of the concepts.

        Args:
            prefix_embeddings: (batch, n_query, n_embd).
            concepts: per row what it is asked about.
        """
        questions = [[self._tokenize(concept) for concept in row] for row in concepts]
        batch, n_audio, _ = prefix_embeddings.shape
        device, dtype = self._embed.weight.device, self._embed.weight.dtype
        n_shared = n_audio + len(self._bridge)
        width = max(sum(len(tokens) for tokens in row) for row in questions)
        ids = torch.zeros(batch, width, dtype=torch.long)
        owner = torch.full((batch, width), -1)  # which question a column belongs to
        positions = torch.zeros(batch, width, dtype=torch.long)
        ends: list[tuple[int, int]] = []
        for b, row in enumerate(questions):
            column = 0
            for k, tokens in enumerate(row):
                span = slice(column, column + len(tokens))
                ids[b, span] = torch.tensor(tokens)
                owner[b, span] = k
                positions[b, span] = torch.arange(len(tokens))
                column += len(tokens)
                ends.append((b, n_shared + column - 1))
        inputs = torch.cat(
            [
                prefix_embeddings.to(dtype),
                self._embed(self._bridge).expand(batch, -1, -1),
                self._embed(ids.to(device)),
            ],
            dim=1,
        )
        positions = torch.cat(
            [torch.arange(n_shared).expand(batch, -1), n_shared + positions], dim=1
        )
        hidden = self._model(
            inputs_embeds=inputs,
            attention_mask=self._mask(owner, n_shared).to(device, dtype),
            position_ids=(self._n_prefix + positions).to(device),
            past_key_values=self._cache(batch),
            use_cache=True,
        ).last_hidden_state
        rows, columns = zip(*ends, strict=True)
        last = hidden[list(rows), list(columns)].float()  # (n_questions, n_embd)
        margins: Tensor = (last @ self._yes.T).logsumexp(-1) - (last @ self._no.T).logsumexp(-1)
        return margins

    def _mask(self, owner: Tensor, n_shared: int) -> Tensor:
        """Return the additive attention mask, (batch, 1, n_new, n_prefix + n_new)."""
        batch, width = owner.shape
        n_new = n_shared + width
        owners = torch.cat([torch.full((batch, n_shared), -2), owner], dim=1)
        same = owners[:, :, None] == owners[:, None, :]
        shared = (owners == -2)[:, None, :]
        causal = torch.ones(n_new, n_new, dtype=torch.bool).tril()
        seen = (same | shared) & causal
        prefix = torch.ones(batch, n_new, self._n_prefix, dtype=torch.bool)
        allowed = torch.cat([prefix, seen], dim=2)[:, None]
        return torch.zeros(allowed.shape).masked_fill(~allowed, -1e9)

    def _cache(self, batch: int) -> DynamicCache:
        cache = DynamicCache()
        for layer, (keys, values) in enumerate(self._prefix_kv):
            cache.update(keys.expand(batch, -1, -1, -1), values.expand(batch, -1, -1, -1), layer)
        return cache
