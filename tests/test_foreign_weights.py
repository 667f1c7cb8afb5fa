"""Models that are cut, empty or of another kind: one line each, and nothing of other packages'."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    WhisperConfig,
    WhisperModel,
)

from listen_edge.errors import BundleError
from listen_edge.export.llama_gguf import export_llama
from listen_edge.train.backbones import load_llama, load_whisper_encoder

WEIGHTS, CONFIG = "model.safetensors", "config.json"


@pytest.fixture(scope="module")
def whole_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("llama")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<|end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([" Yes No sounds of dogs and sirens"] * 9, trainer)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<|end|>", eos_token="<|end|>"
    )
    wrapped.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(wrapped), hidden_size=32, intermediate_size=64, num_hidden_layers=1,
        num_attention_heads=4, num_key_value_heads=2, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture
def llama(whole_llama: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "llama"
    folder.mkdir()
    for path in whole_llama.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def _cut(folder: Path) -> None:
    data = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(data[: len(data) // 2])


def _write(name: str, content: bytes) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / name).write_bytes(content)

    return write


def _configure(**fields: Any) -> Callable[[Path], None]:
    def configure(folder: Path) -> None:
        config = json.loads((folder / CONFIG).read_text())
        (folder / CONFIG).write_text(json.dumps(config | fields))

    return configure


def _change(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    """Rewrite the tensors as `change` leaves them."""

    def rewrite(folder: Path) -> None:
        tensors = safetensors.torch.load_file(folder / WEIGHTS)
        change(tensors)
        safetensors.torch.save_file(tensors, folder / WEIGHTS, {"format": "pt"})

    return rewrite


def _rename_all(tensors: dict[str, torch.Tensor]) -> None:
    for name in list(tensors):
        tensors[f"base_model.model.{name}"] = tensors.pop(name)


def _set(value: float) -> Callable[[dict[str, torch.Tensor]], None]:
    def assign(tensors: dict[str, torch.Tensor]) -> None:
        tensors["model.layers.0.mlp.up_proj.weight"][0, 0] = value

    return assign


def _as_bin(content: bytes) -> Callable[[Path], None]:
    def replace(folder: Path) -> None:
        (folder / WEIGHTS).unlink()
        (folder / "pytorch_model.bin").write_bytes(content)

    return replace


def _without_tokenizer(folder: Path) -> None:
    for path in folder.glob("token*"):
        path.unlink()


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_cut, rf"{WEIGHTS}: cut, or no safetensors file: \d+ bytes of \d+; copy it again"),
        (_write(WEIGHTS, b""), f"{WEIGHTS}: the file is empty"),
        (_write(WEIGHTS, b"abc"), f"{WEIGHTS}: cut, or no safetensors file: 3 bytes of"),
        (_write(WEIGHTS, b"\x04" + bytes(7) + b"abcd"), f"{WEIGHTS}: no safetensors file"),
        (_as_bin(b""), "pytorch_model.bin: the file is empty"),
        (_as_bin(b"text"), "not a LLaMA that transformers can read"),
        (_configure(quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": True}),
         "weights quantised by bitsandbytes, expected float weights"),
        (_configure(quantization_config={"quant_method": "gptq", "bits": 4}), "quantised by gptq"),
        (_configure(num_attention_heads=8), "mismatched tensors: model.layers.0.self_attn"),
        (_configure(num_hidden_layers=2), "missing tensors: model.layers.1"),
        (_configure(model_type="mistral"), "a model of type mistral, expected a LLaMA"),
        (_configure(model_type="nosuch"), "not a LLaMA that transformers can read"),
        (_write(CONFIG, b"{"), "not a LLaMA that transformers can read .*not a valid JSON"),
        (_change(lambda t: t.pop("model.norm.weight")), "missing tensors: model.norm.weight$"),
        (_change(_rename_all), "missing tensors: .*; it holds base_model.model."),
        (_change(_set(1e5)), "up.weight holds NaN, or values that float16 cannot hold"),
        (_change(_set(float("nan"))), "up.weight holds NaN, or values that float16 cannot"),
        (_without_tokenizer, "not a folder with a tokenizer that can be read"),
    ],
    ids=[
        "cut", "empty", "short", "no-header", "empty-bin", "text-bin", "bitsandbytes", "gptq",
        "heads", "layers", "mistral", "unknown-type", "config", "missing", "foreign-prefix",
        "beyond-float16", "nan", "no-tokenizer",
    ],
)  # fmt: skip
def test_a_broken_llama_is_one_line(
    llama: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    spoil: Callable[[Path], None],
    says: str,
) -> None:
    spoil(llama)
    with pytest.raises(BundleError) as raised:
        export_llama(llama, tmp_path / "a.gguf")
    message = str(raised.value)
    assert re.search(says, message) and message.startswith(str(llama)), message
    assert len(message.splitlines()) == 1
    assert capfd.readouterr() == ("", "") and not (tmp_path / "a.gguf").exists()


def test_a_whole_llama_is_exported_without_a_word(
    llama: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    export_llama(llama, tmp_path / "a.gguf")
    load_llama(str(tmp_path / "a.gguf"))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.pt", b"", "a.pt: the file is empty"),
        ("a.pt", b"text\n", "a.pt: no checkpoint of torch, or cut"),
        ("a.pt", None, "a.pt: no checkpoint of torch, or cut"),
        ("a.bin", b"", "a.bin: the file is empty"),
        ("a.bin", b"text\n", "a.bin: "),
    ],
    ids=["empty", "text", "cut", "empty-ctranslate2", "text-ctranslate2"],
)
def test_a_broken_whisper_file_is_one_line(
    tmp_path: Path, whisper_checkpoint: Path, name: str, content: bytes | None, says: str
) -> None:
    path = tmp_path / name
    path.write_bytes(whisper_checkpoint.read_bytes()[:5000] if content is None else content)
    with pytest.raises(BundleError, match=says) as raised:
        load_whisper_encoder(str(path))
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize(
    "content", [{"encoder.weight": torch.zeros(2)}, [1, 2]], ids=["state", "list"]
)
def test_a_checkpoint_of_another_kind_is_told(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(BundleError, match=r"a\.pt: a checkpoint of another kind, expected openai"):
        load_whisper_encoder(str(tmp_path / "a.pt"))


def test_a_whisper_folder_without_its_decoder_loads_without_a_word(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config = WhisperConfig(
        d_model=32, encoder_layers=2, encoder_attention_heads=2, encoder_ffn_dim=128,
        decoder_layers=1, decoder_attention_heads=2, decoder_ffn_dim=64, vocab_size=64,
        pad_token_id=0, bos_token_id=0, eos_token_id=0, decoder_start_token_id=0,
    )  # fmt: skip
    WhisperModel(config).save_pretrained(tmp_path)
    capfd.readouterr()
    _change(lambda t: [t.pop(n) for n in list(t) if "decoder" in n])(tmp_path)
    load_whisper_encoder(str(tmp_path))
    assert capfd.readouterr() == ("", "")
    _cut(tmp_path)
    with pytest.raises(BundleError, match=f"{WEIGHTS}: cut, or no safetensors"):
        load_whisper_encoder(str(tmp_path))
