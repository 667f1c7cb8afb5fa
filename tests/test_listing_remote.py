"""Buckets, servers and fsspec's storages: what is listed there, and the copy that is heard."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from threading import Event

import fsspec
import pytest

from listen_edge.errors import AudioError, ListenEdgeError
from listen_edge.runtime.archive.listing import storage
from listen_edge.runtime.archive.listing.inputs import ListingOptions, list_recordings
from listen_edge.runtime.archive.listing.storage import local_copy, split_options, storage_of
from tests.object_store import MODIFIED_S, object_store

OBJECTS = {
    "2024/a b#1?_20240501T123456Z.wav": b"one",
    "2024/sub/c.FLAC": b"three",
    "2024/notes.md": b"x",
    "other/d.wav": b"4444",
    "2024/m.csv": b"path,site\nsub/c.FLAC,north\n/gone.wav,south\n",
    "2024/all.txt": b"sub/c.FLAC\n",
}


@pytest.fixture()
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server that has OBJECTS, and a login for its bucket."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "us")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with object_store(OBJECTS) as address:
        yield address


@pytest.fixture()
def memory() -> Iterator[str]:
    """The URL of a folder of fsspec's that has OBJECTS."""
    system = fsspec.filesystem("memory")
    for key, data in OBJECTS.items():
        system.pipe_file(f"/archive/{key}", data)
    yield "memory://archive"
    system.rm("/archive", recursive=True)


def _urls(*inputs: str) -> list[str]:
    table = list_recordings(inputs, ListingOptions()).table
    return [os.fsdecode(path) for path in table["path"].to_pylist()]


def _heard(url: str) -> bytes:
    with local_copy(os.fsencode(url)) as copy:
        assert copy.suffix == (".FLAC" if ".FLAC" in url else ".wav")
        data = copy.read_bytes()
    assert not copy.parent.exists()
    return data


def test_a_bucket_gives_urls_that_lead_back_to_its_recordings(address: str) -> None:
    options = f"?scheme=http&endpoint_override={address}"
    listing = list_recordings([f"s3://bucket/2024{options}"], ListingOptions())
    assert listing.notes == (
        "3 files are no recordings and are left out: all.txt, m.csv, notes.md",
    )
    first, second = listing.table.drop_columns(["recording"]).to_pylist()
    moment = datetime.fromtimestamp(MODIFIED_S, timezone.utc)
    assert first == {
        "path": f"s3://bucket/2024/a b#1?_20240501T123456Z.wav{options}".encode(),
        "n_bytes": 3,
        "modified": moment,
        "recorded_at": moment,
    }
    assert _heard(os.fsdecode(first["path"])) == b"one"
    assert _heard(os.fsdecode(second["path"])) == b"three"


def test_patterns_lists_and_manifests_in_a_storage(memory: str, address: str) -> None:
    options = f"?scheme=http&endpoint_override={address}"
    for root, end in ((memory, ""), ("s3://bucket", options)):
        assert _urls(f"{root}/2024/*/*.FLAC{end}") == [f"{root}/2024/sub/c.FLAC{end}"]
        assert _urls(f"{root}/*/d.wav{end}") == [f"{root}/other/d.wav{end}"]
        assert _urls(f"{root}/2024/all.txt{end}") == [f"{root}/2024/sub/c.FLAC{end}"]
        assert _heard(f"{root}/2024/sub/c.FLAC{end}") == b"three"
    listing = list_recordings([f"{memory}/2024/m.csv", f"{memory}/2024/sub"], ListingOptions())
    assert listing.table.select(["recording", "site"]).to_pylist() == [
        {"recording": "/gone.wav", "site": "south"},
        {"recording": "memory://archive/2024/sub/c.FLAC", "site": "north"},
    ]


def test_a_web_server_has_files_and_says_what_is_wrong(address: str) -> None:
    url = f"http://me:pw@{address}/other/d.wav?token=t"
    listing = list_recordings([url], ListingOptions())
    assert listing.table["recording"].to_pylist() == [f"http://{address}/other/d.wav?…"]
    assert listing.table["n_bytes"].to_pylist() == [4]
    assert _heard(url) == b"4444"
    with pytest.raises(AudioError, match=r"/gone\.wav: no such file or directory$"):
        _urls(f"http://{address}/gone.wav")
    with pytest.raises(AudioError, match=r"/gone\.wav\?…: no such file or directory$"):
        _heard(f"http://{address}/gone.wav?token=t")


def test_a_recording_too_large_or_a_full_disk_leaves_nothing(
    memory: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(storage, "MAX_BYTES", 3)
    with pytest.raises(AudioError, match=r"c\.FLAC: is larger than 0 GiB; cut it into parts$"):
        _heard(f"{memory}/2024/sub/c.FLAC")
    monkeypatch.undo()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    full = Path("/dev/full").open("wb", buffering=0)  # noqa: SIM115 - closed by the copy
    monkeypatch.setattr(Path, "open", lambda *arguments, **options: full)
    with pytest.raises(ListenEdgeError, match="no space left on device; make room there") as raised:
        _heard(f"{memory}/2024/sub/c.FLAC")
    assert not isinstance(raised.value, AudioError)
    assert not list(tmp_path.iterdir())


def test_a_storage_that_does_not_answer_is_given_up(
    memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "_ANSWER_S", 0.01)
    monkeypatch.setattr(
        "fsspec.implementations.memory.MemoryFileSystem._open",
        lambda *arguments, **options: Event().wait(0.2),
    )
    with pytest.raises(AudioError, match=r"c\.FLAC: cannot be read \(no answer within 0.01 s\)"):
        _heard(f"{memory}/2024/sub/c.FLAC")


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("s3://b/a?region=eu&scheme=http", ("s3://b/a", "?region=eu&scheme=http")),
        ("s3://b/what? no.wav", ("s3://b/what? no.wav", "")),
        ("http://h/a.wav?region=eu", ("http://h/a.wav?region=eu", "")),
    ],
)
def test_options_end_a_storages_url(url: str, parts: tuple[str, str]) -> None:
    assert split_options(url) == parts


def test_a_local_recording_is_its_own_copy(tmp_path: Path) -> None:
    with local_copy(os.fsencode(tmp_path)) as copy:
        assert copy == tmp_path
    with local_copy(b"file:///a%20b/%e4.wav") as copy:
        assert os.fsencode(copy) == b"/a b/\xe4.wav"
    with pytest.raises(ListenEdgeError, match="is no URL"):
        storage_of("a/b")
