"""What is to be written about which recordings: the plan of a synthesis, without any text yet.

One assignment is one text. Recordings with the same tags and caption share their texts, which is
the large saving: 2,000 clips of 50 classes need the texts of 50. Every draw depends on the seed, on
the assignment and on which sounds the data names at all, never on an order.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace

from listen_edge.errors import ListenEdgeError
from listen_edge.train.datasets import Row
from listen_edge.train.texts.knowledge import Knowledge
from listen_edge.train.texts.templates import Facts

KINDS = ("positive", "negative", "combined", "yes_no", "synonym", "hypernym")
QUESTION_KINDS = ("yes_no", "synonym", "hypernym")
_DRAWS = 60  # of an absent sound, before an assignment is given up


@dataclass(frozen=True)
class SynthesisConfig:
    """One synthesis. The paper publishes neither wordings nor ratios: all of these are ours.

    Attributes:
        kinds: of KINDS, what is written.
        n_per_row: multiplies `ratios`.
        ratios: texts per kind for each distinct tags and caption. Answers of questions
            alternate between yes and no.
        n_absent: sounds that a negative or combined text names.
        template_share: of texts made without the LLM from the start.
        n_tries: of the LLM per text, each with another seed, before a template replaces it.
        temperature: of sampling; above 0, or further tries would say the same.
        max_tokens: per text.
        shard_size: texts per shard.
        limit: of different tags and captions, drawn at random; None for all.
        seed: of every draw and of the LLM.
    """

    kinds: tuple[str, ...] = KINDS
    n_per_row: int = 1
    ratios: dict[str, int] = field(
        default_factory=lambda: dict(zip(KINDS, (2, 2, 2, 4, 2, 2), strict=True))
    )
    n_absent: int = 2
    template_share: float = 0.25
    n_tries: int = 3
    temperature: float = 0.7
    max_tokens: int = 96
    shard_size: int = 512
    limit: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        unknown = sorted({*self.kinds, *self.ratios} - {*KINDS})
        if unknown or not self.kinds or len({*self.kinds}) < len(self.kinds):
            raise ListenEdgeError(
                f"kinds {', '.join(unknown or self.kinds) or 'none'}, expected different ones of "
                f"{', '.join(KINDS)}"
            )
        for name in ("n_per_row", "n_absent", "n_tries", "max_tokens", "shard_size"):
            if getattr(self, name) < 1:
                raise ListenEdgeError(f"{name} {getattr(self, name)}, expected at least 1")
        if not 0 <= self.template_share <= 1:
            raise ListenEdgeError(f"template_share {self.template_share}, expected 0 to 1")

    def n_texts(self, kind: str) -> int:
        """Return how many texts of a kind each distinct tags and caption gets."""
        return self.ratios.get(kind, 0) * self.n_per_row


@dataclass(frozen=True)
class Assignment:
    """One text to write.

    Attributes:
        dataset, path: of the first recording it is about, the path relative to the data set.
        n_clips: recordings with these tags and this caption.
        tags: sorted; what is in the recording.
        heard: the tags and all sounds that any caption of these recordings names.
        variant: number among the texts of this kind.
        absent: sounds to name as absent.
        concept: what a question asks about.
        answer: of a question, else None.
        by_template: whether the LLM is left out from the start.
    """

    dataset: str
    path: str
    n_clips: int
    tags: tuple[str, ...]
    caption: str | None
    heard: tuple[str, ...]
    kind: str = ""
    variant: int = 0
    seed: int = 0
    absent: tuple[str, ...] = ()
    concept: str | None = None
    answer: str | None = None
    by_template: bool = False


def plan(
    rows: Sequence[tuple[Row, str]], config: SynthesisConfig, knowledge: Knowledge
) -> list[Assignment]:
    """Return all texts to write, in an order that depends on tags and captions alone.

    Args:
        rows: each with its path relative to its data set.
    """
    units: dict[tuple[tuple[str, ...], str], list[tuple[str, str]]] = {}
    heard: dict[tuple[str, str], set[str]] = {}  # by all captions and tags of a recording
    for row, path in rows:
        tags, caption, clip = tuple(sorted(set(row.tags))), row.caption or "", (row.dataset, path)
        units.setdefault((tags, caption), []).append(clip)
        heard.setdefault(clip, set()).update(tags, knowledge.mentions(caption))
    spoken = sorted({name for names in heard.values() for name in names})
    assignments = []
    chosen = sorted(units, key=lambda unit: _hash(config.seed, *unit))[: config.limit]
    for tags, caption in sorted(chosen):
        clips = units[tags, caption]
        names = tuple(sorted({name for clip in clips for name in heard[clip]}))
        first = Assignment(*min(clips), len({*clips}), tags, caption or None, names)
        for kind in config.kinds:
            for variant in range(config.n_texts(kind)):
                one = _assign(replace(first, kind=kind, variant=variant), spoken, config, knowledge)
                assignments += [] if one is None else [one]
    return assignments


def digest(assignments: Sequence[Assignment]) -> str:
    """Return a hash of the whole plan, to tell a run from another one."""
    described = json.dumps([asdict(one) for one in assignments], sort_keys=True)
    return hashlib.sha256(described.encode()).hexdigest()[:16]


def _hash(*key: object) -> int:
    """Return 31 bits that are the same in every process."""
    return int.from_bytes(hashlib.sha256(json.dumps(key).encode()).digest()[:4], "big") >> 1


def _assign(
    unit: Assignment, spoken: Sequence[str], config: SynthesisConfig, knowledge: Knowledge
) -> Assignment | None:
    """Draw what the text is to name; None if there is nothing that it could."""
    seed = _hash(config.seed, unit.tags, unit.caption, unit.kind, unit.variant)
    rng = random.Random(seed)
    by_template = rng.random() < config.template_share
    unit = replace(unit, seed=seed, by_template=by_template)
    if unit.kind == "positive":
        return unit if unit.heard or unit.caption else None
    if unit.kind in QUESTION_KINDS:
        first = _hash(config.seed, unit.tags, unit.caption, unit.kind)
        is_absent = (first + unit.variant) % 2 == 1
        concept = _concept(unit, is_absent, spoken, rng, knowledge)
        answer = "no" if is_absent else "yes"
        return replace(unit, concept=concept, answer=answer) if concept else None
    absent: dict[str, None] = {}
    for _ in range(_DRAWS if spoken else 0):
        name = rng.choice(spoken)
        if not knowledge.holds_any((*unit.heard, *absent), name):
            absent[name] = None
        if len(absent) == config.n_absent:
            break
    return replace(unit, absent=tuple(absent)) if absent and unit.heard else None


def _concept(
    unit: Assignment,
    is_absent: bool,
    spoken: Sequence[str],
    rng: random.Random,
    knowledge: Knowledge,
) -> str | None:
    """Draw what is asked about: something absent, or a tag.

    A unit gets both or neither, or the kind of question would tell the answer: a unit without
    synonyms is asked about no absent synonym, and one of unknown kind about no kind at all.
    """
    known = [_concepts(unit.kind, knowledge.facts(label)) for label in unit.heard]
    if not any(known) or (unit.kind == "hypernym" and not all(known)):
        return None
    for _ in range(_DRAWS):
        label = rng.choice(spoken if is_absent else unit.heard)
        concepts = _concepts(unit.kind, knowledge.facts(label))
        concept = rng.choice(concepts) if concepts else None
        if concept and not (is_absent and knowledge.holds_any(unit.heard, concept)):
            return concept
    return None


def _concepts(kind: str, facts: Facts) -> tuple[str, ...]:
    return {"yes_no": facts.names[:1], "synonym": facts.names[1:], "hypernym": facts.kinds}[kind]
