"""A LLaMA written as GGUF answers as its source does, whatever its kind."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from listen_edge.bundle.opening import open_bundle
from listen_edge.errors import BundleError
from listen_edge.export.importance import measure_importance
from listen_edge.export.llama_gguf import TORTURE_TEXTS, export_llama
from listen_edge.export.llm import export_llm
from listen_edge.prompt import DEFAULT_PROMPT, Prompt
from listen_edge.runtime.llama.gguf_file import TokenEmbeddings, Vocabulary, cut_vocabulary
from listen_edge.runtime.llama.requantize import quantize_gguf
from listen_edge.runtime.llama.session import LlamaSession
from listen_edge.train import backbones
from listen_edge.train.backbones import load_llama
from listen_edge.train.packing import AudioLlama

CORPUS = [
    *TORTURE_TEXTS,
    "Is there a sound of rain? Yes No",
    "hum hiss beep " * 9,
    "a Yes, a No, " * 20,
] * 3
LLAMA3_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def _split_as(splitting: str, tokenizer: Tokenizer) -> Tokenizer:
    """Give a byte-level BPE the splitting that llama.cpp knows by this name."""
    splits = {
        "llama-bpe": [pre_tokenizers.Split(Regex(LLAMA3_SPLIT), "isolated")],
        "smollm": [pre_tokenizers.Digits(individual_digits=True)],
        "gpt-2": [],
    }[splitting]
    is_plain = splitting != "llama-bpe"
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [*splits, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=is_plain)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _byte_level(splitting: str) -> Tokenizer:
    tokenizer = _split_as(splitting, Tokenizer(models.BPE()))
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=["<|end|>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def _sentence_piece(*, space_before: bool) -> Tokenizer:
    """A BPE with byte fallback on text whose spaces are ▁; Llama 2's puts one before the text."""
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    before = [normalizers.Prepend("▁")] if space_before else []
    tokenizer.normalizer = normalizers.Sequence([*before, normalizers.Replace(" ", "▁")])
    trainer = trainers.BpeTrainer(vocab_size=700, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback()])
    return tokenizer


def _save(folder: Path, tokenizer: Tokenizer, **sizes: Any) -> Path:
    """Write a random LLaMA and its tokenizer as transformers does."""
    torch.manual_seed(0)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>" if tokenizer.token_to_id("<s>") is not None else "<|end|>",
        eos_token="</s>" if tokenizer.token_to_id("</s>") is not None else "<|end|>",
        unk_token="<unk>" if tokenizer.token_to_id("<unk>") is not None else None,
        chat_template="{{ messages[0].content }}",
    )
    wrapped.save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=len(wrapped), hidden_size=64, intermediate_size=96, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, initializer_range=0.3,
        max_position_embeddings=2048, bos_token_id=0, eos_token_id=0, **sizes,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def _margins(llama: LlamaForCausalLM, path: Path, prompt: Prompt) -> tuple[Any, Any]:
    """Return the margins of torch and of llama.cpp for the same audio embeddings."""
    concepts = ["rain", "hum hiss", "dog barking"]
    embeddings = torch.randn(4, llama.config.hidden_size) * 0.3
    with Vocabulary(path) as vocabulary, torch.inference_mode():
        packed = AudioLlama(llama, vocabulary.tokenize, prompt)
        expected = packed.margins(embeddings[None], [concepts]).numpy()
    session = LlamaSession(path, prompt, n_threads=1)
    try:
        return expected, session.margins(embeddings.numpy(), concepts)
    finally:
        session.close()


@pytest.fixture(scope="module")
def prompt() -> Prompt:
    return Prompt("Sounds: hum.\nIs there a sound of hum? Yes\nSounds:", "\nIs there a sound of")


@pytest.mark.parametrize("splitting", ["llama-bpe", "smollm", "gpt-2"])
def test_byte_level_tokens_are_the_source_tokenizers(splitting: str, tmp_path: Path) -> None:
    tokenizer = _byte_level(splitting)
    export_llama(_save(tmp_path / "hf", tokenizer), tmp_path / "a.gguf")
    with Vocabulary(tmp_path / "a.gguf") as vocabulary:
        for text in TORTURE_TEXTS:
            assert vocabulary.tokenize(text) == tokenizer.encode(text).ids, text
    fields = gguf.GGUFReader(tmp_path / "a.gguf").fields
    assert fields["tokenizer.ggml.pre"].contents() == splitting
    assert fields["tokenizer.chat_template"].contents() == "{{ messages[0].content }}"


