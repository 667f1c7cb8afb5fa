"""Files made to mislead a decoder: found by `python -m tests.fuzz`, each the example of a kind."""

from __future__ import annotations

import re
import struct
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from listen_edge.audio import read_audio, read_channels
from listen_edge.audio.ffmpeg import Bounds, FfmpegRecording
from listen_edge.audio.mp3 import find_frames
from listen_edge.errors import AudioError
from listen_edge.runtime.sources.ffmpeg import FfmpegSource

RATE = 16_000


@pytest.mark.parametrize(
    "text",
    [
        "ffconcat version 1.0\nfile {}\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n/dev/fd/{}\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 9 RTP/AVP 0\n",
    ],
    ids=["ffconcat", "m3u8", "sdp"],
)
def test_a_list_of_other_files_is_no_recording(
    tmp_path: Path, tiny_folder: Path, text: str
) -> None:
    """It would be heard through ffmpeg: whatever file, or descriptor of ours, it names."""
    with (tiny_folder / "clips/siren.ogg").open("rb") as other:
        (tmp_path / "list").write_text(text.format(other.fileno()))
        with pytest.raises(AudioError, match="list: cannot be decoded: is in no format of record"):
            read_audio(tmp_path / "list")


@pytest.mark.parametrize("behind", ["zeros", "wav"])
def test_what_only_looks_like_mpeg_prints_nothing(
    tmp_path: Path, behind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 3200)
    soundfile.write(tmp_path / "a.wav", noise, RATE)
    rest = bytes(3000) if behind == "zeros" else (tmp_path / "a.wav").read_bytes()[4:]
    (tmp_path / "a.mp3").write_bytes(b"\xff\xfb\x90\x64" + rest)
    with pytest.raises(AudioError, match="cannot be decoded"):
        read_audio(tmp_path / "a.mp3")
    assert capfd.readouterr() == ("", "")


def test_a_damaged_sample_dump_prints_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    soundfile.write(tmp_path / "a.sds", np.zeros(RATE), RATE, "PCM_16")
    data = bytearray((tmp_path / "a.sds").read_bytes())
    data[300] ^= 0xFF
    (tmp_path / "a.sds").write_bytes(data)
    with pytest.raises(AudioError, match="MIDI sample dump is not read"):
        read_audio(tmp_path / "a.sds")
    assert capfd.readouterr() == ("", "")


def test_many_channels_share_the_longest_duration(tmp_path: Path) -> None:
    """40 kB of FLAC hold 10 minutes of silence in eight channels: 300 MB as samples."""
    with soundfile.SoundFile(tmp_path / "a.flac", "w", 8_000, 8, "PCM_16") as file:
        for _ in range(600):
            file.write(np.zeros((8_000, 8), np.int16))
    with pytest.raises(AudioError, match=r"a\.flac: longer than 450 s; use"):
        read_channels(tmp_path / "a.flac")
    assert len(read_audio(tmp_path / "a.flac")) == 600 * RATE


def _aiff(exponent: int) -> bytes:
    comm = struct.pack(">4sIhIhHQ", b"COMM", 18, 1, 8000, 16, exponent, 1 << 63)
    return b"FORM\0\0\1\0AIFF" + comm + b"SSND\0\0\1\0" + bytes(8)


def _sphere(rate: bytes, n_header: bytes = b"1024") -> bytes:
    text = b"NIST_1A\n   %b\nsample_rate -i %b\nsample_count -i 8000\nend_head\n" % (n_header, rate)
    return text.ljust(1024) + bytes(100)


