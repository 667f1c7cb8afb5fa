"""Files made to mislead a decoder: found by `python -m tests.fuzz`, each the example of a kind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from listen_edge.audio import read_audio, read_channels
from listen_edge.errors import AudioError

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
