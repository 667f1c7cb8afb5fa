"""What `manifest.json` says of a bundle: read from JSON and checked, nothing of it trusted.

Sizes, texts and thresholds come from here, never from a file name.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from listen_edge.bundle.calibration import Calibration
from listen_edge.errors import BundleError
from listen_edge.prompt import Prompt

SCHEMA = 1
MANIFEST = "manifest.json"
MAX_MANIFEST_BYTES = 1 << 20


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
    on_threshold: float
    off_threshold: float
    raw: dict[str, Any]


def parse_manifest(text: bytes) -> Manifest:
    """Return the manifest of its JSON text.

    Raises:
        BundleError: not JSON, an unknown schema, a missing or impossible field.
    """
    try:
        raw = json.loads(text)
        schema = raw["schema"]
    except (ValueError, KeyError, TypeError) as err:
        raise BundleError(f"{MANIFEST}: not a bundle manifest ({err})") from err
    if schema != SCHEMA:
        raise BundleError(
            f"{MANIFEST}: schema {schema!r}, this listen-edge reads {SCHEMA}; upgrade listen-edge "
            "or export the bundle again"
        )
    try:
        manifest = _manifest(raw, hashlib.sha256(text).hexdigest())
    except (KeyError, TypeError, ValueError) as err:
        raise BundleError(f"{MANIFEST}: field {err} is missing or malformed") from err
    package = manifest.gguf.package
    if package is not None and not package.isidentifier():  # a dotted name would be imported
        raise BundleError(f"{MANIFEST}: {package!r} is no package name")
    if not re.fullmatch("[a-z0-9_]+", manifest.gguf.quantization):  # part of a file's name
        raise BundleError(f"{MANIFEST}: {manifest.gguf.quantization!r} is no GGUF type")
    for path in (*(file.path for file in manifest.files), manifest.gguf.path):
        _refuse_outside(path)
    if not 0 < manifest.off_threshold <= manifest.on_threshold < 1:
        raise BundleError(f"{MANIFEST}: thresholds, expected 0 < off <= on < 1")
    if not (0 < manifest.hop_s <= manifest.window_s <= 30 and manifest.sample_rate == 16_000):
        raise BundleError(f"{MANIFEST}: audio, expected 16000 Hz and 0 < hop_s <= window_s <= 30")
    return manifest


def _manifest(raw: dict[str, Any], sha256: str) -> Manifest:
    llm, audio, thresholds = raw["llm"], raw["audio"], raw["thresholds"]
    gguf = llm["gguf"]
    return Manifest(
        id=f"{raw['name']}@sha256:{sha256[:8]}",
        name=str(raw["name"]),
        version=str(raw["version"]),
        files=tuple(
            BundleFile(
                str(f["path"]), str(f["role"]), int(f["bytes"]), str(f["sha256"]),
                f.get("precision"), tuple(map(str, f.get("backends", ("cpu",)))),
            )
            for f in raw["files"]
        ),
        sample_rate=int(audio["sample_rate"]),
        window_s=float(audio["window_s"]),
        hop_s=float(audio["hop_s"]),
        n_query=int(raw["adapter"]["n_query"]),
        n_embd=int(llm["n_embd"]),
        vocab_sha256=str(llm["vocab_sha256"]),
        gguf=Gguf(
            path=str(gguf["path"]),
            sha256=str(gguf["sha256"]),
            bytes=int(gguf["bytes"]),
            package=gguf.get("package"),
            source_quantization=str(gguf["quantization"]),
            quantization=str(llm["quantization"]),
        ),
        prompt=Prompt.from_json(raw["prompt"]),
        calibration=Calibration.from_json(raw["calibration"]),
        on_threshold=float(thresholds["on"]),
        off_threshold=float(thresholds["off"]),
        raw=raw,
    )  # fmt: skip


def _refuse_outside(path: str) -> None:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or "\\" in path or ".." in parts or ":" in path:
        raise BundleError(f"{MANIFEST}: path {path!r} leaves the bundle's folder; do not use it")
