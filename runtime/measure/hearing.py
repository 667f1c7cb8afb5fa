"""Listen to hours, look-alikes and events, and keep the presence of each question.

The windows are the listener's own; false_alarms.py counts the events that their presence makes.
"""

from __future__ import annotations

import logging
import math
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from listen_edge.audio.folder import recordings_below
from listen_edge.errors import AudioError
from listen_edge.lines.answer import Answer
from listen_edge.log_mel import SAMPLE_RATE
from listen_edge.question import can_be_asked, parse_concept
from listen_edge.runtime.engine import Engine
from listen_edge.runtime.listening.listen_config import ListenConfig
from listen_edge.runtime.listening.listener import Listener
from listen_edge.runtime.measure.background import mixture
from listen_edge.runtime.measure.mixing import CLEAR, Condition
from listen_edge.runtime.measure.traces import (
    Part,
    Trace,
    TraceFolder,
    Traces,
    file_hash,
    heard_by,
)
from listen_edge.runtime.sources import Source
from listen_edge.runtime.sources.file import FolderSource, SamplesSource

logger = logging.getLogger(__name__)

_STRETCH_BYTES = 16_000_000  # of files that are played as one stream: ten minutes and more


@dataclass(frozen=True)
class Stretch:
    """Recordings of hours that are played as one stream.

    Attributes:
        kind: the first folder that they lie in, empty if they lie in none.
        holds: concepts that the folders are named like: not asked here.
    """

    paths: tuple[Path, ...]
    kind: str
    holds: frozenset[str]


class Hearing:
    """One pass of an engine over recordings.

    Args:
        concepts: what is asked.
        hop_s: between windows; None: the bundle's.
        llm: when the engine asks the LLM; traces of another mode are others.
        keep: folder of the traces, see TraceFolder; None: they are not kept.
        on_window: called as it goes.
    """

    def __init__(
        self,
        engine: Engine,
        concepts: Sequence[str],
        *,
        hop_s: float | None = None,
        llm: str = "auto",
        keep: Path | None = None,
        on_window: Callable[[], None] = lambda: None,
    ) -> None:
        self._engine, self._concepts = engine, list(concepts)
        self._hop_s = hop_s or engine.hop_s
        self._bundle = heard_by(engine.bundle.manifest, llm)
        self._kept = TraceFolder(keep, self._bundle, self._hop_s)
        self._on_window = on_window
        self._hashes: dict[tuple[Path, ...], str] = {}

    def listen(
        self,
        natural: Path,
        lookalikes: Path | None,
        events: Path | None,
        conditions: Sequence[Condition],
        *,
        seed: int = 0,
    ) -> Traces:
        """Return the traces of all of it; what was kept from a pass before is not heard again.

        Args:
            natural: hours without the sounds. A sub-folder that is named like a question holds that
                sound, which is not asked there.
            lookalikes: a folder for each sound that may be taken for another, named like it; below
                it one that is named like a question holds that sound too.
            events: one sub-folder per concept, named like it; a single concept's recordings may lie
                in the folder itself.
            conditions: what each event is mixed into.
            seed: of the mixtures.

        Raises:
            AudioError: hours without any that a question can be asked in, or no events of one.
        """
        found = Traces(
            self._bundle,
            self._hop_s,
            natural=list(self._natural(natural)),
            lookalikes=list(self._lookalikes(lookalikes)) if lookalikes else [],
            events=list(self._events(events, natural, conditions, seed)) if events else [],
        )
        for concept in self._concepts:
            if not any(concept in trace.presence for trace in found.natural):
                raise AudioError(
                    f"{natural}: every recording holds {concept}; expected some without it"
                )
        self._kept.forget_others()
        return found

    def _natural(self, folder: Path) -> Iterator[Trace]:
        for stretch in stretches(folder):
            asked = [concept for concept in self._concepts if concept not in stretch.holds]
            if not asked:
                continue
            listen = partial(self._played, FolderSource(folder, stretch.paths), asked, stretch.kind)
            name = str(stretch.paths[0].relative_to(folder))
            try:
                yield self._kept.heard("natural", name, [asked, self._hash(stretch.paths)], listen)
            except AudioError as err:  # the others may be whole
                logger.warning("%s", err)

    def _played(self, source: Source, asked: list[str], kind: str) -> Trace:
        return Trace(kind, *self.presence(source, asked))

    def _lookalikes(self, folder: Path) -> Iterator[Trace]:
        for path in recordings_below(folder):
            held = names_of(path, folder)
            asked = [concept for concept in self._concepts if concept not in held]
            own = path.relative_to(folder)
            if asked:
                yield from self._mixed(
                    "lookalikes", str(own), path, own.parts[0], asked, CLEAR, (), 0
                )

    def _events(
        self, folder: Path, natural: Path, conditions: Sequence[Condition], seed: int
    ) -> Iterator[Trace]:
        for concept in self._concepts:
            kinds: dict[str, list[Path]] = {}
            for stretch in stretches(natural):
                if concept not in stretch.holds:
                    kinds.setdefault(stretch.kind, []).extend(stretch.paths)
            for at, path in enumerate(_recordings_of(folder, concept, len(self._concepts))):
                for condition in conditions:
                    below = _drawn_from(natural, kinds, condition, at)
                    for k in range(condition.n):
                        name = f"{concept}/{path.relative_to(folder)}/{condition.name}-{k}"
                        yield from self._mixed(
                            "events", name, path, condition.name, [concept], condition, below,
                            seed + k,
                        )  # fmt: skip

    def _mixed(
        self,
        part: Part,
        name: str,
        path: Path,
        kind: str,
        asked: list[str],
        condition: Condition,
        backgrounds: Sequence[Path],
        seed: int,
    ) -> Iterator[Trace]:
        """Yield the trace of one recording in its background; nothing if it cannot be heard."""

        def listen() -> Trace:
            rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
            made = mixture(path, backgrounds, condition.snr_db, rng, self._hop_s)
            source = SamplesSource(made.samples, SAMPLE_RATE, name=path.name)
            return Trace(kind, *self.presence(source, asked), made.onset_s, made.duration_s)

        depends_on = [
            asked, condition.snr_db, seed, self._hash((path,)), self._hash(tuple(backgrounds)),
        ]  # fmt: skip
        try:
            yield self._kept.heard(part, name, depends_on, listen)
        except AudioError as err:  # one bad file among many
            logger.warning("%s", err)

    def presence(
        self, source: Source, asked: list[str]
    ) -> tuple[NDArray[np.float64], dict[str, NDArray[np.float64]]]:
        """Return window ends (n_windows,) and by concept presence (n_windows,), NaN if unheard."""
        ends: list[float] = []
        columns: dict[str, list[float]] = {concept: [] for concept in asked}
        config = ListenConfig(hop_s=self._hop_s)
        for line in Listener(self._engine, source, asked, config):
            if not isinstance(line, Answer):
                continue
            columns[line.concept].append(math.nan if line.presence is None else line.presence)
            if line.concept == asked[-1]:
                ends.append(line.window_s[1])
                self._on_window()
        return np.array(ends), {concept: np.array(row) for concept, row in columns.items()}

    def _hash(self, paths: tuple[Path, ...]) -> str:
        if paths not in self._hashes:
            self._hashes[paths] = file_hash(paths)
        return self._hashes[paths]


