"""Which inputs of each matrix matter: an importance matrix for llama.cpp's quantiser.

The mean square of every input of every matrix over real prompts; export/llm.py takes those the
device will decode, with sounds named in words.

Source: llama.cpp's quantiser weighs the error of a weight by it (`llama_model_imatrix_data`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import LlamaForCausalLM

_NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}

Importance = Mapping[str, NDArray[np.float32]]
"""Name of a matrix in the GGUF -> mean square of its inputs, (n_inputs,)."""


def measure_importance(llama: LlamaForCausalLM, prompts: Sequence[Tensor]) -> Importance:
    """Return the importance of every matrix' inputs.

    Args:
        prompts: embeddings of whole prompts, each (n_tokens, n_embd).
    """
    sums: dict[str, Tensor] = {}
    n_rows = 0
    hooks = []

    def add_hook(name: str, module: nn.Module) -> None:
        def hook(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            squares = inputs[0].detach().float().square().flatten(0, -2).sum(dim=0)
            sums[name] = sums.get(name, torch.zeros_like(squares)) + squares

        hooks.append(module.register_forward_pre_hook(hook))

    for k, layer in enumerate(llama.model.layers):
        for theirs, ours in _NAMES.items():
            add_hook(f"blk.{k}.{ours}.weight", layer.get_submodule(theirs))
    try:
        with torch.inference_mode():
            for prompt in prompts:
                llama.model(inputs_embeds=prompt[None])
                n_rows += len(prompt)
    finally:
        for hook in hooks:
            hook.remove()
    return {name: (total / n_rows).numpy() for name, total in sums.items()}
