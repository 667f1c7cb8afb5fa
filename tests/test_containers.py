"""Recordings of every format: whole, cut, piped, unfinished, tagged. None is heard in part."""

from __future__ import annotations

import io
import logging
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from listen_edge.audio import read_audio
from listen_edge.audio.recording import Recording
from listen_edge.errors import AudioError
from tests.formats import FFMPEG, RATE, SECONDS, SNDFILE, ffmpeg, seconds_of, write_formats

_TAGS = {
    "ID3 of 300 kB": lambda data: b"ID3\4\0\0" + bytes((0, 18, 50, 0)) + bytes(301_312) + data,
    "ID3v1": lambda data: data + b"TAG" + bytes(125),
    "APE at the end": lambda data: data + _ape(b"x" * 5000),
    "APE at the beginning": lambda data: _ape(b"x" * 500) + data,
    "zeros at the end": lambda data: data + bytes(200_000),
    "the rest of a frame before": lambda data: data[700:],
}


def _ape(items: bytes) -> bytes:
    def block(flags: int) -> bytes:
        return b"APETAGEX" + struct.pack("<4I", 2000, len(items) + 32, 1, flags) + bytes(8)

    return block(0xA000_0000) + items + block(0x8000_0000)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_formats(tmp_path_factory.mktemp("formats"))


@pytest.mark.parametrize("name", [*SNDFILE, *FFMPEG])
def test_a_whole_recording_is_heard_to_its_end(folder: Path, name: str) -> None:
    samples = read_audio(folder / f"whole.{name}")
    assert len(samples) / RATE == pytest.approx(SECONDS, abs=0.13)  # a codec's delay and padding
    last = samples[-round(1.2 * RATE) : -round(0.2 * RATE)]
    assert np.std(last) == pytest.approx(0.18, rel=0.3)


