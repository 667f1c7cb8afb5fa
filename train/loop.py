"""Train an adapter: warm start, then yes/no questions through the frozen LLM.

Balanced by construction: in every scene the present and the absent questions weigh the same, and a
name is as likely to be asked when it is absent as when it is present, so the question's text alone
says nothing. Every random draw is a function of (seed, phase, step): a run that was killed repeats
itself from its last checkpoint.

Source: LISTEN (Kuan & Lee, 2025) trains an adapter between frozen networks on text about present
and absent sounds; wordings and ratios there are not published, these are ours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor
from torch.nn import functional

from listen_edge.errors import ListenEdgeError
from listen_edge.evaluation.metrics import auroc
from listen_edge.prompt import DEFAULT_PROMPT, Prompt
from listen_edge.runtime.llama import Vocabulary
from listen_edge.train import checkpoint
from listen_edge.train.adapter import Adapter, AdapterConfig
from listen_edge.train.alignment import NameTargets
from listen_edge.train.backbones import WhisperTaps, load_llama, load_whisper_encoder
from listen_edge.train.concepts import draw_questions, may_be_confused
from listen_edge.train.datasets import ANY_FOLD, read_esc50, read_labelled
from listen_edge.train.packing import PackedQuestions
from listen_edge.train.scenes import TapCache, draw_scenes

_WARM, _MAIN, _HELD_OUT = 0, 1, 2  # phases, for seeding


@dataclass(frozen=True)
class TrainConfig:
    """One training run; defaults are the embedded bundle's.

    Attributes:
        whisper: see load_whisper_encoder.
        llm: GGUF file whose dequantised weights are trained through, or a transformers folder.
        vocabulary: GGUF whose tokeniser is used; the LLM itself if that is a GGUF.
        esc50: folder of ESC-50.
        extra: folder of further labelled clips, or None.
        folds: ESC-50 folds trained on.
        held_out: fold whose AUC is shown, never trained on.
        taps, n_query, d_qformer, n_layers: see AdapterConfig.
        window_s: seconds of audio per window.
        n_augmented, n_mixed: see draw_scenes.
        warm_steps, warm_batch, warm_lr: the warm start.
        steps, batch, n_questions, lr: the training through the LLM, AdamW with a cosine.
        weight_decay, clip_norm: of both.
        frames_kept: share of encoder frames seen in a training step, drawn at random.
        checkpoint_every, evaluate_every: in steps.
        n_held_out: scenes of the held-out fold per evaluation.
        seed: of every draw.
        device: "cpu" or "cuda".
        dtype: "float32" or "bfloat16", of the LLM.
        threads: CPU threads.
    """

    whisper: str
    llm: str
    esc50: str
    vocabulary: str | None = None
    extra: str | None = None
    folds: tuple[int, ...] = (1, 2, 3)
    held_out: int = 4
    taps: tuple[int, ...] = (2, 4)
    n_query: int = 8
    d_qformer: int = 256
    n_layers: int = 2
    window_s: float = 5.0
    n_augmented: int = 1
    n_mixed: int = 4000
    warm_steps: int = 2000
    warm_batch: int = 32
    warm_lr: float = 1e-3
    steps: int = 520
    batch: int = 12
    n_questions: int = 6
    lr: float = 5e-4
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    frames_kept: float = 0.6
    checkpoint_every: int = 50
    evaluate_every: int = 100
    n_held_out: int = 96
    seed: int = 0
    device: str = "cpu"
    dtype: str = "bfloat16"
    threads: int = 2

    def __post_init__(self) -> None:
        if self.held_out in self.folds:
            raise ListenEdgeError(f"held_out fold {self.held_out} is also trained on")
        if self.dtype not in ("float32", "bfloat16"):
            raise ListenEdgeError(f"dtype {self.dtype!r}, expected float32 or bfloat16")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise ListenEdgeError("device cuda was asked for and torch finds no GPU; use cpu")
        if self.vocabulary is None and not self.llm.endswith(".gguf"):
            raise ListenEdgeError("llm is no GGUF: name its GGUF as vocabulary, for the tokeniser")


def train(config: TrainConfig, out_dir: Path, prompt: Prompt = DEFAULT_PROMPT) -> float:
    """Train the adapter and write it to `out_dir`; go on where a killed run stopped.

    Returns:
        AUROC on the held-out fold.

    Raises:
        ListenEdgeError: missing data, a folder of another run, no space left.
    """
    torch.set_num_threads(config.threads)
    described = {**asdict(config), "prompt": prompt.to_json()}
    checkpoint.refuse_other_run(out_dir, described)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    vocabulary = Vocabulary(Path(config.vocabulary or config.llm))
    console = Console(stderr=True)  # results own stdout
    with vocabulary, Progress(*columns, console=console) as progress:
        run = _Run(config, out_dir, prompt, vocabulary, progress)
        checkpoint.write_config(out_dir, described)
        run.warm_start()
        run.main()
        checkpoint.save_adapter(out_dir, run.adapter)
        return run.held_out_auroc


class _Run:
    """The state of one run: networks, scenes and how far it has come."""

    def __init__(
        self,
        config: TrainConfig,
        out_dir: Path,
        prompt: Prompt,
        vocabulary: Vocabulary,
        progress: Progress,
    ) -> None:
        self._config, self._out_dir, self._progress = config, out_dir, progress
        clips = read_esc50(Path(config.esc50))
        clips += read_labelled(Path(config.extra)) if config.extra else []
        encoder = WhisperTaps(load_whisper_encoder(config.whisper), config.taps)
        self._scenes = draw_scenes(
            clips, n_augmented=config.n_augmented, n_mixed=config.n_mixed, seed=config.seed
        )
        self._cache = TapCache(out_dir.parent / "taps", encoder, config.window_s)
        self._cache.fill(self._scenes, config.device, progress)
        trained = {*config.folds, ANY_FOLD}
        self._train_rows = [k for k, scene in enumerate(self._scenes) if scene.fold in trained]
        self._single_rows = [k for k in self._train_rows if len(self._scenes[k].labels) == 1]
        held_out = [
            k for k, s in enumerate(self._scenes) if s.fold == config.held_out and s.is_plain
        ]
        if not self._single_rows or not held_out:
            raise ListenEdgeError(f"no clips of folds {config.folds} and {config.held_out}")
        self._held_out_rows = held_out
        self._labels = [s.placements[0].clip.label for s in self._scenes if s.is_plain]

        llama = load_llama(config.llm).to(config.device, getattr(torch, config.dtype))
        self.adapter = self._new_adapter(encoder.d_encoder, llama.config.hidden_size)
        self._optimizer = self._new_optimizer(config.warm_lr)
        self._targets = NameTargets(
            {label: vocabulary.tokenize(f" {label},") for label in set(self._labels)},
            llama.get_input_embeddings().weight,
            config.n_query,
        )
        self._packed = PackedQuestions(llama, vocabulary.tokenize, prompt)
        done = checkpoint.load_checkpoint(out_dir, self.adapter, self._optimizer)
        self._done = done or checkpoint.Progress()
        self.held_out_auroc = math.nan

    def warm_start(self) -> None:
        config = self._config
        task = self._progress.add_task("warm start", total=config.warm_steps)
        for step in range(self._done.warm_step, config.warm_steps):
            rng = self._seed(_WARM, step)
            rows = rng.choice(self._single_rows, config.warm_batch).tolist()
            labels = [self._scenes[row].labels[0] for row in rows]
            loss = self._targets.loss(self._embed(rows, rng), labels)
            self._step(loss, config.warm_lr, step, config.warm_steps)
            self._done = replace(self._done, warm_step=step + 1)
            self._progress.update(task, completed=step + 1, description=f"warm start {loss:.3f}")
            if (step + 1) % (10 * config.checkpoint_every) == 0:
                self._save()
        if self._done.step == 0:
            self._optimizer = self._new_optimizer(config.lr)
            self._save()

    def main(self) -> None:
        config = self._config
        task = self._progress.add_task("train", total=config.steps)
        smooth_loss = math.nan
        for step in range(self._done.step, config.steps):
            rng = self._seed(_MAIN, step)
            rows = rng.choice(self._train_rows, config.batch).tolist()
            loss = self._question_loss(rows, rng)
            self._step(loss, config.lr, step, config.steps)
            self._done = replace(self._done, step=step + 1)
            value = float(loss.detach())
            smooth_loss = value if math.isnan(smooth_loss) else 0.95 * smooth_loss + 0.05 * value
            if (step + 1) % config.evaluate_every == 0 or step + 1 == config.steps:
                self.held_out_auroc = self._evaluate()
            if (step + 1) % config.checkpoint_every == 0 or step + 1 == config.steps:
                self._save()
            self._progress.update(
                task,
                completed=step + 1,
                description=f"train loss {smooth_loss:.3f} held-out AUC {self.held_out_auroc:.3f}",
            )
        if math.isnan(self.held_out_auroc):
            self.held_out_auroc = self._evaluate()

    def _question_loss(self, rows: Sequence[int], rng: np.random.Generator) -> Tensor:
        """Return the cross-entropy of yes against no, present and absent weighing the same."""
        n_questions = self._config.n_questions
        drawn = [
            draw_questions(self._scenes[row].labels, self._labels, n_questions, rng) for row in rows
        ]
        margins = self._packed.margins(
            self._embed(rows, rng), [[name for name, _ in asked] for asked in drawn]
        )
        is_present, weights = [], []
        for asked in drawn:
            n_present = sum(present for _, present in asked)
            for _, present in asked:
                is_present.append(float(present))
                weights.append(0.5 / (n_present if present else len(asked) - n_present))
        return functional.binary_cross_entropy_with_logits(
            margins,
            torch.tensor(is_present, device=margins.device),
            torch.tensor(weights, device=margins.device),
            reduction="sum",
        ) / len(rows)

    def _evaluate(self) -> float:
        """Return the AUROC of plain held-out scenes, one present and three absent each."""
        config = self._config
        rng = np.random.default_rng((config.seed, _HELD_OUT))
        n_rows = min(config.n_held_out, len(self._held_out_rows))
        rows = rng.choice(self._held_out_rows, n_rows, replace=False).tolist()
        held_labels = sorted({self._scenes[row].labels[0] for row in self._held_out_rows})
        margins: list[float] = []
        is_present: list[bool] = []
        self.adapter.eval()
        for start in range(0, len(rows), config.batch):
            asked = []
            batch = rows[start : start + config.batch]
            for row in batch:
                label = self._scenes[row].labels[0]
                absent = [other for other in held_labels if not may_be_confused(label, other)]
                drawn = rng.choice(absent, min(3, len(absent)), replace=False).tolist()
                asked.append([label, *drawn])
                is_present += [True] + [False] * len(drawn)
            with torch.no_grad():
                batch_margins = self._packed.margins(
                    self.adapter(self._cache.taps(batch).to(config.device)),
                    asked,
                )
            margins += batch_margins.tolist()
        return auroc(np.array(is_present), np.array(margins))

    def _embed(self, rows: Sequence[int], rng: np.random.Generator) -> Tensor:
        self.adapter.train()
        taps = self._cache.taps(rows)
        n_frames = taps.shape[2]
        kept = rng.permutation(n_frames)[: max(1, round(self._config.frames_kept * n_frames))]
        embeddings: Tensor = self.adapter(taps[:, :, np.sort(kept)].to(self._config.device))
        return embeddings

    def _step(self, loss: Tensor, lr: float, step: int, n_steps: int) -> None:
        warm_up = min(1.0, (step + 1) / max(1, min(50, n_steps // 10)))
        for group in self._optimizer.param_groups:
            group["lr"] = lr * warm_up * (0.5 + 0.5 * math.cos(math.pi * step / n_steps))
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.adapter.parameters(), self._config.clip_norm)
        self._optimizer.step()

    def _seed(self, phase: int, step: int) -> np.random.Generator:
        torch.manual_seed(hash((self._config.seed, phase, step)) % 2**31)  # dropout
        return np.random.default_rng((self._config.seed, phase, step))

    def _save(self) -> None:
        checkpoint.save_checkpoint(self._out_dir, self.adapter, self._optimizer, self._done)

    def _new_adapter(self, d_encoder: int, n_embd: int) -> Adapter:
        config = self._config
        torch.manual_seed(config.seed)
        return Adapter(
            AdapterConfig(
                taps=config.taps,
                d_encoder=d_encoder,
                n_embd=n_embd,
                n_query=config.n_query,
                d_qformer=config.d_qformer,
                n_layers=config.n_layers,
            )
        ).to(config.device)

    def _new_optimizer(self, lr: float) -> torch.optim.AdamW:
        return torch.optim.AdamW(
            self.adapter.parameters(),
            lr=lr,
            betas=(0.9, 0.98),
            weight_decay=self._config.weight_decay,
        )
