"""The SHA-256 check: no file of a bundle is used unless it is, to the byte, what was recorded."""

from __future__ import annotations

import hashlib
from pathlib import Path

from listen_edge.bundle.manifest import BundleFile, Gguf
from listen_edge.errors import BundleError


def sha256_of(path: Path) -> str:
    """Return a file's hash in hex, reading it piece by piece."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def read_verified(folder: Path, file: BundleFile) -> bytes:
    """Return a file's bytes, read once and compared with the manifest.

    Raises:
        BundleError: missing, a link, or with other contents.
    """
    data = read_bounded(folder / file.path, file.bytes)
    digest = hashlib.sha256(data).hexdigest()
    if len(data) != file.bytes or digest != file.sha256:
        raise BundleError(
            f"{folder / file.path}: {len(data)} bytes with sha256 {digest[:8]}... differ from the "
            f"manifest's {file.bytes} with {file.sha256[:8]}...; copy or export the bundle again"
        )
    return data


def read_bounded(path: Path, max_bytes: int) -> bytes:
    """Return at most max_bytes + 1 bytes of a regular file that is no link out of its folder.

    Raises:
        BundleError: it is none, or cannot be read.
    """
    try:
        if path.is_symlink() or not path.is_file():
            raise BundleError(f"{path}: missing; copy or export the bundle again")
        with path.open("rb") as file:
            return file.read(max_bytes + 1)
    except OSError as err:
        raise BundleError(f"{path}: cannot be read ({err.strerror})") from err


def verify_gguf(path: Path, gguf: Gguf) -> None:
    """Check that a file is the LLM that the manifest names.

    Raises:
        BundleError: it is another.
    """
    digest = sha256_of(path)
    if digest != gguf.sha256:
        raise BundleError(
            f"{path}: sha256 {digest[:8]}... differs from the manifest's "
            f"{gguf.sha256[:8]}...; this bundle was trained with another LLM file"
        )
