"""What negatives are worth: the same run with more and more objectives, over several seeds.

(a) positive text only, (b) and negative text, (c) and combined text, (d) and yes/no questions: same
recordings, steps, batches and warm start. Each adapter is asked presence questions about ESC-50
clips it never heard, also of classes held out of training altogether, and for other names of them.
The answer is yes where the margin is above 0: no calibration helps an arm.

Source: LISTEN (Kuan & Lee, 2025) compares positive text with positive, negative and combined text.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from listen_edge.audio import read_window
from listen_edge.evaluation.esc50 import Esc50Clip, clips_of_folds, draw_absent
from listen_edge.evaluation.metrics import auroc
from listen_edge.evaluation.questions import Question
from listen_edge.evaluation.synonyms import build_questions, names_of_labels
from listen_edge.evaluation.wordnet import WordNet
from listen_edge.log_mel import SAMPLE_RATE
from listen_edge.ontology import Ontology
from listen_edge.prompt import DEFAULT_PROMPT, Prompt
from listen_edge.runtime.llama.gguf_file import Vocabulary
from listen_edge.train import checkpoint
from listen_edge.train.adapter import Adapter
from listen_edge.train.backbones import WhisperTaps, load_llama, load_whisper_encoder
from listen_edge.train.config import TrainConfig
from listen_edge.train.loop import train
from listen_edge.train.packing import AudioLlama

logger = logging.getLogger(__name__)

ARMS: dict[str, tuple[str, ...]] = {
    "a: positive": ("positive",),
    "b: + negative": ("positive", "negative"),
    "c: + combined": ("positive", "negative", "combined"),
    "d: + yes/no": ("positive", "negative", "combined", "yes_no"),
}
_BATCH = 16  # clips per pass in evaluation
RESULTS_FILE = "ablation.json"


@dataclass(frozen=True)
class Figure:
    """One arm's figure on one set of questions, over the seeds.

    Attributes:
        accuracy: share of right answers, per seed.
        auroc: per seed.
    """

    arm: str
    questions: str
    accuracy: tuple[float, ...]
    auroc: tuple[float, ...]


def run_ablation(
    config: TrainConfig,
    out_dir: Path,
    questions: Mapping[str, Sequence[Question]],
    *,
    seeds: Sequence[int],
    prompt: Prompt = DEFAULT_PROMPT,
) -> list[Figure]:
    """Train every arm with every seed and ask all of them; goes on where it was stopped.

    Args:
        config: of all runs; its objectives, seed and init are set here.
        questions: name of the set -> questions about clips that no run trains on.

    Raises:
        ListenEdgeError: as for train.
    """
    runs = {
        (arm, seed): _train_arm(config, out_dir, arm, seed, prompt)
        for seed in seeds
        for arm in ARMS
    }
    with Vocabulary(Path(config.vocabulary or config.llm)) as vocabulary:
        listener = _Listener(config, prompt, vocabulary)
        margins = {key: listener.margins(run, questions) for key, run in runs.items()}
    figures = []
    for name, asked in questions.items():
        is_present = np.array([question.is_present for question in asked])
        for arm in ARMS:
            of_seeds = [margins[arm, seed][name] for seed in seeds]
            accuracy = tuple(float(((m > 0) == is_present).mean()) for m in of_seeds)
            figures.append(
                Figure(arm, name, accuracy, tuple(auroc(is_present, m) for m in of_seeds))
            )
    described = [figure.__dict__ for figure in figures]
    (out_dir / RESULTS_FILE).write_text(json.dumps(described, indent=1) + "\n")
    return figures


def ablation_questions(
    folder: Path,
    fold: int,
    held_out_labels: Sequence[str],
    ontology: Ontology | None,
    wordnet_dir: Path,
) -> dict[str, list[Question]]:
    """Return the sets asked about ESC-50's held-out fold, as many absent as present.

    Args:
        held_out_labels: classes that no run has trained on; a set of their own.
        ontology: for synonyms and hypernyms, with WordNet; None leaves them out.
    """
    clips = clips_of_folds(folder, [fold])
    known = [clip for clip in clips if clip.label not in held_out_labels]
    of_unknown = {clip.path for clip in clips if clip.label in held_out_labels}
    questions = {
        "random": _presence_questions(known, "random"),
        "adversarial": _presence_questions(known, "adversarial"),
        "held-out classes": [
            question
            for question in _presence_questions(clips, "random")
            if question.audio in of_unknown
        ],
    }
    if ontology is not None:
        names = names_of_labels({c.label for c in known}, ontology, WordNet(wordnet_dir))
        questions["synonyms, hypernyms"] = build_questions(known, names, ontology)
    return questions


def _presence_questions(clips: Sequence[Esc50Clip], absent: str) -> list[Question]:
    drawn = draw_absent(clips, absent, 1, seed=0)  # type: ignore[arg-type] # one of ABSENT_KINDS
    return [
        Question(clip.path, label, label, label == clip.label)
        for clip, others in zip(clips, drawn, strict=True)
        for label in (clip.label, *others)
    ]


def _train_arm(config: TrainConfig, out_dir: Path, arm: str, seed: int, prompt: Prompt) -> Path:
    """Return the folder of the arm's run; the arms of a seed share one warm start."""
    warm = out_dir / f"warm-{seed}"
    run = out_dir / f"{arm[0]}-{seed}"
    shared = replace(config, objectives=("yes_no",), seed=seed, steps=0)
    if not (warm / checkpoint.ADAPTER_FILE).exists():
        logger.info("warm start of seed %d", seed)
        train(shared, warm, prompt)
    if not (run / checkpoint.ADAPTER_FILE).exists():
        logger.info("arm %s, seed %d", arm, seed)
        train(
            replace(config, objectives=ARMS[arm], seed=seed, warm_steps=0, init=str(warm)),
            run,
            prompt,
        )
    return run


