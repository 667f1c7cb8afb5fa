"""Compare our encoder with the one that Hugging Face Optimum exports, tap by tap, on real clips.

    make optimum WHISPER=base

WHISPER is what `listen-edge train --whisper` takes. Unless it is a folder of transformers already,
one is written from it, with a random decoder, which nothing here computes. Optimum pads to 30 s, so
both sides hear 30 s. The spectrograms are independent too: transformers' own feature extractor
against the one in our graph. The exit status is 1 if a tap differs by more than its tolerance.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import WhisperConfig, WhisperForConditionalGeneration
from whisper.model import AudioEncoder

from listen_edge.audio import read_window
from listen_edge.bundle.opening import bundle_folder
from listen_edge.export.encoder import trace_encoder, write_encoder
from listen_edge.log_mel import SAMPLE_RATE, SAMPLES_PER_ENCODER_FRAME
from listen_edge.runtime.encoder_session import EncoderSession
from listen_edge.train.backbones import TENSOR_NAMES, WhisperTaps, load_whisper_encoder

Taps = NDArray[np.float32]  # (n_taps, n_frames, d_encoder)

N_SAMPLES = 30 * SAMPLE_RATE
SHORT_SAMPLES = 5 * SAMPLE_RATE
# RMS of the difference over RMS of Optimum's. In float32, where sums have another order and the
# spectrogram comes of an FFT there and a convolution here, five times the 4e-6 that are measured; a
# wrong tap differs by 0.3. Float16 keeps ten bits: twice what is measured. What int8 may lose is
# for the parity ladder to say.
TOLERANCES = {"torch": 2e-5, "fp32": 2e-5, "jetson-fp16": 5e-3, "x86-avx2": float("inf")}


class AllTaps(torch.nn.Module):
    """Stands where an adapter would: the graph's output is what the taps are."""

    def forward(self, taps: torch.Tensor) -> torch.Tensor:
        return taps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--whisper", required=True)
    parser.add_argument("--optimum", type=Path, required=True, help="Python that has optimum-onnx")
    parser.add_argument("clips", nargs="*", type=Path)
    options = parser.parse_args()
    clips = options.clips or sorted((bundle_folder("tiny") / "clips").iterdir())
    encoder = load_whisper_encoder(options.whisper)
    recordings = np.stack([_padded(clip) for clip in clips])
    theirs = reference(options.whisper, encoder, recordings, options.optimum)
    taps = WhisperTaps(encoder, range(1, len(encoder.blocks) + 1))
    ours = our_taps(taps, recordings)
    worst = {
        form: np.max([differences(encoder, *pair) for pair in zip(found, theirs, strict=True)], 0)
        for form, found in ours.items()
    }
    print("| tap |", " | ".join(worst), "|")
    print("|---|", *("---|" for _ in worst))
    for tap in taps.taps:
        print(f"| {tap} |", " | ".join(f"{found[tap - 1]:.1e}" for found in worst.values()), "|")
    print(f"a tap off by one: at least {off_by_one(encoder, ours['torch'], theirs):.2f}")
    short = short_windows(taps, recordings, ours["torch"])
    print("5 s instead of 30 s:", *(f"{difference:.2f}" for difference in short))
    failed = [name for name, found in worst.items() if found.max() > TOLERANCES[name]]
    if failed:
        sys.exit(f"{', '.join(failed)}: differs from Optimum's by more than the tolerance")


def _padded(clip: Path) -> NDArray[np.float32]:
    """Return a clip's first 5 s, and silence up to 30 s."""
    return np.pad(read_window(clip, SHORT_SAMPLES), (0, N_SAMPLES - SHORT_SAMPLES))


def reference(
    whisper: str, encoder: AudioEncoder, recordings: NDArray[np.float32], python: Path
) -> NDArray[np.float32]:
    """Return Optimum's hidden states (n_clips, n_layers + 1, n_frames, d_encoder)."""
    script = Path(__file__).with_name("optimum_reference.py")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(whisper)
        if not folder.is_dir():
            folder = Path(scratch) / "whisper"
            write_transformers(encoder, folder)
        np.save(Path(scratch) / "recordings.npy", recordings)
        files = [Path(scratch) / "recordings.npy", Path(scratch) / "hidden_states.npy"]
        subprocess.run([python, script, folder, *files], check=True)
        return np.asarray(np.load(files[1]), np.float32)


