"""Source -> windows -> answers -> events, for hours or months.

The same code runs a microphone and a recording. A live source brings three things more: windows are
skipped to keep up, liveness is watched, and what was not heard is answered "unknown" at every hop.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median

import numpy as np

from listen_edge.answer import Answer, Reason
from listen_edge.audio import MIN_DURATION_S, level_dbfs
from listen_edge.errors import AudioError, ListenEdgeError
from listen_edge.event import Ending, Event, Health
from listen_edge.log_mel import SAMPLE_RATE
from listen_edge.question import parse_concept
from listen_edge.runtime.clips import ClipRecorder
from listen_edge.runtime.engine import Engine
from listen_edge.runtime.liveness import Liveness, LivenessConfig
from listen_edge.runtime.score import Thresholds, is_below
from listen_edge.runtime.sources import Block, EndOfStream, Source
from listen_edge.runtime.sources.choose import open_source
from listen_edge.runtime.trigger import Change, Trigger, TriggerConfig
from listen_edge.runtime.window import Feed, Window

Line = Answer | Event | Health

_READ_S = 0.2  # longest wait for a block: how soon stop() is seen
_STALE_S = 1.0  # without audio, beyond the hop
_HEADROOM = 0.7  # of the hop that a window may take before the machine is too slow for it
_PACE_REPEATS = 3


@dataclass(frozen=True)
class ListenConfig:
    """How to listen.

    Attributes:
        hop_s: seconds between windows; None: the bundle's.
        trigger: when presence becomes an event.
        thresholds: of events, by concept, for those that differ from the trigger's.
        gate_dbfs: windows whose loudest 0.1 s is below are "absent (below_gate)", without the LLM;
            None: no gate.
        liveness: when a live source is opened again.
        waits_for_device: a live source that is not there yet is waited for, not an error.
        clips_dir: where the sound of events is kept; None: nowhere.
        heartbeat_s: between health lines when nothing changes.
    """

    hop_s: float | None = None
    trigger: TriggerConfig = field(default_factory=TriggerConfig)
    thresholds: Mapping[str, Thresholds] = field(default_factory=dict)
    gate_dbfs: float | None = None
    liveness: LivenessConfig = field(default_factory=LivenessConfig)
    waits_for_device: bool = False
    clips_dir: Path | None = None
    heartbeat_s: float = 60.0


class Listener:
    """Iterate over it once for answers, events and health as they come.

    Args:
        engine: answers the windows; not to be used elsewhere meanwhile.
        source: see sources.Source; opened and closed here.
        questions: see parse_concept; two wordings of one question are asked once.
        config: see ListenConfig.

    Raises:
        ListenEdgeError: an impossible configuration.
        QuestionError: a question that names no sound.
        AudioError: while iterating: a live source is not there at the start; a recording is
            damaged or stalls.
    """

    def __init__(
        self,
        engine: Engine,
        source: Source,
        questions: Sequence[str],
        config: ListenConfig | None = None,
    ) -> None:
        config = config or ListenConfig()
        hop_s = engine.hop_s if config.hop_s is None else config.hop_s
        if not 0.1 <= hop_s <= engine.window_s:
            raise ListenEdgeError(
                f"--hop {hop_s:g}: expected 0.1 to {engine.window_s:g} s, the bundle's window"
            )
        by_concept = {parse_concept(question): question for question in reversed(questions)}
        self.concepts = list(reversed(by_concept))
        self.questions = [by_concept[concept] for concept in self.concepts]
        self.hop_s = hop_s
        self._engine, self._source, self._config = engine, source, config
        thresholds = [config.thresholds.get(c, config.trigger.thresholds) for c in self.concepts]
        self.on_thresholds = [limits.on for limits in thresholds]
        self._triggers = [Trigger(limits, config.trigger, hop_s) for limits in thresholds]
        self._clips = None
        if config.clips_dir is not None:
            history_s = engine.window_s + config.trigger.confirm[1] * hop_s
            self._clips = ClipRecorder(config.clips_dir, history_s=history_s)
        self._clip_paths: dict[str, str] = {}
        self._stop = threading.Event()
        self._counts = _Counts()
        self._begin(time.monotonic())

    def stop(self) -> None:
        """End the iteration soon, events closed. From any thread or signal handler."""
        self._stop.set()

    def __iter__(self) -> Iterator[Line]:
        self._begin(time.monotonic())
        try:
            yield from self._listen_live() if self._source.is_live else self._listen_through()
        finally:
            self._source.close()
            if self._clips is not None:
                self._clips.close()

    def _begin(self, now_s: float) -> None:
        self._liveness = Liveness(self._config.liveness, now_s)
        self._feed = self._new_feed()
        self._is_open = self._has_heard = False
        self._origin_s = 0.0  # of the feed, in seconds of the stream
        self._end_s, self._end_at_s = 0.0, now_s  # of the last answer; and when, by the clock
        self._frames_at_s = self._line_at_s = self._health_at_s = now_s
        self._said: tuple[str, int, str | None] = self._liveness.state, 0, None
        self._reported = self._counts

    # A recording: every window is answered, a loss is an error.

    def _listen_through(self) -> Iterator[Line]:
        self._source.open()
        ending: Ending = "stopped"
        try:
            while not self._stop.is_set():
                block = self._source.read(_READ_S)
                if block is None:
                    self._refuse_stall()
                    continue
                self._frames_at_s = time.monotonic()
                for window in self._feed.push(block):
                    yield from self._answer(window, window.doubt)
        except EndOfStream:
            ending = "end_of_stream"
            for window in self._feed.finish():
                yield from self._answer(window, window.doubt)
            if self._counts.windows == 0:
                raise AudioError(
                    f"{self._source.name}: holds less than {MIN_DURATION_S} s of sound"
                ) from None
        except AudioError:
            yield from self._close_events("no_audio")
            raise
        yield from self._close_events(ending)

    def _refuse_stall(self) -> None:
        silent_s = time.monotonic() - self._frames_at_s
        if silent_s >= self._config.liveness.silent_after_s:
            raise AudioError(
                f"{self._source.name}: no audio for {silent_s:.0f} s; is it reachable?"
            )

    # A live source: the newest window is answered, a loss is mended.

    def _listen_live(self) -> Iterator[Line]:
        yield from self._check_pace()
        self._begin(time.monotonic())
        self._open()
        ending: Ending = "stopped"
        while not self._stop.is_set() and ending == "stopped":
            windows: list[Window] = []
            try:
                self._drain(windows)
            except EndOfStream:
                ending = "end_of_stream"
                windows += self._feed.finish()
            except AudioError as err:
                self._lose(err)
            if windows:
                n_skipped = len(windows) - 1
                self._counts = replace(self._counts, dropped=self._counts.dropped + n_skipped)
                doubt: Reason | None = "overloaded" if n_skipped else None
                yield from self._answer(windows[-1], windows[-1].doubt or doubt)
            else:
                yield from self._answer_unheard(time.monotonic())
            yield from self._watch(time.monotonic())
        yield from self._close_events(ending)

    def _open(self) -> None:
        self._source.close()
        self._feed = self._new_feed()
        self._frames_at_s = time.monotonic()
        self._is_open = True
        try:
            self._source.open()
        except AudioError as err:
            self._lose(err)

    def _lose(self, err: AudioError) -> None:
        if not (self._has_heard or self._config.waits_for_device):
            raise err
        self._source.close()
        self._is_open = False
        self._liveness.lost(time.monotonic(), str(err))

    def _drain(self, windows: list[Window]) -> None:
        """Take all blocks that wait, for a moment the first, and add the windows they complete."""
        if not self._is_open:
            self._stop.wait(_READ_S)
            return
        block = self._source.read(min(_READ_S, self.hop_s))
        while block is not None:
            self._hear(block)
            windows += self._feed.push(block)
            block = self._source.read(0.0)

    def _hear(self, block: Block) -> None:
        if self._is_stale(block.received_s):
            self._feed = self._new_feed()  # no window spans a gap
        if self._feed.n_blocks == 0 and self._end_s > 0:
            self._origin_s = self._stream_s(block.received_s - len(block.samples) / block.rate)
        if not self._has_heard or self._liveness.heard(block.received_s):
            self._liveness.heard(block.received_s)
            self._liveness.message = (
                f"{'listening again' if self._has_heard else 'listening'} at {block.rate} Hz, "
                f"{block.samples.shape[1]} channels"
            )
        self._has_heard = True
        self._frames_at_s = block.received_s
        if block.has_overflowed:
            self._counts = replace(self._counts, overflows=self._counts.overflows + 1)

    def _answer_unheard(self, now_s: float) -> Iterator[Line]:
        """Say "unknown" at every hop in which there was no window to answer."""
        reason = self._why_unheard(now_s)
        if reason is None or now_s - self._line_at_s < self.hop_s:
            return
        window_s = self._end_s, self._stream_s(now_s)
        answers = self._engine.unheard(
            self.questions, reason, window_s=window_s, source=self._source.name
        )
        self._end_s, self._end_at_s = window_s[1], now_s
        yield from self._say(answers)

    def _why_unheard(self, now_s: float) -> Reason | None:
        if self._liveness.state != "healthy":
            return "no_audio"
        if not self._has_heard:
            return None  # the source is being opened: either it delivers soon, or it is an error
        if self._is_stale(now_s):
            return "stale"
        return None if self._feed.has_windows else "warming_up"

    def _is_stale(self, now_s: float) -> bool:
        return now_s - self._frames_at_s > self.hop_s + _STALE_S

    def _stream_s(self, now_s: float) -> float:
        return self._end_s + max(0.0, now_s - self._end_at_s)

    def _watch(self, now_s: float) -> Iterator[Line]:
        """Open the source again when it is time, and tell what has changed."""
        live = self._liveness
        if live.tick(now_s):
            self._open()
        said = live.state, live.n_restarts, live.message
        losses = self._counts.describe_losses(self._reported)
        since_s = now_s - self._health_at_s
        if said != self._said:
            yield self._health("; ".join(filter(None, [live.message, losses])), now_s)
        elif losses and since_s >= self._config.liveness.tick_s:
            yield self._health(losses, now_s)
        elif since_s >= self._config.heartbeat_s:
            yield self._health(None, now_s)
        self._said = said

    def _check_pace(self) -> Iterator[Line]:
        """Measure a window before listening, and propose a hop that this machine can keep."""
        seconds = window_seconds(self._engine, self.questions)
        remedy = pace_remedy(seconds, self.hop_s, self._engine.window_s)
        if remedy is not None:
            yield self._health(
                f"a window with {len(self.questions)} questions takes {seconds:.2f} s here, too "
                f"long for a hop of {self.hop_s:g} s; {remedy}",
                time.monotonic(),
            )

    # Both.

    def _new_feed(self) -> Feed:
        n_window, n_hop = (round(s * SAMPLE_RATE) for s in (self._engine.window_s, self.hop_s))
        return Feed(n_window, n_hop, self._clips.hear if self._clips is not None else None)

    def _answer(self, window: Window, doubt: Reason | None) -> Iterator[Line]:
        start_s = self._origin_s + window.start / SAMPLE_RATE
        gate_dbfs, level = self._config.gate_dbfs, level_dbfs(window.samples)
        is_gated = gate_dbfs is not None and doubt is None and is_below(gate_dbfs, window.samples)
        self._end_s, self._end_at_s = start_s + len(window.samples) / SAMPLE_RATE, window.received_s
        if is_gated and level is not None:
            answers = self._engine.unheard(
                self.questions,
                "below_gate",
                window_s=(start_s, self._end_s),
                source=self._source.name,
                level=level,
            )
        else:
            answers = self._engine.answer_window(
                window.samples,
                self.questions,
                start_s=start_s,
                source=self._source.name,
                doubt=doubt,
            )
        self._counts = replace(
            self._counts,
            windows=self._counts.windows + 1,
            gated=self._counts.gated + is_gated,
            lag_s=time.monotonic() - window.received_s,
            level_dbfs=level,
        )
        yield from self._say(answers)

    def _say(self, answers: list[Answer]) -> Iterator[Line]:
        self._line_at_s = time.monotonic()
        yield from answers
        for answer, trigger in zip(answers, self._triggers, strict=True):
            presence = 0.0 if answer.reason == "below_gate" else answer.presence
            change = trigger.update(self._end_s, presence)
            if change is not None:
                yield self._event(answer.question, answer.concept, change)
        yield from self._tell_clip_problems()

    def _close_events(self, ending: Ending) -> Iterator[Line]:
        for question, concept, trigger in zip(
            self.questions, self.concepts, self._triggers, strict=True
        ):
            change = trigger.close(ending)
            if change is not None:
                yield self._event(question, concept, change)
        if self._clips is not None:
            self._clips.close()
        yield from self._tell_clip_problems()

    def _tell_clip_problems(self) -> Iterator[Line]:
        for problem in self._clips.take_problems() if self._clips is not None else ():
            yield self._health(problem, time.monotonic())

    def _event(self, question: str, concept: str, change: Change) -> Event:
        if self._clips is not None and change.phase == "start":
            ago_s = self._end_s - change.start_s
            self._clip_paths[concept] = self._clips.begin(concept, ago_s)
        if self._clips is not None and change.phase == "end":
            self._clips.end(concept)
        return Event(
            phase=change.phase,
            question=question,
            concept=concept,
            start_s=max(0.0, change.start_s),
            duration_s=change.duration_s,
            peak_presence=change.peak_presence,
            notice="long_event" if change.is_long else None,
            reason=change.ending,
            clip=self._clip_paths.get(concept),
            source=self._source.name,
            bundle=self._engine.bundle.id,
        )

    def _health(self, message: str | None, now_s: float) -> Health:
        self._health_at_s, self._reported = now_s, self._counts
        return Health(
            source=self._source.name,
            state=self._liveness.state,
            message=message,
            n_windows=self._counts.windows,
            n_dropped=self._counts.dropped,
            n_gated=self._counts.gated,
            n_overflows=self._counts.overflows,
            n_restarts=self._liveness.n_restarts,
            lag_s=self._counts.lag_s,
            level_dbfs=self._counts.level_dbfs,
        )


@dataclass(frozen=True)
class _Counts:
    """Since the start; lag and level are the last window's."""

    windows: int = 0
    dropped: int = 0
    gated: int = 0
    overflows: int = 0
    lag_s: float = 0.0
    level_dbfs: float | None = None

    def describe_losses(self, before: _Counts) -> str:
        dropped, overflows = self.dropped - before.dropped, self.overflows - before.overflows
        parts = [f"{dropped} windows skipped to keep up"] if dropped else []
        parts += [f"{overflows} overflows, samples were lost"] if overflows else []
        return ", ".join(parts)


