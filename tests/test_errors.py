"""Other libraries' messages become part of ours: one sentence on one line."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoTokenizer

from listen_edge.errors import BundleError, one_line
from listen_edge.export import llama_gguf
from listen_edge.printable import escaped
from listen_edge.train.adapter import Adapter, AdapterConfig
from listen_edge.train.backbones import load_llama
from listen_edge.train.checkpoint import ADAPTER_FILE, load_adapter, save_adapter


@given(st.text(), st.one_of(st.none(), st.integers(0, 300)))
def test_any_message_is_one_line_of_bounded_length(text: str, n_characters: int | None) -> None:
    line = one_line(ValueError(text), n_characters)
    assert line.isprintable()
    assert n_characters is None or len(line) <= n_characters
    assert escaped("".join(text.split())).startswith("".join(line.split()))
    assert one_line(text, n_characters) == line


def _refuse(*_: Any, **__: Any) -> None:
    raise OSError("no file named config.json\n\n  in this folder,\nlook elsewhere")


def test_transformers_refusal_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = r"config\.json in this folder, look elsewhere\)$"
    monkeypatch.setattr(AutoTokenizer, "from_pretrained", _refuse)
    with pytest.raises(BundleError, match=said):
        llama_gguf._tokenizer(tmp_path)
    monkeypatch.setattr(AutoConfig, "from_pretrained", _refuse)
    with pytest.raises(BundleError, match=said):
        load_llama(str(tmp_path))


def test_torch_refusal_of_an_adapter_is_one_line(tmp_path: Path) -> None:
    config = AdapterConfig(taps=(1, 2), d_encoder=32, n_embd=32, d_qformer=32, n_heads=2)
    save_adapter(tmp_path, Adapter(config))
    tensors = load_file(tmp_path / ADAPTER_FILE)
    wider = json.dumps(asdict(replace(config, n_embd=64)))
    save_file(tensors, tmp_path / ADAPTER_FILE, {"config": wider})
    with pytest.raises(BundleError, match=r"not an adapter .* size mismatch") as refused:
        load_adapter(tmp_path)
    assert len(str(refused.value).splitlines()) == 1
