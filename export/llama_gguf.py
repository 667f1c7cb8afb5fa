"""A transformers LLaMA -> GGUF: weights in llama.cpp's order, vocabulary, special tokens, template.

Nothing is guessed: a checkpoint with missing tensors is refused, and the pre-tokenisation that
llama.cpp knows by name is the one that gives the source tokenizer's own tokens on a list of texts
made to trip it. llama.cpp rotates neighbouring pairs where transformers rotates halves, so the rows
of query and key are reordered.

Source: layout and key names as read by llama.cpp (gguf-py's constants).
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import gguf
import torch
from torch import Tensor
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase

from listen_edge.errors import BundleError
from listen_edge.replacing import replacing
from listen_edge.runtime.llama.gguf_file import Vocabulary
from listen_edge.train.backbones import load_llama
from listen_edge.train.foreign_weights import foreign_weights

# llama.cpp's names of how a byte-level BPE splits text before merging, likeliest first.
_PRE_TOKENIZERS = ("llama-bpe", "smollm", "gpt-2", "qwen2", "tekken", "default")
_SPACE_BEFORE = "a space before the text"  # as SentencePiece does
_ROPE_TYPES = ("default", "linear", "llama3")  # those that are one factor per frequency

TORTURE_TEXTS = (
    " Yes", " No", "Yes", "\nIs there a sound of", " dog barking?", "Sounds: a, b.\n", "a  b   c",
    "\t\n \n\n", "don't we'll I'M", "3.14159 1234567890 12,345", "x=y**2;//#!?", "ÄÖÜ ß éèê ñ ç",
    "Привет, мир", "שלום עולם", "مرحبا بالعالم", "नमस्ते दुनिया", "你好世界。", "こんにちは世界",
    "안녕하세요", "สวัสดี", "🚨🐕‍🦺👩‍👩‍👧", "e\u0301 \u00a0\u200b\u2028", "ﬁ ½ ①", "\U0001d54f",
    "CamelCaseWords and ALLCAPS123abc", " " * 17 + "end ",
)  # fmt: skip


def export_llama(source: Path, target: Path) -> None:
    """Write a LLaMA as GGUF, matrices in float16 and vectors in float32.

    Args:
        source: folder saved by transformers with its tokenizer, or a GGUF file, which is
            dequantised and keeps its vocabulary.

    Raises:
        BundleError: no LLaMA, tensors missing, a vocabulary that is not the weights', a kind of
            tokenizer or rope scaling that cannot be written, no space left; nothing half-written is
            left.
    """
    llama = load_llama(str(source))
    try:
        with replacing(target) as temporary:
            writer = gguf.GGUFWriter(temporary, "llama")
            _add_sizes(writer, llama.config)
            if source.is_file():
                _copy_vocabulary(writer, source)
            else:
                _add_vocabulary(writer, source, llama.config.vocab_size)
            for name, tensor in _tensors(llama):
                stored = tensor.to(torch.float16 if tensor.ndim > 1 else torch.float32)
                if not torch.isfinite(stored).all():
                    raise BundleError(
                        f"{source}: tensor {name} holds NaN, or values that float16 cannot hold; "
                        f"expected at most {torch.finfo(torch.float16).max:.0f}"
                    )
                writer.add_tensor(name, stored.numpy())
            _write(writer)
    except OSError as err:
        raise BundleError(f"{target}: cannot be written ({err.strerror or err})") from err


def _add_sizes(writer: gguf.GGUFWriter, config: LlamaConfig) -> None:
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(float(config.rope_parameters["rope_theta"]))
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)


def _tensors(llama: LlamaForCausalLM) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors by llama.cpp's names and in its order of rows."""
    config = llama.config
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    for name, tensor in llama.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        ours = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if ours is None:
            raise BundleError(f"tensor {name} has no place in a GGUF of a LLaMA")
        if ".attn_q." in ours:
            tensor = _interleaved(tensor, config.num_attention_heads)
        elif ".attn_k." in ours:
            tensor = _interleaved(tensor, config.num_key_value_heads)
        yield ours, tensor.contiguous()
    factors = _rope_factors(llama)
    if factors is not None:
        yield "rope_freqs.weight", factors


def _interleaved(rows: Tensor, n_heads: int) -> Tensor:
    """Reorder each head's rows from two halves to neighbouring pairs."""
    halves = rows.reshape(n_heads, 2, -1, *rows.shape[1:])
    return halves.transpose(1, 2).reshape(rows.shape)


def _rope_factors(llama: LlamaForCausalLM) -> Tensor | None:
    """Return what each rotary frequency is divided by, (head_dim // 2,), None for all ones."""
    config, rotary = llama.config, llama.model.rotary_emb
    kind = config.rope_parameters.get("rope_type", "default")
    if kind not in _ROPE_TYPES or rotary.attention_scaling != 1.0:
        raise BundleError(f"rope scaling {kind!r}, expected one of {', '.join(_ROPE_TYPES)}")
    exponents = torch.arange(0, config.head_dim, 2, dtype=torch.float32) / config.head_dim
    plain = 1.0 / float(config.rope_parameters["rope_theta"]) ** exponents
    factors = (plain / rotary.inv_freq.float()).contiguous()
    return None if torch.allclose(factors, torch.ones_like(factors), atol=1e-4) else factors