def listen(
    engine: Engine,
    source: Source | str | Path,
    questions: Sequence[str],
    config: ListenConfig | None = None,
    *,
    on_event: Callable[[Event], None] | None = None,
    on_health: Callable[[Health], None] | None = None,
) -> Iterator[Answer]:
    """Yield the answers about a source, window by window, for as long as it lasts.

    Args:
        engine: see load.
        source: a Source; or "mic", "mic:part of a device's name", a URL that ffmpeg plays, or the
            path of a recording or of a folder of them.
        questions: see parse_concept.
        config: see ListenConfig.
        on_event, on_health: called between answers; Listener yields all three instead.

    Raises:
        As Listener.
    """
    if isinstance(source, (str, Path)):
        source = open_source(source)
    for line in Listener(engine, source, questions, config):
        if isinstance(line, Answer):
            yield line
        elif isinstance(line, Event):
            if on_event is not None:
                on_event(line)
        elif on_health is not None:
            on_health(line)


def pace_remedy(seconds: float, hop_s: float, longest_hop_s: float) -> str | None:
    """Return what to do where a window takes too many seconds for the hop, None if it does not."""
    if seconds <= _HEADROOM * hop_s:
        return None
    sustainable_s = math.ceil(2 * seconds / _HEADROOM) / 2
    hop = f"use --hop {sustainable_s:g}, or " if sustainable_s <= longest_hop_s else ""
    return f"{hop}ask fewer questions"


def window_seconds(engine: Engine, questions: Sequence[str]) -> float:
    """Return the median seconds that a window of noise takes."""
    noise = np.random.default_rng(0).normal(0, 0.05, round(engine.window_s * SAMPLE_RATE))
    seconds = []
    engine.answer_window(noise.astype(np.float32), questions)  # computes the priors, once
    for _ in range(_PACE_REPEATS):
        started = time.perf_counter()
        engine.answer_window(noise.astype(np.float32), questions)
        seconds.append(time.perf_counter() - started)
    return median(seconds)
