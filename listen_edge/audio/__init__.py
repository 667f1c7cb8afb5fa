"""Recordings -> samples: decoding, channels, rates and levels. Knows nothing of questions.

`recording.py` chooses the decoder (libsndfile, else ffmpeg) for every command, evaluation and
training alike; `reading.py` brings what it decodes to 16 kHz.
"""

from listen_edge.audio.level import level_dbfs
from listen_edge.audio.reading import at_16_khz, read_audio, read_channels, read_window

__all__ = ["at_16_khz", "level_dbfs", "read_audio", "read_channels", "read_window"]
