"""What a bundle heard in recordings, kept on disk: thresholds are then tried without listening.

A trace is one recording's presence. Its file holds a key of all that it depends on (bundle,
windows, questions, sound): a pass over hours that was stopped goes on where it was, and what has
changed since is heard again.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from listen_edge.bundle.manifest import Manifest
from listen_edge.errors import ListenEdgeError, one_line
from listen_edge.replacing import replacing

Part = Literal["natural", "lookalikes", "events"]
PARTS: tuple[Part, ...] = get_args(Part)
# Of a manifest, what presence does not depend on.
_NOT_HEARD = ("version", "about", "files", "thresholds", "events", "requirements", "parity", "eval")
_NOT_HEARD_ROLES = ("clip", "document", "expected")


@dataclass(frozen=True)
class Trace:
    """Presence in one recording.

    Attributes:
        kind: of natural hours ("speech"), the label of a look-alike ("cat"), or the condition that
            an event was mixed in at ("10 dB").
        ends_s: each window's end, shape (n_windows,).
        presence: by concept that was asked, NaN where nothing was heard, shape (n_windows,) each.
        onset_s: where the event begins; None where there is none.
        duration_s: how long it sounds, pauses left out.
    """

    kind: str
    ends_s: NDArray[np.float64]
    presence: Mapping[str, NDArray[np.float64]]
    onset_s: float | None = None
    duration_s: float | None = None


@dataclass(frozen=True)
class Traces:
    """All that one bundle heard.

    Attributes:
        bundle: see heard_by.
        hop_s: between windows.
        natural: hours without the sounds that are asked for.
        lookalikes: each a sound that may be taken for one of them.
        events: each one of them.
    """

    bundle: str
    hop_s: float
    natural: Sequence[Trace] = ()
    lookalikes: Sequence[Trace] = ()
    events: Sequence[Trace] = ()

    @property
    def concepts(self) -> list[str]:
        """What was asked, in the order of asking."""
        traces = (*self.natural, *self.lookalikes, *self.events)
        return list(dict.fromkeys(concept for trace in traces for concept in trace.presence))


class TraceFolder:
    """Where the traces of one pass are kept.

    Args:
        folder: made if it is not there; None: nothing is kept.
        bundle, hop_s: as in Traces.
    """

    def __init__(self, folder: Path | None, bundle: str, hop_s: float) -> None:
        self._folder, self._bundle, self._hop_s = folder, bundle, hop_s
        self._used: set[Path] = set()

    def heard(
        self, part: Part, name: str, depends_on: object, listen: Callable[[], Trace]
    ) -> Trace:
        """Return the trace that is kept under this name; listen if there is none, or another's.

        Args:
            part, name: where it is kept.
            depends_on: everything but bundle and windows that it depends on, for JSON.
        """
        if self._folder is None:
            return listen()
        path = self._folder / part / f"{name}.npz"
        self._used.add(path)
        wanted = json.dumps([self._bundle, self._hop_s, depends_on])
        key = hashlib.sha256(wanted.encode()).hexdigest()
        try:
            about, trace = _read(path)
            if about["key"] == key:
                return trace
        except (OSError, ListenEdgeError):
            pass  # not heard yet, or not to its end
        trace = listen()
        about = {"key": key, "bundle": self._bundle, "hop_s": self._hop_s}
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, about, trace)
        return trace

    def forget_others(self) -> None:
        """Remove traces that this pass has not used: their recordings are gone."""
        for part in PARTS if self._folder is not None else ():
            for path in (self._folder / part).rglob("*.npz"):  # type: ignore[operator]
                if path not in self._used:
                    path.unlink()


def heard_by(manifest: Manifest, llm: str) -> str:
    """Return the name of all in a bundle that presence depends on.

    Its thresholds, figures and documents are left out: traces hold on when they are written in.

    Args:
        llm: when the LLM is asked, see Engine.
    """
    files = (file for file in manifest.files if file.role not in _NOT_HEARD_ROLES)
    heard = {key: value for key, value in manifest.raw.items() if key not in _NOT_HEARD}
    text = json.dumps([heard, sorted(file.sha256 for file in files), llm], sort_keys=True)
    return f"{manifest.name}@{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def read_traces(folder: Path) -> Traces:
    """Return all traces of a folder, whether or not the pass that makes them has ended.

    Raises:
        ListenEdgeError: none there, a damaged one, or such of several bundles.
    """
    found: dict[str, list[Trace]] = {part: [] for part in PARTS}
    made_by: set[tuple[str, float]] = set()
    for part in PARTS:
        for path in sorted((folder / part).rglob("*.npz")):
            about, trace = _read(path)
            made_by.add((str(about["bundle"]), float(about["hop_s"])))
            found[part].append(trace)
    if len(made_by) != 1:
        bundles = ", ".join(sorted(f"{bundle} every {hop_s:g} s" for bundle, hop_s in made_by))
        raise ListenEdgeError(
            f"{folder}: traces of {bundles or 'nothing'}; expected those of one bundle, which "
            "`listen-edge bench events --keep` writes"
        )
    ((bundle, hop_s),) = made_by
    return Traces(bundle, hop_s, **found)


def file_hash(paths: Sequence[Path]) -> str:
    """Return the SHA-256 of the bytes of files, one behind the other."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _write(path: Path, about: Mapping[str, Any], trace: Trace) -> None:
    concepts = list(trace.presence)
    text = json.dumps(
        {
            **about,
            "kind": trace.kind,
            "concepts": concepts,
            "onset_s": trace.onset_s,
            "duration_s": trace.duration_s,
        }
    )
    columns = np.array([trace.presence[concept] for concept in concepts])
    with replacing(path) as temporary:
        np.savez_compressed(temporary, about=text, ends_s=trace.ends_s, presence=columns)


def _read(path: Path) -> tuple[dict[str, Any], Trace]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            about = json.loads(str(arrays["about"]))
            rows = zip(about["concepts"], arrays["presence"], strict=True)
            trace = Trace(
                about["kind"], arrays["ends_s"], dict(rows), about["onset_s"], about["duration_s"]
            )
            return about, trace
    except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as err:
        raise ListenEdgeError(
            f"{path}: not a trace ({one_line(err)}); remove it and listen again"
        ) from err
