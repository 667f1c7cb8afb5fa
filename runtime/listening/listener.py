"""Source -> windows -> answers -> events, for hours or months.

The same code runs a microphone and a recording. A live source brings three things more: windows are
skipped to keep up, liveness is watched, and what was not heard is answered "unknown" at every hop.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from listen_edge.audio import level_dbfs
from listen_edge.audio.audibility import is_below
from listen_edge.audio.limits import MIN_DURATION_S
from listen_edge.bundle.opening import open_bundle
from listen_edge.errors import AudioError, ListenEdgeError
from listen_edge.event_settings import EventSettings
from listen_edge.lines.answer import Answer, Reason
from listen_edge.lines.event import Ending, Event
from listen_edge.lines.health import Health
from listen_edge.lines.heard import HeardLine
from listen_edge.log_mel import SAMPLE_RATE
from listen_edge.question import parse_concept
from listen_edge.runtime.answers import unheard_sounds
from listen_edge.runtime.engine import Engine
from listen_edge.runtime.hear_config import HearConfig
from listen_edge.runtime.listening.clips import ClipRecorder
from listen_edge.runtime.listening.events import Events
from listen_edge.runtime.listening.health import Counts, HealthReports
from listen_edge.runtime.listening.liveness import Liveness, LivenessConfig
from listen_edge.runtime.listening.pace import pace_warning
from listen_edge.runtime.listening.reception import Reception
from listen_edge.runtime.listening.trigger import Trigger, TriggerConfig
from listen_edge.runtime.listening.window import Feed, Window
from listen_edge.runtime.sources import EndOfStream, Source
from listen_edge.runtime.sources.choose import open_source
from listen_edge.runtime.thresholds import Thresholds

Line = Answer | Event | Health | HeardLine

_READ_S = 0.2  # longest wait for a block: how soon stop() is seen


@dataclass(frozen=True)
class ListenConfig:
    """How to listen.

    Attributes:
        hop_s: seconds between windows; None: the bundle's.
        hearing: what to tell of each window beside the answers; None: nothing.
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
    hearing: HearConfig | None = None
    trigger: TriggerConfig = field(default_factory=TriggerConfig)
    thresholds: Mapping[str, Thresholds] = field(default_factory=dict)
    gate_dbfs: float | None = None
    liveness: LivenessConfig = field(default_factory=LivenessConfig)
    waits_for_device: bool = False
    clips_dir: Path | None = None
    heartbeat_s: float = 60.0

    @classmethod
    def of(cls, settings: EventSettings | None) -> ListenConfig:
        """Return how to listen with a bundle that carries these settings, see Manifest.events."""
        if settings is None:
            return cls()
        thresholds = Thresholds(settings.on, settings.off)
        own = {one.concept: Thresholds(one.on, one.off) for one in settings.by_concept}
        return cls(trigger=TriggerConfig(thresholds, settings.confirm), thresholds=own)


