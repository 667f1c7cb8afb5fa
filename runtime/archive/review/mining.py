"""A scan of hours without some sounds -> the windows in which they were heard all the same.

From the answers that are written: nothing is asked again, and only recordings with such windows are
decoded. They become the folder that `listen-edge mine` writes, for train-head.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds

from listen_edge.concepts import may_be_confused
from listen_edge.errors import AudioError, ListenEdgeError
from listen_edge.printable import printable
from listen_edge.question import parse_concept
from listen_edge.runtime.archive.job import RECORDINGS, Job
from listen_edge.runtime.archive.parts import read_part
from listen_edge.runtime.archive.review.sample import one_path
from listen_edge.runtime.archive.review.spans import read_recorded
from listen_edge.runtime.archive.review.verdicts import read_verdicts
from listen_edge.runtime.measure.mined_folder import Finds, MinedFolder
from listen_edge.runtime.measure.mining_config import MiningConfig

_LICENCES = ("licence", "license")  # columns of a manifest
_SAID = (*_LICENCES, "label")  # all that is read of one
_OF_RECORDING = ("recording", "path", "n_windows", "duration_s")
_COLUMNS = ("recording", "start_s", "end_s", "question", "concept", "presence")


def mine_scan(
    folder: Path, out: Path, config: MiningConfig, absent: Sequence[str] = ()
) -> Iterator[Finds]:
    """Yield what was wrongly heard in each recording in turn, in a run that was killed before too.

    Left out are windows at which a verdict says yes, and of a recording that a manifest's column
    `label` names sounds of, the questions that could be taken for one of them. A recording that
    cannot be decoded is told in its finds, which hold nothing else; the next run tries again.

    Args:
        folder: of a scan, finished or not, without --events.
        out: made, or the folder of a run that was killed.
        config: its hop is the scan's.
        absent: questions of the scan about sounds that its recordings do not hold; (): all.

    Raises:
        ListenEdgeError: no scan there, one of events, a question that it did not ask, a folder of
            another run, or one that cannot be written to.
        QuestionError: a question that names no sound.
    """
    job = Job(folder)
    if job.unit == "events":
        raise ListenEdgeError(
            f"{printable(folder)}: holds events, and windows are mined; scan without --events into "
            "another --out"
        )
    concepts = _concepts(job, absent)
    config = replace(config, hop_s=job.described["hop_s"])
    scan = {key: job.described[key] for key in ("bundle", "llm", "listing")}
    described = {**scan, **asdict(config), "concepts": list(concepts.values())}
    miner = _Miner(job, config, concepts)
    with MinedFolder(out, described) as mined:
        for part in job.parts(RECORDINGS):
            yield from miner.mine(part, mined)


def _concepts(job: Job, absent: Sequence[str]) -> dict[str, str]:
    """Return question -> concept of those to mine, one question to a concept."""
    asked = {one["concept"]: one["question"] for one in job.described["questions"]}
    wanted = [parse_concept(question) for question in absent] or list(asked)
    if unknown := [concept for concept in wanted if concept not in asked]:
        raise ListenEdgeError(
            f"{unknown[0]!r}: the scan did not ask for it; expected one of {', '.join(asked)}"
        )
    return {asked[concept]: concept for concept in wanted}


class _Miner:
    """What is looked for in every piece of a scan."""

    def __init__(self, job: Job, config: MiningConfig, concepts: Mapping[str, str]) -> None:
        self._job, self._config = job, config
        self._window_s: float = job.described["window_s"]
        field = ds.field
        self._wanted = (field("presence") >= config.least) & field("question").isin([*concepts])
        self._right: dict[tuple[str, str], list[float]] = defaultdict(list)
        for judged in read_verdicts(job.folder):
            if judged.verdict == "yes":
                self._right[judged.recording, judged.concept].append(judged.start_s)

    def mine(self, part: Path, mined: MinedFolder) -> Iterator[Finds]:
        """Yield the finds of each recording of a piece."""
        said = [field.name for field in self._job.carried if field.name in _SAID]
        parts = read_part(self._job, RECORDINGS, part, [*_OF_RECORDING, *said])
        recordings = [row for batch in parts for row in batch.to_pylist()]
        wrong: dict[str, list[dict[str, Any]]] = defaultdict(list)
        answers = self._job.folder / "answers" / part.parent.name / part.name
        for batch in read_part(self._job, "answers", answers, _COLUMNS, texts=["question"]):
            found = pa.Table.from_batches([batch]).filter(self._wanted)
            for row in found.sort_by("start_s").to_pylist():
                wrong[row["recording"]].append(row)
        paths: dict[str, list[bytes]] = defaultdict(list)
        for one in recordings:
            paths[one["recording"]].append(one["path"])
        for one in recordings:
            finds = mined.last(one["recording"])
            if not finds.is_done:
                finds = self._noted(one, wrong[one["recording"]])
                self._write(finds, wrong[one["recording"]], paths, mined)
            yield finds

    def _noted(self, recording: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> Finds:
        """Return the finds of a recording, of which nothing is written yet."""
        licence = next((str(recording[name]) for name in _LICENCES if recording.get(name)), "")
        finds = Finds(
            recording["recording"], licence, recording["n_windows"], recording["duration_s"]
        )
        labels = [name.strip().lower() for name in str(recording.get("label") or "").split(";")]
        for row in rows:
            concept, start_s = row["concept"], row["start_s"]
            is_labelled = any(name and may_be_confused(name, concept) for name in labels)
            right = self._right.get((finds.recording, concept), ())
            if is_labelled or any(abs(start_s - one) < self._window_s for one in right):
                continue
            n, apart_s = self._config.per_question, self._window_s
            finds.note(concept, start_s, row["presence"], apart_s=apart_s, n=n)
        return finds

    def _write(
        self,
        finds: Finds,
        rows: Sequence[Mapping[str, Any]],
        paths: Mapping[str, list[bytes]],
        mined: MinedFolder,
    ) -> None:
        """Write the windows that are kept, then the line that says so."""
        kept = finds.by_window()
        spans = {(row["start_s"], row["end_s"]) for row in rows if row["start_s"] in kept}
        if not spans:
            return
        try:
            path = one_path(paths, finds.recording)
            for (start_s, _), samples in read_recorded(path, finds.recording, spans):
                mined.write_window(finds.recording, start_s, samples)
        except AudioError as err:
            finds.error = str(err)
            finds.n_wrong.clear()
            finds.kept.clear()
        else:
            finds.is_done = True
            mined.append(finds)