def stretches(folder: Path) -> Iterator[Stretch]:
    """Yield the recordings of hours, those of a folder together up to about ten minutes."""
    held: list[Path] = []
    for path in recordings_below(folder):
        n_bytes = sum(one.stat().st_size for one in (*held, path))
        if held and (held[-1].parent != path.parent or n_bytes > _STRETCH_BYTES):
            yield _stretch(held, folder)
            held = []
        held.append(path)
    yield _stretch(held, folder)


def _stretch(paths: list[Path], folder: Path) -> Stretch:
    folders = paths[0].relative_to(folder).parts[:-1]
    return Stretch(tuple(paths), folders[0] if folders else "", names_of(paths[0], folder))


def names_of(path: Path, folder: Path) -> frozenset[str]:
    """Return the concepts that the sub-folders of a recording are named after.

    A name that cannot be asked ("noise", "2026-01-01") is no sound's.
    """
    parts = path.relative_to(folder).parts[:-1]
    return frozenset(parse_concept(part) for part in parts if can_be_asked(part))


def _drawn_from(
    natural: Path, kinds: Mapping[str, list[Path]], condition: Condition, at: int
) -> tuple[Path, ...]:
    """Return the recordings that the at-th event of a question is mixed into."""
    if condition.over is None or kinds.keys() == {""}:  # hours without sub-folders
        return tuple(path for paths in kinds.values() for path in paths)
    if not condition.over:
        return ()
    kind = condition.over[at % len(condition.over)]
    if kind not in kinds:
        raise AudioError(f"{natural}: no folder {kind!r}, to mix events into; expected --over")
    return tuple(kinds[kind])


def _recordings_of(folder: Path, concept: str, n_concepts: int) -> list[Path]:
    own = [path for path in recordings_below(folder) if concept in names_of(path, folder)]
    if not own and n_concepts == 1:
        return recordings_below(folder)
    if not own:
        raise AudioError(
            f"{folder}: no sub-folder named {concept!r}; expected one per question, with recordings"
        )
    return own
