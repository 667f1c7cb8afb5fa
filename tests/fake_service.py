"""A service without microphones or model: what is heard is told to it. Its store is a real one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from listen_edge.errors import ListenEdgeError
from listen_edge.lines.answer import Answer, Reason, State
from listen_edge.lines.event import Event, Phase
from listen_edge.lines.health import Health
from listen_edge.question import parse_concept
from listen_edge.runtime.listening.listener import Line
from listen_edge.runtime.service.questions import UnknownIdError
from listen_edge.runtime.service.records.store import Store
from listen_edge.runtime.service.records.types import (
    Priority,
    QuestionStatus,
    Sounding,
    SourceStatus,
    StationState,
    StoredEvent,
)
from listen_edge.runtime.service.service import Service
from listen_edge.runtime.service.sharing import BusyError
from listen_edge.runtime.service.subscription import Subscription

BUNDLE = "fake@sha256:00000000"
WINDOW_S, HOP_S = 5.0, 2.0


class FakeService(Service):
    """Two sources, two questions, two outputs; see hear.

    Args:
        folder: for the store and its clips.

    Attributes:
        presences: of each concept in uploads; 0.02 of others, None: unknown.
        uploads: (shape, rate, questions) of what was asked.
        busy: raised by the next upload.
        fired: (output, question, source) of each trial.
        first: what heard_first tells.
        not_ready: why it is not ready, "" if it is.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "clips"
        self._folder.mkdir(exist_ok=True)
        self.store = Store(folder / "events.db", self._folder)
        now = datetime.now(timezone.utc)
        self._started_at, self._hop = now, 0
        self._sources = {
            key: _source(key, name, now) for key, name in (("kitchen", "Kitchen"), ("hall", "Hall"))
        }
        self._questions = {
            "siren": _question("siren", "siren?", ("kitchen", "hall"), 0.9, 0.5, "safety"),
            "kettle": _question("kettle", "kettle whistling?", ("kitchen",), 0.95, 0.6),
        }
        self._soundings: dict[tuple[str, str], Sounding] = {}
        self._open: dict[tuple[str, str], StoredEvent] = {}
        self._subscriptions: list[Subscription] = []
        self.presences: dict[str, float | None] = {"siren": 0.97}
        self.uploads: list[tuple[tuple[int, ...], int, list[str]]] = []
        self.busy: BusyError | None = None
        self.fired: list[tuple[str | None, str, str]] = []
        self.first = [("speech", 0.41, 0.93), ("dog barking", 0.07, 0.88)]
        self.not_ready = ""

    def start(self) -> None:
        """It never listens."""

    def stop(self, timeout_s: float = 5.0) -> None:
        """End streams and the store."""
        for subscription in list(self._subscriptions):
            subscription.close()
        self.store.close()

    # What tests let it hear

    def hear(
        self,
        source: str,
        question: str,
        presence: float | None,
        *,
        reason: Reason | None = None,
        level_dbfs: float | None = -31.5,
        at: datetime | None = None,
    ) -> Answer:
        """Answer as if a window had ended: the line, the sounding, the history, and events.

        Args:
            presence: None with a reason: nothing was listened to.
            at: end of the window; now if not given.
        """
        asked, at = self._questions[question], at or datetime.now(timezone.utc)
        self._hop += 1
        answer = _answer(asked, source, presence, reason, level_dbfs, self._hop)
        known = None if answer.state == "unknown" else presence
        self.store.add_presence(source, question, at, known)
        self.tell(answer)
        self._follow(answer, asked, at)
        self._soundings[source, question] = Sounding(
            source=source,
            question=question,
            state=answer.state,
            reason=answer.reason,
            presence=presence,
            is_sounding=(source, question) in self._open,
            at=at,
        )
        old = self._sources[source]
        self._change(
            source, level_dbfs=level_dbfs, n_windows=old.n_windows + 1, heard_at=at, lag_s=0.21
        )
        return answer

    def go(self, source: str, state: StationState, message: str | None = None) -> None:
        """Let a source come into a state."""
        self._change(source, state=state, message=message, since=datetime.now(timezone.utc))
        if state not in ("starting", "muted"):
            known = self._sources[source]
            self.tell(Health(source, state, message, known.n_windows, 0, 0, 0, 0, 0.2, None))

    def tell(self, line: Line) -> None:
        """Send a line to whoever looks on."""
        for subscription in list(self._subscriptions):
            subscription.offer(line)

    def keep_clip(self, event: StoredEvent, samples: NDArray[np.float32]) -> None:
        """Write an event's sound, (n_samples,) at 16 kHz."""
        assert event.clip is not None
        soundfile.write(self._folder / event.clip, samples, 16_000)

    def _follow(self, answer: Answer, asked: QuestionStatus, at: datetime) -> None:
        """Begin, go on or end an event, without confirmation."""
        key, presence = (answer.source, asked.id), answer.presence or 0.0
        if key not in self._open and answer.state == "present" and presence >= asked.on:
            self._open[key] = self.store.begin(
                source=answer.source,
                question=asked.id,
                ask=asked.ask,
                concept=asked.concept,
                started_at=at - timedelta(seconds=HOP_S),
                peak_presence=presence,
                level_dbfs=answer.level_dbfs,
                on=asked.on,
                off=asked.off,
                bundle=BUNDLE,
                duration_s=HOP_S,
                clip=f"{asked.id}-{self._hop}.flac",
            )
            self.tell(_event_line("start", self._open[key]))
        elif key in self._open and (answer.presence is None or presence < asked.off):
            begun = self._open.pop(key)
            ended = self.store.end(
                begun.id,
                ended_at=at,
                duration_s=(at - begun.started_at).total_seconds(),
                peak_presence=begun.peak_presence,
                reason="no_audio" if answer.presence is None else "not_heard",
            )
            n_samples = round(16_000 * min(10.0, ended.duration_s))
            tone = np.sin(2 * np.pi * 900 * np.arange(n_samples) / 16_000, dtype=np.float32)
            self.keep_clip(ended, 0.3 * tone)
            self.tell(_event_line("end", ended))

    def _change(self, source: str, **changes: Any) -> None:
        known = self._sources[source]
        values = {name: getattr(known, name) for name in known.__dataclass_fields__}
        self._sources[source] = SourceStatus(**{**values, **changes})

    # What a service is asked

    def sources(self) -> list[SourceStatus]:
        return list(self._sources.values())

    def questions(self) -> list[QuestionStatus]:
        return list(self._questions.values())

    def soundings(self) -> list[Sounding]:
        return list(self._soundings.values())

    def is_ready(self) -> tuple[bool, str]:
        return not self.not_ready, self.not_ready

    def add_question(
        self,
        ask: str,
        sources: Sequence[str] | None = None,
        on: float | None = None,
        off: float | None = None,
        priority: Priority = "normal",
    ) -> QuestionStatus:
        concept = parse_concept(ask)
        for source in sources or ():
            self._known(self._sources, source)
        if any(question.concept == concept for question in self._questions.values()):
            raise ListenEdgeError(f'"{concept}" is asked already; remove that question first')
        key = "".join(c if c.isascii() and c.isalnum() else "-" for c in concept).strip("-")[:64]
        question = _question(
            key or "question",
            ask,
            tuple(sources or self._sources),
            *_thresholds(0.95 if on is None else on, 0.6 if off is None else off),
            priority,
            from_config=False,
        )
        self._questions[question.id] = question
        return question

    def remove_question(self, question: str) -> None:
        self._known(self._questions, question)
        del self._questions[question]

    def set_thresholds(self, question: str, on: float, off: float) -> QuestionStatus:
        old = self._known(self._questions, question)
        values = {name: getattr(old, name) for name in old.__dataclass_fields__}
        on, off = _thresholds(on, off)
        self._questions[question] = QuestionStatus(**{**values, "on": on, "off": off})
        return self._questions[question]

    def mute(self, source: str, until: datetime | None = None) -> None:
        self._known(self._sources, source)
        self.go(source, "muted", f"muted until {until:%H:%M}" if until else None)

    def unmute(self, source: str) -> None:
        self._known(self._sources, source)
        self.go(source, "healthy")

    def ask(
        self,
        samples: NDArray[np.generic],
        sample_rate: int,
        questions: Sequence[str],
        *,
        timeout_s: float,
    ) -> list[Answer]:
        if self.busy is not None:
            raise self.busy
        self.uploads.append((samples.shape, sample_rate, list(questions)))
        answers = []
        for words in questions:
            asked = _question("upload", words, (), 0.9, 0.5)
            presence = self.presences.get(asked.concept, 0.02)
            reason: Reason | None = "inaudible" if presence is None else None
            answers.append(_answer(asked, "samples", presence, reason, -30.0, 1))
        return answers

    def test_fire(
        self, output: str | None, question: str, source: str
    ) -> list[tuple[str, str | None]]:
        names = [one["name"] for one in self.outputs()]
        if output is not None and output not in names:
            raise UnknownIdError("output", output, names)
        self.fired.append((output, question, source))
        errors = {"webhook:phone": "webhook phone: connection refused; is the receiver running?"}
        return [(name, errors.get(name)) for name in names if output in (None, name)]

    def outputs(self) -> list[dict[str, Any]]:
        return [
            {"name": "lines", "n_delivered": 12, "n_pending": 0, "error": None},
            {"name": "webhook:phone", "n_delivered": 9, "n_pending": 3, "error": "refused"},
        ]

    def subscribe(self, kinds: tuple[type[Line], ...]) -> Subscription:
        subscription = Subscription(kinds, on_close=self._subscriptions.remove)
        self._subscriptions.append(subscription)
        return subscription

    def engine_info(self) -> dict[str, Any]:
        return {
            "bundle": BUNDLE,
            "backend": "cpu",
            "n_threads": 2,
            "window_s": WINDOW_S,
            "hop_s": HOP_S,
            "n_waiting": 0,
            "busy_share": 0.18,
        }

    def heard_first(self) -> list[tuple[str, float, float]]:
        return self.first

    @property
    def clips(self) -> Path | None:
        return self._folder

    def _known(self, table: dict[str, Any], key: str) -> Any:
        if key not in table:
            raise UnknownIdError("id", key, list(table))
        return table[key]


