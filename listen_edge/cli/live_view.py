"""What `mic` shows on a terminal: presence bars, states, level, health and the last events."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from datetime import datetime
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from listen_edge.lines.answer import Answer
from listen_edge.lines.event import Event
from listen_edge.lines.health import Health

_STATE_STYLES = {"present": "bold red", "absent": "green", "unknown": "yellow"}
_SOURCE_STYLES = {"healthy": "green", "alarmed": "yellow", "recovering": "yellow", "failed": "red"}
_BAR_WIDTH, _METER_WIDTH = 24, 16
_QUIETEST_DBFS = -70.0
_N_EVENTS = 6


class LiveView:
    """A view that is fed with the listener's lines.

    Args:
        questions: one row each.
        on: presence from which a bar turns red, per question.
        console: where to draw.
    """

    def __init__(self, questions: Sequence[str], on: Sequence[float], console: Console) -> None:
        self._answers: dict[str, Answer | None] = dict.fromkeys(questions)
        self._on = dict(zip(questions, on, strict=True))
        self._since: dict[str, float] = {}
        self._active: dict[str, bool] = {}
        self._health: Health | None = None
        self._events: deque[Text] = deque(maxlen=_N_EVENTS)
        self._window_times: deque[float] = deque(maxlen=20)
        self._live = Live(console=console, auto_refresh=False, transient=False)

    def __enter__(self) -> LiveView:
        self._live.__enter__()
        self._live.update(self.render(), refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, err, tb)

    def show(self, line: Answer | Event | Health) -> None:
        """Take a line and draw, once per window."""
        self.take(line)
        if not isinstance(line, Answer) or line.question == next(reversed(self._answers)):
            self._live.update(self.render(), refresh=True)

    def take(self, line: Answer | Event | Health) -> None:
        """Take a line."""
        if isinstance(line, Answer):
            before = self._answers.get(line.question)
            if before is None or before.state != line.state:
                self._since[line.question] = time.monotonic()
            self._answers[line.question] = line
            if line.question == next(iter(self._answers)) and line.level_dbfs is not None:
                self._window_times.append(time.monotonic())
        elif isinstance(line, Health):
            self._health = line
            if line.message:
                self._log(f"health  {line.state}: {line.message}", _SOURCE_STYLES[line.state])
        else:
            self._active[line.question] = line.phase != "end"
            what = f"{line.phase:<7} {line.question}"
            if line.phase != "start":
                what += f"  {line.duration_s:.1f} s, peak {line.peak_presence:.2f}"
            note = line.notice or line.reason
            self._log(what + (f"  ({note})" if note else ""), "bold" if not note else "")

    def render(self) -> RenderableType:
        """Return the whole view."""
        return Group(self._head(), Text(), self._questions(), Text(), *self._events)

    def _log(self, what: str, style: str) -> None:
        self._events.append(Text(f"{datetime.now():%H:%M:%S}  {what}", style, no_wrap=True))

    def _head(self) -> RenderableType:
        answer = next((a for a in self._answers.values() if a is not None), None)
        level = None if answer is None else answer.level_dbfs
        state = "starting" if self._health is None else self._health.state
        head = Table.grid(padding=(0, 2))
        figures = Text(
            f"{self._windows_per_s():.1f} windows/s  "
            f"{self._health.n_dropped if self._health else 0} dropped",
        )
        meter = Text("level ") + _meter(level)
        source = Text("● ", _SOURCE_STYLES.get(state, "dim")) + Text(
            f"{answer.source if answer else ''} {state}"
        )
        head.add_row(source, meter, figures)
        return head

    def _windows_per_s(self) -> float:
        times = self._window_times
        if len(times) < 2 or time.monotonic() - times[-1] > 10:
            return 0.0
        return (len(times) - 1) / (times[-1] - times[0])

    def _questions(self) -> RenderableType:
        rows = Table.grid(padding=(0, 2))
        for question, answer in self._answers.items():
            presence = None if answer is None else answer.presence
            is_on = presence is not None and presence >= self._on[question]
            bar = _bar(presence or 0.0, _BAR_WIDTH, "red" if is_on else "cyan")
            rows.add_row(
                Text(question, "bold" if self._active.get(question) else "", no_wrap=True),
                bar,
                Text("   -" if presence is None else f"{presence:.2f}"),
                self._state(question, answer),
            )
        return rows

    def _state(self, question: str, answer: Answer | None) -> Text:
        if answer is None:
            return Text("-", "dim")
        text = Text(answer.state, _STATE_STYLES[answer.state])
        if answer.reason is not None:
            text.append(f" ({answer.reason})", "dim")
        text.append(f"  {_duration(time.monotonic() - self._since[question])}", "dim")
        if self._active.get(question):
            text.append("  EVENT", "bold red")
        return text


def _meter(level_dbfs: float | None) -> Text:
    if level_dbfs is None:
        return Text("no signal", "yellow")
    share = min(1.0, max(0.0, 1 - level_dbfs / _QUIETEST_DBFS))
    bar = _bar(share, _METER_WIDTH, "red" if level_dbfs > -3 else "green")
    return bar + f" {level_dbfs:5.1f} dBFS"


def _bar(share: float, width: int, style: str) -> Text:
    """Return a bar that can be told without colours."""
    n_full = round(share * width)
    return Text("█" * n_full, style) + Text("░" * (width - n_full), "dim")


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds // 60:.0f} min"
    return f"{seconds // 3600:.0f} h {seconds % 3600 // 60:.0f} min"
