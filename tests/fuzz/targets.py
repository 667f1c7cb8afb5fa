"""What is fuzzed, and what must hold of every outcome."""

from __future__ import annotations

import io
import json
import math
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from hypothesis import strategies as st

from listen_edge.audio.containers import CHAIN_BYTES, container_kind, may_be_frames, read_container
from listen_edge.audio.ffmpeg import FfmpegRecording
from listen_edge.audio.mp3 import MpegFile, find_frames
from listen_edge.audio.reading import read_audio, read_channels
from listen_edge.bundle.archive import packed_manifest, unpack_bundle
from listen_edge.bundle.manifest import MANIFEST, Manifest, parse_manifest
from listen_edge.bundle.opening import open_bundle
from listen_edge.bundle.thresholds import read_thresholds
from listen_edge.errors import AudioError, BundleError, ListenEdgeError, QuestionError
from listen_edge.lines import JsonLine
from listen_edge.printable import printable
from listen_edge.question import MAX_CHARACTERS, parse_concept
from listen_edge.urls import without_secrets, without_secrets_of
from tests.fuzz import seeds
from tests.fuzz.mutations import apply_steps, damaged, edited, edits, steps, with_a_magic
from tests.test_lines import CONTRACT, NOW

_T = TypeVar("_T")
_MAX_MESSAGE = 1000  # characters: more is no line for people
_HEAD = 400  # bytes of a file that hold its header
_MAX_FRAMES = 1 << 24  # of a small file through ffmpeg alone, where nothing bounds a recording


@dataclass(frozen=True)
class Target:
    """A part of the product, its input, and the check of one outcome in an empty folder.

    Attributes:
        n_examples: of the short run.
    """

    inputs: st.SearchStrategy[Any]
    check: Callable[[Any, Path], None]
    n_examples: int


def _outcome(call: Callable[[], _T], kind: type[ListenEdgeError]) -> _T | None:
    """Return what a call gives, None for an error of its kind on one line."""
    try:
        return call()
    except kind as err:
        message = str(err)
    assert message.isprintable() and 0 < len(message) < _MAX_MESSAGE, message
    return None


def _check_recording(data: bytes, folder: Path) -> None:
    path = folder / "recording"
    path.write_bytes(data)
    samples = _outcome(lambda: read_channels(path), AudioError)
    if samples is not None:
        assert samples.dtype == np.float32 and samples.ndim == 2 and len(samples) >= 1600
        assert np.isfinite(samples).all()
        assert len(read_audio(path)) == len(samples)


def _check_ffmpeg(data: bytes, folder: Path) -> None:
    path = folder / "recording"
    path.write_bytes(data)
    _outcome(lambda: _frames_through_ffmpeg(path), AudioError)


def _frames_through_ffmpeg(path: Path) -> int:
    with path.open("rb") as file:
        recording = FfmpegRecording(file)
    n_frames = 0
    try:
        while len(block := recording.read(1 << 16)):
            assert block.shape[1] == recording.n_channels
            n_frames += len(block)
            assert n_frames <= _MAX_FRAMES
    finally:
        recording.close()
    return n_frames


def _check_container(data: bytes, folder: Path) -> None:
    container_kind(data[:CHAIN_BYTES])
    may_be_frames(data[:8])
    container = read_container(io.BytesIO(data), len(data))
    if container is not None:
        assert 0 <= container.n_sound <= len(data)
        assert all(0 <= at <= len(data) for at, _ in container.patches)
        assert container.bytes_per_s is None or math.isfinite(container.bytes_per_s)
    stream = find_frames(data)
    if stream is not None:
        _outcome(stream.check, AudioError)
        file = MpegFile(data, stream)
        assert len(file.readall()) == file.seek(0, io.SEEK_END)
        file.close()


def _has_container(data: bytes) -> bool:
    return read_container(io.BytesIO(data), len(data)) is not None


