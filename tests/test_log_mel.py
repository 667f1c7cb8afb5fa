"""Our log-mel spectrogram is Whisper's."""

from __future__ import annotations

import torch
from whisper.audio import log_mel_spectrogram
from whisper.audio import mel_filters as whisper_mel_filters

from listen_edge.log_mel import mel_filters
from listen_edge.train.backbones import LogMel


def test_mel_filters_equal_whispers() -> None:
    for n_mels in (80, 128):
        theirs = whisper_mel_filters("cpu", n_mels)
        assert torch.allclose(torch.from_numpy(mel_filters(n_mels)), theirs, atol=1e-7)


def test_log_mel_equals_whispers_on_a_short_window() -> None:
    torch.manual_seed(0)
    samples = torch.randn(80_000) * 0.1
    ours = LogMel(80)(samples[None])[0]
    assert ours.shape == (80, 500)
    assert torch.allclose(ours, log_mel_spectrogram(samples), atol=1e-4)


def test_log_mel_of_silence_is_flat() -> None:
    assert LogMel(80)(torch.zeros(1, 16_000)).unique().tolist() == [-1.5]  # (log10(1e-10) + 4) / 4
