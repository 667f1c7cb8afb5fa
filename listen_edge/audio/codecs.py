"""What telephones and streams do to sound: samples -> the same samples, coded and decoded.

libsndfile codes in memory; nothing is written to disk.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from listen_edge.errors import AudioError
from listen_edge.log_mel import SAMPLE_RATE

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Codec:
    """One way of coding speech or music.

    Attributes:
        container, subtype: libsndfile's names.
        sample_rate: that it codes at, in Hz.
        compression: libsndfile's compression level: 0 is the highest bit rate, 1 the lowest.
    """

    container: str
    subtype: str
    sample_rate: int = 8000
    compression: float | None = None


CODECS: dict[str, Codec] = {
    "g711-mu": Codec("WAV", "ULAW"),
    "g711-a": Codec("WAV", "ALAW"),
    "gsm": Codec("WAV", "GSM610"),
    "opus-low": Codec("OGG", "OPUS", 16_000, 0.97),
    "mp3-16k": Codec("MP3", "MPEG_LAYER_III", 16_000, 0.9),
    "mp3-8k": Codec("MP3", "MPEG_LAYER_III", 8000, 0.9),
}


def through_codec(name: str, samples: Samples) -> Samples:
    """Return the samples (n_samples,) at 16 kHz as a listener behind the codec hears them.

    The shape is kept: what a codec adds before or behind is cut.

    Args:
        name: a key of CODECS.
        samples: in [-1, 1].

    Raises:
        AudioError: this libsndfile does not write the codec.
    """
    codec = CODECS[name]
    coded = io.BytesIO()
    narrow = soxr.resample(samples, SAMPLE_RATE, codec.sample_rate)
    try:
        soundfile.write(
            coded,
            np.clip(narrow, -1, 1),
            codec.sample_rate,
            format=codec.container,
            subtype=codec.subtype,
            compression_level=codec.compression,
        )
    except (ValueError, soundfile.LibsndfileError) as err:
        raise AudioError(
            f"{name}: libsndfile {soundfile.__libsndfile_version__} does not write "
            f"{codec.container} {codec.subtype} ({err}); run: pip install --upgrade soundfile"
        ) from err
    coded.seek(0)
    decoded, rate = soundfile.read(coded, dtype="float32")
    heard = np.zeros(len(samples), np.float32)
    wide = soxr.resample(decoded, rate, SAMPLE_RATE)[: len(samples)]
    heard[: len(wide)] = wide
    return np.clip(heard, -1, 1)