@pytest.mark.parametrize(
    "sizes",
    [
        {"tie_word_embeddings": True},
        {"tie_word_embeddings": False},
        {"head_dim": 32},
        {"rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 10_000.0}},
        {"rope_parameters": {
            "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64, "rope_theta": 500_000.0,
        }},
    ],
    ids=["tied", "untied", "wide heads", "linear rope", "llama3 rope"],
)  # fmt: skip
def test_answers_are_the_source_models(
    sizes: dict[str, Any], tmp_path: Path, prompt: Prompt
) -> None:
    folder = _save(tmp_path / "hf", _byte_level("gpt-2"), **sizes)
    export_llama(folder, tmp_path / "a.gguf")
    expected, found = _margins(load_llama(str(folder)), tmp_path / "a.gguf", prompt)
    np.testing.assert_allclose(found, expected, atol=0.05)
    assert np.abs(expected).max() > 0.3
    expected, found = _margins(load_llama(str(tmp_path / "a.gguf")), tmp_path / "a.gguf", prompt)
    np.testing.assert_allclose(found, expected, atol=0.05)


@pytest.mark.parametrize("type_", ["f32", "f16", "q8_0", "q4_0", "q4_k_m"])
def test_token_embeddings_are_dequantised_rows(type_: str, tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    export_llama(_save(tmp_path / "hf", _byte_level("gpt-2")), path)
    if type_ != "f32":
        quantize_gguf(path, path := tmp_path / "b.gguf", type_, 1)
    [tensor] = [t for t in gguf.GGUFReader(path).tensors if t.name == "token_embd.weight"]
    rows = gguf.dequantize(tensor.data, tensor.tensor_type)[[5, 0, 7]]
    np.testing.assert_allclose(TokenEmbeddings(path)([5, 0, 7]), rows, rtol=1e-6)


def test_a_file_without_token_embeddings_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.gguf").write_bytes(b"not a GGUF")
    with pytest.raises(BundleError, match="no token embeddings"):
        TokenEmbeddings(tmp_path / "a.gguf")


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("type_", ["f16", "q8_0"])
def test_a_vocabulary_cut_to_the_answers_answers_the_same(
    tied: bool, type_: str, tmp_path: Path, prompt: Prompt
) -> None:
    whole, cut, source = tmp_path / "whole.gguf", tmp_path / "cut.gguf", tmp_path / "a.gguf"
    export_llama(_save(tmp_path / "hf", _byte_level("gpt-2"), tie_word_embeddings=tied), source)
    quantize_gguf(source, whole, type_, 1)
    with Vocabulary(source) as vocabulary:
        cut_vocabulary(whole, cut, [vocabulary.single_token(text) for text in (" Yes", " No")])
    audio, margins = np.random.default_rng(0).normal(0, 0.3, (4, 64)).astype(np.float32), []
    for answering in (None, cut):
        session = LlamaSession(whole, prompt, n_threads=1, answering=answering)
        margins.append(session.margins(audio, ["rain", "hum hiss", "dog barking"]))
        session.close()
    np.testing.assert_array_equal(*margins)
    assert cut.stat().st_size < whole.stat().st_size


def test_only_a_llama_is_cut(tmp_path: Path) -> None:
    (tmp_path / "a.gguf").write_bytes(b"GGUF, or not")
    with pytest.raises(BundleError, match="no complete GGUF"):
        cut_vocabulary(tmp_path / "a.gguf", tmp_path / "b.gguf", [1, 2])
    assert not (tmp_path / "b.gguf").exists()


@pytest.mark.parametrize("space_before", [True, False])
def test_sentence_piece_vocabularies(space_before: bool, tmp_path: Path) -> None:
    tokenizer = _sentence_piece(space_before=space_before)
    export_llama(_save(tmp_path / "hf", tokenizer), tmp_path / "a.gguf")
    with Vocabulary(tmp_path / "a.gguf") as vocabulary:
        for text in TORTURE_TEXTS:
            assert vocabulary.tokenize(text) == tokenizer.encode(text).ids, text


def test_a_gguf_goes_to_transformers_and_back(
    llama_gguf: Path, tmp_path: Path, prompt: Prompt
) -> None:
    export_llama(llama_gguf, tmp_path / "back.gguf")
    with Vocabulary(llama_gguf) as before, Vocabulary(tmp_path / "back.gguf") as after:
        assert before.sha256() == after.sha256()
        assert [before.tokenize(t) for t in TORTURE_TEXTS] == [
            after.tokenize(t) for t in TORTURE_TEXTS
        ]
    expected, found = _margins(load_llama(str(llama_gguf)), tmp_path / "back.gguf", prompt)
    np.testing.assert_allclose(found, expected, atol=0.05)


@pytest.fixture()
def gguf_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read a GGUF once, as transformers does it thrice, with 398 equal tables of names."""
    monkeypatch.setattr(gguf, "get_tensor_name_map", cache(gguf.get_tensor_name_map))
    reader = cache(gguf.GGUFReader)
    monkeypatch.setattr(gguf, "GGUFReader", lambda path, *_: reader(str(path)))
    monkeypatch.setattr(backbones, "GGUFReader", gguf.GGUFReader)


def test_the_embedded_llm_goes_to_transformers_and_back(tmp_path: Path, gguf_once: None) -> None:
    """Real weights and the real vocabulary: GGUF -> transformers -> GGUF, both in float16."""
    source = open_bundle("tiny").gguf_path
    loaded = load_llama(str(source))
    sizes = {k: v for k, v in loaded.config.to_dict().items() if k != "quantization_config"}
    plain = LlamaForCausalLM(LlamaConfig(**sizes))
    plain.load_state_dict(loaded.state_dict())
    plain.half().save_pretrained(tmp_path / "hf")
    fields = gguf.GGUFReader(source).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"].contents()]
    vocabulary = {token: k for k, token in enumerate(tokens)}
    tokenizer = _split_as("smollm", Tokenizer(models.BPE(vocabulary, merges)))
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<|im_start|>", eos_token="<|im_end|>"
    ).save_pretrained(tmp_path / "hf")
    export_llama(tmp_path / "hf", tmp_path / "back.gguf")
    quantize_gguf(source, tmp_path / "f16.gguf", "f16", 2)
    embeddings = np.random.default_rng(0).normal(0, 0.1, (12, 576)).astype(np.float32)
    margins, hashes, tokenised = [], [], []
    for path in (tmp_path / "f16.gguf", tmp_path / "back.gguf"):
        session = LlamaSession(path, DEFAULT_PROMPT, n_threads=2)
        margins.append(session.margins(embeddings, ["siren", "dog barking", "rain", "violin"]))
        session.close()
        with Vocabulary(path) as vocabulary_of_file:
            hashes.append(vocabulary_of_file.sha256())
            tokenised.append([vocabulary_of_file.tokenize(text) for text in TORTURE_TEXTS])
    np.testing.assert_array_equal(margins[0], margins[1])
    assert hashes[0] == hashes[1] and tokenised[0] == tokenised[1]
    assert tokenised[0] == [tokenizer.encode(text).ids for text in TORTURE_TEXTS]


def test_what_cannot_be_exported_is_one_clear_error_and_nothing_is_left(tmp_path: Path) -> None:
    folder = _save(tmp_path / "hf", _byte_level("gpt-2"))
    target = tmp_path / "out" / "a.gguf"
    target.parent.mkdir()

    GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=1, n_head=2, vocab_size=64)).save_pretrained(
        tmp_path / "gpt2"
    )
    with pytest.raises(BundleError, match="a model of type gpt2, expected a LLaMA"):
        export_llama(tmp_path / "gpt2", target)

    import safetensors.torch as st

    weights = st.load_file(folder / "model.safetensors")
    gone = weights.pop("model.layers.1.mlp.up_proj.weight")
    st.save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(BundleError, match=r"missing tensors: model.layers.1.mlp.up_proj.weight"):
        export_llama(folder, target)
    weights["model.layers.1.mlp.renamed.weight"] = gone
    st.save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(BundleError, match="missing tensors"):
        export_llama(folder, target)

    yarn = {"rope_type": "yarn", "factor": 4.0, "rope_theta": 10_000.0}
    folder = _save(tmp_path / "yarn", _byte_level("gpt-2"), rope_parameters=yarn)
    with pytest.raises(BundleError, match="rope scaling 'yarn'"):
        export_llama(folder, target)
    assert [*target.parent.iterdir()] == []


def test_an_importance_matrix_helps_the_quantiser(tmp_path: Path, prompt: Prompt) -> None:
    folder = _save(tmp_path / "hf", _byte_level("gpt-2"), head_dim=64, tie_word_embeddings=True)
    export_llama(folder, tmp_path / "f16.gguf")
    llama = load_llama(str(folder))
    scale = torch.ones(64)
    scale[:4] = 30.0  # a few inputs matter much more than the others
    prompts = [torch.randn(50, 64) * scale for _ in range(4)]
    importance = measure_importance(llama, prompts)
    assert len(importance) == 2 * 7 and importance["blk.0.ffn_down.weight"].shape == (96,)
    plain, weighed = tmp_path / "plain.gguf", tmp_path / "weighed.gguf"
    quantize_gguf(tmp_path / "f16.gguf", plain, "q4_0", 1)
    quantize_gguf(tmp_path / "f16.gguf", weighed, "q4_0", 1, importance)
    assert plain.read_bytes() != weighed.read_bytes()


def test_the_llm_is_written_in_any_of_llama_cpps_types(tmp_path: Path) -> None:
    folder = _save(tmp_path / "hf", _byte_level("gpt-2"), head_dim=64)
    sizes = {}
    for name in ("f16", "q8_0", "q4_0"):
        export_llm(folder, tmp_path / name, name, importance=name == "q4_0", n_threads=1)
        sizes[name] = (tmp_path / name).stat().st_size
    assert sizes["f16"] > sizes["q8_0"] > sizes["q4_0"]
    with pytest.raises(BundleError, match="unknown GGUF type 'q9'"):
        export_llm(folder, tmp_path / "a", "q9", importance=False, n_threads=1)
    with pytest.raises(BundleError, match="no such folder or GGUF file"):
        export_llm(tmp_path / "none", tmp_path / "a", "q8_0", importance=False, n_threads=1)
    cut = tmp_path / "cut.gguf"
    cut.write_bytes((tmp_path / "f16").read_bytes()[:100_000])
    with pytest.raises(BundleError, match=r"cut.gguf"):
        export_llm(cut, tmp_path / "a", "q8_0", importance=False, n_threads=1)
    assert not (tmp_path / "a").exists()
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []
