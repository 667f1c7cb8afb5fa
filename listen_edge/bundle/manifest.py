"""What `manifest.json` says of a bundle: read from JSON and checked, nothing of it trusted.

Sizes, texts and thresholds come from here, never from a file name.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from listen_edge.bundle.calibration import Calibration
from listen_edge.bundle.head import HeadManifest
from listen_edge.errors import BundleError, one_line
from listen_edge.event_settings import EventSettings
from listen_edge.json_fields import malformed_fields, parse_json
from listen_edge.prompt import Prompt

SCHEMA, HEAD_SCHEMA = 1, 2  # without and with a question head, which older versions cannot run
MANIFEST = "manifest.json"
SIGNATURE = f"{MANIFEST}.sig"
SUMS = "SHA256SUMS"
OWN_FILES = (MANIFEST, SIGNATURE, SUMS)  # of every bundle, which no manifest lists
_MAX_NAME, _MAX_PATH = 255, 1024  # bytes of a file's name, and with its folders
MAX_MANIFEST_BYTES = 1 << 20
_MAX_WEIGHT = 1000


@dataclass(frozen=True)
class BundleFile:
    """One file of a bundle.

    Attributes:
        path: below the bundle's folder.
        role: "encoder", "clip", "expected", "document", ...
        precision: of an encoder graph: "int8", "fp16" or "fp32".
        backends: that an encoder graph is for.
    """

    path: str
    role: str
    bytes: int
    sha256: str
    precision: str | None = None
    backends: tuple[str, ...] = ("cpu",)


@dataclass(frozen=True)
class Gguf:
    """The LLM: a file in the bundle, in a Python package, or in the cache, found by its hash.

    Attributes:
        path: file name.
        package: import name of a package that carries it, or None.
        quantization: type it is run as; requantised once into the cache if the file has another.
    """

    path: str
    sha256: str
    bytes: int
    package: str | None
    source_quantization: str
    quantization: str


@dataclass(frozen=True)
class Manifest:
    """What `manifest.json` says, checked.

    Attributes:
        id: name and the start of the file's hash, as answers quote it: "tiny@sha256:ab12cd34".
        head: of the question head; None where the LLM alone answers.
        events: when presence becomes an event; None: as a listener does by default.
        raw: all of it, with what is for people.
    """

    id: str
    name: str
    version: str
    files: tuple[BundleFile, ...]
    sample_rate: int
    window_s: float
    hop_s: float
    n_query: int
    n_embd: int
    vocab_sha256: str
    gguf: Gguf
    prompt: Prompt
    calibration: Calibration
    head: HeadManifest | None
    on_threshold: float
    off_threshold: float
    events: EventSettings | None
    raw: dict[str, Any]


def parse_manifest(text: bytes) -> Manifest:
    """Return the manifest of its JSON text.

    Raises:
        BundleError: not JSON, an unknown schema, a missing or impossible field.
    """
    try:
        raw = parse_json(text)
        schema = raw["schema"]
    except (ValueError, KeyError, TypeError) as err:
        raise BundleError(f"{MANIFEST}: not a bundle manifest ({err})") from err
    if schema not in (SCHEMA, HEAD_SCHEMA) or isinstance(schema, bool):
        raise BundleError(
            f"{MANIFEST}: schema {_shown(schema)}, this listen-edge reads {SCHEMA} and "
            f"{HEAD_SCHEMA}; upgrade listen-edge or export the bundle again"
        )
    try:
        manifest = _manifest(raw, hashlib.sha256(text).hexdigest())
    except (KeyError, TypeError, ValueError, AttributeError) as err:
        raise BundleError(f"{MANIFEST}: field {err} is missing or malformed") from err
    if malformed := malformed_fields(manifest):
        raise BundleError(f"{MANIFEST}: {', '.join(malformed)}: missing or malformed")
    _check_names(manifest)
    _check_paths([*(file.path for file in manifest.files), manifest.gguf.path])
    if not 0 < manifest.off_threshold <= manifest.on_threshold < 1:
        raise BundleError(f"{MANIFEST}: thresholds, expected 0 < off <= on < 1")
    if manifest.events is not None and (why := manifest.events.impossible()):
        raise BundleError(f"{MANIFEST}: events: {why}")
    if not (0 < manifest.hop_s <= manifest.window_s <= 30 and manifest.sample_rate == 16_000):
        raise BundleError(f"{MANIFEST}: audio, expected 16000 Hz and 0 < hop_s <= window_s <= 30")
    if manifest.head is not None:
        _check_head(manifest.head, manifest.files)
    if min(manifest.n_query, manifest.n_embd) <= 0:
        raise BundleError(f"{MANIFEST}: n_query and n_embd, expected at least 1")
    return manifest


def _manifest(raw: dict[str, Any], sha256: str) -> Manifest:
    llm, audio, thresholds = raw["llm"], raw["audio"], raw["thresholds"]
    gguf = llm["gguf"]
    return Manifest(
        id=f"{raw['name']}@sha256:{sha256[:8]}",
        name=raw["name"],
        version=raw["version"],
        files=tuple(
            BundleFile(
                f["path"], f["role"], f["bytes"], f["sha256"],
                f.get("precision"), tuple(f.get("backends", ("cpu",))),
            )
            for f in raw["files"]
        ),
        sample_rate=audio["sample_rate"],
        window_s=audio["window_s"],
        hop_s=audio["hop_s"],
        n_query=raw["adapter"]["n_query"],
        n_embd=llm["n_embd"],
        vocab_sha256=llm["vocab_sha256"],
        gguf=Gguf(
            path=gguf["path"],
            sha256=gguf["sha256"],
            bytes=gguf["bytes"],
            package=gguf.get("package"),
            source_quantization=gguf["quantization"],
            quantization=llm["quantization"],
        ),
        prompt=Prompt.from_json(raw["prompt"]),
        calibration=Calibration.from_json(raw["calibration"]),
        head=HeadManifest.from_json(raw["head"]) if raw.get("head") else None,
        on_threshold=thresholds["on"],
        off_threshold=thresholds["off"],
        events=EventSettings.from_json(raw["events"]) if "events" in raw else None,
        raw=raw,
    )  # fmt: skip


def _check_head(head: HeadManifest, files: tuple[BundleFile, ...]) -> None:
    if head.path not in {file.path for file in files}:
        raise BundleError(f"{MANIFEST}: the head's file is not in its list of files")
    weights = (*head.fusion.alone, *head.fusion.both)
    if max(map(abs, weights)) > _MAX_WEIGHT or not 0 <= head.fusion.asked_from <= 1:
        raise BundleError(
            f"{MANIFEST}: the head's fusion, expected weights of at most {_MAX_WEIGHT} and "
            "asked_from of 0 to 1"
        )
    if len({*head.vocabulary}) < len(head.vocabulary) or not {*head.shown} <= {*head.vocabulary}:
        raise BundleError(f"{MANIFEST}: the head's vocabulary holds a name twice, or not all shown")


def _check_names(manifest: Manifest) -> None:
    """Refuse what would be imported, be part of a path, break a line or be no hash."""
    gguf = manifest.gguf
    if gguf.package is not None and not re.fullmatch("[A-Za-z][A-Za-z0-9_]*", gguf.package):
        raise BundleError(f"{MANIFEST}: {_shown(gguf.package)} is no package name")
    if not re.fullmatch("[a-z0-9_]+", gguf.quantization):
        raise BundleError(f"{MANIFEST}: {_shown(gguf.quantization)} is no GGUF type")
    if manifest.prompt.question.count("{}") != 1 or "{" in manifest.prompt.question.replace(
        "{}", ""
    ):
        raise BundleError(f"{MANIFEST}: the prompt's question, expected one {{}} in it")
    for text in (manifest.name, manifest.version, *(file.role for file in manifest.files)):
        if not (text.isprintable() and 0 < len(text) <= _MAX_NAME):
            raise BundleError(f"{MANIFEST}: {_shown(text)} is no name")
    stated = [(file.path, file.bytes, file.sha256) for file in manifest.files]
    for path, n_bytes, sha256 in (*stated, (gguf.path, gguf.bytes, gguf.sha256)):
        if n_bytes < 0 or not re.fullmatch("[0-9a-f]{64}", sha256):
            raise BundleError(f"{MANIFEST}: bytes or sha256 of {_shown(path)} is malformed")


def _check_paths(paths: list[str]) -> None:
    """Refuse paths out of the folder, impossible ones, and two that cannot both be files."""
    for path in paths:
        parts = PurePosixPath(path).parts
        if not parts or path.startswith("/") or "\\" in path or ".." in parts or ":" in path:
            raise BundleError(
                f"{MANIFEST}: path {_shown(path)} leaves the bundle's folder; do not use it"
            )
        sizes = [len(part.encode(errors="replace")) for part in (path, *parts)]
        if not path.isprintable() or sizes[0] > _MAX_PATH or max(sizes[1:]) > _MAX_NAME:
            raise BundleError(f"{MANIFEST}: path {_shown(path)} is no file name; do not use it")
    files = [PurePosixPath(name) for name in (*paths, *OWN_FILES)]
    folders = {folder for file in files for folder in file.parents}
    if len({*files}) < len(files) or not folders.isdisjoint(files):
        raise BundleError(f"{MANIFEST}: a path is listed twice or as file and folder")


def _shown(value: object) -> str:
    return one_line(repr(value), 60)