def _check_question(question: str, folder: Path) -> None:
    concept = _outcome(lambda: parse_concept(question), QuestionError)
    if concept is not None:
        assert concept.isprintable() and 0 < len(concept) <= MAX_CHARACTERS
        assert concept == concept.strip()


def _check_manifest(text: bytes, folder: Path) -> None:
    manifest = _outcome(lambda: parse_manifest(text), BundleError)
    if manifest is not None:
        _check_values(manifest)


def _check_values(manifest: Manifest) -> None:
    """Use what the engine uses."""
    assert "siren" in manifest.prompt.ask("siren")
    assert 0 <= manifest.calibration.presence(3.0, -1.0) <= 1
    assert not manifest.calibration.covers("siren") or "siren" in manifest.calibration.concepts
    assert manifest.id.isprintable() and manifest.version.isprintable()
    assert min(manifest.n_query, manifest.n_embd, *(file.bytes for file in manifest.files)) > 0
    assert manifest.on_threshold - manifest.off_threshold >= 0


@dataclass(frozen=True)
class Folder:
    """A bundle's folder: its manifest, and its files as they lie there."""

    manifest: bytes
    files: dict[str, bytes]


def _check_folder(bundle: Folder, folder: Path) -> None:
    (folder / "clips").mkdir()
    (folder / MANIFEST).write_bytes(bundle.manifest)
    for path, data in bundle.files.items():
        (folder / path).write_bytes(data)
    _outcome(lambda: open_bundle(str(folder)), BundleError)


def _check_archive(data: bytes, folder: Path) -> None:
    path, target = folder / "bundle.tar", folder / "bundle"
    path.write_bytes(data)
    target.mkdir()
    _outcome(lambda: packed_manifest(path), BundleError)
    _outcome(lambda: unpack_bundle(path, target), BundleError)
    assert {entry.name for entry in folder.iterdir()} == {path.name, target.name}
    written = [entry for entry in target.rglob("*") if not entry.is_dir()]
    assert not any(entry.is_symlink() for entry in written)
    assert sum(entry.stat().st_size for entry in written) <= len(data)
    if (target / MANIFEST).exists():
        _outcome(lambda: open_bundle(str(target)), BundleError)


def _check_line(text: str, folder: Path) -> None:
    for line in CONTRACT:
        _check_line_of(type(line), text)


def _check_line_of(kind: type[JsonLine], text: str) -> None:
    line = _outcome(lambda: kind.from_json_line(text), ListenEdgeError)
    if line is not None:
        written = line.to_json_line(NOW)
        assert written.isprintable() and "NaN" not in written and "Infinity" not in written
        assert kind.from_json_line(written).to_json_line(NOW) == written


def _check_name(name: str, folder: Path) -> None:
    shown = printable(name)
    assert shown.isprintable() and shown.encode() is not None
    assert without_secrets(without_secrets(name)) == without_secrets(name)
    without_secrets_of(name, f"{name}: connection refused")


def _check_thresholds(text: bytes, folder: Path) -> None:
    path = folder / "thresholds.json"
    path.write_bytes(text)
    tuned = _outcome(lambda: read_thresholds(path), ListenEdgeError)
    if tuned is not None:
        _outcome(lambda: tuned.check_use("tiny", 1.0, (2, 3)), ListenEdgeError)


@st.composite
def _folders(draw: st.DrawFn) -> Folder:
    files = {
        path: apply_steps(data, draw(st.lists(steps, max_size=1)), b"")
        for path, data in seeds.bundle_files().items()
    }
    return Folder(edited(seeds.manifest(), draw(edits)).encode(), files)


@st.composite
def _archives(draw: st.DrawFn) -> bytes:
    folder = draw(_folders())
    members = [(_member(MANIFEST, folder.manifest), folder.manifest)]
    members += [(_member(path, data), data) for path, data in folder.files.items()]
    for member, _ in draw(st.lists(st.sampled_from(members), max_size=2)):
        field, value = draw(st.sampled_from(_MEMBER_FIELDS))
        setattr(member, field, value)
    return apply_steps(seeds.packed(members), draw(st.lists(steps, max_size=2)), b"")