@pytest.mark.parametrize("share", [0.95, 2 / 3, 0.2])
@pytest.mark.parametrize("name", [n for n in (*SNDFILE, *FFMPEG) if n not in ("wv", "wma", "aac")])
def test_a_cut_recording_is_an_error(
    folder: Path, tmp_path: Path, name: str, share: float, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"cut.{name}"
    whole = (folder / f"whole.{name}").read_bytes()
    path.write_bytes(whole[: round(len(whole) * share)])
    with pytest.raises(AudioError, match=r"cut\.\S+: (truncated|damaged|cannot be decoded)"):
        read_audio(path)
    assert capfd.readouterr().err == ""


def test_the_error_says_how_much_of_how_much_there_is(folder: Path, tmp_path: Path) -> None:
    for name in ("wav", "rf64", "w64", "aiff", "au", "caf", "sph"):
        path = tmp_path / f"cut.{name}"
        whole = (folder / f"whole.{name}").read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(AudioError, match=r"truncated: holds (3\.0|2\.9) of 6\.0 s"):
            Recording(path)  # before a single frame is answered


def _set(at: int, layout: str, *values: int) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        patched = bytearray(data)
        struct.pack_into(layout, patched, at, *values)
        return bytes(patched)

    return change


@pytest.mark.parametrize(
    "size",
    [0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000, 0x80000000, 0xFFFFF000, 0x7FFFF024, 0x7F000000, 0],
    ids=hex,
)
def test_a_placeholder_is_no_promise(folder: Path, tmp_path: Path, size: int) -> None:
    wav = (folder / "whole.wav").read_bytes()
    assert wav[36:40] == b"data"
    (tmp_path / "piped.wav").write_bytes(_set(40, "<I", size)(wav))
    assert seconds_of(tmp_path / "piped.wav") == SECONDS
    au = (folder / "whole.au").read_bytes()
    assert au[:4] in (b".snd",)
    (tmp_path / "piped.au").write_bytes(_set(8, ">I", size)(au))
    assert seconds_of(tmp_path / "piped.au") == SECONDS


@pytest.mark.parametrize("form", ["wav", "aiff", "au", "w64", "flac", "caf"])
def test_what_ffmpeg_writes_into_a_pipe_is_heard(folder: Path, tmp_path: Path, form: str) -> None:
    path = tmp_path / f"piped.{form}"
    path.write_bytes(ffmpeg("-i", folder / "whole.wav", "-f", form, "-"))
    assert seconds_of(path) == SECONDS
    data = ffmpeg("-i", folder / "whole.wav", "-f", "wav", "-rf64", "always", "-")
    (tmp_path / "piped.rf64").write_bytes(data)
    assert seconds_of(tmp_path / "piped.rf64") == SECONDS


def test_a_recorder_that_died_is_told(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "died.wav"
    path.write_bytes(_set(40, "<I", 0)((folder / "whole.wav").read_bytes()))
    with caplog.at_level(logging.WARNING):
        assert seconds_of(path) == SECONDS
    assert "died.wav: its recorder never finished the header" in caplog.text


def test_an_empty_data_chunk_before_other_chunks_is_empty(folder: Path, tmp_path: Path) -> None:
    header = (folder / "whole.wav").read_bytes()[:40]
    empty = header + struct.pack("<I", 0) + b"LIST" + struct.pack("<I", 4) + b"INFO"
    (tmp_path / "empty.wav").write_bytes(empty)
    with pytest.raises(AudioError, match="0 samples"):
        read_audio(tmp_path / "empty.wav")


def test_bw64_is_rf64_by_another_name(folder: Path, tmp_path: Path) -> None:
    data = (folder / "whole.rf64").read_bytes()
    (tmp_path / "a.bw64").write_bytes(b"BW64" + data[4:])
    assert seconds_of(tmp_path / "a.bw64") == SECONDS


@pytest.mark.parametrize("tag", list(_TAGS))
@pytest.mark.parametrize("arguments", [("-b:a", "64k"), ("-q:a", "7")], ids=["constant", "varying"])
@pytest.mark.parametrize("xing", ["0", "1"])
def test_mp3_is_heard_to_its_end(
    folder: Path,
    tmp_path: Path,
    tag: str,
    arguments: tuple[str, str],
    xing: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    options = (*arguments, "-write_xing", xing, "-id3v2_version", "0")
    data = ffmpeg("-i", folder / "whole.wav", *options, "-f", "mp3", "-")
    path = tmp_path / "a.mp3"
    if xing == "1":  # a pipe has no count: only a file has
        ffmpeg("-i", folder / "whole.wav", *options, path)
        data = path.read_bytes()
    path.write_bytes(_TAGS[tag](data))
    if tag == "the rest of a frame before" and xing == "1":
        pytest.skip("the count lies in the first frame")
    assert seconds_of(path) == pytest.approx(SECONDS, abs=0.2)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("name", ["soft then loud", "loud then soft"])
def test_mp3_of_two_bitrates_is_heard_to_its_end(folder: Path, tmp_path: Path, name: str) -> None:
    low, high = (
        ffmpeg("-i", folder / "whole.wav", "-b:a", rate, "-write_xing", "0", "-f", "mp3", "-")
        for rate in ("24k", "128k")
    )
    path = tmp_path / "joined.mp3"
    path.write_bytes(low + high if name == "soft then loud" else high + low)
    assert seconds_of(path) == pytest.approx(2 * SECONDS, abs=0.3)


def test_mp3_with_a_hole_is_damaged(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = (folder / "whole.mp3").read_bytes()
    path = tmp_path / "hole.mp3"
    rng = np.random.default_rng(0)
    for hole in (bytes(3000), rng.bytes(3000).replace(b"\xff", b"\x7f")):
        path.write_bytes(data[: len(data) // 2] + hole + data[len(data) // 2 :])
        with pytest.raises(AudioError, match=r"hole\.mp3: damaged after [23]\.\d s"):
            read_audio(path)
    assert capfd.readouterr().err == ""


def test_mp3_whose_count_is_not_kept_is_truncated(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.mp3"
    ffmpeg("-i", folder / "whole.wav", "-q:a", "5", path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(AudioError, match=r"truncated: holds \d\.\d of 6\.\d s"):
        read_audio(path)


def test_mp3_within_wav_is_heard_to_its_end(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    ffmpeg("-i", folder / "whole.wav", "-c:a", "libmp3lame", path)
    assert seconds_of(path) == pytest.approx(SECONDS, abs=0.2)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(AudioError, match="truncated"):
        read_audio(path)


def test_chained_ogg_is_heard_to_its_end(folder: Path, tmp_path: Path) -> None:
    data = (folder / "whole.ogg").read_bytes()
    (tmp_path / "two.ogg").write_bytes(data + data)
    assert seconds_of(tmp_path / "two.ogg") == pytest.approx(2 * SECONDS, abs=0.1)


@pytest.mark.parametrize("name", ["webm", "m4a"])
@pytest.mark.parametrize("suffix", ["wav", "mp3", "flac", "bin"])
def test_the_contents_count_and_not_the_suffix(
    folder: Path, tmp_path: Path, name: str, suffix: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"misnamed.{suffix}"
    path.write_bytes((folder / f"whole.{name}").read_bytes())
    assert seconds_of(path) == pytest.approx(SECONDS, abs=0.1)
    assert capfd.readouterr().err == ""


def test_a_video_without_sound_says_so(tmp_path: Path) -> None:
    path = tmp_path / "silent.mp4"
    ffmpeg("-f", "lavfi", "-i", "color=black:s=64x64:d=1", path)
    with pytest.raises(AudioError, match=r"silent\.mp4: cannot be decoded: has no sound track"):
        read_audio(path)


def test_without_ffmpeg_one_line_names_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AudioError, match=r"whole\.m4a: .*ffmpeg.* is not installed; run: apt-get"):
        read_audio(folder / "whole.m4a")
    assert seconds_of(folder / "whole.flac") == SECONDS


def test_a_playlist_reaches_no_network(tmp_path: Path) -> None:
    playlist = "#EXTM3U\n#EXTINF:5,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n"
    for name, text in {"a.m3u8": playlist, "a.mp3": playlist}.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(AudioError, match="cannot be decoded"):
            read_audio(tmp_path / name)


@pytest.mark.parametrize("name", ["new\nline.wav", "esc\x1b[31m.wav", "byte\udcff.wav", "-x.wav"])
def test_any_file_name_is_read_and_printed_on_one_line(
    folder: Path, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    path.write_bytes((folder / "whole.wav").read_bytes())
    assert seconds_of(path) == SECONDS
    path.write_bytes(b"x" * 100)
    with pytest.raises(AudioError) as raised:
        read_audio(path)
    assert str(raised.value).isprintable()


def test_random_bytes_are_no_recording(tmp_path: Path) -> None:
    for seed in range(10):
        path = tmp_path / "random.bin"
        path.write_bytes(np.random.default_rng(seed).bytes(5000))
        with pytest.raises(AudioError):
            read_audio(path)


def test_a_pipe_is_read_to_its_end(folder: Path) -> None:
    import os
    import threading

    for name in ("wav", "mp3", "m4a"):
        reading, writing = os.pipe()
        data = (folder / f"whole.{name}").read_bytes()

        def write(writing: int = writing, data: bytes = data) -> None:
            with os.fdopen(writing, "wb") as pipe:
                pipe.write(data)

        writer = threading.Thread(target=write)
        writer.start()
        assert seconds_of(Path(f"/dev/fd/{reading}")) == pytest.approx(SECONDS, abs=0.2)
        writer.join()
        os.close(reading)


@pytest.mark.parametrize("value", [1e38, 1e25, 1e4, 20.0, np.nan, np.inf, -np.inf])
def test_values_that_no_recorder_makes_are_damage(tmp_path: Path, value: float) -> None:
    samples = np.full(RATE, 0.1, np.float32)
    samples[5000] = value
    data = io.BytesIO()
    soundfile.write(data, samples, RATE, "FLOAT", format="WAV")
    (tmp_path / "spike.wav").write_bytes(data.getvalue())
    with pytest.raises(AudioError, match="the recording is damaged"):
        read_audio(tmp_path / "spike.wav")


def test_what_a_codec_overshoots_is_heard(tmp_path: Path) -> None:
    samples = np.full(RATE, 0.1, np.float32)
    samples[5000] = -1.9
    soundfile.write(tmp_path / "hot.wav", samples, RATE, "FLOAT")
    assert read_audio(tmp_path / "hot.wav").min() == np.float32(-1.9)
