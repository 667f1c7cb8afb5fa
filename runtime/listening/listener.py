"""Source -> windows -> answers -> events, for hours or months.

The same code runs a microphone and a recording. A live source brings three things more: windows are
skipped to keep up, liveness is watched, and what was not heard is answered "unknown" at every hop.
What is asked may change between two windows, and a live source may be muted.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import replace
from pathlib import Path

from listen_edge.audio.limits import MIN_DURATION_S
from listen_edge.errors import AudioError, ListenEdgeError
from listen_edge.lines.answer import Answer, Reason
from listen_edge.lines.event import Ending, Event
from listen_edge.lines.health import Health
from listen_edge.lines.heard import HeardLine
from listen_edge.log_mel import SAMPLE_RATE
from listen_edge.runtime.engine import Engine
from listen_edge.runtime.listening.answering import Answering, Said
from listen_edge.runtime.listening.clips import ClipRecorder
from listen_edge.runtime.listening.events import Events
from listen_edge.runtime.listening.health import Counts, HealthReports
from listen_edge.runtime.listening.listen_config import ListenConfig
from listen_edge.runtime.listening.liveness import Liveness
from listen_edge.runtime.listening.pace import pace_warning
from listen_edge.runtime.listening.question import Question, by_concept
from listen_edge.runtime.listening.reception import Reception
from listen_edge.runtime.listening.window import Feed, Window
from listen_edge.runtime.sources import EndOfStream, Source
from listen_edge.runtime.sources.choose import open_source

Line = Answer | Event | Health | HeardLine
Turn = Callable[[], AbstractContextManager[bool]]  # gives whether others were waited for

_READ_S = 0.2  # longest wait for a block: how soon stop() is seen


class Listener:
    """Iterate over it once for answers, events and health as they come.

    Args:
        engine: answers the windows; used in turns alone, but for Engine.unheard.
        source: see sources.Source; opened and closed here.
        questions: see parse_concept; two wordings of one question are asked once.
        config: None: the bundle's settings of events, and the defaults of ListenConfig.
        turn: is entered around each use of an engine that others use too; None: nobody else does.

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
        questions: Sequence[str | Question],
        config: ListenConfig | None = None,
        *,
        turn: Turn | None = None,
    ) -> None:
        config = config or ListenConfig.of(engine.bundle.manifest.events)
        hop_s = engine.hop_s if config.hop_s is None else config.hop_s
        if not 0.1 <= hop_s <= engine.window_s:
            raise ListenEdgeError(
                f"--hop {hop_s:g}: expected 0.1 to {engine.window_s:g} s, the bundle's window"
            )
        self.hop_s = hop_s
        self._engine, self._source, self._config = engine, source, config
        self._turn = turn or (lambda: nullcontext(False))
        self._answering = Answering(
            engine, source.name, hearing=config.hearing, gate_dbfs=config.gate_dbfs
        )
        self._asked = self._as_asked(questions)
        self._wanted: deque[dict[str, Question]] = deque(maxlen=1)
        self._answering.questions = self.questions
        self._clips = None
        if config.clips_dir is not None:
            history_s = engine.window_s + config.trigger.confirm[1] * hop_s
            self._clips = ClipRecorder(config.clips_dir, history_s=history_s)
        self._events = Events(self._asked, hop_s, source.name, self._clips)
        self._reports = HealthReports(
            source.name, tick_s=config.liveness.tick_s, heartbeat_s=config.heartbeat_s
        )
        self._stop, self._mute = threading.Event(), threading.Event()
        self.liveness = Liveness(config.liveness, time.monotonic())  # a recording stays healthy
        self.counts = Counts()

    @property
    def concepts(self) -> list[str]:
        """What is asked about at the moment."""
        return list(self._asked)

    @property
    def questions(self) -> list[str]:
        """Their questions, in the same order."""
        return [asked.words for asked in self._asked.values()]

    @property
    def on_thresholds(self) -> list[float]:
        """The presence that begins an event of each."""
        return [asked.trigger.thresholds.on for asked in self._asked.values()]

    def change_questions(self, questions: Sequence[str | Question]) -> None:
        """Ask these from the next window on; those asked before keep their events. From any thread.

        Raises:
            QuestionError, ListenEdgeError: as for Listener; nothing changes.
        """
        self._wanted.append(self._as_asked(questions))

    def mute(self) -> None:
        """Close a live source soon: from then on all is "unknown (muted)". From any thread."""
        self._mute.set()

    def unmute(self) -> None:
        """Open a muted source again."""
        self._mute.clear()

    def stop(self) -> None:
        """End the iteration soon, events closed. From any thread or signal handler."""
        self._stop.set()

    def swap_adapter(self, name_or_path: str) -> None:
        """Use another bundle's adapter from the next window on, see Engine.swap_adapter.

        A health line tells what became of it. From any thread or signal handler.
        """
        self._answering.want_bundle(name_or_path)

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
                    yield from self._change_questions()
                    yield from self._answer(window)
        except EndOfStream:
            ending = "end_of_stream"
            for window in feed.finish():
                yield from self._answer(window)
            if self.counts.windows == 0:
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
            is_muted=self._mute.is_set(),
        )
        while not (self._stop.is_set() or reception.has_ended):
            yield from self._change_questions()
            yield from self._change_muting(reception)
            windows = reception.take(min(_READ_S, self.hop_s))
            if windows:
                yield from self._answer_newest(windows, reception)
            elif unheard := reception.unheard():
                yield from self._say(self._answering.unheard(*unheard))
            yield from self._watch(reception)
        if reception.has_ended and self.counts.windows == 0:
            raise AudioError(
                f"{self._source.name}: ended before {MIN_DURATION_S} s of sound had come; did what "
                "records it fail?"
            )
        yield from self._close_events("end_of_stream" if reception.has_ended else "stopped")

    def _change_muting(self, reception: Reception) -> Iterator[Line]:
        if self._mute.is_set() and not reception.is_muted:
            reception.mute()
            yield from self._close_events("muted")
        elif reception.is_muted and not self._mute.is_set():
            reception.unmute()

    def _answer_newest(self, windows: list[Window], reception: Reception) -> Iterator[Line]:
        with self._turn() as has_waited:
            if has_waited:
                windows = windows + reception.take_waiting()
            n_skipped, newest = len(windows) - 1, windows[-1]
            self.counts = replace(self.counts, dropped=self.counts.dropped + n_skipped)
            doubt: Reason | None = "overloaded" if n_skipped else None
            told = self._ask(newest, newest.doubt or doubt)
        yield from self._tell(*told)

    def _watch(self, reception: Reception) -> Iterator[Line]:
        """Tell what has changed, and that all is well from time to time."""
        reception.tend()
        live = self.liveness = reception.liveness
        self.counts = replace(self.counts, overflows=reception.n_overflows)
        news = self._reports.news(live, self.counts)
        if news is not None:
            yield news

    def _check_pace(self) -> Iterator[Line]:
        """Measure a window before listening, and propose a hop that this machine can keep."""
        if not self._config.checks_pace:
            return
        hearing = self._config.hearing
        with self._turn():
            warning = pace_warning(self._engine, self.questions, hearing, hop_s=self.hop_s)
        if warning is not None:
            yield self._health(warning)

    # Both.

    def _new_feed(self, begin_s: float) -> Feed:
        n_window, n_hop = (round(s * SAMPLE_RATE) for s in (self._engine.window_s, self.hop_s))
        tap = self._clips.hear if self._clips is not None else None
        return Feed(n_window, n_hop, begin_s=begin_s, tap=tap)

    def _as_asked(self, questions: Sequence[str | Question]) -> dict[str, Question]:
        asked = [self._config.asked(q) if isinstance(q, str) else q for q in questions]
        for one in asked:
            one.trigger.check_hop(self.hop_s)
        return by_concept(asked)

    def _change_questions(self) -> Iterator[Line]:
        if self._wanted:
            wanted = self._wanted.pop()
            yield from self._events.ask(wanted, self._engine.bundle.id)
            self._asked = wanted
            self._answering.questions = self.questions

    def _answer(self, window: Window) -> Iterator[Line]:
        with self._turn():
            told = self._ask(window, window.doubt)
        yield from self._tell(*told)

    def _ask(self, window: Window, doubt: Reason | None) -> tuple[str | None, Said]:
        """Ask about a window, and return what is to be told: of a swap, and of the window."""
        swapped, said = self._answering.swap(), self._answering.of_window(window, doubt)
        self.counts = replace(
            self.counts,
            windows=self.counts.windows + 1,
            gated=self.counts.gated + said.is_gated,
            lag_s=time.monotonic() - window.received_s,
            level_dbfs=said.level_dbfs,
        )
        return swapped, said

    def _tell(self, swapped: str | None, said: Said) -> Iterator[Line]:
        if swapped is not None:
            yield self._health(swapped)
        yield from self._say(said)

    def _say(self, said: Said) -> Iterator[Line]:
        """Give out what a window held, the answers about it, and the events they make."""
        if said.heard is not None:
            yield said.heard
        yield from said.answers
        yield from self._events.of(said.answers)
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
        return self._reports.line(message, self.liveness, self.counts)


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
