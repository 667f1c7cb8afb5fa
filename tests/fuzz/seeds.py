"""Small real input: recordings in every format that libsndfile and ffmpeg write, and a bundle."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from listen_edge.bundle.manifest import MANIFEST
from listen_edge.bundle.opening import bundle_folder

_NO_FILE = ("RAW", "SD2")  # without a header; with a second file
_RATE = 16_000
_FFMPEG: dict[str, tuple[str, ...]] = {
    "aac.m4a": ("-c:a", "aac"),
    "fragments.mp4": ("-c:a", "aac", "-movflags", "frag_keyframe+empty_moov", "-frag_size", "900"),
    "alac.mov": ("-c:a", "alac"),
    "by_ffmpeg.3gp": ("-c:a", "aac"),
    "by_ffmpeg.aac": ("-c:a", "aac"),
    "opus.webm": ("-c:a", "libopus"),
    "vorbis.mka": ("-c:a", "libvorbis"),
    "flac.mka": ("-c:a", "flac"),
    "flac.oga": ("-c:a", "flac"),
    "speex.ogg": ("-c:a", "libspeex"),
    "by_ffmpeg.wma": ("-c:a", "wmav2"),
    "by_ffmpeg.asf": ("-c:a", "wmav1"),
    "by_ffmpeg.wv": (),
    "by_ffmpeg.tta": (),
    "by_ffmpeg.ac3": (),
    "by_ffmpeg.eac3": (),
    "by_ffmpeg.mp2": (),
    "vbr.mp3": ("-c:a", "libmp3lame", "-q:a", "9"),
    "bare.mp3": ("-write_xing", "0", "-id3v2_version", "0"),
    "mp2.ts": ("-c:a", "mp2"),
    "mp3.avi": ("-c:a", "libmp3lame"),
    "mp3.wav": ("-c:a", "libmp3lame"),
    "mp2.wav": ("-c:a", "mp2"),
    "g722.wav": ("-c:a", "g722"),
    "adpcm.wav": ("-c:a", "adpcm_ima_wav"),
    "gsm.wav": ("-c:a", "libgsm_ms", "-ar", "8000"),
    "yamaha.wav": ("-c:a", "adpcm_yamaha"),
    "big.wav": ("-rf64", "always"),
    "by_ffmpeg.flv": ("-ar", "22050"),
    "by_ffmpeg.nut": ("-c:a", "pcm_s16le"),
    "by_ffmpeg.voc": (),
    "by_ffmpeg.caf": ("-c:a", "alac"),
    "alaw.au": ("-c:a", "pcm_alaw"),
    "streamed.flac": ("-f", "flac", "pipe:1"),
}
_PLAYLISTS = {  # which ffmpeg knows by their contents, and would follow
    "ffconcat": b"ffconcat version 1.0\n" + b"".join(b"file %d\n" % k for k in range(3, 9)),
    "m3u8": b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile:///dev/zero\n",
    "sdp": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 9 RTP/AVP 0\n",
    "mpd": b'<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="dynamic"/>\n',
}


@cache
def recordings() -> dict[str, bytes]:
    """Return files of a fifth of a second by name."""
    times = np.arange(_RATE // 5) / _RATE
    noise = np.random.default_rng(0).normal(0, 0.05, len(times))
    mono = 0.3 * np.sin(2 * np.pi * 440 * times) + noise
    stereo = np.stack([mono, -noise], axis=1)
    with tempfile.TemporaryDirectory() as folder:
        files = _by_sndfile(mono, stereo) | _by_ffmpeg(Path(folder), mono)
    return files | _bombs() | _PLAYLISTS


def _by_sndfile(mono: Any, stereo: Any) -> dict[str, bytes]:
    files = {}
    for form in soundfile.available_formats():
        if form in _NO_FILE:
            continue
        for subtype in soundfile.available_subtypes(form):
            for samples, rate in ((stereo, _RATE), (mono, _RATE), (mono, 8_000)):
                if (data := _written(samples, rate, form, subtype)) is not None:
                    files[f"{form}.{subtype}"] = data
                    break
    return files


def _written(samples: Any, rate: int, form: str, subtype: str) -> bytes | None:
    """Return a file, None if the format does not take this rate or so many channels."""
    file = io.BytesIO()
    file.name = form.lower()  # soundfile asks for it
    try:
        soundfile.write(file, samples, rate, subtype, format=form)
    except (soundfile.LibsndfileError, ValueError):
        return None
    return file.getvalue()


def _by_ffmpeg(folder: Path, mono: Any) -> dict[str, bytes]:
    soundfile.write(folder / "source.wav", mono, _RATE)
    command = ["ffmpeg", "-loglevel", "error", "-nostdin", "-i", "source.wav"]
    for name, options in _FFMPEG.items():
        command += ["-fflags", "+bitexact", "-strict", "-2", *options]
        command += [] if options[-1:] == ("pipe:1",) else [name]
    written = subprocess.run(command, cwd=folder, check=True, stdout=subprocess.PIPE).stdout
    (folder / "streamed.flac").write_bytes(written)
    return {name: (folder / name).read_bytes() for name in _FFMPEG}


def _bombs() -> dict[str, bytes]:
    """Return small files that hold much: 20 minutes of silence in eight channels, a long tag."""
    silence = io.BytesIO()
    with soundfile.SoundFile(silence, "w", 8_000, 8, "PCM_16", format="FLAC") as file:
        for _ in range(20 * 60):
            file.write(np.zeros((8_000, 8), np.int16))
    title = b"a" * 1_000_000
    tag = b"TIT2" + len(title).to_bytes(4, "big") + b"\0\0" + title
    return {"silence.flac": silence.getvalue(), "long_tag": b"ID3\3\0\0\0\x3d\x09\x0a" + tag}


@cache
def manifest() -> dict[str, Any]:
    """Return the manifest of a bundle of bundle_files."""
    raw: dict[str, Any] = json.loads((bundle_folder("tiny") / MANIFEST).read_bytes())
    raw["calibration"]["concepts"] = raw["calibration"]["concepts"][:3]
    contents = bundle_files()
    raw["files"] = [
        {
            "path": path,
            "role": role,
            "bytes": len(contents[path]),
            "sha256": hashlib.sha256(contents[path]).hexdigest(),
        }
        for path, role in (("encoder.onnx", "encoder"), ("clips/a.ogg", "clip"))
    ]
    raw["llm"]["gguf"] |= {
        "path": "llm.gguf",
        "package": None,
        "bytes": len(contents["llm.gguf"]),
        "sha256": hashlib.sha256(contents["llm.gguf"]).hexdigest(),
    }
    return raw


def bundle_files() -> dict[str, bytes]:
    """Return the files that `manifest` lists, small ones in place of the real ones."""
    return {"encoder.onnx": bytes(500), "clips/a.ogg": b"OggS" * 99, "llm.gguf": b"GGUF" * 99}


def packed(members: list[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    """Return a tar file of members as they are, whatever they say of themselves."""
    file = io.BytesIO()
    for member, data in members:
        file.write(member.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape"))
        file.write(data + bytes(-len(data) % 512))
    return file.getvalue() + bytes(1024)
