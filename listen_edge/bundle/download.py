"""A file from a URL: resumed where it stopped, whole and checked or not there at all.

The part that has arrived lies under a hash of its URL, with the server's ETag beside it: a
changed file is begun again, never joined from two versions.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from listen_edge.bundle.hashes import sha256_of
from listen_edge.errors import BundleError
from listen_edge.urls import without_secrets, without_secrets_of

_ATTEMPTS = 5
_TIMEOUT_S = 30.0

Progressed = Callable[[int, int | None], None]
"""Told the bytes that are there, and of how many, if the server says so."""


@dataclass(frozen=True)
class _Part:
    """What has arrived of a URL's file."""

    path: Path
    etag: Path

    @property
    def n_bytes(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def drop(self) -> None:
        self.path.unlink(missing_ok=True)
        self.etag.unlink(missing_ok=True)


def download(
    url: str,
    folder: Path,
    *,
    sha256: str | None,
    progressed: Progressed = lambda done, total: None,
    pause_s: float = 1.0,
) -> Path:
    """Return the file of a URL in `folder`; a later call goes on where this one was stopped.

    Args:
        sha256: of the file, in hex; None trusts the connection.
        pause_s: before the second attempt, twice as long before each further one.

    Raises:
        BundleError: unreachable, refused, cut off again and again, no space, or another file than
            the hash says.
    """
    shown = without_secrets(url)
    if not url.lower().startswith(("http://", "https://")):
        raise BundleError(f"{shown}: expected an http or https URL, or hf:OWNER/NAME")
    name = hashlib.sha256(url.encode()).hexdigest()[:32]
    part = _Part(folder / f"{name}.part", folder / f"{name}.etag")
    folder.mkdir(parents=True, exist_ok=True)
    for attempt in range(_ATTEMPTS):
        try:
            _receive(url, part, progressed)
            break
        except httpx.HTTPStatusError as err:
            status = err.response.status_code
            raise BundleError(f"{shown}: the server answers {status}; check the URL") from err
        except httpx.InvalidURL as err:
            raise BundleError(f"{shown}: not an address that can be read") from err
        except httpx.HTTPError as err:
            if attempt + 1 == _ATTEMPTS:
                reason = without_secrets_of(url, str(err)) or type(err).__name__
                raise BundleError(
                    f"{shown}: cannot be reached or breaks off ({reason}); "
                    f"{part.n_bytes} bytes are kept, run the command again to go on"
                ) from err
            time.sleep(pause_s * 2**attempt)
    if sha256 is not None and (found := sha256_of(part.path)) != sha256.lower():
        part.drop()
        raise BundleError(f"{shown}: sha256 {found}, expected {sha256}; do not use it")
    return part.path


def _receive(url: str, part: _Part, progressed: Progressed) -> None:
    headers = {"Accept-Encoding": "identity"}
    if part.n_bytes and part.etag.exists():
        headers |= {"Range": f"bytes={part.n_bytes}-", "If-Range": part.etag.read_text()}
    request = httpx.stream("GET", url, headers=headers, follow_redirects=True, timeout=_TIMEOUT_S)
    with request as response:
        hops = [*response.history, response]
        if url.lower().startswith("https:") and any(hop.url.scheme != "https" for hop in hops):
            shown, leads_to = without_secrets(url), without_secrets(str(response.url))
            raise BundleError(f"{shown}: leads to {leads_to}, which is not encrypted; refused")
        if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            if response.headers.get("Content-Range") == f"bytes */{part.n_bytes}":
                return  # all of it had arrived
            part.drop()
            raise httpx.RemoteProtocolError("the file has changed")
        response.raise_for_status()
        is_rest = response.status_code == httpx.codes.PARTIAL_CONTENT
        if not is_rest:
            part.drop()
        etag = response.headers.get("ETag", "")
        if etag and not etag.startswith("W/"):
            part.etag.write_text(etag)
        length = response.headers.get("Content-Length")
        n_left = int(length) if length and length.isdecimal() else None
        total = None if n_left is None else part.n_bytes + n_left
        if n_left is not None and n_left > shutil.disk_usage(part.path.parent).free:
            raise BundleError(f"{part.path.parent}: no space for {n_left} bytes; free some")
        with part.path.open("ab") as file:
            for block in response.iter_raw():
                file.write(block)
                progressed(file.tell(), total)
    if total is not None and part.n_bytes != total:
        raise httpx.RemoteProtocolError(f"{part.n_bytes} of {total} bytes")


def forget(path: Path) -> None:
    """Delete a downloaded file once it has been used."""
    with suppress(OSError):
        _Part(path, path.with_suffix(".etag")).drop()
