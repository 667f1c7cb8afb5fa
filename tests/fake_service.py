"""A service without microphones or model: what is heard is told to it. Its store is a real one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from listen_edge.errors import ListenEdgeError
from listen_edge.lines.answer import Answer, Reason
from listen_edge.lines.health import Health
from listen_edge.question import parse_concept
from listen_edge.runtime.listening.listener import Line
from listen_edge.runtime.listening.trigger import TriggerConfig
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
from listen_edge.runtime.thresholds import Thresholds
from tests.fake_lines import (
    BUNDLE,
    HOP_S,
    WINDOW_S,
    answer_line,
    checked,
    event_line,
    question_status,
    source_status,
)


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
            key: source_status(key, name, now)
            for key, name in (("kitchen", "Kitchen"), ("hall", "Hall"))
        }
        self._questions = {
            "siren": question_status("siren", "siren?", ("kitchen", "hall"), 0.9, 0.5, "safety"),
            "kettle": question_status("kettle", "kettle whistling?", ("kitchen",), 0.95, 0.6),
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
        answer = answer_line(asked, source, presence, reason, level_dbfs, self._hop)
        self.store.add_presence(source, question, at, presence)
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
            self.tell(event_line("start", self._open[key]))
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
            self.tell(event_line("end", ended))

    def _change(self, source: str, **changes: Any) -> None:
        self._sources[source] = replace(self._sources[source], **changes)

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
        question = question_status(
            key or "question",
            ask,
            tuple(sources or self._sources),
            *checked(0.95 if on is None else on, 0.6 if off is None else off),
            priority,
            from_config=False,
        )
        self._questions[question.id] = question
        return question

    def remove_question(self, question: str) -> None:
        self._known(self._questions, question)
        del self._questions[question]

    def set_thresholds(self, question: str, on: float, off: float) -> QuestionStatus:
        old: QuestionStatus = self._known(self._questions, question)
        on, off = checked(on, off)
        moved = self._questions[question] = replace(old, on=on, off=off)
        return moved

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
            asked = question_status("upload", words, (), 0.9, 0.5)
            presence = self.presences.get(asked.concept, 0.02)
            reason: Reason | None = "inaudible" if presence is None else None
            answers.append(answer_line(asked, "samples", presence, reason, -30.0, 1))
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

    def trigger(self, question: str, source: str) -> TriggerConfig:
        self._known(self._sources, source)
        asked = self._known(self._questions, question)
        return TriggerConfig(Thresholds(asked.on, asked.off), confirm=(1, 1))

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
