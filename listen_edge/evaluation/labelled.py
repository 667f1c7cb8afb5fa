"""A folder of labelled recordings as presence questions: other people's sounds, other labels.

Per recording its label and k labels of other recordings that could not be confused with it. Each
question belongs to the labels that the bundle was trained on, or to those it never met.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from listen_edge.concepts import may_be_confused
from listen_edge.evaluation.questions import BenchmarkError, Question, Reply, read_table
from listen_edge.evaluation.report import Report, grouped_reports

TRAINED, NEVER = "trained elsewhere", "never trained"
WORDING = "Is there a sound of {} in the audio?"
_MAX_TRIES = 1000


@dataclass(frozen=True)
class LabelledClip:
    """One recording and what is in it."""

    path: Path
    label: str
    source: str


def read_labelled(folder: Path, sources: Sequence[str] = ()) -> list[LabelledClip]:
    """Return the recordings of a folder with meta.csv (filename, label, source) and audio/.

    Args:
        sources: as for of_sources.

    Raises:
        BenchmarkError: no such table, or no recording of such a source.
    """
    rows = read_table(folder / "meta.csv", ("filename", "label", "source"))
    clips = [
        LabelledClip(
            folder / "audio" / row["filename"],
            row["label"].lower().replace("_", " "),
            row["source"],
        )
        for row in rows
    ]
    return of_sources(clips, sources, str(folder))


def of_sources(
    clips: Sequence[LabelledClip], sources: Sequence[str], where: str
) -> list[LabelledClip]:
    """Return the recordings whose source contains one of these names, whatever the case.

    Args:
        sources: empty keeps all.
        where: they lie, for the error.

    Raises:
        BenchmarkError: no recording of such a source.
    """
    for wanted in sources:
        if not any(wanted.lower() in clip.source.lower() for clip in clips):
            known = "; ".join(sorted({clip.source for clip in clips}))
            raise BenchmarkError(f"{where}: no recording of source {wanted!r}; there are {known}")
    return [
        clip
        for clip in clips
        if not sources or any(wanted.lower() in clip.source.lower() for wanted in sources)
    ]


def labelled_questions(
    clips: Sequence[LabelledClip],
    trained: Collection[str] | None,
    *,
    n_absent: int = 1,
    seed: int = 0,
) -> list[Question]:
    """Return what is asked: per clip its label and up to n_absent others.

    Args:
        trained: labels the bundle was trained on; None if that is not known.
        n_absent: drawn as often as the labels occur, so that a label is as likely to be asked
            when it is absent as when it is present.

    Raises:
        BenchmarkError: all labels could be confused.
    """
    rng = np.random.default_rng(seed)
    labels = [clip.label for clip in clips]
    questions = []
    for clip in clips:
        absent: list[str] = []
        for _ in range(_MAX_TRIES):
            other = labels[int(rng.integers(len(labels)))]
            if len(absent) < n_absent and other not in absent:
                absent += [other] * (not may_be_confused(clip.label, other))
        for label in (clip.label, *absent):
            group = "" if trained is None else TRAINED if label in trained else NEVER
            text = WORDING.format(label)
            questions.append(Question(clip.path, text, label, label == clip.label, group))
    if all(question.is_present for question in questions):
        raise BenchmarkError(
            "all labels could be confused with each other, so none can be asked as absent; "
            "keep more sources"
        )
    return questions


def labelled_reports(questions: Sequence[Question], replies: Sequence[Reply]) -> list[Report]:
    """Return reports of all questions and of trained and never trained labels.

    The share of answers that the bundle flags as calibrated stands beside the metrics.
    """
    reports = grouped_reports(questions, replies)
    for report in reports:
        flags = [
            reply.calibrated
            for question, reply in zip(questions, replies, strict=True)
            if report.name in ("all", question.group)
        ]
        report.extra["calibrated"] = (float(np.mean(flags)), "%")
    return reports


def trained_labels(manifest: dict[str, object], file: Path | None) -> list[str] | None:
    """Return the labels a bundle was trained on, from its manifest or a file of one a line."""
    if file is not None:
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as err:
            raise BenchmarkError(
                f"{file}: cannot be read ({err}); expected a label a line"
            ) from err
        return [line.strip().lower() for line in lines if line.strip()]
    listed = manifest.get("trained_labels")
    return [str(label) for label in listed] if isinstance(listed, list) else None