@pytest.mark.parametrize(
    "data",
    [
        *(_aiff(exponent) for exponent in (0, 0x3FFF, 0x7FFF, 0xFFFF)),
        *(_sphere(rate) for rate in (b"0", b"9" * 400, b"9" * 5000)),
        _sphere(b"8000", n_header=b"99999999"),
        b"caff\0\1\0\0desc" + struct.pack(">Qd4sIIIII", 32, np.nan, b"lpcm", 0, 2, 1, 1, 16)
        + b"data" + struct.pack(">QI", 1 << 40, 0),
        b".snd" + struct.pack(">5I", 1 << 31, 1 << 31, 3, 1 << 31, 1 << 31),
    ],
)  # fmt: skip
def test_impossible_figures_in_a_header_are_an_error(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(AudioError, match="a: ") as refused:
        read_audio(tmp_path / "a")
    assert not re.search(r"\b(inf|nan)\b", str(refused.value).lower())


def _box(kind: bytes, *content: bytes) -> bytes:
    inside = b"".join(content)
    return struct.pack(">I4s", 8 + len(inside), kind) + inside


def _mov(n_samples: int) -> bytes:
    """Return a QuickTime file of 4 kB that says it holds so many samples."""
    coded = struct.pack(">I4s6xH8xHHHHI", 36, b"sowt", 1, 1, 8, 0, 0, 48_000 << 16)
    table = [
        _box(b"stsd", struct.pack(">4xI", 1), coded),
        _box(b"stts", struct.pack(">4x3I", 1, n_samples, 2)),
        _box(b"stsc", struct.pack(">4x4I", 1, 1, n_samples, 1)),
        _box(b"stsz", struct.pack(">4x2I", 1, n_samples)),
        _box(b"stco", struct.pack(">4x2I", 1, 40)),
    ]
    media = [
        _box(b"mdhd", struct.pack(">4x4I4x", 0, 0, 48_000, 48_000)),
        _box(b"hdlr", bytes(8), b"soun", bytes(13)),
        _box(b"minf", _box(b"smhd", bytes(8)), _box(b"stbl", *table)),
    ]
    track = _box(b"tkhd", struct.pack(">4x5I60x", 0, 0, 1, 0, 48_000)), _box(b"mdia", *media)
    movie = _box(b"mvhd", struct.pack(">4x4I80x", 0, 0, 48_000, 48_000)), _box(b"trak", *track)
    return _box(b"ftyp", b"qt  \0\0\0\0qt  ") + _box(b"mdat", bytes(4000)) + _box(b"moov", *movie)


def test_a_header_cannot_make_ffmpeg_take_all_memory(tmp_path: Path) -> None:
    """An index of 60 million samples would be 1.5 GB, and the first of them would be heard."""
    (tmp_path / "a.mov").write_bytes(_mov(60_000_000))
    with pytest.raises(AudioError, match=r"a\.mov: truncated: holds 0\.0 of 1\.0 s"):
        read_audio(tmp_path / "a.mov")


def test_a_stream_cannot_make_ffmpeg_take_all_memory_either(tmp_path: Path) -> None:
    (tmp_path / "a.mov").write_bytes(_mov(60_000_000))
    source = FfmpegSource(str(tmp_path / "a.mov"))
    source.open()
    with pytest.raises(AudioError, match=r"a\.mov: the stream ended; ffmpeg ended with"):
        source.read(20)  # not one block of what would be heard
    source.close()


def test_a_decoder_that_never_answers_is_ended(tmp_path: Path) -> None:
    endless = tmp_path / "ffmpeg"
    endless.write_text("#!/bin/sh\nwhile :; do :; done\n")
    endless.chmod(0o755)
    with (tmp_path / "ffmpeg").open("rb") as file, pytest.raises(AudioError, match="code -9"):
        FfmpegRecording(file, str(endless), bounds=Bounds(cpu_s=1))


@pytest.mark.parametrize("rest", [b"\xff", b"\xff\xfb\x90\x64\0"], ids=["ones", "headers"])
@pytest.mark.parametrize("n_frames", [2, 20])
def test_what_follows_mpeg_frames_is_searched_in_bounded_time(n_frames: int, rest: bytes) -> None:
    """Byte by byte, 25 MB took 14 s, in which no other thread of the process computed."""
    frames = b"\xff\xfb\x90\x64".ljust(417, b"\0") * n_frames
    begun = time.process_time()
    stream = find_frames(frames + bytes(40) + rest * (10_000_000 // len(rest)))
    assert time.process_time() - begun < 1
    assert stream is not None and stream.damaged_at_s == pytest.approx(n_frames * 1152 / 44_100)
    assert stream.is_something_else == (n_frames < 8)
