"""Streams from elsewhere, a camera's RTSP for one, through an ffmpeg process."""

from __future__ import annotations

import time

from listen_edge.audio.ffmpeg import Bounds, Ffmpeg, require_ffmpeg
from listen_edge.errors import AudioError
from listen_edge.printable import printable
from listen_edge.runtime.sources import Block
from listen_edge.runtime.sources.reader import BackgroundReader
from listen_edge.urls import without_secrets

_BLOCK_S = 0.1


class FfmpegSource:
    """The sound of a URL, at its own rate and channels; it is live, and a loss is mended.

    Args:
        url: whatever `ffmpeg -i` takes.
        program: the ffmpeg to run.
    """

    is_live = True

    def __init__(self, url: str, *, program: str = "ffmpeg") -> None:
        self.name = printable(without_secrets(url))
        self._url, self._program = url, program
        self._decoder: Ffmpeg | None = None
        self._reader: BackgroundReader | None = None

    def open(self) -> None:
        try:
            require_ffmpeg(self._program)
        except AudioError as err:
            raise AudioError(f"{self.name}: {err}") from err
        transport = ["-rtsp_transport", "tcp"] if self._url.startswith("rtsp") else []
        decoder = self._decoder = Ffmpeg(
            [*transport, "-i", self._url], self._program, bounds=Bounds()
        )
        rate: int | None = None

        def read_block() -> Block:
            nonlocal rate
            try:
                if rate is None:
                    rate, _ = decoder.read_header()
                samples = decoder.read_frames(round(_BLOCK_S * rate))
                if not len(samples):
                    raise AudioError(f"the stream ended; {decoder.why_ended()}")
            except AudioError as err:
                raise AudioError(f"{self.name}: {err}") from err
            codec = decoder.is_speech_codec()
            return Block(samples, rate, time.monotonic(), is_speech_codec=codec)

        self._reader = BackgroundReader(read_block, drops_oldest=True)

    def read(self, timeout_s: float) -> Block | None:
        assert self._reader is not None
        return self._reader.read(timeout_s)

    def close(self) -> None:
        decoder, self._decoder = self._decoder, None
        if decoder is not None:
            decoder.kill()
        if self._reader is not None:
            self._reader.close(timeout_s=0.5)
            self._reader = None
        if decoder is not None:
            decoder.close()
