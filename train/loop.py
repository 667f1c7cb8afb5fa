"""Train an adapter: warm start, then texts and yes/no questions through the frozen LLM.

One loop for a laptop and for several machines: `accelerate launch` starts a process per GPU, each
takes its share of a batch, gradients are averaged. Every random draw is a function of (seed, phase,
step): a run that was killed repeats itself from its last checkpoint, and the batches do not depend
on the number of processes.

Source: LISTEN (Kuan & Lee, 2025) trains an adapter between frozen networks on text about present
and absent sounds; wordings and ratios there are not published, these are ours.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor
from torch.distributed.fsdp import fully_shard
from transformers import LlamaForCausalLM

from listen_edge.errors import ListenEdgeError
from listen_edge.prompt import DEFAULT_PROMPT, Prompt
from listen_edge.runtime.llama.gguf_file import Vocabulary
from listen_edge.train import checkpoint
from listen_edge.train.adapter import Adapter, AdapterConfig
from listen_edge.train.alignment import WarmStart
from listen_edge.train.backbones import WhisperTaps, load_llama, load_whisper_encoder
from listen_edge.train.config import TrainConfig
from listen_edge.train.material import read_material
from listen_edge.train.objectives import held_out_auroc, question_loss, text_loss
from listen_edge.train.packing import AudioLlama
from listen_edge.train.run_log import RunLog
from listen_edge.train.tap_cache import TapCache

_PHASES = {"warm": 0, "main": 1}  # for seeding
_COLUMNS = (
    TextColumn("{task.description}"),
    BarColumn(),
    MofNCompleteColumn(),
    TimeRemainingColumn(),
)


def train(config: TrainConfig, out_dir: Path, prompt: Prompt = DEFAULT_PROMPT) -> float:
    """Train the adapter and write it to `out_dir`; go on where a killed run stopped.

    Returns:
        AUROC on the held-out splits.

    Raises:
        ListenEdgeError: missing data, a folder of another run, no space left, a loss that is not
            finite (the last good checkpoint is kept).
    """
    torch.set_num_threads(config.threads)
    described = {**asdict(config), "prompt": prompt.to_json()}
    checkpoint.refuse_other_run(out_dir, described)
    accelerator = Accelerator(
        cpu=config.device == "cpu", gradient_accumulation_steps=config.accumulate
    )
    vocabulary = Vocabulary(Path(config.vocabulary or config.llm))
    console = Console(stderr=True, quiet=not accelerator.is_main_process)  # results own stdout
    with vocabulary, Progress(*_COLUMNS, console=console) as progress:
        run = _Run(config, out_dir, prompt, vocabulary, progress, accelerator)
        if accelerator.is_main_process:
            checkpoint.write_config(out_dir, described, run.trained)
        run.start()
        run.warm_start()
        run.main()
        if accelerator.is_main_process:
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
        accelerator: Accelerator,
    ) -> None:
        self._config, self._out_dir, self._progress = config, out_dir, progress
        self._accelerator = accelerator
        self._material = read_material(config)
        encoder = WhisperTaps(load_whisper_encoder(config.whisper), config.taps, config.frame_pool)
        self._cache = TapCache(out_dir.parent / "taps", encoder, config.window_s)
        with accelerator.main_process_first():
            self._cache.fill(self._material.scenes, str(accelerator.device), progress)

        llama = load_llama(config.llm).to(dtype=getattr(torch, config.dtype))
        embedding = llama.get_input_embeddings().weight
        adapter = _new_adapter(config, encoder.d_encoder, llama.config.hidden_size)
        if config.init is not None:
            checkpoint.copy_adapter(Path(config.init), adapter)
        self._warm = WarmStart(
            self._material.bank.facts,
            vocabulary.tokenize,
            embedding,
            config.n_query,
            accelerator.device,
        )
        self._llama = AudioLlama(_placed(llama, config, accelerator), vocabulary.tokenize, prompt)
        self._adapter: torch.nn.Module = accelerator.prepare_model(adapter)
        self.adapter = accelerator.unwrap_model(self._adapter)
        self._optimizer = self._new_optimizer(config.warm_lr)
        done = checkpoint.load_checkpoint(out_dir, self.adapter, self._optimizer)
        self._done = done or checkpoint.Progress()
        self.held_out_auroc = math.nan

    @property
    def trained(self) -> dict[str, list[str]]:
        """What the run trains on: labels of recordings, and every concept asked about."""
        bank = self._material.bank
        return {"labels": bank.labels, "concepts": bank.concepts()}

    def start(self) -> None:
        """Open the log, once the run's folder is there."""
        done = {"warm": self._done.warm_step, "main": self._done.step}
        self._log = RunLog(self._out_dir, done) if self._accelerator.is_main_process else None

    def warm_start(self) -> None:
        """Pull the adapter's outputs to the names of what is heard; no step through the LLM."""
        config, material = self._config, self._material
        task = self._progress.add_task("warm start", total=config.warm_steps)
        for step in range(self._done.warm_step, config.warm_steps):
            rng = self._seed("warm", step)
            rows = rng.choice(material.single_rows, config.warm_batch).tolist()

            def loss(part: Sequence[int], rng: np.random.Generator) -> Tensor:
                labels = [material.scenes[row].labels[0] for row in part]
                return self._warm.loss(self._embed(part, rng), labels)

            value = self._step("warm", step, rows, loss)
            self._done = replace(self._done, warm_step=step + 1)
            self._progress.update(task, completed=step + 1, description=f"warm start {value:.3f}")
            if (step + 1) % (10 * config.checkpoint_every) == 0:
                self._save()
        if self._done.step == 0:
            self._optimizer = self._new_optimizer(config.lr)
            self._save()

    def main(self) -> None:
        """Train through the frozen LLM."""
        config = self._config
        task = self._progress.add_task("train", total=config.steps)
        smooth_loss = math.nan
        for step in range(self._done.step, config.steps):
            rows = self._seed("main", step).choice(self._material.train_rows, config.batch).tolist()
            value = self._step("main", step, rows, self._objective)
            self._done = replace(self._done, step=step + 1)
            smooth_loss = value if math.isnan(smooth_loss) else 0.95 * smooth_loss + 0.05 * value
            is_last = step + 1 == config.steps
            if (step + 1) % config.evaluate_every == 0 or is_last:
                self._evaluate()
            if (step + 1) % config.checkpoint_every == 0 or is_last:
                self._save()
            self._progress.update(
                task,
                completed=step + 1,
                description=f"train loss {smooth_loss:.3f} held-out AUC {self.held_out_auroc:.3f}",
            )
        if math.isnan(self.held_out_auroc):
            self._evaluate()

    def _objective(self, rows: Sequence[int], rng: np.random.Generator) -> Tensor:
        config, material = self._config, self._material
        embeddings = self._embed(rows, rng)
        scenes = [material.scenes[row] for row in rows]
        losses = []
        if "yes_no" in config.objectives:
            asked = [material.questions(s, config.n_questions, rng) for s in scenes]
            losses.append(question_loss(self._llama, embeddings, asked))
        if config.text_kinds:
            texts = [material.texts.draw(s, config.n_texts, rng) for s in scenes]
            losses.append(text_loss(self._llama, embeddings, texts))
        return torch.stack(losses).mean()

    def _step(
        self,
        phase: str,
        step: int,
        rows: list[int],
        loss_of: Callable[[Sequence[int], np.random.Generator], Tensor],
    ) -> float:
        """Take one optimiser step on this process's share of the rows; return the loss."""
        config, accelerator = self._config, self._accelerator
        n_steps, lr = (
            (config.warm_steps, config.warm_lr) if phase == "warm" else (config.steps, config.lr)
        )
        warm_up = min(1.0, (step + 1) / max(1, min(config.warm_up, n_steps // 10)))
        lr *= warm_up * (0.5 + 0.5 * math.cos(math.pi * step / n_steps))
        for group in self._optimizer.param_groups:
            group["lr"] = lr
        share = rows[accelerator.process_index :: accelerator.num_processes]
        started, n_tokens, value = time.perf_counter(), self._llama.n_tokens, 0.0
        self._optimizer.zero_grad()
        for number, part in enumerate(np.array_split(share, config.accumulate)):
            with accelerator.accumulate(self._adapter):
                rng = self._seed(phase, step, 1 + number)
                loss = loss_of(part.tolist(), rng)
                accelerator.backward(loss)
                value += float(loss.detach()) / config.accumulate
                if accelerator.sync_gradients:
                    norm = accelerator.clip_grad_norm_(self._adapter.parameters(), config.clip_norm)
                    self._refuse_divergence(phase, step, value, float(norm))
                self._optimizer.step()
        if self._log is not None:
            seconds = time.perf_counter() - started
            rate = (self._llama.n_tokens - n_tokens) / seconds
            self._log.write(phase, step + 1, loss=value, lr=lr, tokens_per_s=rate, seconds=seconds)
        return value

    def _refuse_divergence(self, phase: str, step: int, loss: float, norm: float) -> None:
        if math.isfinite(loss) and math.isfinite(norm):
            return
        kept = f"{self._done.warm_step} + {self._done.step}"
        raise ListenEdgeError(
            f"{self._out_dir}: loss {loss}, gradient norm {norm} at {phase} step {step + 1}; "
            f"training has diverged after {kept} good steps, the last checkpoint is kept; "
            "start another run with a lower lr or warm_lr"
        )

    def _evaluate(self) -> None:
        self.adapter.eval()
        self.held_out_auroc = held_out_auroc(
            self._llama, self.adapter, self._cache, self._material, self._config
        )
        if self._log is not None:
            self._log.write("main", self._done.step, held_out_auroc=self.held_out_auroc)

    def _embed(self, rows: Sequence[int], rng: np.random.Generator) -> Tensor:
        """Return the adapter's outputs for some frames of the scenes, some spliced in two.

        The adapter reads frames as a set, so half of two windows' frames each is a third window.
        """
        self._adapter.train()
        config = self._config
        taps = self._cache.taps(rows)
        n_frames = taps.shape[2]
        kept = rng.permutation(n_frames)[: max(1, round(config.frames_kept * n_frames))]
        taps = taps[:, :, np.sort(kept)]
        spliced = [k for k in range(len(rows)) if rng.uniform() < config.spliced]
        if spliced and (n_half := len(kept) // 2):
            others = self._cache.taps([self._material.partner(rows[k], rng) for k in spliced])
            half = np.sort(rng.permutation(n_frames)[:n_half])
            taps[spliced, :, :n_half] = others[:, :, half]
        embeddings: Tensor = self._adapter(taps.to(self._accelerator.device))
        return embeddings

    def _seed(self, phase: str, step: int, part: int = 0) -> np.random.Generator:
        """Seed dropout and return a generator; part 0 draws the batch, alike in all processes."""
        place = (part, self._accelerator.process_index) if part else (0, 0)
        key = (self._config.seed, _PHASES[phase], step, *place)
        torch.manual_seed(hash(key) % 2**31)
        return np.random.default_rng(key)

    def _save(self) -> None:
        if self._accelerator.is_main_process:
            checkpoint.save_checkpoint(self._out_dir, self.adapter, self._optimizer, self._done)

    def _new_optimizer(self, lr: float) -> torch.optim.Optimizer:
        optimizer = torch.optim.AdamW(
            self.adapter.parameters(),
            lr=lr,
            betas=(0.9, 0.98),
            weight_decay=self._config.weight_decay,
        )
        return self._accelerator.prepare_optimizer(optimizer)  # type: ignore[no-any-return]


def _new_adapter(config: TrainConfig, d_encoder: int, n_embd: int) -> Adapter:
    torch.manual_seed(config.seed)
    return Adapter(
        AdapterConfig(
            taps=config.taps,
            d_encoder=d_encoder,
            n_embd=n_embd,
            n_query=config.n_query,
            d_qformer=config.d_qformer,
            n_heads=config.n_heads,
            n_layers=config.n_layers,
            dropout=config.dropout,
        )
    )


def _placed(
    llama: LlamaForCausalLM, config: TrainConfig, accelerator: Accelerator
) -> LlamaForCausalLM:
    """Move the LLM to the device; with shard_llm each process keeps a share of every layer."""
    if config.shard_llm and accelerator.num_processes > 1:
        for layer in llama.model.layers:
            fully_shard(layer)
    return llama.to(accelerator.device)
