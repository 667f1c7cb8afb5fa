"""A trained head -> a bundle's head file, and how it and the LLM's margin make one presence.

The file holds the question's half of the head, the vocabulary's queries and reference windows; the
window's half is part of the encoder's graph (export/encoder.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from listen_edge.bundle.calibration import balanced_weights, fit_logistic
from listen_edge.bundle.head import Fusion, HeadManifest, Reading, levelled
from listen_edge.concepts import names_of
from listen_edge.evaluation.questions import Question
from listen_edge.export.runs import HeadRun
from listen_edge.log_mel import SAMPLE_RATE
from listen_edge.ontology import Ontology
from listen_edge.question import can_be_asked, parse_concept
from listen_edge.runtime.encoder_session import Encoded
from listen_edge.runtime.head import VOCABULARY_STEP
from listen_edge.train.ears import Trained
from listen_edge.train.head_config import HeadConfig
from listen_edge.train.head_figures import questions_of
from listen_edge.train.head_material import HeldOut, read_head_material
from listen_edge.train.targets import class_texts

HEAD_FILE = "head.npz"
# Presence by the head from which the LLM is asked: in 2 to 46 % of natural windows, ten questions.
ASKED_FROM = 0.3
_N_REFERENCE = 256  # windows that tell a question's usual logit
_N_SOURCES = 3  # that a concept must be supported by to be calibrated
_FAR = 0.98  # quantile of the vocabulary's own distances beyond which a phrase is unfamiliar
_MAX_BELOW = 12  # classes below one that `hear` still tells
_NO_SOUNDS = frozenset(  # classes of a recording, a place or nothing, which `hear` does not tell
    [
        *("silence", "inside", "outside", "field recording", "environmental noise"),
        *("sound effect", "effects unit", "sampler", "echo", "reverberation", "distortion"),
        *("sidetone", "harmonic", "chorus effect", "vibration", "wind noise microphone"),
    ]
)

# Readings of some concepts in a window of samples, see Readers.read.
ReadWindow = Callable[[NDArray[np.float32], Sequence[str]], dict[str, Reading]]


@dataclass(frozen=True)
class Heard:
    """Questions about held-out recordings and what was read of each, one entry a question.

    Attributes:
        splits: each question's fold or source.
    """

    questions: list[Question]
    readings: list[Reading]
    splits: list[str]


def write_head(path: Path, run: HeadRun, encode: Callable[[NDArray[np.float32]], Encoded]) -> None:
    """Write the head file.

    Args:
        encode: the shipped graph, whose keys and values of reference windows go into the file.

    Raises:
        AudioError: a recording of the run is not there any more.
    """
    head, trained = run.trained.ears.head, run.trained
    with torch.inference_mode():
        queries, biases = head.questions(trained.vectors)
    windows = [encode(excerpt) for excerpt in _reference_windows(run.config)]
    weights = {
        name: tensor.numpy()
        for name, tensor in head.state_dict().items()
        if name.startswith(("query.", "bias.", "mean", "deviation"))
    }
    keys, key_scales = _in_eight_bits(np.stack([w.keys for w in windows if w.keys is not None]))
    values, value_scales = _in_eight_bits(
        np.stack([w.values for w in windows if w.values is not None])
    )
    arrays = {
        name: array.astype(np.float16) if array.ndim == 2 else array
        for name, array in weights.items()
    }
    arrays |= {
        "queries": queries.numpy().astype(np.float16),
        "biases": biases.numpy(),
        "vocabulary": np.clip(_standard(trained) / VOCABULARY_STEP, -127, 127).round(),
        "reference_keys": keys,
        "key_scales": key_scales,
        "reference_values": values,
        "value_scales": value_scales,
    }
    for name in ("vocabulary", "reference_keys", "reference_values"):
        arrays[name] = arrays[name].astype(np.int8)
    with path.open("wb") as file:
        np.savez(file, **arrays)


def head_manifest(run: HeadRun, asked: Sequence[str]) -> HeadManifest:
    """Return the manifest's part, not calibrated yet.

    Args:
        asked: concepts that the LLM's adapter was trained on.
    """
    fusion = Fusion((1.0, 0.0), (1.0, 0.0, 0.0, 0.0), ASKED_FROM)
    texts = run.trained.texts
    return HeadManifest(
        HEAD_FILE, tuple(texts), shown(run), tuple(asked), fusion, _familiar_within(run.trained), ()
    )


def askable(run: HeadRun) -> list[str]:
    """Return the vocabulary's phrases that a question can ask for as they stand."""
    texts = run.trained.texts
    return [text for text in texts if can_be_asked(text) and parse_concept(text) == text]


def shown(run: HeadRun) -> tuple[str, ...]:
    """Return what `hear` tells: the vocabulary's classes but the most general, one name each."""
    ontology, known = Ontology.read(Path(run.config.ontology)), {*run.trained.texts} - _NO_SOUNDS
    names = []
    for one in ontology.classes.values():
        text = class_texts(one)[0]
        if text in known and text not in names and len(ontology.hyponyms(one.name)) <= _MAX_BELOW:
            names.append(text)
    return tuple(sorted(names))


