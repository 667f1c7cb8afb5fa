"""The sound of an event as a picture: the log-mel spectrogram that the model hears, as PNG."""

from __future__ import annotations

import struct
import threading
import zlib
from collections import OrderedDict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from listen_edge.audio import read_audio
from listen_edge.log_mel import HOP_LENGTH, N_FFT, mel_filters

_N_MELS, _N_COLUMNS, _SCALE = 80, 800, 2  # pixels: 160 high, at most 800 wide
_FLOOR = 8.0  # decades below the loudest, as Whisper's
_N_KEPT = 64
_COLOURS = (  # from silence to the loudest, lightness growing evenly
    (6, 4, 24),
    (53, 14, 92),
    (124, 36, 112),
    (190, 60, 86),
    (238, 112, 52),
    (250, 186, 62),
    (252, 250, 196),
)


class Pictures:
    """Pictures of clips; the last few are kept."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, int, int], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, clip: Path) -> bytes:
        """Return a clip's spectrogram as PNG.

        Raises:
            AudioError: the clip is damaged.
            OSError: it is gone.
        """
        found = clip.stat()
        key = clip.name, found.st_mtime_ns, found.st_size
        with self._lock:  # one at a time: a page asks for many at once
            if key not in self._kept:
                self._kept[key] = spectrogram_png(read_audio(clip))
            self._kept.move_to_end(key)
            while len(self._kept) > _N_KEPT:
                self._kept.popitem(last=False)
            return self._kept[key]


def spectrogram_png(samples: NDArray[np.float32]) -> bytes:
    """Return samples (n_samples,) at 16 kHz as a picture; time goes right, frequency up."""
    mel = _log_mel(samples)  # (n_mels, n_frames)
    n_columns = min(_N_COLUMNS, mel.shape[1])
    edges = np.linspace(0, mel.shape[1], n_columns + 1).astype(int)[:-1]
    loudest = np.maximum.reduceat(mel, edges, axis=1)  # a bang of 10 ms is not lost
    pixels = np.round(255 * np.clip((loudest - mel.max()) / _FLOOR + 1, 0, 1)).astype(np.uint8)
    return _png(np.repeat(pixels[::-1], _SCALE, axis=0), _palette())


def _log_mel(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    padded = np.pad(samples, N_FFT // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP_LENGTH]
    power = np.empty((N_FFT // 2 + 1, len(frames)))
    for at in range(0, len(frames), 1000):  # ten seconds at once
        spectrum = np.fft.rfft(frames[at : at + 1000] * np.hanning(N_FFT))
        power[:, at : at + 1000] = (np.abs(spectrum) ** 2).T
    return np.log10(np.maximum(mel_filters(_N_MELS) @ power, 1e-10))


def _palette() -> NDArray[np.uint8]:
    """Return 256 colours, shape (256, 3)."""
    places = np.linspace(0, 255, len(_COLOURS))
    channels = [
        np.interp(np.arange(256), places, channel) for channel in zip(*_COLOURS, strict=True)
    ]
    return np.round(np.stack(channels, axis=1)).astype(np.uint8)


def _png(pixels: NDArray[np.uint8], palette: NDArray[np.uint8]) -> bytes:
    """Return pixels (height, width) that index a palette as PNG.

    Source: the PNG specification, colour type 3 of 8 bits, filter 0 on every line.
    """
    height, width = pixels.shape
    header = struct.pack(">2I5B", width, height, 8, 3, 0, 0, 0)
    lines = np.pad(pixels, ((0, 0), (1, 0))).tobytes()
    chunks = {
        b"IHDR": header,
        b"PLTE": palette.tobytes(),
        b"IDAT": zlib.compress(lines, 6),
        b"IEND": b"",
    }
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks.items()
    )