class _Listener:
    """Asks trained adapters through the torch networks; each clip goes through Whisper once."""

    def __init__(self, config: TrainConfig, prompt: Prompt, vocabulary: Vocabulary) -> None:
        torch.set_num_threads(config.threads)
        self._encoder = WhisperTaps(
            load_whisper_encoder(config.whisper), config.taps, config.frame_pool
        )
        self._n_samples = round(config.window_s * SAMPLE_RATE)
        self._taps: dict[Path, torch.Tensor] = {}
        self._llama = AudioLlama(load_llama(config.llm), vocabulary.tokenize, prompt)

    def margins(
        self, run: Path, questions: Mapping[str, Sequence[Question]]
    ) -> dict[str, NDArray[np.float32]]:
        """Return the logit margins of every set, each of shape (n_questions,)."""
        adapter = checkpoint.load_adapter(run)
        pairs = {(q.audio, q.concept) for asked in questions.values() for q in asked}
        margins = self._ask(adapter, sorted(pairs))  # sets share questions: each is asked once
        return {
            name: np.array([margins[q.audio, q.concept] for q in asked], np.float32)
            for name, asked in questions.items()
        }

    def _ask(
        self, adapter: Adapter, pairs: Sequence[tuple[Path, str]]
    ) -> dict[tuple[Path, str], float]:
        by_clip: dict[Path, list[str]] = {}
        for audio, concept in pairs:
            by_clip.setdefault(audio, []).append(concept)
        margins: dict[tuple[Path, str], float] = {}
        for batch in _batches(list(by_clip)):
            asked = [by_clip[audio] for audio in batch]
            with torch.inference_mode():
                embeddings = adapter(torch.stack([self._hear(audio) for audio in batch]))
                found = self._llama.margins(embeddings, asked).tolist()
            keys = [(audio, concept) for audio in batch for concept in by_clip[audio]]
            margins.update(zip(keys, found, strict=True))
        return margins

    def _hear(self, audio: Path) -> torch.Tensor:
        if audio not in self._taps:
            window = read_window(audio, self._n_samples)
            self._taps[audio] = self._encoder(torch.from_numpy(window)[None])[0]
        return self._taps[audio]


def _batches(clips: Sequence[Path]) -> Iterator[Sequence[Path]]:
    for start in range(0, len(clips), _BATCH):
        yield clips[start : start + _BATCH]
