"""Bundles from a server that stops, changes its mind or is not there."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import pytest
from click.testing import CliRunner

from listen_edge.bundle.archive import pack_bundle
from listen_edge.bundle.download import download
from listen_edge.bundle.opening import bundle_folder, open_bundle
from listen_edge.bundle.pull import pull_hub, pull_url
from listen_edge.cli.root import cli
from listen_edge.errors import BundleError, ListenEdgeError

DATA = os.urandom(300_000)


class FileServer:
    """Serves bytes by path with ETags and ranges; breaks off where it is told to."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.break_after: list[int] = []  # bytes sent before the connection is closed, per request
        self.ranges: list[str | None] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.answer(self, with_body=True)

            def do_HEAD(self) -> None:
                server.answer(self, with_body=False)

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def answer(self, request: BaseHTTPRequestHandler, *, with_body: bool) -> None:
        data = self.files.get(unquote(request.path.split("?")[0]))
        if data is None:
            request.send_response(404)
            request.send_header("X-Error-Code", "EntryNotFound")  # as the hub's
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        etag, wanted, start = f'"{hashlib.sha256(data).hexdigest()}"', request.headers["Range"], 0
        if with_body:
            self.ranges.append(wanted)
        if wanted and request.headers.get("If-Range", etag) == etag:
            start = int(wanted.removeprefix("bytes=").split("-")[0])
        if start >= len(data) and start:
            request.send_response(416)
            request.send_header("Content-Range", f"bytes */{len(data)}")
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        request.send_response(206 if start else 200)
        request.send_header("ETag", etag)
        request.send_header("X-Repo-Commit", "0" * 40)
        request.send_header("Content-Length", str(len(data) - start))
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        request.end_headers()
        if with_body:
            n_sent = self.break_after.pop(0) if self.break_after else len(data)
            request.wfile.write(data[start:][:n_sent])
            request.close_connection = True

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture()
def server() -> Iterator[FileServer]:
    server = FileServer()
    yield server
    server.close()


@pytest.fixture()
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    gguf = open_bundle("tiny").gguf_path
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert gguf.is_file()
    return tmp_path / "cache" / "listen-edge"


def test_a_broken_download_goes_on_where_it_was(server: FileServer, tmp_path: Path) -> None:
    server.files["/a"] = DATA
    server.break_after = [100_000, 50_000]
    seen: list[tuple[int, int | None]] = []
    path = download(
        f"{server.url}/a",
        tmp_path,
        sha256=hashlib.sha256(DATA).hexdigest(),
        progressed=lambda done, total: seen.append((done, total)),
        pause_s=0,
    )
    assert path.read_bytes() == DATA
    assert server.ranges == [None, "bytes=100000-", "bytes=150000-"]
    assert seen[-1] == (len(DATA), len(DATA))
    assert download(f"{server.url}/a", tmp_path, sha256=None) == path  # all there: asked, not sent


def test_a_file_that_changed_is_begun_again(server: FileServer, tmp_path: Path) -> None:
    server.files["/a"] = DATA
    server.break_after = [1000] * 5
    with pytest.raises(BundleError, match=r"breaks off .* bytes are kept, run the command again"):
        download(f"{server.url}/a", tmp_path, sha256=None, pause_s=0)
    server.files["/a"] = DATA[::-1]
    assert download(f"{server.url}/a", tmp_path, sha256=None).read_bytes() == DATA[::-1]


def test_another_file_than_the_hash_says_is_dropped(server: FileServer, tmp_path: Path) -> None:
    server.files["/a"] = DATA
    with pytest.raises(BundleError, match=r"expected 00.*do not use it"):
        download(f"{server.url}/a", tmp_path, sha256="00" * 32)
    assert [*tmp_path.iterdir()] == []


def test_servers_that_are_not_there_or_refuse(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="answers 404; check the URL"):
        download(f"{server.url}/none", tmp_path, sha256=None)
    with pytest.raises(BundleError, match="cannot be reached"):
        download("http://127.0.0.1:9/a", tmp_path, sha256=None, pause_s=0)
    with pytest.raises(BundleError, match="expected an http or https URL"):
        download("ftp://host/a", tmp_path, sha256=None)


def test_a_pulled_bundle_is_verified_and_found_by_its_path(
    server: FileServer, cache: Path, tmp_path: Path, n_reads: Counter[str]
) -> None:
    tiny = open_bundle("tiny")
    pack_bundle(tiny, tmp_path / "tiny.tar", with_llm=False)
    data = server.files["/tiny.tar"] = (tmp_path / "tiny.tar").read_bytes()
    url, sha256 = f"{server.url}/tiny.tar", hashlib.sha256(data).hexdigest()

    n_reads.clear()
    result = CliRunner().invoke(cli, ["bundle", "pull", url, "--sha256", sha256])
    assert result.exit_code == 0, result
    verified = [Path(file.path).name for file in tiny.manifest.files]
    assert [n_reads[name] for name in (*verified, tiny.gguf_path.name)] == [1] * (len(verified) + 1)
    folder = cache / "bundles" / "tiny"
    assert result.stdout == f"{tiny.id} in {folder}\n"
    assert open_bundle(str(folder)).id == tiny.id
    assert not [*(cache / "bundles" / ".parts").iterdir()]
    assert bundle_folder("tiny") == tiny.folder  # the embedded one keeps its name

    unencrypted = CliRunner().invoke(cli, ["bundle", "pull", url])
    assert isinstance(unencrypted.exception, ListenEdgeError)
    assert "not https" in str(unencrypted.exception)


def test_a_damaged_bundle_leaves_the_old_one_in_place(
    server: FileServer, cache: Path, tmp_path: Path
) -> None:
    pack_bundle(open_bundle("tiny"), tmp_path / "tiny.tar", with_llm=False)
    data = server.files["/a"] = (tmp_path / "tiny.tar").read_bytes()
    folder = pull_url(f"{server.url}/a", tmp_path / "bundle", sha256=None, key=None)
    before = sorted(folder.rglob("*"))
    middle = len(data) // 2
    server.files["/a"] = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
    with pytest.raises(BundleError, match="differ from the manifest"):
        pull_url(f"{server.url}/a", folder, sha256=None, key=None)
    assert sorted(folder.rglob("*")) == before
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_a_bundle_of_a_hub(
    server: FileServer, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", server.url)
    monkeypatch.setattr(
        "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE",
        server.url + "/{repo_id}/resolve/{revision}/{filename}",
    )
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    tiny = open_bundle("tiny")
    for path in tiny.folder.rglob("*"):
        if path.is_file():
            name = path.relative_to(tiny.folder).as_posix()
            server.files[f"/a/b/resolve/main/{name}"] = path.read_bytes()
    folder = pull_hub("a/b@main", tmp_path / "bundle", key=None)
    assert open_bundle(str(folder)).id == tiny.id
    with pytest.raises(BundleError, match="hf:a/none: cannot be got"):
        pull_hub("a/none", tmp_path / "none", key=None)


@pytest.mark.parametrize(
    "url",
    [
        "https://me:se@cret@127.0.0.1:9/a",
        "https://me:se/cret@127.0.0.1:9/a",
        "https://me:sec ret@127.0.0.1:9/a",
        "https://127.0.0.1:9/a?token=secret",
        "ftp://me:secret@127.0.0.1/a",
        "https://[me:secret@127.0.0.1/a",
    ],
)
def test_no_error_shows_a_secret(url: str, tmp_path: Path) -> None:
    with pytest.raises(BundleError) as raised:
        download(url, tmp_path, sha256=None, pause_s=0.0)
    assert not re.search(r"\bme\b|cret", str(raised.value)), raised.value
