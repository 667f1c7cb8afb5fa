"""Anything that ffmpeg plays, a camera's RTSP stream for one, through an ffmpeg process."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from collections import deque

from listen_edge.errors import AudioError
from listen_edge.log_mel import SAMPLE_RATE
from listen_edge.runtime.sources import Block
from listen_edge.runtime.sources.reader import BackgroundReader, PcmPipe

_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")
_MAX_ERROR = 200  # characters of ffmpeg's last words


class FfmpegSource:
    """The audio of a URL or container.

    Args:
        url: whatever `ffmpeg -i` takes.
        is_live: skip windows to keep up; a loss is followed by opening it again.
        name: for the lines; default: the URL without its password.
        program: the ffmpeg to run.
    """

    def __init__(
        self, url: str, *, is_live: bool, name: str | None = None, program: str = "ffmpeg"
    ) -> None:
        self.name, self.is_live = name or without_credentials(url), is_live
        self._url, self._program = url, program
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: BackgroundReader | None = None
        self._last_words: deque[str] = deque(maxlen=3)

    def open(self) -> None:
        if shutil.which(self._program) is None:
            raise AudioError(
                f"{self.name}: needs ffmpeg, which is not installed; run: apt-get install ffmpeg"
            )
        transport = ["-rtsp_transport", "tcp"] if self._url.startswith("rtsp") else []
        command = [self._program, "-nostdin", "-hide_banner", "-loglevel", "error", *transport]
        command += ["-i", self._url, "-vn", "-ac", "1", "-ar", str(SAMPLE_RATE), "-f", "f32le", "-"]
        self._last_words.clear()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the listener, which ends this one
        )
        assert self._process.stdout is not None
        process, pcm = (
            self._process,
            PcmPipe(self._process.stdout.fileno(), SAMPLE_RATE, 1, "f32le"),
        )
        self._stderr = threading.Thread(target=self._hear_last_words, args=(process,), daemon=True)
        self._stderr.start()
        self._reader = BackgroundReader(
            lambda: self._read_block(pcm, process), drops_oldest=self.is_live
        )

    def read(self, timeout_s: float) -> Block | None:
        assert self._reader is not None
        return self._reader.read(timeout_s)

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if self._reader is not None:
            self._reader.close(timeout_s=0.5)
        if self._process is not None and self._process.stdout is not None:
            self._process.stdout.close()
        self._process = self._reader = None

    def _read_block(self, pcm: PcmPipe, process: subprocess.Popen[bytes]) -> Block | None:
        block = pcm.read_block()
        if block is None:
            code = process.wait()
            self._stderr.join(timeout=1)
            words = " / ".join(self._last_words)[-_MAX_ERROR:]
            if code != 0:
                raise AudioError(f"{self.name}: ffmpeg ended with code {code} ({words or '?'})")
            if self.is_live:
                raise AudioError(f"{self.name}: the stream ended")
        return block

    def _hear_last_words(self, process: subprocess.Popen[bytes]) -> None:
        """Drain stderr, which may be long; a full pipe would stop ffmpeg."""
        assert process.stderr is not None
        with process.stderr:
            for line in process.stderr:
                self._last_words.append(
                    without_credentials(line.decode(errors="replace").strip()[:_MAX_ERROR])
                )


def without_credentials(text: str) -> str:
    """Return the text without user names and passwords of URLs: it goes into lines and logs."""
    return _CREDENTIALS.sub("", text)
