"""A recording's answers in turn -> its rows, its events, and what became of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from listen_edge.bundle.opening import Bundle
from listen_edge.lines.answer import Answer
from listen_edge.lines.event import Ending, Event
from listen_edge.runtime.answers import unheard_answers
from listen_edge.runtime.archive.rows import UNREADABLE, answer_row, event_row, unreadable_row
from listen_edge.runtime.archive.scan_config import ScanConfig
from listen_edge.runtime.listening.events import Events


class Account:
    """What is said of one recording.

    Args:
        config: what is asked.
        bundle: which is asked.
        recorded_at: when the recording began.
    """

    def __init__(self, config: ScanConfig, bundle: Bundle, recorded_at: datetime | None) -> None:
        self._config, self._bundle, self._recorded_at = config, bundle, recorded_at
        self._events = Events(config.questions, config.hop_s, "", None)
        self._long: set[str] = set()
        self._last: Sequence[Answer] = ()
        self._reasons: Counter[str] = Counter()  # of windows about which nothing can be said
        self._n_windows, self._heard_s = 0, 0.0

    def window(self, answers: Sequence[Answer]) -> Iterator[dict[str, Any]]:
        """Take the answers about the next window, and yield the rows that they make."""
        self._n_windows, self._last, self._heard_s = (
            self._n_windows + 1,
            answers,
            answers[0].window_s[1],
        )
        if is_deaf(answers):
            self._reasons[str(answers[0].reason)] += 1
        if self._config.unit == "answers":
            yield from (answer_row(answer, self._recorded_at) for answer in answers)
        else:
            yield from self._ended(self._events.of(answers))

    def end(self, error: str | None) -> Iterator[dict[str, Any]]:
        """Yield the rows of the recording's end, which comes early with an error."""
        if self._config.unit == "events":
            ending: Ending = "end_of_stream" if error is None else "no_audio"
            yield from self._ended(self._events.close(ending, self._config.bundle_id))
        elif error is not None:
            for answer in self._last or self._nothing():
                yield unreadable_row(answer, self._heard_s, self._recorded_at)

    def became(self, error: str | None) -> dict[str, Any]:
        """Return what became of the recording, as columns of BECAME."""
        n_unknown = self._reasons.total()
        reason = self._reasons.most_common(1)[0][0] if n_unknown else None
        status = "heard"
        if error is not None:
            status, reason = "in part" if n_unknown < self._n_windows else "unheard", UNREADABLE
        elif n_unknown == self._n_windows:
            status = "unheard"
        return {
            "status": status,
            "reason": None if status == "heard" else reason,
            "error": error,
            "duration_s": self._heard_s,
            "n_windows": self._n_windows,
            "n_unknown": n_unknown,
        }

    def _nothing(self) -> Sequence[Answer]:
        words = [one.words for one in self._config.questions.values()]
        return unheard_answers(
            words, "no_audio", self._bundle, lambda _: True, window_s=(0.0, 0.0), source=""
        )

    def _ended(self, events: Iterator[Event]) -> Iterator[dict[str, Any]]:
        for event in events:
            if event.notice is not None:
                self._long.add(event.concept)
            if event.phase == "end":
                is_long = event.concept in self._long
                self._long.discard(event.concept)
                yield event_row(event, is_long=is_long, recorded_at=self._recorded_at)


def is_deaf(answers: Sequence[Answer]) -> bool:
    """Tell whether nothing could be heard in a window, whatever was asked."""
    return all(
        answer.state == "unknown" and answer.head_logit is None and answer.logit_margin is None
        for answer in answers
    )