def _member(name: str, data: bytes) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    return member


_MEMBER_FIELDS: list[tuple[str, Any]] = [
    *(("type", bytes([kind])) for kind in b"01234567LKSxgNV\0"),
    *(("name", name) for name in ("/etc/x", "../x", "clips", "", "a\nb", "x" * 300, "clips/a/b")),
    *(("size", size) for size in (0, 1, 511, 513, 1 << 33, -1)),
    *(("pax_headers", {key: value}) for key in ("size", "path", "mtime", "GNU.sparse.size",
      "GNU.sparse.map", "GNU.sparse.major", "hdrcharset") for value in ("1", "-1", "9" * 30, "x")),
]  # fmt: skip
_WORDS = [
    *("is", "there", "a", "the", "any", "siren", "dog", "barking", "or", "and", "not", "no", "can"),
    *("you", "hear", "how many", "before", "what", "sound", "of", "please", "tell me", "if", "in"),
    *("background", "?", "!", ".", ",", "...", "\u201c", "\uff08", "\uff1f", "\xdf", "\u0130"),
    *("\ufb01", "\u200b", "\u202e", "\ud800", "\x1b[31m", "{}", "{0}", "%s", "\n", "\0", "--"),
    *("\u6d88\u9632\u8eca", "\U0001f692", "12", "-", "\t", ""),
]
_questions = st.one_of(
    st.text(max_size=150),
    st.lists(st.sampled_from(_WORDS), max_size=20).map(" ".join),
    st.lists(st.sampled_from(_WORDS), max_size=20).map("".join),
    st.builds(lambda word, n: word * n, st.sampled_from(_WORDS), st.sampled_from([300, 100_000])),
)
_names = st.one_of(
    _questions,
    st.lists(st.sampled_from(["rtsp", ":", "/", "//", "@", "?", "#", "&", "=", "user", "password",
                              "me", "%70", "|", "host", "\n", "\udcff", "+"]),
             max_size=15).map("".join),
    st.builds(lambda part, n: part * n, st.sampled_from(["a", "a+", "a:", "a:/", "://", "@", "p="]),
              st.just(4096)),
)  # fmt: skip
_LINES = [line.to_json_line(NOW) for line in CONTRACT]


def _json(documents: list[Any]) -> st.SearchStrategy[str]:
    return st.builds(edited, st.sampled_from(documents), edits)


@st.composite
def _json_bytes(draw: st.DrawFn, document: Any) -> bytes:
    text = edited(document, draw(edits)).encode()
    return apply_steps(text, draw(st.lists(steps, max_size=1)), b"\xff\xfe{")


_THRESHOLDS = {
    "schema": 1,
    "bundle": "tiny",
    "hop_s": 1.0,
    "confirm": [2, 3],
    "questions": {"siren": {"on": 0.9, "off": 0.5, "events": 3}},
}


def targets() -> dict[str, Target]:
    """Return all targets by name; the seeds are made here."""
    recordings = seeds.recordings()
    sounds = st.one_of(damaged(recordings), damaged(recordings), with_a_magic)
    heads = {name: data[:_HEAD] for name, data in recordings.items() if _has_container(data)}
    containers = st.one_of(damaged(heads), damaged(heads), sounds)
    lines = st.one_of(_json([json.loads(line) for line in _LINES]), st.text(max_size=50))
    return {
        "recordings": Target(sounds, _check_recording, 100),
        "ffmpeg": Target(sounds, _check_ffmpeg, 25),
        "containers": Target(containers, _check_container, 400),
        "questions": Target(_questions, _check_question, 400),
        "manifests": Target(_json_bytes(seeds.manifest()), _check_manifest, 300),
        "folders": Target(_folders(), _check_folder, 200),
        "archives": Target(_archives(), _check_archive, 200),
        "lines": Target(lines, _check_line, 400),
        "names": Target(_names, _check_name, 400),
        "thresholds": Target(_json_bytes(_THRESHOLDS), _check_thresholds, 200),
    }
