"""ESC-50 as presence questions: per clip one sound that is there and k that are not.

Absent sounds are drawn *random* (any other class), *popular* (the ten most frequent other classes)
or *adversarial* (the same super-category), each question is asked in five wordings, and a clip
recorded together with another shares its fold, so a fold is unseen when training left it out.

Source: classes, folds and super-categories of ESC-50 (Piczak, 2015; target // 10 is the
super-category); protocol and wordings of the Interspeech-2024 audio hallucination benchmark.
"""

from __future__ import annotations

import csv
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from listen_edge.audio import read_audio
from listen_edge.errors import AudioError
from listen_edge.evaluation.metrics import PresenceMetrics, mean_metrics
from listen_edge.evaluation.questions import Question, ask_engine
from listen_edge.evaluation.report import Report, grouped_reports

if TYPE_CHECKING:
    from listen_edge.runtime.engine import Engine

Absent = Literal["random", "popular", "adversarial"]
ABSENT_KINDS: tuple[Absent, ...] = ("random", "popular", "adversarial")
WORDINGS = (
    "Is there a sound of {} in the audio?",
    "Does the audio contain the sound of {}?",
    "Have you noticed the sound of {} in the audio?",
    "Can you hear the sound of {} in the audio?",
    "Can you detect the sound of a {} in the audio?",
)
_N_POPULAR = 10


@dataclass(frozen=True)
class Esc50Clip:
    """One clip; `label` is its class with spaces, `super_category` 0..4."""

    path: Path
    label: str
    fold: int
    super_category: int


@dataclass(frozen=True)
class Esc50Report:
    """Figures of one kind of absent sounds, means over the five wordings.

    Attributes:
        f1_std_over_wordings: standard deviation of F1(yes) over the wordings, in points.
        f1_by_wording: F1(yes) of each wording.
    """

    absent: Absent
    folds: tuple[int, ...]
    n_clips: int
    metrics: PresenceMetrics
    f1_std_over_wordings: float
    f1_by_wording: dict[str, float]


def read_esc50(folder: Path) -> list[Esc50Clip]:
    """Return the clips of ESC-50, from its official `meta/esc50.csv` or a flat `meta.csv`.

    Raises:
        AudioError: the folder holds no ESC-50.
    """
    table = next((t for t in (folder / "meta/esc50.csv", folder / "meta.csv") if t.is_file()), None)
    if table is None:
        raise AudioError(
            f"{folder}: no meta/esc50.csv there; expected the ESC-50 data set "
            "(github.com/karolpiczak/ESC-50)"
        )
    try:
        with table.open(newline="", encoding="utf-8") as file:
            return [
                Esc50Clip(
                    folder / "audio" / row["filename"],
                    row["category"].replace("_", " "),
                    int(row["fold"]),
                    int(row["target"]) // 10,
                )
                for row in csv.DictReader(file)
            ]
    except (KeyError, ValueError) as err:
        raise AudioError(f"{table}: not the table of ESC-50 ({err})") from err


def clips_of_folds(folder: Path, folds: Sequence[int]) -> list[Esc50Clip]:
    """Return the clips of some folds.

    Raises:
        AudioError: no ESC-50 there, or none of its clips in these folds.
    """
    clips = [clip for clip in read_esc50(folder) if clip.fold in folds]
    if not clips:
        raise AudioError(f"{folder}: no clips of fold {', '.join(map(str, folds))}; folds are 1-5")
    return clips


def draw_absent(
    clips: Sequence[Esc50Clip], absent: Absent, n_absent: int, seed: int
) -> list[list[str]]:
    """Return n_absent labels per clip that are not its own, without repetition."""
    rng = np.random.default_rng(seed)
    frequency = Counter(clip.label for clip in clips)
    category = {clip.label: clip.super_category for clip in clips}
    drawn = []
    for clip in clips:
        others = [label for label, _ in frequency.most_common() if label != clip.label]
        if absent == "popular":
            others = others[:_N_POPULAR]
        elif absent == "adversarial":
            others = [label for label in others if category[label] == clip.super_category]
        n_drawn = min(n_absent, len(others))
        drawn.append(rng.choice(sorted(others), n_drawn, replace=False).tolist())
    return drawn


