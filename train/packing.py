"""Questions and texts behind one audio prefix, through the frozen LLM in one pass.

A row of the packed batch is [audio][shared][segment 1][segment 2]...; a segment sees the constant
prefix, the audio, the shared tokens and itself, and its positions restart behind them. With the
bridge as shared tokens and questions as segments that is what runtime/llama/session.py decodes, so
training and device agree.

The prefix's KV is computed once, without gradient, and shared by all rows: queries of the whole
batch meet it in one matrix product, nothing is copied per row (transformers' own cache would be).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AttentionInterface, LlamaForCausalLM

from listen_edge.prompt import Prompt

_MASKED = -1e9
_ATTENTION = "listen_edge_shared_prefix"


class AudioLlama:
    """The frozen LLM with the constant prefix in its cache.

    Args:
        llama: frozen; its dtype is the one computed in.
        tokenize: the tokeniser that the device uses, Vocabulary.tokenize.
        prompt: the bundle's.
    """

    def __init__(
        self, llama: LlamaForCausalLM, tokenize: Callable[[str], list[int]], prompt: Prompt
    ) -> None:
        self._tokenize = functools.cache(tokenize)
        self._prompt = prompt
        self._model = llama.model
        self._embed = llama.get_input_embeddings()
        self._head = llama.get_output_embeddings().weight
        self._bridge = tokenize(prompt.bridge)
        self._yes, self._no = (
            self._head[[token for text in texts for token in tokenize(text)]].float()
            for texts in (prompt.yes, prompt.no)
        )
        prefix = tokenize(prompt.prefix)
        self._n_prefix = len(prefix)
        self.n_tokens = 0  # new tokens computed so far, for the throughput
        with torch.inference_mode(False), torch.no_grad():
            tokens = torch.tensor([prefix], device=self._embed.weight.device)
            cache = self._model(input_ids=tokens, use_cache=True).past_key_values
        for layer, block in zip(cache.layers, self._model.layers, strict=True):
            block.self_attn.prefix_kv = (layer.keys[0], layer.values[0])
        llama.set_attn_implementation(_ATTENTION)

    def margins(self, prefix_embeddings: Tensor, concepts: Sequence[Sequence[str]]) -> Tensor:
        """Return logit(yes) - logit(no), flat, in the order of the concepts.

        Args:
            prefix_embeddings: (batch, n_query, n_embd).
            concepts: per row what it is asked about.
        """
        questions = [[self._tokenize(self._prompt.ask(c)) for c in row] for row in concepts]
        packed = _pack(questions)
        hidden = self._hidden(prefix_embeddings, self._bridge, packed)
        last = hidden[packed.rows, [end - 1 for end in packed.ends]].float()
        margins: Tensor = (last @ self._yes.T).logsumexp(-1) - (last @ self._no.T).logsumexp(-1)
        return margins

    def text_loss(
        self, prefix_embeddings: Tensor, texts: Sequence[Sequence[tuple[str, str]]]
    ) -> Tensor:
        """Return the mean next-token loss, in nats, on the answers' tokens only.

        Args:
            prefix_embeddings: (batch, n_query, n_embd).
            texts: per row (instruction, answer) pairs, e.g. ("Replay the audio.", "A dog barks.").
        """
        pairs = [[self._text_tokens(*pair) for pair in row] for row in texts]
        packed = _pack([[asked + answer for asked, answer in row] for row in pairs])
        hidden = self._hidden(prefix_embeddings, [], packed)
        rows: list[int] = []
        columns: list[int] = []
        targets: list[int] = []
        answers = [answer for row in pairs for _, answer in row]
        for b, end, answer in zip(packed.rows, packed.ends, answers, strict=True):
            rows += [b] * len(answer)
            columns += range(end - len(answer) - 1, end - 1)
            targets += answer
        logits = (hidden[rows, columns].to(self._head.dtype) @ self._head.T).float()
        return functional.cross_entropy(logits, torch.tensor(targets, device=logits.device))

    def _text_tokens(self, instruction: str, answer: str) -> tuple[list[int], list[int]]:
        """Return the tokens of both; the answer ends with the line, as in the constant prefix."""
        return self._tokenize(f"\n{instruction}"), self._tokenize(f" {answer}\n")

    def _hidden(self, prefix_embeddings: Tensor, shared: list[int], packed: _Packed) -> Tensor:
        """Return the last hidden states of the segments, (batch, width, n_embd)."""
        device, dtype = self._embed.weight.device, self._embed.weight.dtype
        batch, n_audio, _ = prefix_embeddings.shape
        n_shared = n_audio + len(shared)
        tokens = torch.tensor(shared, device=device, dtype=torch.long)
        inputs = torch.cat(
            [
                prefix_embeddings.to(dtype),
                self._embed(tokens).expand(batch, -1, -1),
                self._embed(packed.ids.to(device)),
            ],
            dim=1,
        )
        positions = torch.cat(
            [torch.arange(n_shared).expand(batch, -1), n_shared + packed.positions], dim=1
        )
        self.n_tokens += int((packed.owner >= 0).sum()) + batch * n_shared
        hidden: Tensor = self._model(
            inputs_embeds=inputs,
            attention_mask=_mask(packed.owner, n_shared).to(device, dtype),
            position_ids=(self._n_prefix + positions).to(device),
            use_cache=False,
        ).last_hidden_state
        return hidden[:, n_shared:]


def _mask(owner: Tensor, n_shared: int) -> Tensor:
    """Return the additive mask among new tokens, (batch, 1, n_new, n_new)."""
    batch, width = owner.shape
    owners = torch.cat([torch.full((batch, n_shared), -2), owner], dim=1)
    same = owners[:, :, None] == owners[:, None, :]
    shared = (owners == -2)[:, None, :]
    causal = torch.ones(n_shared + width, n_shared + width, dtype=torch.bool).tril()
    allowed = ((same | shared) & causal)[:, None]
    return torch.zeros(allowed.shape).masked_fill(~allowed, _MASKED)


def _attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor,
    scaling: float,
    **_: object,
) -> tuple[Tensor, None]:
    """Attention of new tokens on the prefix that all rows share, and on each row's own.

    Args:
        module: the attention block, holding prefix_kv: two of (n_kv_heads, n_prefix, d_head).
        query: (batch, n_heads, n_new, d_head).
        key, value: (batch, n_kv_heads, n_new, d_head), each for n_heads / n_kv_heads query heads.
        attention_mask: (batch, 1, n_new, n_new), additive.

    Returns:
        (batch, n_new, n_heads, d_head), and no weights.
    """
    prefix_key, prefix_value = cast("tuple[Tensor, Tensor]", module.prefix_kv)
    batch, n_heads, n_new, d_head = query.shape
    n_kv, n_prefix = prefix_key.shape[:2]
    grouped = (query * scaling).view(batch, n_kv, -1, n_new, d_head)  # third: heads of a kv head
    folded = grouped.transpose(0, 1).reshape(n_kv, -1, d_head)
    on_prefix = (folded @ prefix_key.transpose(1, 2)).view(n_kv, batch, -1, n_new, n_prefix)
    on_own = torch.einsum("bkgnd,bkmd->kbgnm", grouped, key) + attention_mask[None]
    weights = torch.cat([on_prefix, on_own], dim=-1).softmax(dim=-1)
    from_prefix = weights[..., :n_prefix].reshape(n_kv, -1, n_prefix) @ prefix_value
    from_own = torch.einsum("kbgnm,bkmd->kbgnd", weights[..., n_prefix:], value)
    mixed = from_prefix.view_as(from_own) + from_own
    return mixed.permute(1, 3, 0, 2, 4).reshape(batch, n_new, n_heads, d_head), None


AttentionInterface.register(_ATTENTION, _attend)


@dataclass(frozen=True)
class _Packed:
    """Segments side by side.

    Attributes:
        ids: (batch, width) token ids, 0 where a row is shorter.
        owner: (batch, width) which segment a column belongs to, -1 for none.
        positions: (batch, width) within the segment.
        rows, ends: of each segment in order, its row and the column behind its last token.
    """

    ids: Tensor
    owner: Tensor
    positions: Tensor
    rows: list[int]
    ends: list[int]


def _pack(segments: Sequence[Sequence[Sequence[int]]]) -> _Packed:
    batch, width = len(segments), max(sum(map(len, row)) for row in segments)
    ids, positions = (torch.zeros(batch, width, dtype=torch.long) for _ in range(2))
    owner = torch.full((batch, width), -1)
    rows, ends = [], []
    for b, row in enumerate(segments):
        end = 0
        for k, tokens in enumerate(row):
            span = slice(end, end + len(tokens))
            ids[b, span] = torch.tensor(tokens)
            owner[b, span] = k
            positions[b, span] = torch.arange(len(tokens))
            end += len(tokens)
            rows.append(b)
            ends.append(end)
    return _Packed(ids, owner, positions, rows, ends)
