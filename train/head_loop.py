"""Train an adapter and its question head: every scene is asked every concept at once.

No step goes through the LLM: it has read the questions once (train/question_vectors.py). Every
draw is a function of (seed, step), so that a killed run repeats itself from its last checkpoint.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress
from torch import Tensor, nn
from torch.nn import functional

from listen_edge.ontology import Ontology
from listen_edge.prompt import DEFAULT_PROMPT, Prompt
from listen_edge.train import checkpoint
from listen_edge.train.adapter import Adapter, AdapterConfig
from listen_edge.train.backbones import WhisperTaps, load_whisper_encoder
from listen_edge.train.ears import Averaged, Ears, copy_ears, save_ears
from listen_edge.train.head import HeadSizes, QuestionHead
from listen_edge.train.head_config import HeadConfig
from listen_edge.train.head_figures import all_figures, class_auroc, questions_of
from listen_edge.train.head_material import (
    HeldOut,
    draw_left_out,
    read_head_material,
    read_tags,
)
from listen_edge.train.opinion import Asked, SecondOpinion
from listen_edge.train.question_vectors import QuestionVectors
from listen_edge.train.run_log import RunLog
from listen_edge.train.tap_cache import TapCache
from listen_edge.train.targets import Concept, build_targets, build_vocabulary, described

_WINDOWS_AT_ONCE = 64
_N_REFERENCE = 256  # scenes that tell how a question is usually answered
_N_OPINIONS = 96  # held-out recordings that the LLM is asked about for its figure
_PHASE = "head"


def train_head(config: HeadConfig, out_dir: Path, prompt: Prompt = DEFAULT_PROMPT) -> float:
    """Train adapter and head, write `ears.safetensors`; go on where a killed run stopped.

    Returns:
        AUROC on the held-out recordings.

    Raises:
        ListenEdgeError: missing data, a folder of another run, no space left.
    """
    torch.set_num_threads(config.threads)
    described = {**asdict(config), "prompt": prompt.to_json()}
    checkpoint.refuse_other_run(out_dir, described)
    with Progress(console=Console(stderr=True)) as progress:
        run = _Run(config, out_dir, prompt, progress)
        checkpoint.write_config(out_dir, described, {"concepts": run.texts})
        run.train(progress)
    return run.auroc


class _Run:
    """The state of one run."""

    def __init__(
        self, config: HeadConfig, out_dir: Path, prompt: Prompt, progress: Progress
    ) -> None:
        self._config, self._out_dir = config, out_dir
        self._material = read_head_material(config)
        self._tags = read_tags(config)
        self._ontology = Ontology.read(Path(config.ontology))
        self._barred = draw_left_out(config, self._tags)
        self._learn_vocabulary()
        folder = out_dir.parent / "taps"
        self._read = QuestionVectors(
            folder, Path(config.llm), prompt, config.n_query, config.threads
        )
        self._vectors = self._read([*self.texts, *self._descriptions])
        self._encode(folder, progress)
        named = self._vectors[: len(self.texts)]
        self.ears = _new_ears(config, self._encoder.d_encoder, named)
        self._opinion = None
        if config.opinion_scenes:
            labels = sorted({tag for row in self._material.rows for tag in row.tags})
            self._opinion = SecondOpinion(config, prompt, self.texts, labels)
            self.ears.to_llm = self._opinion.new_layer(self.ears.adapter.config)
        if config.init is not None:
            runs = (config.init,) if isinstance(config.init, str) else config.init
            copy_ears([Path(run) for run in runs], self.ears)
        self.averaged = Averaged(self.ears, config.average)
        self._optimizer = torch.optim.AdamW(
            self.ears.parameters(), config.lr, (0.9, 0.98), weight_decay=config.weight_decay
        )
        self._kept = nn.ModuleDict({"ears": self.ears, "averaged": self.averaged})
        done = checkpoint.load_checkpoint(out_dir, self._kept, self._optimizer)
        self._step = done.step if done else 0
        self.auroc = math.nan

    def train(self, progress: Progress) -> None:
        """Take the remaining steps."""
        config = self._config
        log = RunLog(self._out_dir, {_PHASE: self._step})
        task = progress.add_task("train", total=config.steps, completed=self._step)
        while self._step < config.steps:
            started = time.perf_counter()
            loss = self._take_step()
            self._step += 1
            seconds = time.perf_counter() - started
            log.write(_PHASE, self._step, loss=loss, seconds=seconds)
            is_last = self._step == config.steps
            if self._step % config.evaluate_every == 0 or is_last:
                figures = self.figures()
                log.write(_PHASE, self._step, **figures)
                progress.console.print(f"step {self._step}", figures)
            if self._step % config.checkpoint_every == 0 or is_last:
                self._save()
            progress.update(task, completed=self._step, description=f"train loss {loss:.4f}")

    def figures(self) -> dict[str, float]:
        """Return what the averaged weights are worth on recordings that are not trained on."""
        groups = self._material.held_out
        figures = all_figures(groups, {*self.texts}, self._listen, self._refer) if groups else {}
        if self._barred_concepts:
            mean, n = class_auroc(groups, self._barred_concepts, self._tags, self._listen)
            figures |= {"concepts left out: auroc": mean, "concepts left out: n": n}
        if self._opinion is not None and groups:
            figures["LLM's margin: auroc"] = self._opinion.auroc(*self._asked_of(groups[0]))
        self.auroc = figures.get(f"{groups[0].name}: auroc", math.nan) if groups else math.nan
        return figures

    def _learn_vocabulary(self) -> None:
        rows = self._material.rows
        everything = build_vocabulary(rows, self._tags, self._ontology)
        concepts = build_vocabulary(rows, self._tags, self._ontology, self._barred)
        self.texts = [concept.text for concept in concepts]
        self._barred_concepts: list[Concept] = [
            concept for concept in everything if concept.class_name in self._barred
        ]
        further = described(concepts, self._ontology) if self._config.descriptions else []
        self._descriptions = [sentence for _, sentence in further]
        places = [*range(len(concepts)), *(place for place, _ in further)]
        self._targets = build_targets(rows, concepts, self._tags, self._ontology).at(places)
        is_class = torch.tensor([concepts[k].class_name is not None for k in places])
        self._weights = torch.where(is_class, 1.0, self._config.label_weight)
        self._places = {row.path: k for k, row in enumerate(rows)}

    def _encode(self, folder: Path, progress: Progress) -> None:
        config, material = self._config, self._material
        self._encoder = WhisperTaps(
            load_whisper_encoder(config.whisper), config.taps, config.frame_pool
        )
        self._scenes = TapCache(folder, self._encoder, config.window_s)
        self._scenes.fill(material.scenes, "cpu", progress)
        self._windows = {}
        for group in material.held_out:
            self._windows[group.name] = TapCache(folder, self._encoder, config.window_s)
            self._windows[group.name].fill(group.windows, "cpu", progress)

    def _take_step(self) -> float:
        config = self._config
        rng = np.random.default_rng((config.seed, self._step))
        torch.manual_seed(int(rng.integers(2**31)))
        lr = config.lr * min(1.0, (self._step + 1) / max(1, config.warm_up))
        for group in self._optimizer.param_groups:
            group["lr"] = lr * (0.5 + 0.5 * math.cos(math.pi * self._step / config.steps))
        drawn = [(k,) for k in self._draw(rng)]
        taps = self._scenes.taps([k for (k,) in drawn])
        n_kept = max(1, round(config.frames_kept * taps.shape[2]))
        frames = rng.permutation(taps.shape[2])
        seen = taps[:, :, frames[:n_kept]]
        n_spliced, n_half = round(config.spliced * len(drawn)), n_kept // 2
        if n_spliced and n_half:
            chosen = rng.permutation(len(drawn))[:n_spliced]
            others = rng.permutation(self._draw(rng))[:n_spliced].tolist()
            theirs = self._scenes.taps(others)
            seen[chosen, :, :n_half] = theirs[:, :, rng.permutation(taps.shape[2])[:n_half]]
            for place, other in zip(chosen, others, strict=True):
                drawn[place] += (other,)
        taps = seen
        self.ears.train()
        outputs = self.ears.adapter.outputs(taps)
        probability, known = self._targets_of(drawn)
        logits = self.ears.head(self.ears.adapter.linear(outputs), self._vectors)
        loss = self._loss(logits, probability, known)
        if self.ears.to_llm is not None:
            to_llm = self.ears.to_llm(outputs)
            opinion = self._opinion_loss(to_llm, drawn, probability, known, rng)
            loss = loss + config.opinion_weight * opinion
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.ears.parameters(), config.clip_norm)
        self._optimizer.step()
        self.averaged.update(self.ears)
        return float(loss.detach())

    def _draw(self, rng: np.random.Generator) -> list[int]:
        """Return a step's scenes: excerpts, then mixtures."""
        config, n_excerpts = self._config, self._material.n_excerpts
        first_asked = len(self._material.scenes) - config.n_asked_mixtures
        n_asked = round(config.asked * config.batch) if config.n_asked_mixtures else 0
        n_plain = config.batch - n_asked
        if config.n_mixtures:
            n_plain = min(n_plain, round(config.plain * config.batch))
        drawn: list[int] = rng.integers(first_asked - config.n_mixtures, size=n_plain).tolist()
        drawn = [k if k < n_excerpts else k + config.n_mixtures for k in drawn]
        if n_mixed := config.batch - n_plain - n_asked:
            drawn += rng.integers(n_excerpts, n_excerpts + config.n_mixtures, n_mixed).tolist()
        if n_asked:
            drawn += rng.integers(first_asked, len(self._material.scenes), n_asked).tolist()
        return drawn

    def _targets_of(
        self, drawn: Sequence[tuple[int, ...]]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return each row's probability of every concept, and whether it is known.

        Args:
            drawn: the scenes that each row has heard.
        """
        found = []
        for heard in drawn:
            scenes = [self._material.scenes[k] for k in heard]
            rows = [self._places[row.path] for scene in scenes for row in scene.rows]
            found.append(self._targets.of(rows, [f for scene in scenes for f in scene.faint]))
        probability, known = zip(*found, strict=True)
        return np.stack(probability), np.stack(known)

    def _loss(
        self, logits: Tensor, probability: NDArray[np.float32], known: NDArray[np.bool_]
    ) -> Tensor:
        """Return the cross-entropy of every known pair of what was heard and concept."""
        target = torch.from_numpy(probability)
        weights = torch.from_numpy(known) * self._weights
        weights[target < 0.5] *= self._config.absent_weight
        losses = functional.binary_cross_entropy_with_logits(
            logits, target, weights, reduction="sum"
        )
        return losses / len(logits)

    def _opinion_loss(
        self,
        prefix_embeddings: Tensor,
        drawn: Sequence[tuple[int, ...]],
        probability: NDArray[np.float32],
        known: NDArray[np.bool_],
        rng: np.random.Generator,
    ) -> Tensor:
        """Return what the LLM makes of the step's scenes, see SecondOpinion."""
        config, opinion = self._config, self._opinion
        assert opinion is not None
        if self._step < config.align_steps:
            labels = {k: self._label_of(heard) for k, heard in enumerate(drawn)}
            alone = {k: label for k, label in labels.items() if label is not None}
            return opinion.alignment(prefix_embeddings[[*alone]], [*alone.values()])
        rows = rng.permutation(len(drawn))[: config.opinion_scenes]
        named = slice(len(self.texts))
        return opinion.loss(
            prefix_embeddings[rows], probability[rows, named], known[rows, named], rng
        )

    def _label_of(self, heard: tuple[int, ...]) -> str | None:
        """Return the label of a scene that holds one recording of one sound and nothing else."""
        rows = self._material.scenes[heard[0]].rows
        is_one = len(heard) == 1 and len(rows) == 1 and len(rows[0].tags) == 1
        return rows[0].tags[0] if is_one else None

    def _listen(self, group: HeldOut, texts: Sequence[str]) -> NDArray[np.float32]:
        return self._answer(self._windows[group.name], range(len(group.windows)), texts)

    def _refer(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return logits of excerpts that are trained on, (n_scenes, n_texts)."""
        n_excerpts = self._material.n_excerpts
        spread = np.linspace(0, n_excerpts - 1, min(n_excerpts, _N_REFERENCE)).astype(int)
        return self._answer(self._scenes, spread.tolist(), texts)

    def _asked_of(self, group: HeldOut) -> tuple[Tensor, list[Asked]]:
        """Return averaged prefix embeddings of recordings' first windows, and their questions."""
        rows = {row.path: k for k, row in enumerate(group.rows)}
        asked: dict[int, Asked] = {}
        for question in questions_of(group, {*self.texts}):
            place = rows[question.audio]
            asked.setdefault(place, []).append((question.concept, question.is_present))
        chosen = sorted(asked)[:: max(1, len(asked) // _N_OPINIONS)]
        with torch.inference_mode():
            windows = [group.owners.index(place) for place in chosen]
            taps, ears = self._windows[group.name].taps(windows), self.averaged.module
            assert ears.to_llm is not None
            return ears.to_llm(ears.adapter.outputs(taps)), [asked[place] for place in chosen]

    def _answer(
        self, cache: TapCache, rows: Sequence[int], texts: Sequence[str]
    ) -> NDArray[np.float32]:
        """Return the averaged weights' logits (len(rows), len(texts))."""
        ears, vectors = self.averaged.module, self._read(texts)
        with torch.inference_mode():
            queries = ears.head.questions(vectors)
            parts = [
                ears.head.answers(
                    ears.adapter(cache.taps(rows[k : k + _WINDOWS_AT_ONCE])), *queries
                ).numpy()
                for k in range(0, len(rows), _WINDOWS_AT_ONCE)
            ]
        return np.concatenate(parts)

    def _save(self) -> None:
        checkpoint.save_checkpoint(
            self._out_dir, self._kept, self._optimizer, checkpoint.Progress(step=self._step)
        )
        named = self._vectors[: len(self.texts)]
        save_ears(self._out_dir, self.averaged.module, self.texts, named)


def _new_ears(config: HeadConfig, d_encoder: int, vectors: Tensor) -> Ears:
    torch.manual_seed(config.seed)
    d_vector = vectors.shape[1]
    adapter = Adapter(
        AdapterConfig(
            taps=config.taps,
            d_encoder=d_encoder,
            n_embd=d_vector // 2,
            n_query=config.n_query,
            d_qformer=config.d_qformer,
            n_heads=config.n_heads,
            n_layers=config.n_layers,
            dropout=config.dropout,
        )
    )
    head = QuestionHead(
        HeadSizes(
            n_embd=d_vector // 2,
            d_vector=d_vector,
            d_head=config.d_head,
            dropout=config.vector_dropout,
        )
    )
    head.standardise_on(vectors)
    return Ears(adapter, head)