def esc50_questions(
    clips: Sequence[Esc50Clip], absent: Absent, *, n_absent: int = 1, seed: int = 0
) -> list[Question]:
    """Return what is asked about the clips: their label and n_absent others, in each wording.

    Args:
        n_absent: absent sounds per clip; 1 makes yes and no equally frequent.
    """
    drawn = draw_absent(clips, absent, n_absent, seed)
    return [
        Question(clip.path, wording.format(label), label, label == clip.label, wording)
        for clip, others in zip(clips, drawn, strict=True)
        for wording in WORDINGS
        for label in (clip.label, *others)
    ]


def evaluate_esc50(
    engine: Engine,
    clips: Sequence[Esc50Clip],
    *,
    absent: Absent = "random",
    n_absent: int = 1,
    seed: int = 0,
    hear: Callable[[Path], NDArray[np.float32]] = read_audio,
    on_clip: Callable[[], None] = lambda: None,
) -> Esc50Report:
    """Ask the engine about every clip and return the figures.

    Args:
        n_absent: as for esc50_questions.
        hear, on_clip: as for ask_engine.
    """
    questions = esc50_questions(clips, absent, n_absent=n_absent, seed=seed)
    replies = ask_engine(engine, questions, hear=hear, on_clip=on_clip)
    groups = {report.name: report.metrics for report in grouped_reports(questions, replies)}
    per_wording = [groups[wording] for wording in WORDINGS]
    return Esc50Report(
        absent=absent,
        folds=tuple(sorted({clip.fold for clip in clips})),
        n_clips=len(clips),
        metrics=mean_metrics(per_wording),
        f1_std_over_wordings=100 * float(np.std([m.f1_yes for m in per_wording])),
        f1_by_wording={wording: groups[wording].f1_yes for wording in WORDINGS},
    )


def far_field_reports(
    engine: Engine,
    clips: Sequence[Esc50Clip],
    *,
    seed: int = 0,
    on_clip: Callable[[], None] = lambda: None,
) -> list[Report]:
    """Return the figures of the clips and of far-field copies, and the AUROC lost in between."""

    def from_afar(path: Path) -> NDArray[np.float32]:
        from listen_edge.evaluation.far_field import far_field

        return far_field(read_audio(path), seed + zlib.crc32(path.name.encode()))

    plain = evaluate_esc50(engine, clips, seed=seed, on_clip=on_clip)
    far = evaluate_esc50(engine, clips, seed=seed, hear=from_afar, on_clip=on_clip)
    lost = 100 * (plain.metrics.auroc - far.metrics.auroc)
    report = to_report(far, "far-field")
    return [
        to_report(plain, "plain"),
        replace(report, extra={**report.extra, "auroc_lost": (lost, "points")}),
    ]


def margins_of_clips(
    engine: Engine, clips: Sequence[Esc50Clip], *, n_absent: int, seed: int
) -> tuple[NDArray[np.bool_], NDArray[np.float32], NDArray[np.float32]]:
    """Return truth, margin and prior margin of random questions, to fit a calibration on.

    Each has shape (n_questions,).
    """
    truth: list[bool] = []
    margins, priors = [], []
    for clip, others in zip(clips, draw_absent(clips, "random", n_absent, seed), strict=True):
        labels = [clip.label, *others]
        truth += [True] + [False] * len(others)
        priors.append(engine.prior_margins(labels))
        margins.append(engine.margins(engine.embed(_first_window(engine, clip.path)), labels))
    return np.array(truth), np.concatenate(margins), np.concatenate(priors)


def to_report(found: Esc50Report, name: str | None = None) -> Report:
    """Return the figures as a column of a table, named after the kind of absent sounds."""
    about = {
        "absent": found.absent,
        "folds": found.folds,
        "n_clips": found.n_clips,
        "f1_by_wording": found.f1_by_wording,
    }
    spread = {"f1_std_over_wordings": (found.f1_std_over_wordings, "points")}
    return Report(name or found.absent, found.metrics, about, spread)


def _first_window(engine: Engine, path: Path) -> NDArray[np.float32]:
    return read_audio(path)[: round(engine.window_s * engine.sample_rate)]
