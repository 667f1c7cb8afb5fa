"""Files, folders, stdin and ffmpeg: real ones, and how each of them fails."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from listen_edge.errors import AudioError
from listen_edge.runtime.sources import Block, EndOfStream
from listen_edge.runtime.sources.capture import LossMeter
from listen_edge.runtime.sources.choose import open_source, recording
from listen_edge.runtime.sources.ffmpeg import FfmpegSource
from listen_edge.runtime.sources.file import FileSource, FolderSource
from listen_edge.runtime.sources.microphone import MicrophoneSource
from listen_edge.runtime.sources.reader import QUEUE_S, BackgroundReader, PcmPipe
from listen_edge.runtime.sources.stdin import StdinSource
from tests.streams import RATE, read_all, sweep


def joined(blocks: list[Block]) -> np.ndarray:
    return np.concatenate([block.samples for block in blocks])


def test_a_file_comes_in_blocks_at_its_own_rate_and_channels(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    samples = sweep(1.23, 44_100, 2)
    soundfile.write(path, samples, 44_100, subtype="FLOAT")
    blocks = read_all(FileSource(path))
    np.testing.assert_array_equal(joined(blocks), samples)
    assert {block.rate for block in blocks} == {44_100} and len(blocks) == 13


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg"])
def test_a_truncated_file_is_an_error_where_it_ends(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, sweep(4.0), RATE)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(AudioError, match=rf"a\.{suffix}: (truncated|damaged)"):
        read_all(FileSource(path))


def test_a_folder_is_one_stream_in_the_order_of_its_paths(tmp_path: Path) -> None:
    for name, level in (("b/1.wav", 0.2), ("a/2.flac", 0.1), ("c.wav", 0.3)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        soundfile.write(tmp_path / name, np.full(8_000, level), RATE)
    (tmp_path / "notes.txt").write_text("not a recording")
    source = FolderSource(tmp_path)
    samples = joined(read_all(source))
    np.testing.assert_allclose(samples[::8_000, 0], [0.1, 0.2, 0.3], atol=1e-3)
    assert [(start_s, path.name) for start_s, path in source.parts] == [
        (0.0, "2.flac"), (0.5, "1.wav"), (1.0, "c.wav"),
    ]  # fmt: skip


def test_a_folder_without_recordings_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="no recordings there"):
        FolderSource(tmp_path).open()


@pytest.mark.parametrize(("dtype", "scale"), [("s16le", 32768), ("f32le", 1)])
def test_stdin_is_read_to_its_end_even_in_mid_sample(dtype: str, scale: int) -> None:
    samples = np.round(sweep(0.5, 8_000, 2) * 32768) / 32768
    raw = (samples * scale).astype({"s16le": "<i2", "f32le": "<f4"}[dtype]).tobytes()
    reading, writing = os.pipe()
    source = StdinSource(8_000, 2, dtype, is_live=False, fd=reading)

    def write() -> None:
        for start in range(0, len(raw), 1_001):  # never a whole number of frames
            os.write(writing, raw[start : start + 1_001])
        os.write(writing, raw[:3])  # and a frame cut short
        os.close(writing)

    threading.Thread(target=write).start()
    blocks = read_all(source)
    np.testing.assert_allclose(joined(blocks), samples, atol=1e-6)
    assert blocks[0].rate == 8_000
    os.close(reading)


def test_a_writer_that_pauses_is_heard_again_after_a_restart() -> None:
    reading, writing = os.pipe()
    source = StdinSource(RATE, 1, "s16le", is_live=True, fd=reading)
    source.open()
    os.write(writing, bytes(3_200))
    assert source.read(5.0) is not None
    source.close()  # as the listener does when nothing comes for long
    source.open()
    os.write(writing, bytes(3_200))
    assert source.read(5.0) is not None
    os.close(writing)
    with pytest.raises(EndOfStream):
        source.read(5.0)
    os.close(reading)


def test_a_live_source_that_nobody_reads_keeps_the_newest_and_says_what_is_lost() -> None:
    second = np.zeros((RATE, 1), np.float32)
    numbers = iter(range(60))
    done = threading.Event()

    def read_block() -> Block | None:
        number = next(numbers, None)
        if number is None:
            done.set()
            return None
        return Block(second + number, RATE, 0.0)

    reader = BackgroundReader(read_block, drops_oldest=True)
    done.wait(10)
    first = reader.read(1.0)
    assert first is not None and first.has_overflowed
    assert first.samples[0, 0] == 60 - QUEUE_S
    rest = [reader.read(1.0) for _ in range(int(QUEUE_S) - 1)]
    assert [block.has_overflowed for block in rest if block] == [False] * (int(QUEUE_S) - 1)
    with pytest.raises(EndOfStream):
        reader.read(1.0)


def test_a_recording_waits_for_its_reader() -> None:
    second, numbers = np.zeros((RATE, 1), np.float32), iter(range(60))
    taken: list[int] = []

    def read_block() -> Block | None:
        number = next(numbers, None)
        if number is None:
            return None
        taken.append(number)
        return Block(second + number, RATE, 0.0)

    reader = BackgroundReader(read_block, drops_oldest=False)
    time.sleep(0.3)
    assert len(taken) <= QUEUE_S + 1
    blocks = [reader.read(1.0) for _ in range(60)]
    assert [block.samples[0, 0] for block in blocks if block] == list(range(60))


def test_a_gap_that_no_one_flags_is_a_loss_and_mere_lateness_is_none() -> None:
    def losses(arrivals_s: list[float]) -> list[int]:
        meter = LossMeter()
        return [k for k, at_s in enumerate(arrivals_s) if meter.has_lost(at_s, 0.1 * (k + 1))]

    steady = [0.1 * k for k in range(200)]
    assert losses(steady) == []
    assert losses([1.001 * at_s for at_s in steady]) == []  # a clock that is off by a thousandth
    late = [at_s + max(0.0, 2.0 - 0.05 * (k - 100)) * (k >= 100) for k, at_s in enumerate(steady)]
    assert losses(late[:105] + [steady[k] + 0.2 for k in range(105, 200)]) == []  # catches up
    (lost,) = losses([at_s + 1.4 * (k >= 100) for k, at_s in enumerate(steady)])
    assert 100 <= lost <= 110


def test_words_for_sources(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", sweep(0.2), RATE)
    assert isinstance(open_source(tmp_path / "a.wav"), FileSource)
    assert isinstance(open_source(str(tmp_path)), FolderSource)
    assert isinstance(open_source("rtsp://camera/1"), FfmpegSource)
    assert open_source("rtsp://camera/1").is_live
    assert isinstance(open_source("mic"), MicrophoneSource)
    assert open_source("mic:USB Audio").name == "USB Audio"
    with pytest.raises(AudioError, match="no such file"):
        open_source("nothing.wav")


def test_only_a_single_file_plays_in_real_time(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", sweep(0.2), RATE)
    assert recording(tmp_path / "a.wav", is_realtime=True).is_live
    with pytest.raises(AudioError, match="--realtime plays single recordings"):
        recording(tmp_path, is_realtime=True)


def test_a_terminal_is_no_pcm() -> None:
    terminal, keyboard = os.openpty()
    with pytest.raises(AudioError, match="stdin is a terminal"):
        StdinSource(RATE, 1, "s16le", is_live=True, fd=keyboard).open()
    os.close(terminal)
    os.close(keyboard)


def pcm_of(data: bytes) -> np.ndarray:
    """Return what a pipe of these bytes gives as 16-bit mono."""
    reading, writing = os.pipe()
    writer = threading.Thread(target=lambda: [os.write(writing, data), os.close(writing)])
    writer.start()
    try:
        pipe = PcmPipe(reading, RATE, 1, "s16le")
        return joined(list(iter(pipe.read_block, None)))
    finally:
        os.close(reading)
        writer.join()


@pytest.mark.parametrize("form", ["wav", "flac", "ogg", "mp3", "adts", "mpegts", "webm", "au"])
def test_a_file_on_stdin_is_never_heard_as_pcm(tmp_path: Path, form: str) -> None:
    soundfile.write(tmp_path / "a.wav", sweep(0.5), RATE)
    options = ["-id3v2_version", "0", "-write_xing", "0"] if form == "mp3" else []
    command = ["ffmpeg", "-loglevel", "error", "-i", tmp_path / "a.wav", *options, "-f", form, "-"]
    data = subprocess.run(command, check=True, capture_output=True).stdout
    with pytest.raises(AudioError, match=r"stdin holds an? .*, not raw PCM"):
        pcm_of(data)


@pytest.mark.parametrize("n_samples", [2, 100, 5_000, 20_000])
@pytest.mark.parametrize("begin", [b"\xff\xfb\x90\0", b"\xff\xf1\x4c\x80", b"G" * 4])
def test_pcm_that_begins_like_a_frame_is_heard_whole(begin: bytes, n_samples: int) -> None:
    noise = np.random.default_rng(0).integers(-9, 9, n_samples, "<i2")
    noise[:2] = np.frombuffer(begin, "<i2")
    np.testing.assert_array_equal(pcm_of(noise.tobytes())[:, 0] * 32768, noise)


def test_what_libsndfile_does_not_read_goes_through_ffmpeg(tmp_path: Path) -> None:
    wav, container = tmp_path / "a.wav", tmp_path / "a.mka"
    samples = sweep(2.0)
    soundfile.write(wav, samples, RATE, subtype="FLOAT")
    assert os.spawnlp(os.P_WAIT, "ffmpeg", "ffmpeg", "-loglevel", "error", "-i", str(wav),
                      "-c:a", "pcm_f32le", str(container)) == 0  # fmt: skip
    source = recording(container)
    assert isinstance(source, FileSource) and not source.is_live
    np.testing.assert_allclose(joined(read_all(source)), samples, atol=1e-4)


def test_ffmpeg_that_is_missing_names_its_remedy() -> None:
    source = FfmpegSource("rtsp://camera/1", program="no-such-ffmpeg")
    with pytest.raises(AudioError, match="apt-get install ffmpeg"):
        source.open()


def test_what_ffmpeg_cannot_play_is_an_error_in_its_words(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a recording\n" * 100)
    with pytest.raises(
        AudioError,
        match=r"notes\.txt: cannot be decoded: ffmpeg ended with code \d+ \(Invalid data found",
    ):
        read_all(recording(path))


@pytest.mark.parametrize(
    "url",
    [
        "http://me:se@cret@127.0.0.1:{port}/x",
        "http://me:se/cret@127.0.0.1:{port}/x",
        "http://me:se cret@127.0.0.1:{port}/x",
        "http://127.0.0.1:{port}/x?user=me&password=se%20cret",
        "rtsp://me:se@cret@127.0.0.1:{port}/x",
    ],
)
def test_passwords_of_urls_are_in_no_line(url: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = url.format(port=unused.getsockname()[1])
    source = FfmpegSource(url)
    source.open()
    try:
        with pytest.raises(AudioError, match="ffmpeg ended with code") as raised:
            while True:
                source.read(1.0)
    finally:
        source.close()
    shown = f"{source.name} {raised.value}"
    assert not re.search(r"\bme\b|\bse\b|cret", shown), shown
