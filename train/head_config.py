"""How an adapter and its question head are trained: one frozen dataclass."""

from __future__ import annotations

from dataclasses import dataclass

from listen_edge.errors import ListenEdgeError


@dataclass(frozen=True)
class HeadConfig:
    """One run of train_head.

    Attributes:
        whisper: see load_whisper_encoder.
        llm: GGUF that reads the questions; the very file that ships.
        data: data sets, each "name:folder", see read_dataset.
        tags: files of soft tags, beside those that lie in the folders; see read_soft_tags.
        ontology: AudioSet's ontology file; its classes are the tags' names.
        held_out: splits (ESC-50's folds, or sources, by a part of their name) that are never
            trained on, whose figures are taken while developing: choose and calibrate on these.
        left_out: further ones that are never trained on, for the report.
        left_out_share: of AudioSet's classes, never trained on nor what means the same; their
            AUROC is taken by itself.
        init: run whose ears are started from; of several runs the mean of their weights, which
            means something if they started from the same; None for random weights.
        taps, n_query, d_qformer, n_heads, n_layers, dropout, frame_pool: as in TrainConfig.
        d_head: width of the head's queries, keys and values.
        vector_dropout: of question vectors' coordinates.
        n_mixtures: see draw_mixtures.
        n_asked_mixtures: further mixtures, each with a sound of MOST_ASKED.
        plain, asked: shares of a step's scenes that are excerpts as they are, and of these further
            mixtures.
        n_excerpts: plain windows per training recording.
        window_s: seconds of audio per window.
        steps, batch, lr, warm_up, weight_decay, clip_norm: AdamW with a cosine.
        frames_kept: share of encoder frames seen in a step, drawn at random.
        spliced: share of a step's scenes, half of whose frames are another scene's.
        average: decay of the weights' running mean, which is what is kept; 0 for none.
        descriptions: whether each class is asked by its description in the ontology too.
        label_weight: of the data sets' names in the loss, beside 1 for the tags' names.
        absent_weight: of pairs that a scene hardly holds, beside 1 for the others; 0 trains on
            what is there alone, to measure what the absent is worth.
        align_steps: first steps, in which what goes to the LLM is pulled to the names of what is
            heard, as it would read them.
        opinion_scenes: of each further step, asked through the LLM too, so that its yes or no comes
            from the head's Q-Former; 0: the LLM takes no part.
        opinion_questions: of each such scene.
        opinion_weight: of these losses, beside 1 for the head's.
        checkpoint_every, evaluate_every: in steps.
        seed: of every draw.
        threads: CPU threads.
    """

    whisper: str
    llm: str
    data: tuple[str, ...]
    ontology: str
    tags: tuple[str, ...] = ()
    held_out: tuple[str, ...] = ("fold4",)
    left_out: tuple[str, ...] = ("fold5",)
    left_out_share: float = 0.0
    init: str | tuple[str, ...] | None = None
    taps: tuple[int, ...] = (2, 4)
    n_query: int = 12
    d_qformer: int = 256
    n_heads: int = 8
    n_layers: int = 2
    dropout: float = 0.1
    frame_pool: int = 4
    d_head: int = 256
    vector_dropout: float = 0.0
    n_mixtures: int = 12_288
    n_asked_mixtures: int = 0
    n_excerpts: int = 2
    plain: float = 0.5
    asked: float = 0.0
    window_s: float = 5.0
    steps: int = 1500
    batch: int = 32
    lr: float = 1e-3
    warm_up: int = 50
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    frames_kept: float = 0.5
    spliced: float = 0.0
    average: float = 0.99
    descriptions: bool = False
    label_weight: float = 1.0
    absent_weight: float = 1.0
    align_steps: int = 0
    opinion_scenes: int = 0
    opinion_questions: int = 6
    opinion_weight: float = 1.0
    checkpoint_every: int = 100
    evaluate_every: int = 250
    seed: int = 0
    threads: int = 2

    def __post_init__(self) -> None:
        both = sorted({*self.held_out} & {*self.left_out})
        if both:
            raise ListenEdgeError(f"{', '.join(both)} is held out and left out; choose one")
        for name in ("left_out_share", "average"):
            if not 0 <= getattr(self, name) < 1:
                raise ListenEdgeError(f"{name} is {getattr(self, name)}, expected 0 to 1")
        if not 0 < self.frames_kept <= 1:
            raise ListenEdgeError(f"frames_kept is {self.frames_kept}, expected 0 to 1")
