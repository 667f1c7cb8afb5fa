"""Whichever road the weights come by, the encoder is the same; nothing of it is ever trained."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from transformers import (
    GPT2Config,
    PreTrainedModel,
    WhisperConfig,
    WhisperForConditionalGeneration,
    WhisperModel,
)

from benchmarks.optimum_compare import write_transformers
from listen_edge.errors import BundleError
from listen_edge.prompt import Prompt
from listen_edge.runtime.llama.gguf_file import Vocabulary
from listen_edge.runtime.llama.session import LlamaSession
from listen_edge.train.adapter import Adapter, AdapterConfig
from listen_edge.train.backbones import LogMel, WhisperTaps, load_llama, load_whisper_encoder
from listen_edge.train.packing import AudioLlama


def _save_transformers_whisper(
    folder: Path, kind: type[PreTrainedModel] = WhisperModel, max_shard_size: str = "1GB"
) -> PreTrainedModel:
    torch.manual_seed(1)
    config = WhisperConfig(
        d_model=32, encoder_layers=3, encoder_attention_heads=2, encoder_ffn_dim=128,
        decoder_layers=1, decoder_attention_heads=2, decoder_ffn_dim=64, vocab_size=64,
        pad_token_id=0, bos_token_id=0, eos_token_id=0, decoder_start_token_id=0,
    )  # fmt: skip
    model = kind(config).eval()
    model.save_pretrained(folder, max_shard_size=max_shard_size)
    return model


def _write_ctranslate2(path: Path, source: Path) -> None:
    """Write the encoder of an openai-whisper checkpoint as a CTranslate2 file."""
    encoder = load_whisper_encoder(str(source))
    tensors: dict[str, np.ndarray] = {
        "conv1/weight": encoder.conv1.weight, "conv1/bias": encoder.conv1.bias,
        "conv2/weight": encoder.conv2.weight, "conv2/bias": encoder.conv2.bias,
        "layer_norm/gamma": encoder.ln_post.weight, "layer_norm/beta": encoder.ln_post.bias,
        "position_encodings/encodings": encoder.positional_embedding,
    }  # fmt: skip
    for k, block in enumerate(encoder.blocks):
        attention, layer = block.attn, f"layer_{k}"
        no_bias = torch.zeros_like(attention.query.bias)
        stacked = [attention.query, attention.key, attention.value]
        tensors |= {
            f"{layer}/self_attention/layer_norm/gamma": block.attn_ln.weight,
            f"{layer}/self_attention/layer_norm/beta": block.attn_ln.bias,
            f"{layer}/self_attention/linear_0/weight": torch.cat([m.weight for m in stacked]),
            f"{layer}/self_attention/linear_0/bias": torch.cat(
                [no_bias if m.bias is None else m.bias for m in stacked]
            ),
            f"{layer}/self_attention/linear_1/weight": attention.out.weight,
            f"{layer}/self_attention/linear_1/bias": attention.out.bias,
            f"{layer}/ffn/layer_norm/gamma": block.mlp_ln.weight,
            f"{layer}/ffn/layer_norm/beta": block.mlp_ln.bias,
            f"{layer}/ffn/linear_0/weight": block.mlp[0].weight,
            f"{layer}/ffn/linear_0/bias": block.mlp[0].bias,
            f"{layer}/ffn/linear_1/weight": block.mlp[2].weight,
            f"{layer}/ffn/linear_1/bias": block.mlp[2].bias,
        }

    def text(string: str) -> bytes:
        return struct.pack("<H", len(string) + 1) + string.encode() + b"\0"

    out = struct.pack("<I", 6) + text("WhisperSpec") + struct.pack("<II", 3, len(tensors) + 1)
    out += text("encoder/num_heads") + struct.pack("<BBI", 0, 2, 2) + struct.pack("<h", 2)
    for name, tensor in tensors.items():
        array = np.asarray(tensor.detach().numpy(), np.float32)
        out += text(f"encoder/{name}") + struct.pack("<B", array.ndim)
        out += struct.pack(f"<{array.ndim}I", *array.shape)
        out += struct.pack("<BI", 0, array.nbytes) + array.tobytes()
    path.write_bytes(out)


@pytest.mark.parametrize("max_shard_size", ["1GB", "50KB"], ids=["one file", "shards"])
@pytest.mark.parametrize(
    "kind", [WhisperModel, WhisperForConditionalGeneration], ids=["bare", "as on the hub"]
)
def test_taps_are_transformers_hidden_states_counted_from_one(
    tmp_path: Path, kind: type[PreTrainedModel], max_shard_size: str
) -> None:
    whisper = _save_transformers_whisper(tmp_path, kind, max_shard_size)
    assert (tmp_path / "model.safetensors.index.json").exists() == (max_shard_size == "50KB")
    encoder = load_whisper_encoder(str(tmp_path))
    samples = torch.randn(1, 480_000) * 0.1
    with torch.inference_mode():
        ours = WhisperTaps(encoder, [1, 2, 3])(samples)
        theirs = whisper.get_encoder()(LogMel(80)(samples), output_hidden_states=True)
        assert len(theirs.hidden_states) == 4  # the first is the embedding output
        for tap in (1, 2):
            assert torch.allclose(ours[:, tap - 1], theirs.hidden_states[tap], atol=1e-4)
        # and the last, unlike the last tap, is behind the final norm
        assert torch.allclose(encoder.ln_post(ours[:, 2]), theirs.hidden_states[3], atol=1e-4)


def test_the_folder_that_optimum_is_given_holds_the_same_encoder(
    tmp_path: Path, whisper_checkpoint: Path
) -> None:
    encoder = load_whisper_encoder(str(whisper_checkpoint))
    write_transformers(encoder, tmp_path)
    state = load_whisper_encoder(str(tmp_path)).state_dict()
    assert state.keys() == encoder.state_dict().keys()
    assert all(torch.equal(state[name], tensor) for name, tensor in encoder.state_dict().items())


def test_a_short_window_is_not_padded(whisper_checkpoint: Path) -> None:
    taps = WhisperTaps(load_whisper_encoder(str(whisper_checkpoint)), [2])
    assert taps(torch.zeros(1, 80_000)).shape == (1, 1, 250, 32)


def test_frames_are_averaged_at_the_first_tap_and_no_later(whisper_checkpoint: Path) -> None:
    encoder = load_whisper_encoder(str(whisper_checkpoint))
    samples = torch.randn(1, 80_000) * 0.1
    with torch.inference_mode():
        whole = WhisperTaps(encoder, [1])(samples)[:, 0]
        averaged = whole[:, :248].reshape(1, 62, 4, 32).mean(dim=2)
        pooled = WhisperTaps(encoder, [1, 2], frame_pool=4)(samples)
    assert torch.allclose(pooled[:, 0], averaged, atol=1e-6)
    assert torch.allclose(pooled[:, 1], encoder.blocks[1](averaged), atol=1e-5)


def test_ctranslate2_in_two_parts_equals_its_source(
    tmp_path: Path, whisper_checkpoint: Path
) -> None:
    whole = tmp_path / "model.bin"
    _write_ctranslate2(whole, whisper_checkpoint)
    data = whole.read_bytes()
    (tmp_path / "model.bin.part1").write_bytes(data[:1000])
    (tmp_path / "model.bin.part2").write_bytes(data[1000:])
    source = load_whisper_encoder(str(whisper_checkpoint)).state_dict()
    for path in (whole, tmp_path / "model.bin.part1"):
        state = load_whisper_encoder(str(path)).state_dict()
        assert state.keys() == source.keys()
        assert all(torch.equal(state[name], source[name]) for name in source)


@pytest.mark.parametrize("taps", [[], [0], [3], [2, 1], [1, 1]], ids=str)
def test_impossible_taps_are_refused(whisper_checkpoint: Path, taps: list[int]) -> None:
    with pytest.raises(BundleError, match=r"ascending block numbers 1\.\.2"):
        WhisperTaps(load_whisper_encoder(str(whisper_checkpoint)), taps)


def test_foreign_weights_are_one_clear_error(tmp_path: Path) -> None:
    junk = tmp_path / "model.bin"
    junk.write_bytes(struct.pack("<I", 6) + b"\x05\x00")
    with pytest.raises(BundleError, match="truncated or not a CTranslate2"):
        load_whisper_encoder(str(junk))
    with pytest.raises(BundleError, match="no Whisper weights there"):
        load_whisper_encoder(str(tmp_path / "missing.pt"))
    with pytest.raises(BundleError, match="no such GGUF file"):
        load_llama(str(tmp_path / "missing.gguf"))


def test_a_whisper_with_missing_or_renamed_tensors_is_refused(
    tmp_path: Path, whisper_checkpoint: Path
) -> None:
    """transformers and torch would go on with random weights, or raise pages."""
    state = torch.load(whisper_checkpoint)
    weights = state["model_state_dict"]
    weights["encoder.blocks.0.attn.other.weight"] = weights.pop("encoder.blocks.0.attn.key.weight")
    torch.save(state, tmp_path / "renamed.pt")
    with pytest.raises(BundleError, match=r"renamed\.pt: not the weights of a Whisper \(Error"):
        load_whisper_encoder(str(tmp_path / "renamed.pt"))

    _save_transformers_whisper(tmp_path / "hf")
    tensors = safetensors.torch.load_file(tmp_path / "hf/model.safetensors")
    gone = tensors.pop("encoder.layers.1.fc1.weight")
    safetensors.torch.save_file(tensors, tmp_path / "hf/model.safetensors", {"format": "pt"})
    with pytest.raises(BundleError, match=r"missing tensors: encoder\.layers\.1\.fc1\.weight"):
        load_whisper_encoder(str(tmp_path / "hf"))
    tensors["encoder.layers.1.fc1.weight"] = gone[:-1]
    safetensors.torch.save_file(tensors, tmp_path / "hf/model.safetensors", {"format": "pt"})
    with pytest.raises(BundleError, match=r"fc1\.weight|not the weights of a Whisper"):
        load_whisper_encoder(str(tmp_path / "hf"))

    _write_ctranslate2(tmp_path / "model.bin", whisper_checkpoint)
    data = (tmp_path / "model.bin").read_bytes()
    (tmp_path / "model.bin").write_bytes(data.replace(b"ffn/linear_0/bias", b"ffn/linear_9/bias"))
    with pytest.raises(BundleError, match="not the weights of a Whisper"):
        load_whisper_encoder(str(tmp_path / "model.bin"))

    GPT2Config().save_pretrained(tmp_path / "gpt2")
    with pytest.raises(BundleError, match="a model of type gpt2, expected a Whisper"):
        load_whisper_encoder(str(tmp_path / "gpt2"))


def test_no_gradient_reaches_the_backbones(
    whisper_checkpoint: Path, llama_gguf: Path, prompt: Prompt
) -> None:
    taps = WhisperTaps(load_whisper_encoder(str(whisper_checkpoint)), [1, 2])
    llama = load_llama(str(llama_gguf))
    adapter = Adapter(AdapterConfig(taps=(1, 2), d_encoder=32, n_embd=32, d_qformer=32, n_heads=2))
    with Vocabulary(llama_gguf) as vocabulary:
        packed = AudioLlama(llama, vocabulary.tokenize, prompt)
        margins = packed.margins(adapter(taps(torch.randn(1, 16_000))), [["hum"]])
    margins.sum().backward()
    assert all(p.grad is None and not p.requires_grad for p in taps.parameters())
    assert all(p.grad is None and not p.requires_grad for p in llama.parameters())
    # A zero gradient would mean that the audio path is cut.
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in adapter.parameters())


def test_packed_questions_equal_the_devices_answers(llama_gguf: Path, prompt: Prompt) -> None:
    """Training decodes rows of packed questions, the device forks sequences: same margins."""
    rng = np.random.default_rng(0)
    embeddings = rng.normal(0, 0.5, (3, 4, 32)).astype(np.float32)
    concepts = [["hum", "beep noise", "dog"], ["hiss"], ["noise", "hum"]]
    with Vocabulary(llama_gguf) as vocabulary, torch.inference_mode():
        packed = AudioLlama(load_llama(str(llama_gguf)), vocabulary.tokenize, prompt)
        ours = packed.margins(torch.from_numpy(embeddings), concepts).numpy()
    session = LlamaSession(llama_gguf, prompt, n_threads=1)
    theirs = np.concatenate(
        [session.margins(e, c) for e, c in zip(embeddings, concepts, strict=True)]
    )
    session.close()
    # llama.cpp keeps its KV in float16: an error of 1e-3 relative, on margins of about 1.
    np.testing.assert_allclose(ours, theirs, atol=0.01)


def test_text_loss_is_the_plain_models_on_the_answers_tokens_alone(
    llama_gguf: Path, prompt: Prompt
) -> None:
    """Two packed answers behind one audio against a sequence each, prefix computed anew."""
    torch.manual_seed(0)
    audio = torch.randn(1, 4, 32) * 0.5
    pairs = [("Replay.", "hum and hiss."), ("What is not there?", "No beep.")]
    with Vocabulary(llama_gguf) as vocabulary, torch.inference_mode():
        plain = load_llama(str(llama_gguf))
        embed = plain.get_input_embeddings()
        losses: list[float] = []
        for instruction, answer in pairs:
            before = embed(torch.tensor([vocabulary.tokenize(prompt.prefix)]))
            asked = vocabulary.tokenize(f"\n{instruction}")
            target = vocabulary.tokenize(f" {answer}\n")
            after = embed(torch.tensor([asked + target]))
            logits = plain(inputs_embeds=torch.cat([before, audio, after], dim=1)).logits[0]
            log_shares = logits[-len(target) - 1 : -1].log_softmax(dim=-1)
            losses += [-float(log_shares[k, token]) for k, token in enumerate(target)]
        packed = AudioLlama(load_llama(str(llama_gguf)), vocabulary.tokenize, prompt)
        assert float(packed.text_loss(audio, [pairs])) == pytest.approx(np.mean(losses), abs=1e-4)
