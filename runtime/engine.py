"""One window and its questions -> answers.

Owns the two sessions (encoder, LLaMA) and runs them one after the other, never at once, so that
they do not fight for cores; the LLaMA is loaded when it is first needed. Nothing crosses windows:
the same samples and questions give the same answers, whatever was asked before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from listen_edge.audio import at_16_khz, level_dbfs
from listen_edge.audio.audibility import NARROW_RATE, audibility, audible
from listen_edge.audio.channels import separate
from listen_edge.bundle.head import Reading
from listen_edge.bundle.opening import Bundle, open_bundle
from listen_edge.errors import BundleError
from listen_edge.lines.answer import Answer, Reason
from listen_edge.lines.heard import HeardLine
from listen_edge.runtime.answers import (
    Heard,
    heard_answers,
    heard_sounds,
    summarize,
    unheard_answers,
    unheard_sounds,
)
from listen_edge.runtime.backends import choose_backend
from listen_edge.runtime.encoder_session import Encoded, EncoderSession
from listen_edge.runtime.hear_config import HearConfig
from listen_edge.runtime.llm import Llm
from listen_edge.runtime.readers import Readers
from listen_edge.runtime.threads import usable_cores
from listen_edge.runtime.thresholds import Thresholds
from listen_edge.runtime.verify import compare_examples
from listen_edge.runtime.vocabulary import Vocabulary


class Engine:
    """A loaded bundle. Not for use from several threads at once.

    Args:
        bundle: verified, see open_bundle.
        backend: "auto", "cpu", "cuda" or "tensorrt"; one asked for and not available is an error,
            "auto" takes the fastest that is there and logs which.
        n_threads: CPU threads of each session; default: the cores this process may use.
        thresholds: override the bundle's.
        llm: when the LLM is asked: "auto", "always" or "never", see Readers.

    Raises:
        BundleError: files that do not belong together.
        BackendError: the backend is not available.
    """

    bundle: Bundle
    thresholds: Thresholds
    _encoder: EncoderSession
    _readers: Readers

    def __init__(
        self,
        bundle: Bundle,
        *,
        backend: str = "auto",
        n_threads: int | None = None,
        thresholds: Thresholds | None = None,
        llm: str = "auto",
    ) -> None:
        manifest = bundle.manifest
        self.sample_rate = manifest.sample_rate
        self.window_s, self.hop_s = manifest.window_s, manifest.hop_s
        self.n_threads = n_threads or usable_cores()
        self.backend, gpu_layers = choose_backend(backend, bundle.backends)
        self.llm_on_gpu = gpu_layers != 0
        self._n_window = round(manifest.window_s * manifest.sample_rate)
        self._wanted_thresholds = thresholds
        self._llm = Llm(bundle, n_threads=self.n_threads, gpu_layers=gpu_layers)
        self._llm_mode = llm
        self._use(bundle, self._load_encoder(bundle))
        if manifest.head is None or llm == "always":
            self._llm.session()  # what cannot be loaded fails here, not at the first window

    def ask(
        self,
        samples: NDArray[np.generic],
        questions: Sequence[str] | str,
        *,
        sample_rate: int = 16_000,
        source: str = "samples",
    ) -> list[Answer]:
        """Answer each question about a recording of any length.

        Of a recording longer than a window, windows are taken at the hop; see summarize.

        Args:
            samples: shape (n_samples,) or (n_samples, n_channels), in [-1, 1], or integers.
            questions: anybody's words, see parse_concept; one alone may be a string.
            sample_rate: of `samples`, in Hz.
            source: name to put into the answers.

        Raises:
            AudioError: shorter than 0.1 s, not finite or far beyond full scale.
            QuestionError: a question that names no sound.
        """
        windows = list(self.ask_windows(samples, questions, sample_rate=sample_rate, source=source))
        return [summarize(answers) for answers in zip(*windows, strict=True)]

    def ask_windows(
        self,
        samples: NDArray[np.generic],
        questions: Sequence[str] | str,
        *,
        sample_rate: int = 16_000,
        source: str = "samples",
    ) -> Iterator[list[Answer]]:
        """Yield the answers of each window in turn; arguments and errors as for ask."""
        asked = [questions] if isinstance(questions, str) else list(questions)
        for window, start_s, doubt in self.windows(samples, sample_rate):
            yield self.answer_window(window, asked, start_s=start_s, source=source, doubt=doubt)

    def answer_window(
        self,
        window: NDArray[np.float32],
        questions: Sequence[str],
        *,
        start_s: float = 0.0,
        source: str = "samples",
        doubt: Reason | None = None,
    ) -> list[Answer]:
        """Answer each question about one window; arguments and errors as for listen_window."""
        return self.listen_window(window, questions, start_s=start_s, source=source, doubt=doubt)[0]

    def listen_window(
        self,
        window: NDArray[np.float32],
        questions: Sequence[str],
        hearing: HearConfig | None = None,
        *,
        start_s: float = 0.0,
        source: str = "samples",
        doubt: Reason | None = None,
    ) -> tuple[list[Answer], HeardLine | None]:
        """Answer each question about one window, and tell what is heard in it if that is wanted.

        Args:
            window: shape (n_samples,) or (n_samples, n_channels), at 16 kHz, at most window_s long.
            questions: as for ask.
            hearing: what to tell of the vocabulary's sounds, by the head alone; None for nothing.
            start_s: where the window lies in its recording.
            source: name to put into the answers.
            doubt: what may have hidden a sound from this window, which is then never "absent".

        Raises:
            QuestionError: a question that names no sound.
            BundleError: sounds are to be told by a bundle without a question head.
        """
        vocabulary = None if hearing is None else self.vocabulary
        window_s = (start_s, start_s + len(window) / self.sample_rate)
        channels = window.reshape(len(window), -1)
        can_tell, level = audibility(channels, self._n_window), level_dbfs(channels)
        deaf = doubt if doubt == "speech_codec" else can_tell.deaf
        reason = deaf or "inaudible"
        unheard = self.unheard(questions, reason, window_s=window_s, source=source, level=level)
        untold = unheard_sounds(reason, self.bundle, window_s=window_s, source=source, level=level)
        if deaf is not None:
            return unheard, untold if hearing is not None else None
        heard = self._listen(channels, [answer.concept for answer in unheard], hearing is not None)
        doubts = (doubt, *can_tell.doubts)
        understands = self._readers.understands
        answers = heard_answers(heard, unheard, self.bundle, understands, self.thresholds, doubts)
        if hearing is None or vocabulary is None:
            return answers, None
        return answers, heard_sounds(heard, untold, vocabulary, hearing, doubts)

    def unheard(
        self,
        questions: Sequence[str],
        reason: Reason,
        *,
        window_s: tuple[float, float],
        source: str = "samples",
        level: float | None = None,
    ) -> list[Answer]:
        """Return answers about what was not listened to: unknown, absent only below the gate.

        Args:
            questions: as for ask.
            reason: why nothing was listened to.
            window_s, source, level: as in the answers.
        """
        return unheard_answers(
            questions,
            reason,
            self.bundle,
            self._readers.understands,
            window_s=window_s,
            source=source,
            level=level,
        )

    def read(self, window: NDArray[np.float32], concepts: Sequence[str]) -> dict[str, Reading]:
        """Return what the readers find of concepts in at most a window of samples at 16 kHz."""
        return self._readers.read([window], concepts).readings

    def embed(self, window: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the prefix embeddings (n_query, n_embd) of at most a window of samples."""
        return self._encode(window).prefix_embeddings

    def _encode(self, window: NDArray[np.float32]) -> Encoded:
        padded = np.zeros(self._n_window, np.float32)
        padded[: len(window)] = window
        return self._encoder.encode(padded)

    def margins(
        self, prefix_embeddings: NDArray[np.float32], concepts: Sequence[str]
    ) -> NDArray[np.float32]:
        """Return the LLM's logit margin of each concept, shape (len(concepts),), in nats."""
        return self._readers.margins(prefix_embeddings, concepts)

    def prior_margins(self, concepts: Sequence[str]) -> NDArray[np.float32]:
        """Return each concept's margin on blank audio, computed once per concept."""
        return self._readers.priors(concepts)

    def swap_adapter(self, bundle: Bundle) -> None:
        """Answer with another bundle's encoder, adapter and calibration from now on.

        The LLM stays in memory. The new graph is loaded beside the old one and must answer the
        bundle's examples as recorded; on any failure the old bundle goes on.

        Raises:
            BundleError: another LLM, prompt or window, which needs another engine, or answers that
                differ from those recorded.
        """
        _refuse_unlike(self.bundle, bundle)
        kept = self.bundle, self._encoder, self._readers, self.thresholds
        try:
            self._use(bundle, self._load_encoder(bundle))
            differences, n_answers = compare_examples(self)
            if differences or not n_answers:
                why = "; ".join(differences) or "it has no examples to verify"
                raise BundleError(f"{bundle.id}: does not answer as recorded: {why}")
        except BaseException:
            self.bundle, self._encoder, self._readers, self.thresholds = kept
            raise

    def _load_encoder(self, bundle: Bundle) -> EncoderSession:
        return EncoderSession(
            bundle.encoder(self.backend),
            self._n_window,
            backend=self.backend,
            n_threads=self.n_threads,
        )

    def _use(self, bundle: Bundle, encoder: EncoderSession) -> None:
        manifest = bundle.manifest
        self.bundle, self._encoder = bundle, encoder
        self.thresholds = self._wanted_thresholds or Thresholds(
            manifest.on_threshold, manifest.off_threshold
        )
        self._readers = Readers(
            bundle, self._encode, self._llm, mode=self._llm_mode, on_gpu=self.llm_on_gpu
        )
        d_head = self._readers.head.d_head if self._readers.head else None
        if encoder.d_head != d_head:
            raise BundleError(
                f"{bundle.id}: encoder graph for a head of width {encoder.d_head}, the head's is "
                f"{d_head}; export the bundle again"
            )

    @property
    def vocabulary(self) -> Vocabulary:
        """What can be told without being asked; BundleError without a question head."""
        return self._readers.vocabulary

    @property
    def has_llm(self) -> bool:
        """Whether the LLM is in memory; with a head it is loaded when it is first asked."""
        return self._llm.is_loaded

    def close(self) -> None:
        """Free the LLM's memory; the engine cannot be used afterwards."""
        self._llm.free()

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    def windows(
        self, samples: NDArray[np.generic], sample_rate: int
    ) -> list[tuple[NDArray[np.float32], float, Reason | None]]:
        """Return the windows at the hop, start in seconds and doubt; the last ends as it does."""
        channels = at_16_khz(samples, sample_rate)
        doubt: Reason | None = "narrow_band" if sample_rate <= NARROW_RATE else None
        last, hop = max(0, len(channels) - self._n_window), round(self.hop_s * self.sample_rate)
        return [
            (channels[start : start + self._n_window], start / self.sample_rate, doubt)
            for start in (*range(0, last, hop), last)
        ]

    def _listen(
        self, channels: NDArray[np.float32], concepts: Sequence[str], wants_shown: bool
    ) -> Heard:
        """Ask about each signal that the channels need, at most two; the surer one counts."""
        unique = list(dict.fromkeys(concepts))  # two wordings of one question are decoded once
        signals = [*audible(separate(channels))]
        read = self._readers.read(signals, unique, wants_shown=wants_shown)
        return Heard(
            readings=read.readings,
            shown=read.shown,
            level_dbfs=level_dbfs(channels),
            encode_ms=1000 * read.encode_s,
            answer_ms=1000 * read.answer_s,
        )


def load(
    name_or_path: str = "tiny",
    *,
    backend: str = "auto",
    n_threads: int | None = None,
    thresholds: Thresholds | None = None,
    llm: str = "auto",
) -> Engine:
    """Verify and load a bundle; arguments and errors as for open_bundle and Engine."""
    bundle = open_bundle(name_or_path)
    return Engine(bundle, backend=backend, n_threads=n_threads, thresholds=thresholds, llm=llm)


def _refuse_unlike(old: Bundle, new: Bundle) -> None:
    """Raise BundleError unless the new bundle runs in the old one's sessions."""
    fields = ("gguf", "prompt", "vocab_sha256", "n_embd", "window_s", "hop_s", "sample_rate")
    unlike = [f for f in fields if getattr(old.manifest, f) != getattr(new.manifest, f)]
    if unlike:
        raise BundleError(
            f"{new.id}: differs from {old.id} in {', '.join(unlike)}, not in its adapter alone; "
            "load it as another engine"
        )
