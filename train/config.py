"""What a training run is: one frozen record, written beside its checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from listen_edge.errors import ListenEdgeError

TEXT_KINDS = ("positive", "negative", "combined")
OBJECTIVES = (*TEXT_KINDS, "yes_no")

PRESETS: dict[str, dict[str, Any]] = {
    # The embedded bundle: SmolLM2-135M, a CPU or one GPU. TrainConfig's own defaults.
    "tiny": {},
    # The paper's size: whisper-small and Llama-3.1-8B-Instruct. Taps, queries and optimiser are
    # those of DeSTA2, the same lab's connector with the same parts; LISTEN names no others.
    "listen-8b": {
        "whisper": "small",
        "llm": "meta-llama/Llama-3.1-8B-Instruct",
        "taps": (3, 6, 9, 12),
        "n_query": 64,
        "d_qformer": 768,
        "n_heads": 12,
        "frame_pool": 1,
        "window_s": 30.0,
        "objectives": OBJECTIVES,
        "warm_steps": 0,
        "steps": 50_000,
        "batch": 32,
        "lr": 1e-4,
        "warm_up": 2_000,
        "device": "cuda",
        "dtype": "bfloat16",
        "shard_llm": True,
    },
}


@dataclass(frozen=True)
class TrainConfig:
    """One training run; defaults are the embedded bundle's.

    Attributes:
        whisper: see load_whisper_encoder.
        llm: GGUF file whose dequantised weights are trained through, or a transformers folder.
        data: data sets, each "name:folder", see read_dataset.
        vocabulary: GGUF whose tokeniser is used; the LLM itself if that is a GGUF.
        ontology: AudioSet's ontology file, for other names and kinds of things; None for none.
        texts: folder of shards written by `listen-edge synthesize`, for the text objectives.
        objectives: what is trained on, of OBJECTIVES; texts have next-token loss, yes/no questions
            the cross-entropy of the two answers.
        held_out: splits whose AUROC is shown, never trained on.
        left_out: further splits that are never trained on.
        left_out_labels: sounds that are never trained on nor asked about, nor what could be
            confused with them.
        init: run whose adapter is started from, None for random weights.
        taps, n_query, d_qformer, n_heads, n_layers, dropout: see AdapterConfig.
        frame_pool: encoder frames of 20 ms averaged into one, from the first tap on.
        window_s: seconds of audio per window.
        n_augmented, n_mixed: see draw_scenes.
        warm_steps, warm_batch, warm_lr: the warm start.
        steps, lr: the training through the LLM, AdamW with a cosine.
        batch: scenes per step, over all processes.
        accumulate: parts that each process computes its share of a batch in.
        warm_up: steps of rising learning rate.
        n_questions: yes/no questions per scene.
        n_texts: texts per scene.
        weight_decay, clip_norm: of both phases.
        frames_kept: share of encoder frames seen in a training step, drawn at random.
        spliced: share of scenes whose frames are drawn half from another scene of the same sounds.
        checkpoint_every, evaluate_every: in steps.
        n_held_out: scenes of the held-out splits per evaluation.
        seed: of every draw.
        device: "cpu" or "cuda".
        dtype: "float32" or "bfloat16", of the LLM.
        shard_llm: share the LLM's layers among the processes (FSDP) instead of a copy each.
        threads: CPU threads.
    """

    whisper: str
    llm: str
    data: tuple[str, ...]
    vocabulary: str | None = None
    ontology: str | None = None
    texts: str | None = None
    objectives: tuple[str, ...] = ("yes_no",)
    held_out: tuple[str, ...] = ("fold4",)
    left_out: tuple[str, ...] = ("fold5",)
    left_out_labels: tuple[str, ...] = ()
    init: str | None = None
    taps: tuple[int, ...] = (2, 4)
    n_query: int = 12
    d_qformer: int = 256
    n_heads: int = 8
    n_layers: int = 2
    dropout: float = 0.1
    frame_pool: int = 4
    window_s: float = 5.0
    n_augmented: int = 2
    n_mixed: int = 3500
    warm_steps: int = 2200
    warm_batch: int = 32
    warm_lr: float = 1e-3
    steps: int = 1300
    batch: int = 12
    accumulate: int = 1
    warm_up: int = 50
    n_questions: int = 8
    n_texts: int = 2
    lr: float = 5e-4
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    frames_kept: float = 0.4
    spliced: float = 0.5
    checkpoint_every: int = 50
    evaluate_every: int = 100
    n_held_out: int = 96
    seed: int = 0
    device: str = "cpu"
    dtype: str = "float32"
    shard_llm: bool = False
    threads: int = 2

    def __post_init__(self) -> None:
        both = sorted({*self.held_out} & {*self.left_out})
        if both:
            raise ListenEdgeError(f"{', '.join(both)} is held out and left out; choose one")
        unknown = sorted({*self.objectives} - {*OBJECTIVES})
        if unknown or not self.objectives:
            raise ListenEdgeError(
                f"objectives {', '.join(unknown) or 'none'}, expected some of "
                f"{', '.join(OBJECTIVES)}"
            )
        if self.text_kinds and self.texts is None:
            raise ListenEdgeError(
                f"objectives {', '.join(self.text_kinds)} need texts; run listen-edge synthesize"
            )
        if self.dtype not in ("float32", "bfloat16"):
            raise ListenEdgeError(f"dtype {self.dtype!r}, expected float32 or bfloat16")
        if self.device == "cuda" and not _has_gpu():
            raise ListenEdgeError("device cuda was asked for and torch finds no GPU; use cpu")
        if self.vocabulary is None and not self.llm.endswith(".gguf"):
            raise ListenEdgeError("llm is no GGUF: name its GGUF as vocabulary, for the tokeniser")

    @property
    def text_kinds(self) -> tuple[str, ...]:
        return tuple(kind for kind in self.objectives if kind in TEXT_KINDS)


def _has_gpu() -> bool:
    import torch  # not at the top: the command line reads presets and defaults for its help

    return torch.cuda.is_available()
