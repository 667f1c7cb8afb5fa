"""The parity ladder: from the trained networks to what ships, one step at a time, on real clips.

Each rung replaces one part (torch encoder by ONNX, float32 by int8, torch LLM by GGUF) and is
judged by the answers: how far logit margins move, how many change sign, what AUROC is lost. Tensors
may differ by much while answers agree, and the other way round, so tensors are not gated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from listen_edge.audio import read_window
from listen_edge.bundle.calibration import fit_calibration
from listen_edge.errors import ParityError
from listen_edge.evaluation.esc50 import Esc50Clip, draw_absent
from listen_edge.evaluation.metrics import auroc, expected_calibration_error
from listen_edge.prompt import Prompt
from listen_edge.runtime.encoder_session import EncoderSession
from listen_edge.runtime.head import logits
from listen_edge.runtime.llama.gguf_file import Vocabulary
from listen_edge.runtime.llama.session import LlamaSession
from listen_edge.train.adapter import Adapter
from listen_edge.train.backbones import WhisperTaps, load_llama
from listen_edge.train.ears import Trained
from listen_edge.train.packing import AudioLlama

_N_ABSENT = 3
_N_WORST = 3

Embed = Callable[[NDArray[np.float32]], NDArray[np.float32]]
Ask = Callable[[NDArray[np.float32], Sequence[str]], NDArray[np.float32]]


@dataclass(frozen=True)
class Gate:
    """What a rung may lose against the first.

    Attributes:
        auroc_loss: of AUROC.
        median_shift: median |margin shift| in nats, as a share of the margins' own spread.
        flips: share of margins that change sign.
        ece_rise: of the expected calibration error.
    """

    auroc_loss: float = 0.01
    median_shift: float = 0.1
    flips: float = 0.05
    ece_rise: float = 0.05


@dataclass(frozen=True)
class Rung:
    """One step of the ladder, compared with the first.

    Attributes:
        auroc: of the margins.
        ece: expected calibration error of the margins through a map fitted on the first rung's.
        median_shift, max_shift: of |margin - the first rung's|, in nats.
        flips: share of margins that change sign.
        spread: standard deviation of the first rung's margins, in nats.
        worst_clips: names of those whose margins moved most, the worst first.
    """

    name: str
    auroc: float
    ece: float
    median_shift: float
    max_shift: float
    flips: float
    spread: float
    worst_clips: tuple[str, ...]


def parity_ladder(
    taps: WhisperTaps,
    adapter: Adapter,
    graphs: dict[str, Path],
    gguf_path: Path,
    prompt: Prompt,
    clips: Sequence[Esc50Clip],
    *,
    n_samples: int,
    n_threads: int,
) -> list[Rung]:
    """Climb from torch to the shipped parts.

    Args:
        graphs: name -> ONNX file, in the order of the rungs: float32, then those that ship.
        gguf_path: the LLM as it runs on the device; the torch LLM is this file dequantised.
        clips: real clips, of a fold the adapter has not seen.
    """
    torch.set_num_threads(n_threads)
    labels = asked_names(clips, _N_ABSENT)
    windows = [read_window(clip.path, n_samples) for clip in clips]

    def torch_embed(window: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            return np.asarray(adapter(taps(torch.from_numpy(window)[None]))[0].numpy())

    def climb(embed: Embed, ask: Ask) -> list[NDArray[np.float32]]:
        return [ask(embed(window), asked) for window, asked in zip(windows, labels, strict=True)]

    encoders: list[tuple[str, Embed]] = [("torch", torch_embed)]
    for name, path in graphs.items():  # on the CPU, which also runs what GPUs are for
        session = EncoderSession(path.read_bytes(), n_samples, backend="cpu", n_threads=n_threads)
        encoders.append((f"onnx {name}", session.embed))
    with Vocabulary(gguf_path) as vocabulary:
        ask = _torch_ask(gguf_path, vocabulary, prompt)
        ladder = [(f"encoder {name}, LLM torch", climb(embed, ask)) for name, embed in encoders]
    del ask
    llama = LlamaSession(gguf_path, prompt, n_threads=n_threads)
    for name, embed in encoders[2:] or encoders[1:]:
        ladder.append((f"encoder {name}, LLM gguf", climb(embed, llama.margins)))
    llama.close()
    return [compare(name, margins, ladder[0][1], clips) for name, margins in ladder]


def head_ladder(
    taps: WhisperTaps,
    trained: Trained,
    graphs: dict[str, Path],
    clips: Sequence[Esc50Clip],
    *,
    n_samples: int,
    n_threads: int,
) -> list[Rung]:
    """Climb from the torch head to the shipped graphs' keys and values; arguments as above.

    Args:
        trained: the head, whose vocabulary holds the clips' labels.
    """
    torch.set_num_threads(n_threads)
    labels, ears = asked_names(clips, _N_ABSENT), trained.ears
    windows = [read_window(clip.path, n_samples) for clip in clips]
    places = {text: k for k, text in enumerate(trained.texts)}
    asked = [[places[label] for label in row] for row in labels]
    with torch.inference_mode():
        queries, biases = ears.head.questions(trained.vectors)
        torch_logits = [
            ears.head.answers(ears.adapter(taps(torch.from_numpy(w)[None])), queries, biases)[0]
            for w in windows
        ]
    ladder = [("head torch", [row[k].numpy() for row, k in zip(torch_logits, asked, strict=True)])]
    for name, path in graphs.items():
        session = EncoderSession(path.read_bytes(), n_samples, backend="cpu", n_threads=n_threads)
        found = []
        for window, rows in zip(windows, asked, strict=True):
            encoded = session.encode(window)
            assert encoded.keys is not None and encoded.values is not None
            constants = queries[rows].numpy(), biases[rows].numpy()
            found.append(logits(encoded.keys, encoded.values, *constants))
        ladder.append((f"head onnx {name}", found))
    return [compare(name, found, ladder[0][1], clips) for name, found in ladder]


def asked_names(clips: Sequence[Esc50Clip], n_absent: int) -> list[list[str]]:
    """Return what is asked of each clip: its own sound first, then absent ones."""
    drawn = draw_absent(clips, "random", n_absent, seed=0)
    return [[clip.label, *absent] for clip, absent in zip(clips, drawn, strict=True)]


def check_parity(rungs: Sequence[Rung], gate: Gate = Gate()) -> None:
    """Raise if any rung loses more than the gate allows; all failures are named.

    Raises:
        ParityError: with every failing rung and its worst clip.
    """
    failures = []
    for rung in rungs[1:]:
        loss = rungs[0].auroc - rung.auroc
        shift = rung.median_shift / rung.spread
        rise = rung.ece - rungs[0].ece
        found = (loss, shift, rung.flips, rise)
        allowed = (gate.auroc_loss, gate.median_shift, gate.flips, gate.ece_rise)
        if any(lost > limit for lost, limit in zip(found, allowed, strict=True)):
            failures.append(
                f"{rung.name}: AUROC loss {loss:.4f} (gate {gate.auroc_loss}), median shift "
                f"{shift:.3f} of the spread ({gate.median_shift}), flips {rung.flips:.3f} "
                f"({gate.flips}), ECE rise {rise:.3f} ({gate.ece_rise}), worst clips "
                + ", ".join(rung.worst_clips)
            )
    if failures:
        raise ParityError("the exported answers differ: " + "; ".join(failures))


def parity_json(rungs: Sequence[Rung]) -> list[dict[str, Any]]:
    """Return the report as the manifest keeps it."""
    return [
        {key: round(v, 4) if isinstance(v, float) else v for key, v in asdict(rung).items()}
        for rung in rungs
    ]


def compare(
    name: str,
    margins: Sequence[NDArray[np.float32]],
    reference: Sequence[NDArray[np.float32]],
    clips: Sequence[Esc50Clip],
) -> Rung:
    """Return what margins (one array a clip, the present sound first) lose against others."""
    is_present = np.concatenate([np.arange(len(row)) == 0 for row in margins])
    ours, theirs = np.concatenate(margins), np.concatenate(reference)
    shift = np.abs(ours - theirs)
    by_clip = [np.abs(a - b).max() for a, b in zip(margins, reference, strict=True)]
    calibration = fit_calibration(
        is_present, theirs, np.zeros_like(theirs), concepts=(), fitted_on="the reference"
    )
    presence = np.array([calibration.presence(float(margin), 0.0) for margin in ours])
    is_even = np.concatenate([np.arange(len(row)) < 2 for row in margins])  # as the map was fitted
    return Rung(
        name=name,
        auroc=auroc(is_present, ours),
        ece=expected_calibration_error(is_present[is_even], presence[is_even]),
        median_shift=float(np.median(shift)),
        max_shift=float(shift.max()),
        flips=float(((ours > 0) != (theirs > 0)).mean()),
        spread=float(theirs.std()),
        worst_clips=tuple(clips[k].path.name for k in np.argsort(by_clip)[::-1][:_N_WORST]),
    )


def _torch_ask(gguf_path: Path, vocabulary: Vocabulary, prompt: Prompt) -> Ask:
    packed = AudioLlama(load_llama(str(gguf_path)), vocabulary.tokenize, prompt)

    def ask(prefix_embeddings: NDArray[np.float32], concepts: Sequence[str]) -> NDArray[np.float32]:
        with torch.inference_mode():
            margins = packed.margins(torch.from_numpy(prefix_embeddings)[None], [concepts])
        return np.asarray(margins.numpy())

    return ask