def _copy_vocabulary(writer: gguf.GGUFWriter, source: Path) -> None:
    reader = gguf.GGUFReader(source)
    for name, field in reader.fields.items():
        if not name.startswith("tokenizer."):
            continue
        kind = field.types[0]
        sub_kind = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(name, field.contents(), kind, sub_type=sub_kind)


def _add_vocabulary(writer: gguf.GGUFWriter, folder: Path, n_vocab: int) -> None:
    tokenizer = _tokenizer(folder)
    described = json.loads(tokenizer.backend_tokenizer.to_str())
    is_sentence_piece = described["model"].get("byte_fallback", False)
    tokens, kinds = _tokens(tokenizer, n_vocab, is_sentence_piece)
    special = gguf.SpecialVocab(folder, load_merges=not is_sentence_piece, n_vocab=n_vocab)
    scores = _scores(tokens, described["model"]["merges"]) if is_sentence_piece else []

    def add(writer: gguf.GGUFWriter, variant: str) -> None:
        writer.add_token_list(tokens)
        writer.add_token_types(kinds)
        writer.add_tokenizer_model("llama" if is_sentence_piece else "gpt2")
        if is_sentence_piece:
            writer.add_tokenizer_pre("default")
            writer.add_token_scores(scores)
            writer.add_add_space_prefix(variant == _SPACE_BEFORE)
        else:
            writer.add_tokenizer_pre(variant)
            writer.add_token_merges(special.merges)

    variants = (_SPACE_BEFORE, "no space before") if is_sentence_piece else _likely(described)
    add(writer, _variant_with_same_tokens(tokenizer, variants, add))
    special.merges, special.load_merges = [], False  # they are written: no warning about none
    special.add_to_gguf(writer, quiet=True)


def _likely(described: dict[str, Any]) -> list[str]:
    """Return llama.cpp's pre-tokenisations, those first that the tokenizer's description hints at.

    Several may give the same tokens where the merges never cross what they split.
    """
    text = json.dumps(described["pre_tokenizer"])
    is_likely = {"llama-bpe": "{1,3}" in text, "smollm": '"individual_digits": true' in text}
    return sorted(_PRE_TOKENIZERS, key=lambda name: not is_likely.get(name, False))


def _variant_with_same_tokens(
    tokenizer: PreTrainedTokenizerBase,
    variants: Sequence[str],
    add: Callable[[gguf.GGUFWriter, str], None],
) -> str:
    """Return the first variant of a vocabulary that gives the source tokenizer's own tokens."""
    expected = [tokenizer.encode(text, add_special_tokens=False) for text in TORTURE_TEXTS]
    with tempfile.TemporaryDirectory() as folder:
        for number, variant in enumerate(variants):
            path = Path(folder) / f"{number}.gguf"
            writer = gguf.GGUFWriter(path, "llama")
            add(writer, variant)
            _write(writer)
            with Vocabulary(path) as vocabulary:
                if [vocabulary.tokenize(text) for text in TORTURE_TEXTS] == expected:
                    return variant
    raise BundleError(
        f"llama.cpp gives other tokens than this tokenizer, however it is set up "
        f"({', '.join(variants)}); exported, the LLM would read something else"
    )


def _tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    with foreign_weights(str(folder), "a folder with a tokenizer that can be read"):
        tokenizer = AutoTokenizer.from_pretrained(folder)
        kind = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["type"]
    if kind != "BPE":
        raise BundleError(f"{folder}: a tokenizer of type {kind}, expected BPE, as LLaMA's are")
    return tokenizer


def _tokens(
    tokenizer: PreTrainedTokenizerBase, n_vocab: int, has_byte_tokens: bool
) -> tuple[list[bytes], list[gguf.TokenType]]:
    by_id = {place: text for text, place in tokenizer.get_vocab().items()}
    if max(by_id) >= n_vocab:
        raise BundleError(
            f"the tokenizer has a token {max(by_id)}, the weights only {n_vocab}; tokenizer and "
            "weights do not belong together"
        )
    added = tokenizer.added_tokens_decoder
    tokens, kinds = [], []
    for place in range(n_vocab):
        text = by_id.get(place, f"[PAD{place}]")
        if place not in by_id:
            kind = gguf.TokenType.UNUSED
        elif place in added:
            is_control = added[place].special
            kind = gguf.TokenType.CONTROL if is_control else gguf.TokenType.USER_DEFINED
        else:
            is_byte = has_byte_tokens and len(text) == 6 and text.startswith("<0x")
            kind = gguf.TokenType.BYTE if is_byte else gguf.TokenType.NORMAL
        if has_byte_tokens and text == tokenizer.unk_token:
            kind = gguf.TokenType.UNKNOWN
        tokens.append(text.encode())
        kinds.append(kind)
    return tokens, kinds


def _scores(tokens: list[bytes], merges: list[Any]) -> list[float]:
    """Return SentencePiece's scores: a merge that comes earlier wins, as its rank says."""
    rank: dict[bytes, float] = {}
    for place, merge in enumerate(merges):
        left, right = merge.split(" ") if isinstance(merge, str) else merge
        rank.setdefault((left + right).encode(), float(-1 - place))
    return [rank.get(token, float(-1 - len(merges))) for token in tokens]


def _write(writer: gguf.GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
