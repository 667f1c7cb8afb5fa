"""The LLM as the device runs it: from transformers or GGUF, in one of llama.cpp's types."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from torch import Tensor
from transformers import LlamaForCausalLM

from listen_edge.concepts import ESC50
from listen_edge.errors import BundleError
from listen_edge.export.importance import Importance, measure_importance
from listen_edge.export.llama_gguf import export_llama
from listen_edge.prompt import DEFAULT_PROMPT, Prompt, describe
from listen_edge.runtime.llama.gguf_file import Vocabulary
from listen_edge.runtime.llama.requantize import quantize_gguf
from listen_edge.train.backbones import load_llama

_N_PROMPTS = 12


def export_llm(
    source: Path, target: Path, quantization: str, *, importance: bool, n_threads: int
) -> None:
    """Write a LLaMA as GGUF of one type.

    Args:
        source: folder saved by transformers, or a GGUF file.
        quantization: llama.cpp's name, "f16", "q8_0", "q4_k_m", ...
        importance: weigh the quantiser's errors by what the product's own prompts use.

    Raises:
        BundleError: as for export_llama and quantize_gguf; nothing half-written is left.
    """
    if not source.exists():
        raise BundleError(f"{source}: no such folder or GGUF file")
    torch.set_num_threads(n_threads)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        gguf = source
        if source.is_dir():
            gguf = Path(folder) / "f16.gguf"
            export_llama(source, gguf)
        weights = _importance(source, gguf) if importance else None
        quantize_gguf(gguf, target, quantization, n_threads, weights)


def _importance(source: Path, gguf: Path) -> Importance:
    llama = load_llama(str(source))
    with Vocabulary(gguf) as vocabulary:
        return measure_importance(llama, _prompts(llama, vocabulary, DEFAULT_PROMPT))


def _prompts(llama: LlamaForCausalLM, vocabulary: Vocabulary, prompt: Prompt) -> list[Tensor]:
    """Return embeddings of what the device decodes, sounds named in words."""
    names = sorted(ESC50)[:: len(ESC50) // _N_PROMPTS]
    embed = llama.get_input_embeddings()
    prompts = []
    for name, other in zip(names, names[1:] + names[:1], strict=True):
        heard = prompt.prefix + describe([name]) + prompt.bridge
        text = "".join(heard + prompt.ask(concept) for concept in (name, other))
        with torch.inference_mode():
            prompts.append(embed(torch.tensor(vocabulary.tokenize(text))))
    return prompts
