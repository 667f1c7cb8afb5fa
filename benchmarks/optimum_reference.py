"""Hugging Face Optimum's export of a Whisper encoder: hidden states of every layer, in float32.

Runs in the environment of optimum-requirements.txt, whose transformers is older than ours, so it
imports nothing of listen-edge; optimum_compare.py starts it.

    python benchmarks/optimum_reference.py FOLDER recordings.npy hidden_states.npy

FOLDER is a Whisper as transformers saves it; recordings.npy is (n_clips, 480000) float32 at 16 kHz.
Writes (n_clips, n_layers + 1, 1500, d_model) float32: the embedding output, then every layer's, the
last one behind the final norm, as transformers counts.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import onnxruntime
from optimum.exporters.onnx import main_export
from optimum.exporters.onnx.config import ConfigBehavior
from optimum.exporters.onnx.model_configs import WhisperOnnxConfig
from transformers import AutoConfig, WhisperFeatureExtractor

SAMPLE_RATE = 16_000


class HiddenStatesConfig(WhisperOnnxConfig):
    """Optimum's own configuration with the layers' outputs among the encoder's."""

    @property
    def outputs(self) -> dict[str, dict[int, str]]:
        outputs = super().outputs
        if self._behavior is ConfigBehavior.ENCODER:
            n_states = self._config.encoder_layers + 1
            outputs |= {f"hidden_states.{k}": {0: "batch_size"} for k in range(n_states)}
        return outputs


def main() -> None:
    folder, recordings_path, target = sys.argv[1:]
    whisper = AutoConfig.from_pretrained(folder)
    config = HiddenStatesConfig(whisper, task="automatic-speech-recognition")
    with tempfile.TemporaryDirectory() as exported:
        main_export(
            folder,
            exported,
            task="automatic-speech-recognition",
            custom_onnx_configs={
                "encoder_model": config.with_behavior("encoder"),
                "decoder_model": config.with_behavior("decoder", use_past=False),
            },
            model_kwargs={"output_hidden_states": True},
            no_post_process=True,
            local_files_only=True,
        )
        session = onnxruntime.InferenceSession(
            Path(exported) / "encoder_model.onnx", providers=["CPUExecutionProvider"]
        )
        extract = WhisperFeatureExtractor(whisper.num_mel_bins)
        names = [f"hidden_states.{k}" for k in range(whisper.encoder_layers + 1)]
        states = []
        for samples in np.load(recordings_path):
            log_mel = extract(samples, sampling_rate=SAMPLE_RATE, return_tensors="np")
            outputs = session.run(names, {"input_features": log_mel.input_features})
            states.append(np.concatenate(outputs))
    np.save(target, np.stack(states).astype(np.float32))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