def hear_held_out(run: HeadRun, read: ReadWindow) -> Heard:
    """Return what the bundle reads of the run's held-out recordings, their highest windows."""
    heard = Heard([], [], [])
    for group in read_head_material(run.config).held_out:
        if group.name.startswith("held out"):
            _hear_group(group, run, read, heard)
    return heard


def fit_fusion(heard: Heard) -> Fusion:
    """Return the weights of the highest likelihood: the domain weighs as much as other sources.

    The LLM's adapter may have been trained on the folds: on a fold that neither has heard these
    weights are better all the same than those of the sources alone (docs/method.md).
    """
    truth = np.array([question.is_present for question in heard.questions])
    over = np.array([levelled(r.logit, r.usual, r.deviation) for r in heard.readings])
    is_fold = np.array([split.startswith("fold") for split in heard.splits])
    alone = fit_logistic([over], truth, balanced_weights(truth, is_fold))
    chosen = [k for k, reading in enumerate(heard.readings) if reading.margin is not None]
    margins = np.array([[r.margin, r.prior] for r in (heard.readings[k] for k in chosen)])
    weights = balanced_weights(truth[chosen], is_fold[chosen])
    both = fit_logistic([over[chosen], *margins.T], truth[chosen], weights)
    return Fusion((alone[0], alone[1]), (both[0], both[1], both[2], both[3]), ASKED_FROM)


def support(heard: Heard) -> dict[str, tuple[int, int]]:
    """Return how many held-out recordings of each concept there are, and of how many sources.

    Each recording of ESC-50 is of its own author or day: its source is the clip that it was cut
    from.
    """
    found: dict[str, list[tuple[Path, str]]] = {}
    for question, group in zip(heard.questions, heard.splits, strict=True):
        if question.is_present:
            source = question.audio.name.split("-")[1] if group.startswith("fold") else group
            for name in names_of(question.concept):
                found.setdefault(name, []).append((question.audio, source))
    return {
        name: (len({path for path, _ in rows}), len({source for _, source in rows}))
        for name, rows in sorted(found.items())
    }


def calibrated(supported: dict[str, tuple[int, int]]) -> tuple[str, ...]:
    """Return the concepts whose support is enough to call their presence a probability."""
    return tuple(name for name, (_, n_sources) in supported.items() if n_sources >= _N_SOURCES)


def _hear_group(group: HeldOut, run: HeadRun, read: ReadWindow, heard: Heard) -> None:
    questions = questions_of(group, run.trained.texts)
    by_path: dict[Path, list[Question]] = {}
    for question in questions:
        by_path.setdefault(question.audio, []).append(question)
    rows = {row.path: k for k, row in enumerate(group.rows)}
    n_samples = round(run.config.window_s * SAMPLE_RATE)
    for path, asked in by_path.items():
        concepts = [question.concept for question in asked]
        owned = [w for w, k in zip(group.windows, group.owners, strict=True) if k == rows[path]]
        windows = [read(window.samples(n_samples), concepts) for window in owned]
        split = group.rows[rows[path]].split
        for question in asked:
            found = [window[question.concept] for window in windows]
            heard.questions.append(question)
            heard.readings.append(max(found, key=lambda r: (r.logit or 0.0) + (r.margin or 0.0)))
            heard.splits.append(split)


def _standard(trained: Trained) -> NDArray[np.float32]:
    """Return the vocabulary's vectors, standardised, (n, d_vector)."""
    head = trained.ears.head
    return np.asarray(((trained.vectors - head.mean) / head.deviation).numpy())


def _familiar_within(trained: Trained) -> float:
    """Return how far one in fifty of the vocabulary's phrases is from all others."""
    standard = torch.from_numpy(_standard(trained))
    distances = torch.cdist(standard, standard) / standard.shape[1] ** 0.5
    distances.fill_diagonal_(torch.inf)
    return float(distances.min(dim=1).values.quantile(_FAR))


def _in_eight_bits(rows: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return whole numbers of -127 to 127, and each row's scale."""
    scales = np.maximum(np.abs(rows).max(axis=-1, keepdims=True) / 127, 1e-9)
    return (rows / scales).round(), scales.astype(np.float32)


def _reference_windows(config: HeadConfig) -> list[NDArray[np.float32]]:
    """Return excerpts that were trained on, of all data sets."""
    material = read_head_material(config)
    scenes = material.scenes[: material.n_excerpts]
    spread = np.linspace(0, len(scenes) - 1, min(len(scenes), _N_REFERENCE)).astype(int)
    n_samples = round(config.window_s * SAMPLE_RATE)
    return [scenes[k].samples(n_samples) for k in spread.tolist()]
