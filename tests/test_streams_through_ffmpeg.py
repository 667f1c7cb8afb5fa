"""Streams through ffmpeg: what stalls, dies or is not there."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from listen_edge.errors import AudioError
from listen_edge.lines.answer import Answer
from listen_edge.lines.health import Health
from listen_edge.runtime.listening.listen_config import ListenConfig
from listen_edge.runtime.listening.listener import Listener
from listen_edge.runtime.listening.liveness import LivenessConfig
from listen_edge.runtime.sources.ffmpeg import FfmpegSource
from tests.streams import RATE, LevelEngine, read_all, sweep


@pytest.fixture()
def stalling_stream() -> Iterator[str]:
    """An HTTP stream on loopback that sends ten seconds of sound and then nothing, for ever."""
    sound = (sweep(10.0) * 32767).astype("<i2").tobytes()
    header = _unending_wav_header()
    release = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "audio/wav")
            self.end_headers()
            self.wfile.write(header + sound)
            self.wfile.flush()
            release.wait(30)

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/sound.wav"
    release.set()
    server.shutdown()
    server.server_close()
    thread.join()


def _unending_wav_header() -> bytes:
    size = (0xFFFFFFFF).to_bytes(4, "little")
    fmt = b"fmt \x10\0\0\0\x01\0\x01\0" + RATE.to_bytes(4, "little")
    fmt += (2 * RATE).to_bytes(4, "little") + b"\x02\0\x10\0"
    return b"RIFF" + size + b"WAVE" + fmt + b"data" + size


def test_a_stream_that_stalls_delivers_nothing_and_closes_at_once(stalling_stream: str) -> None:
    source = FfmpegSource(stalling_stream)
    source.open()
    heard, deadline = 0, time.monotonic() + 15
    while heard < RATE and time.monotonic() < deadline:
        block = source.read(0.2)
        heard += 0 if block is None else len(block.samples)
    assert heard >= RATE
    while source.read(1.0) is not None:
        pass  # until it stalls
    started = time.monotonic()
    source.close()
    assert time.monotonic() - started < 1.0


def test_a_stream_that_stalls_is_opened_again(stalling_stream: str) -> None:
    liveness = LivenessConfig(silent_after_s=1.5, tick_s=0.2, backoffs_s=(0.1,))
    source = FfmpegSource(stalling_stream)
    listener = Listener(LevelEngine(), source, ["siren?"], ListenConfig(liveness=liveness))  # type: ignore[arg-type]
    states: list[str] = []
    reasons: set[str | None] = set()
    for line in listener:
        if isinstance(line, Health) and states[-1:] != [line.state]:  # ten seconds come at once:
            states.append(line.state)  # skipped windows are told too
        elif isinstance(line, Answer):
            reasons.add(line.reason)
        if states.count("healthy") == 2 or len(states) > 20:
            listener.stop()
    assert states == ["healthy", "alarmed", "recovering", "healthy"]
    assert {"stale", "no_audio"} & reasons


def test_ffmpeg_that_dies_is_a_loss_of_a_live_source(stalling_stream: str) -> None:
    source = FfmpegSource(stalling_stream)
    source.open()
    assert source._decoder is not None
    source._decoder.kill()
    with pytest.raises(AudioError, match="ffmpeg ended with code -9"):
        while True:
            source.read(1.0)
    source.close()


def test_nobody_listens_where_the_url_points() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    source = FfmpegSource(f"http://127.0.0.1:{port}/a.wav")
    with pytest.raises(AudioError, match="refused"):
        read_all(source)