class Listener:
    """Iterate over it once for answers, events and health as they come.

    Args:
        engine: answers the windows; not to be used elsewhere meanwhile.
        source: see sources.Source; opened and closed here.
        questions: see parse_concept; two wordings of one question are asked once.
        config: None: the bundle's settings of events, and the defaults of ListenConfig.

    Raises:
        ListenEdgeError: an impossible configuration.
        QuestionError: a question that names no sound.
        BundleError: sounds are to be told by a bundle without a question head.
        AudioError: while iterating: a live source is not there at the start, or ends before it was
            heard; a recording is damaged or stalls.
    """

    def __init__(
        self,
        engine: Engine,
        source: Source,
        questions: Sequence[str],
        config: ListenConfig | None = None,
    ) -> None:
        config = config or ListenConfig.of(engine.bundle.manifest.events)
        hop_s = engine.hop_s if config.hop_s is None else config.hop_s
        if not 0.1 <= hop_s <= engine.window_s:
            raise ListenEdgeError(
                f"--hop {hop_s:g}: expected 0.1 to {engine.window_s:g} s, the bundle's window"
            )
        if config.hearing is not None:
            engine.bundle.require_head()
        by_concept = {parse_concept(question): question for question in reversed(questions)}
        self.concepts = list(reversed(by_concept))
        self.questions = [by_concept[concept] for concept in self.concepts]
        self.hop_s = hop_s
        self._engine, self._source, self._config = engine, source, config
        thresholds = [config.thresholds.get(c, config.trigger.thresholds) for c in self.concepts]
        self.on_thresholds = [limits.on for limits in thresholds]
        self._clips = None
        if config.clips_dir is not None:
            history_s = engine.window_s + config.trigger.confirm[1] * hop_s
            self._clips = ClipRecorder(config.clips_dir, history_s=history_s)
        triggers = (Trigger(limits, config.trigger, hop_s) for limits in thresholds)
        self._events = Events(
            dict(zip(self.concepts, triggers, strict=True)), by_concept, source.name, self._clips
        )
        self._reports = HealthReports(
            source.name, tick_s=config.liveness.tick_s, heartbeat_s=config.heartbeat_s
        )
        self._stop = threading.Event()
        self._wanted_bundle: str | None = None
        self._liveness = Liveness(config.liveness, time.monotonic())  # a recording stays healthy
        self._counts = Counts()

    def stop(self) -> None:
        """End the iteration soon, events closed. From any thread or signal handler."""
        self._stop.set()

    def swap_adapter(self, name_or_path: str) -> None:
        """Use another bundle's adapter from the next window on, see Engine.swap_adapter.

        A health line tells what became of it. From any thread or signal handler.
        """
        self._wanted_bundle = name_or_path

    def __iter__(self) -> Generator[Line, None, None]:
        try:
            yield from self._listen_live() if self._source.is_live else self._listen_through()
        finally:
            self._source.close()
            if self._clips is not None:
                self._clips.close()

    # A recording: every window is answered, a loss is an error.

    def _listen_through(self) -> Iterator[Line]:
        self._source.open()
        feed, heard_at_s = self._new_feed(0.0), time.monotonic()
        ending: Ending = "stopped"
        try:
            while not self._stop.is_set():
                block = self._source.read(_READ_S)
                if block is None:
                    self._refuse_stall(time.monotonic() - heard_at_s)
                    continue
                heard_at_s = time.monotonic()
                for window in feed.push(block):
                    yield from self._answer(window, window.doubt)
        except EndOfStream:
            ending = "end_of_stream"
            for window in feed.finish():
                yield from self._answer(window, window.doubt)
            if self._counts.windows == 0:
                raise AudioError(
                    f"{self._source.name}: holds less than {MIN_DURATION_S} s of sound"
                ) from None
        except AudioError:
            yield from self._close_events("no_audio")
            raise
        yield from self._close_events(ending)

    def _refuse_stall(self, silent_s: float) -> None:
        if silent_s >= self._config.liveness.silent_after_s:
            raise AudioError(
                f"{self._source.name}: no audio for {silent_s:.0f} s; is it reachable?"
            )

    # A live source: the newest window is answered, a loss is mended.

    def _listen_live(self) -> Iterator[Line]:
        yield from self._check_pace()
        reception = Reception(
            self._source,
            self._new_feed,
            hop_s=self.hop_s,
            config=self._config.liveness,
            waits_for_device=self._config.waits_for_device,
        )
        while not (self._stop.is_set() or reception.has_ended):
            windows = reception.take(min(_READ_S, self.hop_s))
            if windows:
                n_skipped = len(windows) - 1
                self._counts = replace(self._counts, dropped=self._counts.dropped + n_skipped)
                doubt: Reason | None = "overloaded" if n_skipped else None
                yield from self._answer(windows[-1], windows[-1].doubt or doubt)
            elif unheard := reception.unheard():
                reason, span_s = unheard
                yield from self._say(*self._unheard(reason, span_s))
            yield from self._watch(reception)
        if reception.has_ended and self._counts.windows == 0:
            raise AudioError(
                f"{self._source.name}: ended before {MIN_DURATION_S} s of sound had come; did what "
                "records it fail?"
            )
        yield from self._close_events("end_of_stream" if reception.has_ended else "stopped")

    def _watch(self, reception: Reception) -> Iterator[Line]:
        """Tell what has changed, and that all is well from time to time."""
        reception.tend()
        live = self._liveness = reception.liveness
        self._counts = replace(self._counts, overflows=reception.n_overflows)
        news = self._reports.news(live, self._counts)
        if news is not None:
            yield news

    def _check_pace(self) -> Iterator[Line]:
        """Measure a window before listening, and propose a hop that this machine can keep."""
        hearing = self._config.hearing
        warning = pace_warning(self._engine, self.questions, hearing, hop_s=self.hop_s)
        if warning is not None:
            yield self._health(warning)

    # Both.

    def _new_feed(self, begin_s: float) -> Feed:
        n_window, n_hop = (round(s * SAMPLE_RATE) for s in (self._engine.window_s, self.hop_s))
        tap = self._clips.hear if self._clips is not None else None
        return Feed(n_window, n_hop, begin_s=begin_s, tap=tap)

    def _swap(self) -> Iterator[Line]:
        wanted, self._wanted_bundle = self._wanted_bundle, None
        if wanted is None:
            return
        try:
            bundle = open_bundle(wanted)
            if self._config.hearing is not None:
                bundle.require_head()
            self._engine.swap_adapter(bundle)
            yield self._health(f"answers with {self._engine.bundle.id} from now on")
        except ListenEdgeError as err:
            yield self._health(f"{self._engine.bundle.id} goes on: {err}")

    def _answer(self, window: Window, doubt: Reason | None) -> Iterator[Line]:
        yield from self._swap()
        level = level_dbfs(window.samples)
        gate_dbfs, can_gate = self._config.gate_dbfs, doubt in (None, "narrow_band")
        is_gated = can_gate and gate_dbfs is not None and is_below(gate_dbfs, window.samples)
        if is_gated:
            found = self._unheard("below_gate", (window.begin_s, window.end_s), level)
        else:
            found = self._engine.listen_window(
                window.samples,
                self.questions,
                self._config.hearing,
                start_s=window.begin_s,
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
        yield from self._say(*found)

    def _unheard(
        self, reason: Reason, window_s: tuple[float, float], level: float | None = None
    ) -> tuple[list[Answer], HeardLine | None]:
        engine, name = self._engine, self._source.name
        answers = engine.unheard(
            self.questions, reason, window_s=window_s, source=name, level=level
        )
        if self._config.hearing is None:
            return answers, None
        return answers, unheard_sounds(
            reason, engine.bundle, window_s=window_s, source=name, level=level
        )

    def _say(self, answers: list[Answer], heard: HeardLine | None) -> Iterator[Line]:
        """Give out what a window held, the answers about it, and the events they make."""
        if heard is not None:
            yield heard
        yield from answers
        yield from self._events.of(answers)
        yield from self._tell_clip_problems()

    def _close_events(self, ending: Ending) -> Iterator[Line]:
        yield from self._events.close(ending, self._engine.bundle.id)
        if self._clips is not None:
            self._clips.close()
        yield from self._tell_clip_problems()

    def _tell_clip_problems(self) -> Iterator[Line]:
        for problem in self._clips.take_problems() if self._clips is not None else ():
            yield self._health(problem)

    def _health(self, message: str) -> Health:
        return self._reports.line(message, self._liveness, self._counts)


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
        config: as for Listener.
        on_event, on_health: called between answers; Listener yields all three instead.

    Raises:
        As Listener.
    """
    if isinstance(source, (str, Path)):
        source = open_source(source)
    with closing(iter(Listener(engine, source, questions, config))) as lines:
        for line in lines:
            if isinstance(line, Answer):
                yield line
            elif isinstance(line, Event):
                if on_event is not None:
                    on_event(line)
            elif isinstance(line, Health) and on_health is not None:
                on_health(line)
