"""Bundles from elsewhere: a packed one from a URL, the files of one from a hub."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rich.console import Console
from rich.progress import DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

from listen_edge.bundle.archive import packed_manifest, unpack_bundle
from listen_edge.bundle.cache import pulled_dir
from listen_edge.bundle.download import Progressed, download, forget
from listen_edge.bundle.manifest import MANIFEST, SIGNATURE, SUMS, Manifest, parse_manifest
from listen_edge.bundle.opening import open_bundle
from listen_edge.bundle.signature import verify_signature
from listen_edge.bundle.writing import written_folder
from listen_edge.errors import BundleError, one_line, require
from listen_edge.urls import without_secrets_of


def pull_url(url: str, target: Path | None, *, sha256: str | None, key: Path | None) -> Path:
    """Return the folder of a packed bundle, downloaded, verified and unpacked.

    Args:
        target: its folder; None takes the bundle's name, by which it is found.
        sha256: of the packed file.
        key: public key that must have signed the manifest.

    Raises:
        BundleError: it is not got, or is no verified bundle; nothing half-written stays.
    """
    require("httpx", "pull")
    with _progress_bar() as progressed:
        packed = download(url, pulled_dir() / ".parts", sha256=sha256, progressed=progressed)
    target = _target(packed_manifest(packed)) if target is None else target
    with written_folder(target) as folder:
        unpack_bundle(packed, folder)
        _verify(folder, key)
    forget(packed)
    return target


def pull_hub(repository: str, target: Path | None, *, key: Path | None) -> Path:
    """Return the folder of a bundle whose files lie in a Hugging Face repository.

    Args:
        repository: "OWNER/NAME" or "OWNER/NAME@REVISION".
        target, key: as for pull_url.

    Raises:
        BundleError: as for pull_url.
    """
    require("huggingface_hub", "pull")
    import httpx
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError

    name, _, revision = repository.partition("@")

    def fetched(path: str) -> Path:
        return Path(hf_hub_download(name, path, revision=revision or None))

    try:
        found = {MANIFEST: fetched(MANIFEST)}
        manifest = parse_manifest(found[MANIFEST].read_bytes())
        found |= {file.path: fetched(file.path) for file in manifest.files}
        for path in (SUMS, SIGNATURE, manifest.gguf.path):  # the LLM may come from its package
            with suppress(EntryNotFoundError):
                found[path] = fetched(path)
    except (HfHubHTTPError, HFValidationError, httpx.HTTPError, OSError) as err:
        reason = without_secrets_of("", one_line(err))  # a hub leads to signed URLs
        raise BundleError(
            f"hf:{repository}: cannot be got ({reason}); run it again to go on"
        ) from err
    target = _target(manifest) if target is None else target
    with written_folder(target) as folder:
        for path, source in found.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, folder / path)
        _verify(folder, key)
    return target


def _verify(folder: Path, key: Path | None) -> None:
    if key is not None:
        verify_signature(folder, key)
    open_bundle(str(folder))


def _target(manifest: Manifest) -> Path:
    """Return where a pulled bundle lies by default; its name is not trusted as a path."""
    if not manifest.name.isidentifier():
        raise BundleError(f"{manifest.name!r} is no name for a folder; choose one with --out")
    return pulled_dir() / manifest.name


@contextmanager
def _progress_bar() -> Iterator[Progressed]:
    columns = (DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("download", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