def _source(key: str, name: str, now: datetime) -> SourceStatus:
    return SourceStatus(
        id=key,
        name=name,
        state="healthy",
        message=None,
        since=now,
        level_dbfs=None,
        lag_s=0.0,
        n_windows=0,
        n_dropped=0,
        n_overflows=0,
        n_restarts=0,
        heard_at=None,
    )


def _question(
    key: str,
    ask: str,
    sources: tuple[str, ...],
    on: float,
    off: float,
    priority: Priority = "normal",
    from_config: bool = True,
) -> QuestionStatus:
    return QuestionStatus(
        id=key,
        ask=ask,
        concept=parse_concept(ask),
        sources=sources,
        on=on,
        off=off,
        priority=priority,
        is_quiet=False,
        calibrated=True,
        from_config=from_config,
    )


def _thresholds(on: float, off: float) -> tuple[float, float]:
    if not 0 < off < on <= 1:
        raise ListenEdgeError(f"on {on:g}, off {off:g}: expected 0 < off < on <= 1")
    return on, off


def _answer(
    asked: QuestionStatus,
    source: str,
    presence: float | None,
    reason: Reason | None,
    level_dbfs: float | None,
    hop: int,
) -> Answer:
    state: State = "unknown"
    if reason is None and presence is not None:
        state = (
            "present" if presence >= asked.on else "absent" if presence < asked.off else "unknown"
        )
        reason = "uncertain" if state == "unknown" else None
    return Answer(
        question=asked.ask,
        concept=asked.concept,
        state=state,
        reason=reason,
        presence=presence,
        head_logit=None if presence is None else 1.0,
        logit_margin=None,
        prior_margin=None,
        calibrated=True,
        window_s=(HOP_S * hop, HOP_S * hop + WINDOW_S),
        level_dbfs=level_dbfs,
        encode_ms=20.0,
        answer_ms=1.0,
        source=source,
        bundle=BUNDLE,
    )


def _event_line(phase: Phase, event: StoredEvent) -> Event:
    return Event(
        phase=phase,
        question=event.ask,
        concept=event.concept,
        start_s=0.0,
        duration_s=event.duration_s,
        peak_presence=event.peak_presence,
        notice=None,
        reason="not_heard" if phase == "end" else None,
        clip=event.clip,
        source=event.source,
        bundle=event.bundle,
    )
