"""Bundles are written whole or not at all: to a temporary name, then renamed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from listen_edge.bundle.hashes import sha256_of
from listen_edge.bundle.manifest import MANIFEST, SUMS, parse_manifest
from listen_edge.errors import BundleError


@contextmanager
def written_folder(target: Path) -> Iterator[Path]:
    """Give a temporary folder that becomes `target` when the block ends well.

    Raises:
        BundleError: `target` holds something else than a bundle, or cannot be written; nothing
            half-written is left behind.
    """
    if target.exists() and not (target / MANIFEST).is_file():
        raise BundleError(f"{target}: exists and is no bundle; choose another folder")
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    previous = target.with_name(f".{target.name}.{os.getpid()}.old")
    try:
        temporary.mkdir(parents=True)
        yield temporary
        if target.exists():
            target.rename(previous)
        temporary.rename(target)
    except OSError as err:
        raise BundleError(
            f"{target}: cannot be written ({err.strerror or err}); free some space or choose "
            "another folder"
        ) from err
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(previous, ignore_errors=True)


def describe_file(
    folder: Path, path: str, role: str, precision: str | None = None
) -> dict[str, Any]:
    """Return the manifest entry of a file that has been written."""
    entry = {
        "path": path,
        "role": role,
        "bytes": (folder / path).stat().st_size,
        "sha256": sha256_of(folder / path),
    }
    return entry if precision is None else {**entry, "precision": precision}


def write_manifest(folder: Path, raw: dict[str, Any]) -> None:
    """Write `manifest.json`, checked, and SHA256SUMS of everything in the folder.

    What the manifest lists was hashed when it was described, and is not read again.
    """
    text = (json.dumps(raw, indent=1, ensure_ascii=False) + "\n").encode()
    parse_manifest(text)
    (folder / MANIFEST).write_bytes(text)
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    described = {file["path"]: file["sha256"] for file in (*raw["files"], raw["llm"]["gguf"])}
    sums = "".join(
        f"{described.get(name) or sha256_of(folder / name)}  {name}\n"
        for name in names
        if name != SUMS
    )
    (folder / SUMS).write_text(sums)