def write_transformers(encoder: AudioEncoder, folder: Path) -> None:
    """Write the encoder as transformers keeps a Whisper, with a small random decoder."""
    d_encoder, n_heads = encoder.conv1.out_channels, encoder.blocks[0].attn.n_head
    config = WhisperConfig(
        num_mel_bins=encoder.conv1.in_channels,
        d_model=d_encoder,
        encoder_layers=len(encoder.blocks),
        encoder_attention_heads=n_heads,
        encoder_ffn_dim=4 * d_encoder,
        decoder_layers=1,
        decoder_attention_heads=n_heads,
        decoder_ffn_dim=d_encoder,
    )
    whisper = WhisperForConditionalGeneration(config)
    state = {}
    for name, tensor in encoder.state_dict().items():
        for theirs, ours in TENSOR_NAMES:
            name = name.replace(ours, theirs)
        state[name] = tensor
    whisper.model.encoder.load_state_dict(state)
    whisper.save_pretrained(folder)


def our_taps(taps: WhisperTaps, recordings: NDArray[np.float32]) -> dict[str, list[Taps]]:
    """Return each form's taps of every recording: torch's, and those of the graphs that ship."""
    found = {"torch": [_in_torch(taps, samples) for samples in recordings]}
    traced = trace_encoder(taps, AllTaps(), N_SAMPLES)  # type: ignore[arg-type]
    with tempfile.TemporaryDirectory() as scratch:
        for preset in list(TOLERANCES)[1:]:
            path = Path(scratch) / f"{preset}.onnx"
            write_encoder(traced, path, preset)
            session = EncoderSession(path.read_bytes(), N_SAMPLES, backend="cpu", n_threads=2)
            found[preset] = [session.embed(samples) for samples in recordings]
    return found


def differences(encoder: AudioEncoder, ours: Taps, theirs: NDArray[np.float32]) -> list[float]:
    """Return each tap's difference from the layer of its number; theirs is n_layers + 1 long."""
    return [
        _difference(_as_layer(encoder, ours, tap), theirs[tap]) for tap in range(1, len(theirs))
    ]


def off_by_one(encoder: AudioEncoder, ours: Sequence[Taps], theirs: Sequence[Taps]) -> float:
    """Return the least difference of a tap from a neighbouring layer: what a wrong count gives."""
    return min(
        _difference(_as_layer(encoder, found, tap), layers[tap + step])
        for found, layers in zip(ours, theirs, strict=True)
        for tap in range(1, len(layers))
        for step in (-1, 1)
        if tap + step < len(layers)
    )


def short_windows(
    taps: WhisperTaps, recordings: NDArray[np.float32], padded: Sequence[Taps]
) -> NDArray[np.float32]:
    """Return how far each tap of 5 s is from the same 5 s with 25 s of silence behind them."""
    n_frames = SHORT_SAMPLES // SAMPLES_PER_ENCODER_FRAME
    found = [
        [_difference(a, b[:n_frames]) for a, b in zip(_in_torch(taps, samples), long, strict=True)]
        for samples, long in zip(recordings[:, :SHORT_SAMPLES], padded, strict=True)
    ]
    return np.mean(found, axis=0)


def _in_torch(taps: WhisperTaps, samples: NDArray[np.float32]) -> Taps:
    with torch.inference_mode():
        return np.asarray(taps(torch.from_numpy(samples)[None])[0].numpy())


def _as_layer(encoder: AudioEncoder, ours: Taps, tap: int) -> Taps:
    """Return a tap as transformers gives it: the last layer's output is behind the final norm."""
    frames = ours[tap - 1]
    if tap < len(ours):
        return frames
    with torch.inference_mode():
        return np.asarray(encoder.ln_post(torch.from_numpy(frames)).numpy())


def _difference(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> float:
    return float(np.sqrt(np.square(ours - theirs).mean() / np.square(theirs).mean()))


if __name__ == "__main__":
    main()
