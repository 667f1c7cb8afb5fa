"""Training throughput: packed questions behind a cached prefix against the plain loop, in one run.

The plain loop puts one question in a sequence and computes the constant prefix again each time.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional
from transformers import LlamaForCausalLM

from listen_edge.prompt import DEFAULT_PROMPT, Prompt
from listen_edge.runtime.llama.gguf_file import Vocabulary
from listen_edge.train.backbones import load_llama
from listen_edge.train.packing import AudioLlama

_N_QUERY = 12
_SCENES = 12
_CONCEPTS = ("dog barking", "siren", "rain", "cat", "animal", "glass breaking", "bell", "cough")


def measure_training(llm: str, n_threads: int, repeats: int) -> dict[str, float]:
    """Return questions and tokens per second of both ways, medians, and the machine's matrix rate.

    Args:
        llm: GGUF file that is trained through.
        repeats: steps of each way; a step is forward and backward through the frozen LLM.
    """
    torch.set_num_threads(n_threads)
    torch.manual_seed(0)
    llama = load_llama(llm)
    with Vocabulary(Path(llm)) as vocabulary:
        plain = _plain_step(llama, vocabulary, DEFAULT_PROMPT)
        plain_s = _median_seconds(plain, repeats)
        packed = AudioLlama(llama, vocabulary.tokenize, DEFAULT_PROMPT)  # changes the attention
        scenes = torch.randn(_SCENES, _N_QUERY, llama.config.hidden_size, requires_grad=True)
        asked = [_CONCEPTS] * _SCENES
        packed_s = _median_seconds(
            lambda: torch.autograd.backward(packed.margins(scenes, asked).sum()), repeats
        )
        n_tokens = packed.n_tokens / (repeats + 1)
    matrix_rate = _matrix_rate(llama, round(n_tokens), repeats)
    # Weights are frozen: forward and the gradient of the inputs, 2 operations a weight each.
    operations = 4 * n_tokens * _n_matrix_weights(llama)
    plain_rate = len(_CONCEPTS) / plain_s
    packed_rate = _SCENES * len(_CONCEPTS) / packed_s
    return {
        "packed_questions_per_s": packed_rate,
        "plain_questions_per_s": plain_rate,
        "packed_over_plain": packed_rate / plain_rate,
        "packed_tokens_per_s": n_tokens / packed_s,
        "matrix_gflop_per_s": matrix_rate / 1e9,
        "share_of_matrix_rate": operations / packed_s / matrix_rate,
    }


def _plain_step(
    llama: LlamaForCausalLM, vocabulary: Vocabulary, prompt: Prompt
) -> Callable[[], object]:
    embed = llama.get_input_embeddings()
    audio = torch.randn(1, _N_QUERY, llama.config.hidden_size, requires_grad=True)
    yes, no = (vocabulary.tokenize(text[0])[0] for text in (prompt.yes, prompt.no))
    asked = [vocabulary.tokenize(prompt.bridge + prompt.ask(concept)) for concept in _CONCEPTS]
    prefix = vocabulary.tokenize(prompt.prefix)

    def question(tokens: list[int]) -> Tensor:
        before, after = (embed(torch.tensor([ids])) for ids in (prefix, tokens))
        logits = llama(inputs_embeds=torch.cat([before, audio, after], dim=1)).logits[0, -1]
        return torch.as_tensor(logits[yes] - logits[no])

    def step() -> None:
        for tokens in asked:
            torch.autograd.backward(question(tokens))

    return step


def _matrix_rate(llama: LlamaForCausalLM, n_tokens: int, repeats: int) -> float:
    """Return operations per second of the LLM's own matrix products on that many rows."""
    weights = [p for p in llama.model.layers[0].parameters() if p.ndim == 2]
    inputs = [torch.randn(n_tokens, weight.shape[1]) for weight in weights]

    def products() -> None:
        for rows, weight in zip(inputs, weights, strict=True):
            functional.linear(rows, weight)

    operations = 2.0 * n_tokens * sum(weight.numel() for weight in weights)
    with torch.inference_mode():
        return float(operations / _median_seconds(products, 10 * repeats))


def _n_matrix_weights(llama: LlamaForCausalLM) -> int:
    return sum(p.numel() for p in llama.model.layers.parameters() if p.ndim == 2)


def _median_seconds(step: Callable[[], object], repeats: int) -> float:
    step()
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)
