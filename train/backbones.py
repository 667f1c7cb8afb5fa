"""The two frozen networks around the adapter: Whisper's encoder and the LLaMA.

Whichever road the weights come by (openai-whisper, transformers, CTranslate2, GGUF), the encoder
ends up as openai-whisper's own module and the LLM as transformers' LlamaForCausalLM, both without
gradients.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path

import numpy as np
import torch
from gguf import GGUFReader
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoConfig, LlamaForCausalLM, WhisperModel
from whisper import available_models, load_model
from whisper.model import AudioEncoder, ModelDimensions

from listen_edge.errors import BundleError
from listen_edge.log_mel import (
    HOP_LENGTH,
    N_BINS,
    N_FFT,
    SAMPLES_PER_ENCODER_FRAME,
    dft_kernels,
    mel_filters,
)
from listen_edge.train.foreign_weights import (
    REPORTED,
    foreign_weights,
    refuse_other_tensors,
    refuse_quantized,
)

# transformers' names of an encoder's tensors -> openai-whisper's, in this order
TENSOR_NAMES = (
    ("embed_positions.weight", "positional_embedding"),
    ("self_attn_layer_norm.", "attn_ln."),
    ("self_attn.q_proj", "attn.query"),
    ("self_attn.k_proj", "attn.key"),
    ("self_attn.v_proj", "attn.value"),
    ("self_attn.out_proj", "attn.out"),
    ("final_layer_norm.", "mlp_ln."),
    ("layer_norm.", "ln_post."),
    ("fc1", "mlp.0"),
    ("fc2", "mlp.2"),
    ("layers.", "blocks."),
)
_CT2_VERSION = 6
_CT2_DTYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}


class LogMel(nn.Module):
    """Whisper's log-mel spectrogram with the Fourier transform as a convolution.

    Forward: samples (batch, n_samples) float32 -> (batch, n_mels, n_samples // 160).
    """

    kernels: Tensor
    filters: Tensor

    def __init__(self, n_mels: int) -> None:
        super().__init__()
        self.register_buffer("kernels", torch.from_numpy(dft_kernels()))
        self.register_buffer("filters", torch.from_numpy(mel_filters(n_mels)))

    def forward(self, samples: Tensor) -> Tensor:
        padded = functional.pad(samples[:, None], (N_FFT // 2, N_FFT // 2), mode="reflect")
        spectrum = functional.conv1d(padded, self.kernels, stride=HOP_LENGTH)[..., :-1]
        power = spectrum[:, :N_BINS] ** 2 + spectrum[:, N_BINS:] ** 2
        log_mel = torch.clamp(self.filters @ power, min=1e-10).log10()
        floor = log_mel.amax(dim=(1, 2), keepdim=True) - 8.0
        return (torch.maximum(log_mel, floor) + 4.0) / 4.0


class WhisperTaps(nn.Module):
    """Whisper's encoder on a short window, read at several depths.

    Tap k is the residual stream after k transformer blocks, counted from 1, before `ln_post`;
    blocks past the last tap are dropped. (transformers' hidden_states[k] is the same for k below
    the depth; its hidden_states[0] is the embedding output.) Positions are cut to the window
    instead of padding the audio to 30 s. At the first tap `frame_pool` neighbouring frames of 20 ms
    are averaged into one; the blocks behind it compute those fewer frames (docs/performance.md).

    Forward: samples (batch, n_samples) -> (batch, n_taps, n_frames, d_encoder), n_frames being
    n_samples // 320 // frame_pool.
    """

    positions: Tensor

    def __init__(self, encoder: AudioEncoder, taps: Sequence[int], frame_pool: int = 1) -> None:
        super().__init__()
        depth = len(encoder.blocks)
        if not taps or list(taps) != sorted(set(taps)) or taps[0] < 1 or taps[-1] > depth:
            raise BundleError(f"taps {list(taps)}: expected ascending block numbers 1..{depth}")
        self.taps, self.frame_pool = tuple(taps), frame_pool
        self.log_mel = LogMel(encoder.conv1.in_channels)
        self.conv1, self.conv2 = encoder.conv1, encoder.conv2
        self.register_buffer("positions", encoder.positional_embedding.detach().clone())
        self.blocks = nn.ModuleList(list(encoder.blocks)[: taps[-1]])
        self.d_encoder = encoder.conv1.out_channels
        freeze(self)

    def check_window(self, n_samples: int) -> None:
        """Raise BundleError if a window is longer than this Whisper has positions for."""
        n_frames = n_samples // SAMPLES_PER_ENCODER_FRAME
        if n_frames > len(self.positions):
            raise BundleError(
                f"a window of {n_samples} samples has {n_frames} frames, this Whisper has positions"
                f" for {len(self.positions)}; choose a shorter window"
            )

    def forward(self, samples: Tensor) -> Tensor:
        log_mel = self.log_mel(samples).to(self.positions.dtype)
        frames = functional.gelu(self.conv1(log_mel))
        frames = functional.gelu(self.conv2(frames)).transpose(1, 2)
        frames = frames + self.positions[: frames.shape[1]]
        tapped = []
        for number, block in enumerate(self.blocks, start=1):
            frames = block(frames)
            if number == self.taps[0]:
                frames = _pool(frames, self.frame_pool)
            if number in self.taps:
                tapped.append(frames)
        return torch.stack(tapped, dim=1)


def _pool(frames: Tensor, n: int) -> Tensor:
    """Average n neighbours of (batch, n_frames, d); frames that do not fill a last one are left."""
    if n == 1:
        return frames
    batch, n_frames, d_encoder = frames.shape
    whole = frames[:, : n_frames // n * n]
    return whole.reshape(batch, n_frames // n, n, d_encoder).mean(dim=2)


def freeze(module: nn.Module) -> None:
    """Switch off gradients and training behaviour for good."""
    module.eval()
    module.requires_grad_(False)


def load_whisper_encoder(source: str) -> AudioEncoder:
    """Return Whisper's encoder in float32, frozen.

    Args:
        source: an openai-whisper name ("base") or checkpoint (.pt), a folder saved by
            transformers, or a CTranslate2 `model.bin`; a file in parts is given by the path of
            its first part (`model.bin.part1`).

    Raises:
        BundleError: no such file, not one of these formats, or tensors that are missing, renamed or
            of another shape.
    """
    path = Path(source)
    if not path.exists() and source not in available_models():
        raise BundleError(
            f"{source}: no Whisper weights there; expected one of {', '.join(available_models())},"
            " a .pt checkpoint, a transformers folder or a CTranslate2 model.bin"
        )
    with foreign_weights(source, "the weights of a Whisper"):
        encoder = _read_whisper_encoder(source, path)
    freeze(encoder.float())
    return encoder


def _read_whisper_encoder(source: str, path: Path) -> AudioEncoder:
    if path.is_dir():
        return _from_transformers(path)
    if not path.is_file():
        return load_model(source, device="cpu").encoder
    return _from_openai(path) if path.suffix == ".pt" else _from_ctranslate2(path)


def _from_openai(path: Path) -> AudioEncoder:
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as err:  # what a pickle of anything may raise
        raise BundleError(f"{path}: no checkpoint of torch, or cut; copy it again") from err
    if not isinstance(checkpoint, dict) or not {"dims", "model_state_dict"} <= checkpoint.keys():
        raise BundleError(
            f"{path}: a checkpoint of another kind, expected openai-whisper's dims and "
            "model_state_dict"
        )
    sizes = ModelDimensions(**checkpoint["dims"])
    encoder = AudioEncoder(*astuple(sizes)[:5])  # n_mels, and n_audio_ctx to n_audio_layer
    prefix, weights = "encoder.", checkpoint["model_state_dict"]
    encoder.load_state_dict(
        {name.removeprefix(prefix): weights[name] for name in weights if name.startswith(prefix)}
    )
    return encoder


def load_llama(source: str) -> LlamaForCausalLM:
    """Return the LLM in float32, frozen.

    Args:
        source: a folder saved by transformers, a hub name, or a GGUF file, which is dequantised:
            pass the very GGUF that ships, so that the adapter is trained for its weights.

    Raises:
        BundleError: missing file, not a LLaMA, or tensors that are missing or of another shape.
    """
    path = Path(source)
    if source.endswith(".gguf") and not path.is_file():
        raise BundleError(f"{source}: no such GGUF file")
    folder, gguf_file = (path.parent, path.name) if path.is_file() else (source, None)
    with foreign_weights(source, "a LLaMA that transformers can read"):
        config = AutoConfig.from_pretrained(folder, gguf_file=gguf_file)
        if config.model_type != "llama":
            raise BundleError(f"{source}: a model of type {config.model_type}, expected a LLaMA")
        if gguf_file is None:
            refuse_quantized(source, config)
        llama, report = LlamaForCausalLM.from_pretrained(
            folder, gguf_file=gguf_file, dtype=torch.float32, **REPORTED
        )
    refuse_other_tensors(source, report)
    if gguf_file is not None:
        _divide_frequencies(llama, path)
    freeze(llama)
    return llama


def _divide_frequencies(llama: LlamaForCausalLM, path: Path) -> None:
    """Apply the rope factors of Llama 3.1 and later, which transformers does not read of a GGUF."""
    tensors = {tensor.name: tensor.data for tensor in GGUFReader(path).tensors}
    if "rope_freqs.weight" in tensors:
        rotary, factors = llama.model.rotary_emb, torch.tensor(tensors["rope_freqs.weight"])
        rotary.inv_freq = rotary.inv_freq / factors
        rotary.original_inv_freq = rotary.inv_freq


def _from_transformers(folder: Path) -> AudioEncoder:
    kind = AutoConfig.from_pretrained(folder).model_type
    if kind != "whisper":
        raise BundleError(f"{folder}: a model of type {kind}, expected a Whisper")
    model, report = WhisperModel.from_pretrained(folder, dtype=torch.float32, **REPORTED)
    refuse_other_tensors(str(folder), report, "encoder.")
    config = model.config
    encoder = AudioEncoder(
        config.num_mel_bins,
        config.max_source_positions,
        config.d_model,
        config.encoder_attention_heads,
        config.encoder_layers,
    )
    state = {}
    for name, tensor in model.encoder.state_dict().items():
        for theirs, ours in TENSOR_NAMES:
            name = name.replace(theirs, ours)
        state[name] = tensor
    encoder.load_state_dict(state)
    return encoder


def _from_ctranslate2(path: Path) -> AudioEncoder:
    tensors = _read_ctranslate2(path)
    depth = sum(name.endswith("/ffn/linear_0/weight") for name in tensors if "encoder/" in name)
    d_encoder, n_mels, _ = tensors["encoder/conv1/weight"].shape
    positions = tensors["encoder/position_encodings/encodings"]
    n_heads = int(tensors["encoder/num_heads"])
    encoder = AudioEncoder(n_mels, len(positions), d_encoder, n_heads, depth)
    state: dict[str, Tensor] = {"positional_embedding": positions}

    def put(ours: str, theirs: str) -> None:
        state[f"{ours}.weight"] = tensors[f"encoder/{theirs}/weight"]
        state[f"{ours}.bias"] = tensors[f"encoder/{theirs}/bias"]

    def put_norm(ours: str, theirs: str) -> None:
        state[f"{ours}.weight"] = tensors[f"encoder/{theirs}/gamma"]
        state[f"{ours}.bias"] = tensors[f"encoder/{theirs}/beta"]

    put("conv1", "conv1")
    put("conv2", "conv2")
    put_norm("ln_post", "layer_norm")
    for k in range(depth):
        ours, theirs = f"blocks.{k}", f"layer_{k}"
        put_norm(f"{ours}.attn_ln", f"{theirs}/self_attention/layer_norm")
        put_norm(f"{ours}.mlp_ln", f"{theirs}/ffn/layer_norm")
        put(f"{ours}.attn.out", f"{theirs}/self_attention/linear_1")
        put(f"{ours}.mlp.0", f"{theirs}/ffn/linear_0")
        put(f"{ours}.mlp.2", f"{theirs}/ffn/linear_1")
        stacked = f"encoder/{theirs}/self_attention/linear_0"  # query, key, value
        weights = tensors[f"{stacked}/weight"].chunk(3)
        biases = tensors[f"{stacked}/bias"].chunk(3)
        for name, weight, bias in zip(("query", "key", "value"), weights, biases, strict=True):
            state[f"{ours}.attn.{name}.weight"] = weight
            if name != "key":  # Whisper's keys have no bias; CTranslate2 stores zeros
                state[f"{ours}.attn.{name}.bias"] = bias
    encoder.load_state_dict(state)
    return encoder


def _read_ctranslate2(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a CTranslate2 model file, as float32.

    Source: layout of CTranslate2's `model_spec.py`, binary version 6.
    """
    file = io.BytesIO(b"".join(part.read_bytes() for part in _parts(path)))

    def unpack(layout: str) -> tuple[int, ...]:
        return struct.unpack(layout, file.read(struct.calcsize(layout)))

    def text() -> str:
        (length,) = unpack("<H")
        return file.read(length)[:-1].decode()

    try:
        (version,) = unpack("<I")
        if version != _CT2_VERSION:
            raise BundleError(
                f"{path}: CTranslate2 file version {version}, expected {_CT2_VERSION}"
            )
        spec, (_revision, n_tensors) = text(), unpack("<II")
        if spec != "WhisperSpec":
            raise BundleError(f"{path}: CTranslate2 model of {spec}, expected WhisperSpec")
        tensors = {}
        for _ in range(n_tensors):
            name, (rank,) = text(), unpack("<B")
            shape = unpack(f"<{rank}I")
            dtype, n_bytes = unpack("<BI")
            data = file.read(n_bytes)
            if name.startswith("encoder/"):
                array = np.frombuffer(data, _CT2_DTYPES[dtype]).reshape(shape)
                tensors[name] = torch.from_numpy(array.astype(np.float32))
    except (struct.error, UnicodeDecodeError, ValueError, KeyError) as err:
        raise BundleError(f"{path}: truncated or not a CTranslate2 model file") from err
    return tensors


def _parts(path: Path) -> list[Path]:
    """Return the files to join: `model.bin.part1` may lie in a package per part."""
    if not path.name.endswith(".part1"):
        return [path]
    folder = path.parent.as_posix()
    name = path.name.removesuffix("1")
    parts = [path]
    while True:
        number = len(parts) + 1
        candidate = Path(folder.replace("part1", f"part{number}")) / f"{name}{number}"
        if not candidate.is_file():
            return parts
        parts.append(candidate)
