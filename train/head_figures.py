"""What a head is worth on recordings that it was not trained on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from listen_edge.bundle.calibration import balanced_weights, fit_logistic
from listen_edge.bundle.head import levelled
from listen_edge.evaluation.labelled import NEVER, TRAINED, LabelledClip, labelled_questions
from listen_edge.evaluation.metrics import auroc, presence_metrics
from listen_edge.evaluation.questions import Question
from listen_edge.train.datasets.soft_tags import SoftTags
from listen_edge.train.head_material import HeldOut
from listen_edge.train.targets import Concept

N_ABSENT = 4  # names per recording
_SURELY, _HARDLY = 0.5, 0.01  # a tagger's probability of what is there, and what is not

# Logits (n_windows, n_texts) of a group's windows.
Listen = Callable[[HeldOut, Sequence[str]], NDArray[np.float32]]


# Logits of texts in reference windows, (n_windows, n_texts): some questions are answered high
# everywhere ("explosion"), which is discounted.
Refer = Callable[[Sequence[str]], NDArray[np.float32]]


def questions_of(group: HeldOut, trained: Collection[str]) -> list[Question]:
    """Return one present and N_ABSENT absent names of every recording with a label."""
    clips = [LabelledClip(row.path, row.tags[0], row.split) for row in group.rows if row.tags]
    return labelled_questions(clips, trained, n_absent=N_ABSENT)


def answers(group: HeldOut, questions: Sequence[Question], listen: Listen) -> NDArray[np.float32]:
    """Return each question's logit: the highest of its recording's windows."""
    texts = sorted({question.concept for question in questions})
    logits = by_recording(group, listen(group, texts))
    rows = {row.path: k for k, row in enumerate(group.rows)}
    columns = {text: k for k, text in enumerate(texts)}
    return np.array([logits[rows[q.audio], columns[q.concept]] for q in questions], np.float32)


def by_recording(group: HeldOut, logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the highest logit of each recording's windows, (n_rows, n_texts)."""
    highest = np.full((len(group.rows), logits.shape[1]), -np.inf, np.float32)
    np.maximum.at(highest, np.array(group.owners), logits)
    return highest


def all_figures(
    groups: Sequence[HeldOut], texts: Collection[str], listen: Listen, refer: Refer
) -> dict[str, float]:
    """Return the figures of all groups, calibrated on those that were held out.

    The map is that of a bundle whose LLM is not asked, see listen_edge.bundle.head.

    Args:
        texts: the vocabulary that was trained on.
    """
    asked = [questions_of(group, texts) for group in groups]
    truth = [np.array([question.is_present for question in each]) for each in asked]
    over = [
        levelled(answers(group, each, listen), *_level(each, refer))
        for group, each in zip(groups, asked, strict=True)
    ]
    fitted = [k for k, group in enumerate(groups) if group.name.startswith("held out")]
    present = np.concatenate([truth[k] for k in fitted])
    members = np.repeat(fitted, [len(truth[k]) for k in fitted])
    scale, bias = fit_logistic(
        [np.concatenate([over[k] for k in fitted])], present, balanced_weights(present, members)
    )
    figures = {"scale": scale, "bias": bias}
    for group, questions, each in zip(groups, asked, over, strict=True):
        figures |= group_figures(group, questions, scale * each + bias)
    return figures


def _level(questions: Sequence[Question], refer: Refer) -> tuple[NDArray[np.float32], ...]:
    """Return mean and standard deviation of each question's logit over reference windows."""
    logits = refer([question.concept for question in questions])
    return logits.mean(axis=0), logits.std(axis=0)


def group_figures(
    group: HeldOut, questions: Sequence[Question], logits: NDArray[np.floating]
) -> dict[str, float]:
    """Return AUROC and balanced accuracy, by whether the labels were trained.

    Args:
        logits: calibrated: a sound is said to be present from 0.
    """
    figures = {}
    is_present = np.array([question.is_present for question in questions])
    for name, kind in (("", None), (", trained", TRAINED), (", never", NEVER)):
        chosen = np.array([kind in (None, question.group) for question in questions])
        if is_present[chosen].any() and not is_present[chosen].all():
            metrics = presence_metrics(is_present[chosen], (logits[chosen] >= 0).astype(float))
            figures[f"{group.name}{name}: auroc"] = auroc(is_present[chosen], logits[chosen])
            figures[f"{group.name}{name}: balanced"] = metrics.balanced_accuracy
            figures[f"{group.name}{name}: n"] = float(chosen.sum())
    return figures


def class_auroc(
    groups: Sequence[HeldOut], concepts: Sequence[Concept], tags: SoftTags, listen: Listen
) -> tuple[float, int]:
    """Return the mean AUROC of concepts against the tagger, and how many could be measured.

    Args:
        concepts: that name a class, such as those left out of training.
    """
    texts = [concept.text for concept in concepts]
    logits = np.concatenate([by_recording(group, listen(group, texts)) for group in groups])
    heard = [tags.get(row.path.name, {}) for group in groups for row in group.rows]
    found = []
    for column, concept in enumerate(concepts):
        probability = np.array([one.get(concept.class_name or "", 0.0) for one in heard])
        present, absent = probability > _SURELY, probability < _HARDLY
        if present.sum() >= 3 and absent.sum() >= 3:
            asked = present | absent
            found.append(auroc(present[asked], logits[asked, column]))
    return (float(np.mean(found)) if found else float("nan")), len(found)
