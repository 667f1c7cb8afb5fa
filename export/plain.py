"""The plain way of answering, as a yardstick: no short window, no kept KV, no forks.

Whisper's whole encoder in torch on audio padded to 30 s, then every prompt evaluated from its first
token through llama-cpp-python's high-level API. That API takes no embeddings, so a description of
as many tokens stands in the audio's place.
"""

from __future__ import annotations

import time
from statistics import median

import torch
from llama_cpp import Llama

from listen_edge.log_mel import SAMPLE_RATE
from listen_edge.prompt import describe
from listen_edge.runtime.engine import Engine
from listen_edge.runtime.llama.requantize import runnable_gguf
from listen_edge.train.backbones import LogMel, load_whisper_encoder

_WHISPER_S = 30
_CONCEPTS = ("siren", "dog", "rain", "engine", "crow", "cat", "wind", "train")
_REPEATS = 3


def measure_plain_way(engine: Engine, whisper: str, window_8_ms: float) -> dict[str, float]:
    """Return the plain way's milliseconds for one window and eight questions, and the ratio.

    Args:
        engine: for its prompt, LLM file and threads.
        whisper: the encoder's source, see load_whisper_encoder.
        window_8_ms: what the engine takes for the same.
    """
    torch.set_num_threads(engine.n_threads)
    encoder = load_whisper_encoder(whisper)
    log_mel = LogMel(encoder.conv1.in_channels)
    samples = torch.randn(1, _WHISPER_S * SAMPLE_RATE) * 0.05
    manifest = engine.bundle.manifest
    gguf_path = runnable_gguf(engine.bundle.gguf_path, manifest.gguf, engine.n_threads)
    llama = Llama(
        str(gguf_path),
        n_ctx=1024,
        n_threads=engine.n_threads,
        n_threads_batch=engine.n_threads,
        verbose=False,
    )
    prompt = manifest.prompt
    stand_in = describe(["dog", "rain", "dog", "rain"])
    encode_ms, ask_ms = [], []
    for _ in range(_REPEATS):
        started = time.perf_counter()
        with torch.inference_mode():
            encoder(log_mel(samples))
        encoded = time.perf_counter()
        for concept in _CONCEPTS:
            llama.reset()
            text = prompt.prefix + stand_in + prompt.bridge + prompt.ask(concept)
            llama.eval(llama.tokenize(text.encode(), add_bos=False))
        encode_ms.append(1000 * (encoded - started))
        ask_ms.append(1000 * (time.perf_counter() - encoded))
    llama.close()
    plain_ms = median(encode_ms) + median(ask_ms)
    return {
        "plain_encode_ms": median(encode_ms),
        "plain_answer_8_questions_ms": median(ask_ms),
        "plain_window_8_questions_ms": plain_ms,
        "times_faster_than_plain": plain_ms / window_8_ms,
    }
