"""What lies behind a header's end, beside a track or behind a picture is heard, or told."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from listen_edge.audio import read_audio
from listen_edge.errors import AudioError
from tests.formats import RATE, SECONDS, ffmpeg, seconds_of, write_formats


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_formats(tmp_path_factory.mktemp("formats"))


@pytest.mark.parametrize("name", ["wav", "rf64", "au", "caf", "aiff", "flac"])
def test_a_header_that_says_less_than_there_is_was_never_finished(
    folder: Path, tmp_path: Path, name: str
) -> None:
    data = bytearray((folder / f"whole.{name}").read_bytes())
    half = round(RATE * SECONDS) // 2
    if name == "wav":
        struct.pack_into("<I", data, data.index(b"data") + 4, 2 * half)
    elif name == "rf64":
        struct.pack_into("<Q", data, data.index(b"ds64") + 16, 2 * half)
    elif name == "au":
        struct.pack_into(">I", data, 8, 2 * half)
    elif name == "caf":
        struct.pack_into(">Q", data, data.index(b"data") + 4, 2 * half + 4)
    elif name == "aiff":
        struct.pack_into(">I", data, data.index(b"COMM") + 10, half)
        struct.pack_into(">I", data, data.index(b"SSND") + 4, 2 * half + 8)
    else:
        (counts,) = struct.unpack_from(">Q", data, 18)
        struct.pack_into(">Q", data, 18, (counts >> 36 << 36) | half)
    path = tmp_path / f"flushed.{name}"
    path.write_bytes(data)
    assert seconds_of(path) == pytest.approx(SECONDS, abs=0.01)


def test_two_recordings_in_one_wav_are_both_heard(folder: Path, tmp_path: Path) -> None:
    data = (folder / "whole.wav").read_bytes()
    (tmp_path / "two.wav").write_bytes(data + data)
    assert seconds_of(tmp_path / "two.wav") == pytest.approx(2 * SECONDS, abs=0.01)


@pytest.mark.parametrize("name", ["two.mp4", "two.mkv"])
def test_several_sound_tracks_are_an_error(folder: Path, tmp_path: Path, name: str) -> None:
    noise = ("-f", "lavfi", "-i", "anoisesrc=d=6:a=0.01")
    ffmpeg(*noise, "-i", folder / "whole.wav", "-map", "0", "-map", "1", tmp_path / name)
    with pytest.raises(AudioError, match="holds several sound tracks"):
        read_audio(tmp_path / name)


def test_a_film_longer_than_its_sound_is_heard(folder: Path, tmp_path: Path) -> None:
    film = ("-f", "lavfi", "-i", "color=black:s=64x64:d=10")
    ffmpeg(*film, "-i", folder / "whole.wav", "-map", "0", "-map", "1", tmp_path / "film.mp4")
    assert seconds_of(tmp_path / "film.mp4") == pytest.approx(SECONDS, abs=0.1)
