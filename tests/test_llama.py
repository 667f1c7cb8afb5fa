"""The LLM's session: what fits into one decode, and what does not."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from listen_edge.errors import BundleError
from listen_edge.prompt import Prompt
from listen_edge.runtime.llama.session import LlamaSession

AUDIO = np.random.default_rng(0).normal(0, 0.5, (4, 32)).astype(np.float32)


def test_questions_that_need_several_batches_are_answered_as_alone(
    llama_gguf: Path, prompt: Prompt
) -> None:
    concepts = [f"{name} {'and hiss ' * k}" for k in range(24) for name in ("hum", "beep")]
    session = LlamaSession(llama_gguf, prompt, n_threads=1)
    try:
        together = session.margins(AUDIO, concepts)
        alone = np.concatenate([session.margins(AUDIO, [concept]) for concept in concepts])
    finally:
        session.close()
    np.testing.assert_allclose(together, alone, atol=1e-3)
    assert np.ptp(alone) > 0.01


def test_a_prefix_beyond_reason_is_refused(llama_gguf: Path, prompt: Prompt) -> None:
    with pytest.raises(BundleError, match="expected at most 1024"):
        LlamaSession(llama_gguf, replace(prompt, prefix="hum " * 2000), n_threads=1)


def test_a_question_beyond_reason_is_refused(llama_gguf: Path, prompt: Prompt) -> None:
    session = LlamaSession(llama_gguf, prompt, n_threads=1)
    try:
        with pytest.raises(BundleError, match="needs more than 256 tokens"):
            session.margins(AUDIO, ["hum " * 300])
        assert session.margins(AUDIO, ["hum"]).shape == (1,)
    finally:
        session.close()


def test_llama_cpp_is_set_up_whatever_is_imported_first() -> None:
    """Its threads read how long they turn in a loop when the library is loaded, and never again."""
    code = """
import os, sys

class Watch:
    def find_spec(name, path=None, target=None):
        if name == "llama_cpp":
            print(os.environ.get("GOMP_SPINCOUNT"))

sys.meta_path.insert(0, Watch)
import listen_edge.runtime.llama.prefix
"""
    variables = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=variables
    )
    assert done.stdout == "1000\n"
