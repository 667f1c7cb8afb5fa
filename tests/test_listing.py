"""Inputs of a scan -> one table of recordings: nothing lost, nothing twice, one order."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from listen_edge.errors import AudioError
from listen_edge.runtime.archive.listing.folders import matches, split_pattern
from listen_edge.runtime.archive.listing.inputs import (
    Listing,
    ListingOptions,
    list_recordings,
)


@pytest.fixture()
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two sites with a recording of one name each, and what is no recording."""
    monkeypatch.chdir(tmp_path)
    for path in ("a/x.wav", "a/deep/y.FLAC", "b/x.wav", "b/notes.md"):
        _file(tmp_path / path, len(path))
    return tmp_path


def _file(path: Path, n_bytes: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(n_bytes))
    return path


def _list(*inputs: str | Path, **options: Any) -> Listing:
    return list_recordings(inputs, ListingOptions(**options))


def _paths(*inputs: str | Path, **options: Any) -> list[str]:
    return [os.fsdecode(path) for path in _list(*inputs, **options).table["path"].to_pylist()]


def test_a_folder_gives_its_recordings_in_order_and_names_the_rest(archive: Path) -> None:
    listing = _list(".")
    assert listing.table["path"].to_pylist() == [b"./a/deep/y.FLAC", b"./a/x.wav", b"./b/x.wav"]
    assert listing.table["n_bytes"].to_pylist() == [len("a/deep/y.FLAC"), 7, 7]
    assert listing.notes == ("1 files are no recordings and are left out: notes.md",)


def test_links_are_followed_once(archive: Path) -> None:
    (archive / "a/loop").symlink_to(archive)
    (archive / "b/other").symlink_to(archive / "a")
    (archive / "a/self.wav").symlink_to("self.wav")
    assert _paths("a") == ["a/deep/y.FLAC", "a/loop/b/x.wav", "a/self.wav", "a/x.wav"]
    assert _paths("b") == ["b/other/deep/y.FLAC", "b/other/self.wav", "b/other/x.wav", "b/x.wav"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*/x.wav", ["a/x.wav", "b/x.wav"]),
        ("**/*.FLAC", ["a/deep/y.FLAC"]),
        ("[ab]", ["a/deep/y.FLAC", "a/x.wav", "b/x.wav"]),
        ("b/**", ["b/x.wav"]),
        ("./?/x*", ["./a/x.wav", "./b/x.wav"]),
    ],
)
def test_a_pattern_that_no_shell_expanded(archive: Path, pattern: str, expected: list[str]) -> None:
    assert _paths(pattern) == expected
    absolute = _paths(f"{archive}/{pattern}")
    assert [os.path.relpath(path, archive) for path in absolute] == [
        os.path.normpath(path) for path in expected
    ]


def test_a_pattern_ends_at_a_file_or_a_folder_above_it() -> None:
    assert split_pattern("/2024-*/a") == ("/", ["2024-*", "a"])
    assert matches(["a", "b", "c.wav"], ["**", "**", "c.wav"])
    assert not matches(["a", "b.wav"], ["*.wav"])


def test_a_folder_that_cannot_be_read_ends_the_listing(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir = os.scandir

    def refuse(path: bytes) -> Any:
        if os.fsdecode(path).endswith(("deep", "b")):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(AudioError, match=r"^\./a/deep: permission denied; 2 folders of \. cannot"):
        _list(".")
