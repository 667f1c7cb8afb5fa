"""A bundle as one file: an uncompressed tar, the same bytes for the same bundle.

Unpacking trusts nothing: the manifest comes first, and only regular files that it lists are
written, each of the size it states. Hashes are then checked as those of any bundle (hashes.py).
"""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from listen_edge.bundle.manifest import (
    MANIFEST,
    MAX_MANIFEST_BYTES,
    SIGNATURE,
    SUMS,
    Manifest,
    parse_manifest,
)
from listen_edge.bundle.opening import Bundle
from listen_edge.errors import BundleError, one_line
from listen_edge.replacing import replacing

_MAX_SMALL_BYTES = 1 << 20  # of checksums and signature, whose sizes the manifest does not state


def pack_bundle(bundle: Bundle, target: Path, *, with_llm: bool) -> None:
    """Write the bundle as a tar file.

    Args:
        with_llm: put the LLM's file in too, for devices that do not get it from its package.

    Raises:
        BundleError: the file cannot be written; nothing half-written is left.
    """
    names = [MANIFEST, SUMS, *(file.path for file in bundle.manifest.files)]
    sources = {name: bundle.folder / name for name in names}
    if (bundle.folder / SIGNATURE).is_file():
        sources[SIGNATURE] = bundle.folder / SIGNATURE
    if with_llm:
        sources[bundle.manifest.gguf.path] = bundle.gguf_path
    try:
        with (
            replacing(target) as temporary,
            tarfile.open(temporary, "w", format=tarfile.PAX_FORMAT) as archive,
        ):
            for name, source in sources.items():
                member = tarfile.TarInfo(name)  # no owner, mode 644, 1970
                member.size = source.stat().st_size
                with source.open("rb") as file:
                    archive.addfile(member, file)
    except OSError as err:
        raise BundleError(f"{target}: cannot be written ({err.strerror or err})") from err


def packed_manifest(path: Path) -> Manifest:
    """Return the manifest of a packed bundle.

    Raises:
        BundleError: no packed bundle.
    """
    with _opened(path) as archive:
        return parse_manifest(_manifest_text(path, archive))


def unpack_bundle(path: Path, folder: Path) -> None:
    """Write the files of a packed bundle into an empty folder.

    Raises:
        BundleError: no packed bundle, damaged, or it holds something its manifest does not list.
        OSError: a file cannot be written.
    """
    with _opened(path) as archive:
        text = _manifest_text(path, archive)
        manifest = parse_manifest(text)
        (folder / MANIFEST).write_bytes(text)
        sizes = {file.path: file.bytes for file in manifest.files}
        sizes[manifest.gguf.path] = manifest.gguf.bytes
        while (member := archive.next()) is not None:
            size = sizes.pop(member.name, None)
            is_small = member.name in (SUMS, SIGNATURE) and member.size <= _MAX_SMALL_BYTES
            if not _is_plain(member) or not (is_small or member.size == size):
                raise BundleError(
                    f"{path}: {one_line(repr(member.name), 60)} is not listed in its manifest, "
                    "twice there, no plain file or of another size; do not use it"
                )
            _extract(path, archive, member, folder)


@contextmanager
def _opened(path: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(path, "r:") as archive:
            yield archive
    except (tarfile.TarError, EOFError, ValueError, LookupError, ArithmeticError) as err:
        # what tarfile lets through of a header's numbers as well
        raise BundleError(
            f"{path}: no packed bundle, or cut off ({one_line(err)}); get it again"
        ) from err


def _manifest_text(path: Path, archive: tarfile.TarFile) -> bytes:
    first = archive.next()
    is_manifest = first is not None and first.name == MANIFEST and _is_plain(first)
    if first is None or not is_manifest or first.size > MAX_MANIFEST_BYTES:
        raise BundleError(f"{path}: does not begin with {MANIFEST}; expected bundle pack's output")
    source = archive.extractfile(first)
    assert source is not None  # it is a regular file
    return source.read()


def _is_plain(member: tarfile.TarInfo) -> bool:
    """Tell whether a member's bytes lie in the archive, as many as it states."""
    return member.isreg() and not member.issparse() and member.size >= 0


def _extract(path: Path, archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    target = folder / member.name
    target.parent.mkdir(parents=True, exist_ok=True)
    source = archive.extractfile(member)
    assert source is not None  # it is a regular file
    with target.open("wb") as file:
        shutil.copyfileobj(source, file, 1 << 20)
    if target.stat().st_size != member.size:
        raise BundleError(f"{path}: {member.name} is cut off; get it again")
