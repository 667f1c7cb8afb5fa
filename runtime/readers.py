"""Two readers of one ear: the head reads every window, the LLM gives a second opinion.

Without a head the LLM alone reads. One rule says when it is asked, so that a window has one answer
whoever asks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from listen_edge.bundle.head import HeadManifest, Reading
from listen_edge.bundle.opening import Bundle
from listen_edge.errors import BundleError
from listen_edge.runtime.encoder_session import Encoded
from listen_edge.runtime.head import Head, Questions, highest_logits
from listen_edge.runtime.llm import Llm
from listen_edge.runtime.priors import Priors
from listen_edge.runtime.question_vectors import KeptVectors
from listen_edge.runtime.vocabulary import Vocabulary

LLM_MODES = ("auto", "always", "never")

Encode = Callable[[NDArray[np.float32]], Encoded]


@dataclass(frozen=True)
class Read:
    """What was read of some windows.

    Attributes:
        readings: by concept; of several windows the surer one counts.
        shown: presence of each of the vocabulary's names, None where they were not wanted.
        encode_s, answer_s: time that the encoder and the readers took.
    """

    readings: dict[str, Reading]
    shown: NDArray[np.float64] | None
    encode_s: float
    answer_s: float


class Readers:
    """The readers of one bundle.

    Args:
        bundle: gives head and calibration.
        encode: at most a window of samples -> what the readers take.
        llm: the bundle's LLM.
        mode: of LLM_MODES: the LLM is asked where the head suspects something, always, or never,
            and then freed as soon as it has read the questions. It is not asked about names that
            its adapter was not trained on: there it knows less than the head.
        on_gpu: whether the LLM computes on the GPU.

    Raises:
        BundleError: no head and mode "never", or a damaged head file.
    """

    def __init__(
        self, bundle: Bundle, encode: Encode, llm: Llm, *, mode: str, on_gpu: bool
    ) -> None:
        if mode not in LLM_MODES:
            raise BundleError(f"--llm {mode}: expected one of {', '.join(LLM_MODES)}")
        self._encode, self._llm, self._mode = encode, llm, mode
        self._bundle, self._on_head = bundle, bundle.manifest.head
        self._known_to_llm = frozenset(self._on_head.asked) if self._on_head else frozenset()
        self.head: Head | None = None
        self._vocabulary: Vocabulary | None = None
        if self._on_head is not None:
            vectors = KeptVectors(bundle.manifest, llm.session, on_gpu=on_gpu)
            self.head = Head(bundle.head(), self._on_head.vocabulary, vectors)
        elif mode == "never":
            raise BundleError(
                f"{bundle.id}: has no question head, its LLM answers every window; leave out "
                "--llm never, or export the bundle with --head"
            )
        self.priors = Priors(
            lambda: encode(np.zeros(0, np.float32)).prefix_embeddings, self.margins
        )

    def margins(
        self, prefix_embeddings: NDArray[np.float32], concepts: Sequence[str]
    ) -> NDArray[np.float32]:
        """Return the LLM's margin of each concept, shape (len(concepts),), in nats."""
        return self._llm.session().margins(prefix_embeddings, concepts)

    def understands(self, concept: str) -> bool:
        """Tell whether a phrase is near enough to what the head was trained on."""
        if self.head is None or self._on_head is None:
            return True
        return bool(self._questions([concept]).distance[0] <= self._on_head.familiar_within)

    @property
    def vocabulary(self) -> Vocabulary:
        """What can be told without being asked, made when it is first needed.

        Raises:
            BundleError: the bundle has no head.
        """
        if self._vocabulary is None:
            manifest = self._bundle.require_head()
            assert self.head is not None
            self._vocabulary = Vocabulary(self.head, manifest)
        return self._vocabulary

    def read(
        self,
        signals: Sequence[NDArray[np.float32]],
        concepts: Sequence[str],
        *,
        wants_shown: bool = False,
    ) -> Read:
        """Ask about every signal of a window.

        Args:
            signals: each at most a window of samples at 16 kHz; at least one.
            concepts: each once.
            wants_shown: of the vocabulary too, which only a head can tell.
        """
        started = time.perf_counter()
        encoded = [self._encode(signal) for signal in signals]
        encode_s = time.perf_counter() - started
        if self.head is None or self._on_head is None:
            readings = self._second_opinion(encoded, {concept: Reading() for concept in concepts})
        else:
            readings = self._by_head(encoded, concepts)
            suspected = {c: r for c, r in readings.items() if self._is_asked(self._on_head, c, r)}
            if suspected:
                readings |= self._second_opinion(encoded, suspected)
        shown = self.vocabulary.presences(encoded) if wants_shown else None
        return Read(readings, shown, encode_s, time.perf_counter() - started - encode_s)

    def _by_head(self, encoded: Sequence[Encoded], concepts: Sequence[str]) -> dict[str, Reading]:
        if not concepts:
            return {}
        questions = self._questions(concepts)
        highest = highest_logits(encoded, questions)
        rows = zip(highest, questions.usual, questions.deviation, strict=True)
        return {
            concept: Reading(float(logit), float(usual), float(deviation))
            for concept, (logit, usual, deviation) in zip(concepts, rows, strict=True)
        }

    def _questions(self, concepts: Sequence[str]) -> Questions:
        assert self.head is not None
        questions = self.head.questions(concepts)
        if self._mode == "never":
            self._llm.free()
        return questions

    def _is_asked(self, head: HeadManifest, concept: str, reading: Reading) -> bool:
        if self._mode == "never" or concept not in self._known_to_llm:
            return False
        suspects = head.fusion.presence_alone(reading) >= head.fusion.asked_from
        return self._mode == "always" or suspects

    def _second_opinion(
        self, encoded: Sequence[Encoded], readings: dict[str, Reading]
    ) -> dict[str, Reading]:
        """Return the readings with the LLM's margins, the highest of all signals."""
        concepts = [*readings]
        priors = self.priors(concepts).tolist()
        margins = np.max([self.margins(one.prefix_embeddings, concepts) for one in encoded], axis=0)
        return {
            concept: replace(readings[concept], margin=margin, prior=prior)
            for concept, margin, prior in zip(concepts, margins.tolist(), priors, strict=True)
        }
