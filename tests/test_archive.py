"""A packed bundle is the same bytes each time, and unpacking one trusts nothing in it."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from pathlib import Path

import pytest

from listen_edge.bundle.archive import pack_bundle, packed_manifest, unpack_bundle
from listen_edge.bundle.manifest import MANIFEST, SIGNATURE
from listen_edge.bundle.opening import open_bundle
from listen_edge.bundle.signature import sign_bundle, verify_signature
from listen_edge.errors import BundleError


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("packed") / "tiny.tar"
    pack_bundle(open_bundle("tiny"), path, with_llm=False)
    return path


def _pack(path: Path, members: list[tuple[tarfile.TarInfo, bytes]]) -> Path:
    with tarfile.open(path, "w") as archive:
        for member, data in members:
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def test_a_bundle_is_packed_to_the_same_bytes_and_unpacked_whole(
    packed: Path, tmp_path: Path
) -> None:
    again = tmp_path / "again.tar"
    pack_bundle(open_bundle("tiny"), again, with_llm=True)
    pack_bundle(open_bundle("tiny"), again, with_llm=False)
    assert again.read_bytes() == packed.read_bytes()
    unpack_bundle(packed, tmp_path)
    assert open_bundle(str(tmp_path)).id == open_bundle("tiny").id
    assert packed_manifest(packed).name == "tiny"


def test_the_llm_can_travel_with_its_bundle(tmp_path: Path) -> None:
    bundle = open_bundle("tiny")
    pack_bundle(bundle, tmp_path / "tiny.tar", with_llm=True)
    (tmp_path / "unpacked").mkdir()
    unpack_bundle(tmp_path / "tiny.tar", tmp_path / "unpacked")
    assert open_bundle(str(tmp_path / "unpacked")).gguf_path.parent == tmp_path / "unpacked"


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../out", "clips/../../out", "more.bin", MANIFEST], ids=str
)
def test_what_the_manifest_does_not_list_is_refused(tmp_path: Path, name: str) -> None:
    manifest = (open_bundle("tiny").folder / MANIFEST).read_bytes()
    members = [(tarfile.TarInfo(MANIFEST), manifest), (tarfile.TarInfo(name), b"x")]
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(BundleError, match="is not listed in its manifest"):
        unpack_bundle(_pack(tmp_path / "bad.tar", members), folder)
    assert [p.name for p in folder.iterdir()] == [MANIFEST]
    assert not (tmp_path / "out").exists()


def test_links_and_other_sizes_are_refused(tmp_path: Path) -> None:
    manifest = (open_bundle("tiny").folder / MANIFEST).read_bytes()
    link = tarfile.TarInfo("encoder.int8.onnx")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    for member, data in ((link, b""), (tarfile.TarInfo("encoder.int8.onnx"), b"short")):
        path = _pack(tmp_path / "bad.tar", [(tarfile.TarInfo(MANIFEST), manifest), (member, data)])
        with pytest.raises(BundleError, match=r"encoder.int8.onnx.*no plain file or of another"):
            unpack_bundle(path, tmp_path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("GNU.sparse.map", "0,x"),
        ("GNU.sparse.size", "9" * 20),
        ("GNU.sparse.major", "1"),
        ("size", "-9"),
    ],
)
def test_headers_that_promise_what_is_not_there_are_refused(
    tmp_path: Path, key: str, value: str
) -> None:
    """A sparse member is as large as it says, and its bytes lie nowhere."""
    manifest = (open_bundle("tiny").folder / MANIFEST).read_bytes()
    member = tarfile.TarInfo("encoder.int8.onnx")
    member.pax_headers = {key: value, "GNU.sparse.minor": "0", "GNU.sparse.numblocks": "1"}
    path = _pack(tmp_path / "bad.tar", [(tarfile.TarInfo(MANIFEST), manifest), (member, b"short")])
    with pytest.raises(BundleError, match=r"not listed|cut off"):
        unpack_bundle(path, tmp_path)
    assert not (tmp_path / "encoder.int8.onnx").exists()


def test_what_is_no_packed_bundle_is_one_clear_error(packed: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.tar"
    cut.write_bytes(packed.read_bytes()[:200_000])
    with pytest.raises(BundleError, match="cut off"):
        unpack_bundle(cut, tmp_path)
    cut.write_bytes(b"no tar")
    with pytest.raises(BundleError, match="no packed bundle"):
        unpack_bundle(cut, tmp_path)
    with pytest.raises(BundleError, match=f"does not begin with {MANIFEST}"):
        unpack_bundle(_pack(tmp_path / "a.tar", [(tarfile.TarInfo("a"), b"x")]), tmp_path)
    with pytest.raises(BundleError, match="cannot be written"):
        pack_bundle(open_bundle("tiny"), tmp_path / "no" / "folder.tar", with_llm=False)


def test_a_signature_is_openssls_and_holds_for_its_manifest_alone(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_text(json.dumps({"name": "a"}))
    key, public, other = tmp_path / "key.pem", tmp_path / "public.pem", tmp_path / "other.pem"

    def openssl(*arguments: object) -> None:
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)

    for path in (key, other):
        openssl("genpkey", "-algorithm", "ed25519", "-out", path)
    openssl("pkey", "-in", key, "-pubout", "-out", public)
    with pytest.raises(BundleError, match="not signed"):
        verify_signature(tmp_path, public)
    sign_bundle(tmp_path, key)
    verify_signature(tmp_path, public)
    openssl(
        *("pkeyutl", "-verify", "-pubin", "-inkey", public, "-rawin"),
        *("-in", tmp_path / MANIFEST, "-sigfile", tmp_path / SIGNATURE),
    )
    sign_bundle(tmp_path, other)
    with pytest.raises(BundleError, match="not by the owner"):
        verify_signature(tmp_path, public)
    sign_bundle(tmp_path, key)
    (tmp_path / MANIFEST).write_text(json.dumps({"name": "b"}))
    with pytest.raises(BundleError, match="or the manifest was altered"):
        verify_signature(tmp_path, public)
    with pytest.raises(BundleError, match="no unencrypted Ed25519 key"):
        sign_bundle(tmp_path, public)
    with pytest.raises(BundleError, match="no unencrypted Ed25519 key"):
        verify_signature(tmp_path, tmp_path / "none.pem")
