"""Time Whisper's encoder here and elsewhere: the same weights, windows and threads, in one run.

    pip install ctranslate2 pywhispercpp
    python benchmarks/encoders.py --whisper WHISPER --ctranslate2 DIR --ggml ggml-base.bin

WHISPER is what `listen-edge train` takes; DIR and ggml-base.bin are the same model as published for
faster-whisper and whisper.cpp. Every system computes all blocks, on a window that is not padded to
30 s (audio_ctx in whisper.cpp). Only our graphs compute the spectrogram too; the last row is what
the embedded bundle computes instead. The systems take turns, so that a slow minute of the machine
hits all of them; figures are medians, and ratios to our fastest of all blocks.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from statistics import median

import numpy as np
import torch

from listen_edge.bundle.opening import open_bundle
from listen_edge.export.encoder import export_encoder
from listen_edge.log_mel import SAMPLE_RATE, SAMPLES_PER_ENCODER_FRAME
from listen_edge.runtime.encoder_session import EncoderSession
from listen_edge.train.backbones import LogMel, WhisperTaps, load_whisper_encoder

Action = Callable[[], object]


class _NoAdapter(torch.nn.Module):
    """Stands where an adapter would: the encoder alone is timed."""

    def forward(self, taps: torch.Tensor) -> torch.Tensor:
        return taps[:, -1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--whisper", required=True)
    parser.add_argument("--ctranslate2", type=Path)
    parser.add_argument("--ggml", type=Path)
    parser.add_argument("--window", type=float, action="append", help="seconds; repeatable")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for window_s in options.window or (5.0, 10.0):
        samples = np.random.default_rng(0).normal(0, 0.05, round(window_s * SAMPLE_RATE))
        systems = _ours(options, samples.astype(np.float32))
        if options.ctranslate2:
            systems |= _ctranslate2(options, samples.astype(np.float32))
        if options.ggml:
            systems |= _whisper_cpp(options, samples.astype(np.float32))
        systems |= _embedded(options, samples.astype(np.float32))
        times: dict[str, list[float]] = {name: [] for name in systems}
        for _ in range(options.repeats + 1):
            for name, action in systems.items():
                started = time.perf_counter()
                action()
                times[name].append(1000 * (time.perf_counter() - started))
        ours = min(median(t[1:]) for name, t in times.items() if name.startswith("listen-edge"))
        for name, taken in times.items():
            milliseconds = median(taken[1:])  # the first warms up
            print(f"{window_s:4g} s  {name:44}{milliseconds:8.1f} ms{milliseconds / ours:7.2f}")


def _ours(options: argparse.Namespace, samples: np.ndarray) -> dict[str, Action]:
    encoder = load_whisper_encoder(options.whisper)
    taps = WhisperTaps(encoder, [len(encoder.blocks)])
    log_mel = LogMel(encoder.conv1.in_channels)(torch.from_numpy(samples)[None])
    taps.log_mel = torch.nn.Identity()  # for torch: openai-whisper's encoder takes spectrograms

    def in_torch() -> object:
        with torch.inference_mode():
            return taps(log_mel)

    systems: dict[str, Action] = {f"torch {version('torch')}, openai-whisper, float32": in_torch}
    whole = WhisperTaps(encoder, [len(encoder.blocks)])
    for preset in ("fp32", "x86-avx2", "x86-avx512-vnni"):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "encoder.onnx"
            export_encoder(whole, _NoAdapter(), len(samples), path, preset)
            session = EncoderSession(
                path.read_bytes(), len(samples), backend="cpu", n_threads=options.threads
            )
        systems[f"listen-edge {preset}, onnxruntime {version('onnxruntime')}"] = (
            lambda session=session: session.embed(samples)
        )
    return systems


def _embedded(options: argparse.Namespace, samples: np.ndarray) -> dict[str, Action]:
    bundle = open_bundle("tiny")
    if len(samples) != round(bundle.manifest.window_s * SAMPLE_RATE):
        return {}
    graph = bundle.encoder("cpu")
    session = EncoderSession(graph, len(samples), backend="cpu", n_threads=options.threads)
    return {"the embedded bundle, adapter included": lambda: session.embed(samples)}


def _ctranslate2(options: argparse.Namespace, samples: np.ndarray) -> dict[str, Action]:
    import ctranslate2

    log_mel = LogMel(80)(torch.from_numpy(samples)[None]).numpy()
    systems: dict[str, Action] = {}
    for compute_type in ("float32", "int8"):
        model = ctranslate2.models.Whisper(
            str(options.ctranslate2),
            device="cpu",
            compute_type=compute_type,
            intra_threads=options.threads,
        )
        features = ctranslate2.StorageView.from_array(np.ascontiguousarray(log_mel))
        systems[f"CTranslate2 {ctranslate2.__version__}, {compute_type}"] = (
            lambda model=model, features=features: np.array(model.encode(features, to_cpu=True))
        )
    return systems


def _whisper_cpp(options: argparse.Namespace, samples: np.ndarray) -> dict[str, Action]:
    import _pywhispercpp as binding
    from pywhispercpp.model import Model

    model = Model(str(options.ggml), n_threads=options.threads, redirect_whispercpp_logs_to=None)
    n_frames = len(samples) // SAMPLES_PER_ENCODER_FRAME
    # Transcribing once fills the spectrogram and leaves audio_ctx set for the encoder.
    model.transcribe(samples, audio_ctx=n_frames, max_tokens=1, single_segment=True)
    return {
        f"whisper.cpp (pywhispercpp {version('pywhispercpp')}), {options.ggml.name}": (
            lambda: binding.whisper_encode(model._ctx, 0, options.threads)
        )
    }


if __name__ == "__main__":
    main()
