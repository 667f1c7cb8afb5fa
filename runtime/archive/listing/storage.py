"""Storages that are no folder of this machine: buckets, servers and whatever fsspec knows.

A URL is taken literally ("#" and spaces may stand in an object's name); what pyarrow's file systems
want to be told is a query at its end: "s3://bucket/2024?region=eu-west-1". A storage that does not
answer is given up within a minute, and no line shows a password.
"""

from __future__ import annotations

import os
import re
import stat
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from threading import Thread
from typing import Any, BinaryIO, TypeVar
from urllib.parse import parse_qsl, unquote

import pyarrow.fs

from listen_edge.errors import AudioError, ListenEdgeError, MissingExtraError, one_line, require
from listen_edge.printable import printable
from listen_edge.runtime.archive.listing.found import is_recording
from listen_edge.urls import without_secrets_of

MAX_BYTES = 16 << 30  # of a recording that is copied here to be heard
_ARROWS = frozenset(("s3", "gs", "gcs", "hdfs", "viewfs"))  # its abfs ends the process
_SERVERS = frozenset(("http", "https"))
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://(.*)", re.DOTALL)
_OPTIONS = re.compile(r"\?[a-z_]+=[^?/&=]*(?:&[a-z_]+=[^?&=]*)*$")
_AMAZONS = ("region", "endpoint_override", "scheme", "anonymous")
_GIVE_UP_S = 20  # of Google's storage, which else asks for credentials for a quarter of an hour
_CONNECT_S, _READ_S = 10, 30
_ANSWER_S = 45
_BLOCK = 1 << 20
_Result = TypeVar("_Result")


def is_remote(path: str) -> bool:
    """Tell whether a path is the URL of another machine, or of a storage that is no folder."""
    match = _URL.match(path)
    return match is not None and match[1].lower() != "file"


def is_server(url: str) -> bool:
    """Tell whether a URL is a web server's, which has files and no folders."""
    match = _URL.match(url)
    return match is not None and match[1].lower() in _SERVERS


def local_path(path: str) -> str:
    """Return the path of a "file:" URL; any other path is left as it is."""
    match = _URL.match(path)
    if match is None or match[1].lower() != "file":
        return path
    return unquote(match[2].removeprefix("localhost"), errors="surrogateescape")


def split_options(url: str) -> tuple[str, str]:
    """Return a storage's URL and the query that tells how to reach it, "" if there is none."""
    match = None if is_server(url) else _OPTIONS.search(url)
    return (url[: match.start()], match[0]) if match else (url, "")


def without_query(path: str) -> str:
    """Return a path; a URL ends before its query, and its name is as it is at the storage."""
    if is_server(path):
        return unquote(re.split(r"[?#]", path)[0])
    return split_options(path)[0] if is_remote(path) else path


def storage_of(url: str) -> tuple[Any, str]:
    """Return the pyarrow file system of a URL, and the path in it.

    Raises:
        ListenEdgeError: no package here reads such URLs, or its options are wrong.
    """
    place, options = split_options(url)
    match = _URL.match(place)
    if match is None:
        raise ListenEdgeError(f"{printable(url)}: is no URL; expected one such as s3://bucket/2024")
    scheme = match[1].lower()
    with naming(url):
        if scheme not in _ARROWS:
            return _foreign(place, scheme)
        authority, _, path = match[2].partition("/")
        storage, root = _of_arrow(f"{scheme}://{authority}", options)
        return storage, f"{root.rstrip('/')}/{path}".rstrip("/")


@lru_cache(maxsize=64)
def _of_arrow(root: str, options: str) -> tuple[Any, str]:
    """Return a file system of pyarrow's own, and the path of its root."""
    if root.startswith("s3:"):
        return _of_amazon(root.removeprefix("s3://"), dict(parse_qsl(options[1:])))
    if root.startswith(("gs:", "gcs:")) and "retry_limit_seconds=" not in options:
        options += f"{'&' if options else '?'}retry_limit_seconds={_GIVE_UP_S}"
    storage, path = pyarrow.fs.FileSystem.from_uri(root + options)
    return storage, str(path)


def _of_amazon(authority: str, options: dict[str, str]) -> tuple[Any, str]:
    """Return S3 as FileSystem.from_uri does, but for its ten attempts, and with anonymous=true."""
    login, _, bucket = authority.rpartition("@")
    user, _, password = login.partition(":")
    how: dict[str, Any] = {key: options.pop(key) for key in _AMAZONS if key in options}
    if options:
        raise ListenEdgeError(
            f"s3://{printable(bucket)}: unknown option {printable(', '.join(options))}; expected "
            f"{', '.join(_AMAZONS)}"
        )
    if login:
        how |= {"access_key": unquote(user), "secret_key": unquote(password)}
    if how.pop("anonymous", "") == "true":
        how["anonymous"] = True
    if not how.keys() & {"region", "endpoint_override"}:
        how["region"] = pyarrow.fs.resolve_s3_region(bucket)
    return pyarrow.fs.S3FileSystem(
        **how,
        connect_timeout=_CONNECT_S,
        request_timeout=_CONNECT_S,  # without a byte
        retry_strategy=pyarrow.fs.AwsStandardS3RetryStrategy(max_attempts=3),
    ), bucket


