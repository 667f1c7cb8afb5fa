"""The constant prefix is decoded once per device; what is kept of it is used only if intact."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from listen_edge.prompt import Prompt
from listen_edge.runtime.llama.session import LlamaSession

CONCEPTS = ["hum", "beep noise"]
AUDIO = np.random.default_rng(0).normal(0, 0.5, (4, 32)).astype(np.float32)


def _margins(gguf: Path, prompt: Prompt, state: Path | None) -> np.ndarray:
    session = LlamaSession(gguf, prompt, n_threads=1, prefix_state=state)
    try:
        return session.margins(AUDIO, CONCEPTS)
    finally:
        session.close()


@pytest.fixture()
def state(llama_gguf: Path, prompt: Prompt, tmp_path: Path) -> Path:
    path = tmp_path / "cache" / "a.prefix"
    _margins(llama_gguf, prompt, path)
    return path


def test_the_second_start_answers_the_same_without_decoding(
    llama_gguf: Path, prompt: Prompt, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = _margins(llama_gguf, prompt, None)
    monkeypatch.delattr(LlamaSession, "_decode_prefix")
    np.testing.assert_array_equal(_margins(llama_gguf, prompt, state), expected)


@pytest.mark.parametrize("damage", ["altered", "cut", "unrecorded", "of another prompt"])
def test_a_damaged_file_is_made_again(
    llama_gguf: Path, prompt: Prompt, state: Path, damage: str
) -> None:
    expected = _margins(llama_gguf, prompt, None)
    whole = state.read_bytes()
    recorded = state.with_name(f"{state.name}.sha256")
    if damage == "altered":
        state.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    elif damage == "cut":
        state.write_bytes(whole[:100])
    elif damage == "unrecorded":
        recorded.unlink()
    else:
        other = Prompt(f"hiss {prompt.prefix}", prompt.bridge, prompt.question)
        recorded.unlink()
        _margins(llama_gguf, other, state)
    np.testing.assert_array_equal(_margins(llama_gguf, prompt, state), expected)
    if damage != "of another prompt":
        assert state.read_bytes() == whole


def test_a_cache_that_cannot_be_written_costs_time_only(
    llama_gguf: Path, prompt: Prompt, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("no folder")
    with caplog.at_level(logging.WARNING):
        found = _margins(llama_gguf, prompt, tmp_path / "file" / "a.prefix")
    np.testing.assert_array_equal(found, _margins(llama_gguf, prompt, None))
    assert "the prefix cannot be kept" in caplog.text