def _foreign(url: str, scheme: str) -> tuple[Any, str]:
    """Return a file system of fsspec's through pyarrow's interface."""
    require("fsspec", "scan")
    import fsspec

    if scheme not in fsspec.available_protocols():
        raise ListenEdgeError(
            f"{printable(url)}: no storage is called {scheme}; expected s3, gs, http, https or "
            "another one that fsspec knows"
        )
    how: dict[str, Any] = {}
    if scheme in _SERVERS:
        require("aiohttp", "scan")
        from aiohttp import ClientTimeout

        timeout = ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=_READ_S)
        how = {"client_kwargs": {"timeout": timeout}, "block_size": 0}
    storage, path = fsspec.core.url_to_fs(url, **how)
    return pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(storage)), str(path)


@contextmanager
def naming(url: str) -> Iterator[None]:
    """Turn what a storage raises into one line that names the URL, without its secrets.

    Raises:
        AudioError: it is not there, not allowed, or does not answer.
    """
    try:
        yield
    except (ListenEdgeError, MissingExtraError):
        raise
    except FileNotFoundError as err:
        raise _unread(url, err.__cause__ or err) from err
    except ImportError as err:
        raise ListenEdgeError(
            f"{printable(url)}: {one_line(err)}; expected a package that reads such URLs"
        ) from err
    except Exception as err:  # each of fsspec's storages has its own
        raise _unread(url, err) from err


def _unread(url: str, err: BaseException) -> AudioError:
    """Return what is said of a URL that cannot be read.

    fsspec calls a file missing whatever its server does; the cause tells.
    """
    if isinstance(err, FileNotFoundError) or getattr(err, "status", 0) in (404, 410):
        return AudioError(f"{printable(url)}: no such file or directory")
    said = one_line(without_secrets_of(url, str(err) or type(err).__name__))
    return AudioError(
        f"{printable(url)}: cannot be read ({said}); check the name, the network and the "
        "credentials in this shell's environment"
    )


@contextmanager
def local_copy(path: bytes) -> Iterator[Path]:
    """Yield where a recording lies on this machine: itself, or a copy that is deleted at the end.

    The copy keeps the suffix of a recording, which some decoders look at.

    Raises:
        AudioError: a remote recording is not there, cannot be read or is larger than MAX_BYTES.
        ListenEdgeError: there is no room for the copy.
    """
    named = os.fsdecode(path)
    if not is_remote(named):
        yield Path(local_path(named))
        return
    with tempfile.TemporaryDirectory(prefix="listen-edge-") as folder:
        suffix = os.path.splitext(without_query(named))[1]
        copy = Path(
            folder, "recording" + (suffix if is_recording(b"x" + os.fsencode(suffix)) else "")
        )
        _download(named, copy)
        yield copy


@contextmanager
def local_recording(path: bytes) -> Iterator[Path]:
    """Yield where a listed recording lies on this machine; see local_copy.

    A list may name anything: a pipe would be waited for, a device has no end.

    Raises:
        AudioError: it is no file, or as local_copy.
    """
    with local_copy(path) as local:
        try:
            is_file = stat.S_ISREG(os.stat(local).st_mode)
        except OSError as err:
            reason = (err.strerror or str(err)).lower()
            raise AudioError(f"{printable(local)}: {reason}") from err
        except ValueError as err:  # a NUL
            raise AudioError(f"{printable(local)}: no file can have this name") from err
        if not is_file:
            raise AudioError(f"{printable(local)}: is no file; expected a recording")
        yield local


def _download(url: str, copy: Path) -> None:
    """Copy a remote recording block by block."""
    storage, path = storage_of(url)
    n_left = MAX_BYTES
    with naming(url), copy.open("wb") as file:
        stream = in_time(lambda: _stream(storage, path))
        while block := in_time(lambda: stream.read(_BLOCK)):
            n_left -= len(block)
            if n_left < 0:
                raise AudioError(
                    f"{printable(url)}: is larger than {MAX_BYTES >> 30} GiB; cut it into parts"
                )
            _write(file, block, copy)
        stream.close()  # not after a failure: what does not answer may not end either


def _stream(storage: Any, path: str) -> Any:
    """Open a remote file; fsspec's own way tells why that cannot be."""
    if isinstance(storage, pyarrow.fs.PyFileSystem):
        return storage.handler.fs.open(path, "rb")
    return storage.open_input_stream(path)


def _write(file: BinaryIO, block: bytes, copy: Path) -> None:
    """Write a part of a copy; a disk that is full is no fault of the recording."""
    try:
        file.write(block)
        file.flush()
    except OSError as err:
        raise ListenEdgeError(
            f"{printable(copy.parent)}: {(err.strerror or str(err)).lower()}; make room there, or "
            "set TMPDIR to a folder with more"
        ) from err


def in_time(call: Callable[[], _Result]) -> _Result:
    """Return what a storage answers, unless it does not within _ANSWER_S.

    pyarrow has no limit of its own for a server of Google's kind that accepts and says nothing.

    Raises:
        TimeoutError: it did not; the call goes on in a thread that nobody waits for.
    """
    answer: Future[_Result] = Future()

    def ask() -> None:
        try:
            answer.set_result(call())
        except BaseException as err:  # noqa: BLE001 - raised where the answer is awaited
            answer.set_exception(err)

    Thread(target=ask, daemon=True).start()
    try:
        return answer.result(_ANSWER_S)
    except FutureTimeout as err:
        raise TimeoutError(f"no answer within {_ANSWER_S} s") from err
