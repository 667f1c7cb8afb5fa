"""What `mic` and `hear` show on a terminal: presence bars, states, what is heard, level, health.

Below are the last events, or what was heard until now.
"""

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
from listen_edge.lines.heard import NOTHING, HeardLine
from listen_edge.runtime.listening.timeline import Timeline

_STATE_STYLES = {"present": "bold red", "absent": "green", "unknown": "yellow"}
_SOURCE_STYLES = {
    "healthy": "green",
    "alarmed": "yellow",
    "recovering": "yellow",
    "failed": "red",
    "muted": "yellow",
}
_BAR_WIDTH, _METER_WIDTH = 24, 16
_QUIETEST_DBFS = -70.0
_N_EVENTS = 6


class LiveView:
    """A view that is fed with the listener's lines.

    Args:
        questions: one row each.
        on: presence from which a bar turns red, per question.
        console: where to draw.
        timeline: of what is heard, whose spans are listed; None: events alone are.
    """

    def __init__(
        self,
        questions: Sequence[str],
        on: Sequence[float],
        console: Console,
        timeline: Timeline | None = None,
    ) -> None:
        self._answers: dict[str, Answer | None] = dict.fromkeys(questions)
        self._on = dict(zip(questions, on, strict=True))
        self._since: dict[str, float] = {}
        self._active: dict[str, bool] = {}
        self._health: Health | None = None
        self._heard: HeardLine | None = None
        self._n_sounds = 0  # most rows that were needed, so that nothing jumps
        self._timeline = timeline
        self._source = ""
        self._level_dbfs: float | None = None  # of the last window, as its source
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

    def show(self, line: Answer | Event | Health | HeardLine) -> None:
        """Take a line and draw, once per window: what is heard comes before the answers."""
        self.take(line)
        is_last = not self._answers
        if isinstance(line, Answer):
            is_last = line.question == next(reversed(self._answers))
        if is_last or isinstance(line, (Event, Health)):
            self._live.update(self.render(), refresh=True)

    def take(self, line: Answer | Event | Health | HeardLine) -> None:
        """Take a line."""
        if isinstance(line, HeardLine):
            self._hear(line)
        elif isinstance(line, Answer):
            before = self._answers.get(line.question)
            if before is None or before.state != line.state:
                self._since[line.question] = time.monotonic()
            self._answers[line.question] = line
            if line.question == next(iter(self._answers)):
                self._take_window(line.source, line.level_dbfs)
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
        return Group(self._head(), Text(), self._rows(), Text(), *self._events)

    def _hear(self, line: HeardLine) -> None:
        self._heard = line
        self._n_sounds = max(self._n_sounds, len(line.sounds or ()) + (line.note is not None), 1)
        if not self._answers:
            self._take_window(line.source, line.level_dbfs)
        for span in self._timeline.take(line) if self._timeline is not None else ():
            peak = "" if span.peak is None else f", peak {span.peak:.2f}"
            self._log(f"{span.what}  {_duration(span.end_s - span.begin_s)}{peak}", "")

    def _take_window(self, source: str, level_dbfs: float | None) -> None:
        self._source, self._level_dbfs = source, level_dbfs
        if level_dbfs is not None:
            self._window_times.append(time.monotonic())

    def _log(self, what: str, style: str) -> None:
        self._events.append(Text(f"{datetime.now():%H:%M:%S}  {what}", style, no_wrap=True))

    def _head(self) -> RenderableType:
        state = "starting" if self._health is None else self._health.state
        n_dropped = self._health.n_dropped if self._health else 0
        parts = [
            Text("● ", _SOURCE_STYLES.get(state, "dim")) + Text(state),
            Text("level ") + _meter(self._level_dbfs),
            Text(f"{self._windows_per_s():.1f} windows/s"),
            Text(f"{n_dropped} dropped"),
            Text(self._source),  # last, since a device's name may be long
        ]
        head = Text("  ").join(parts)
        head.no_wrap, head.overflow = True, "ellipsis"
        return head

    def _windows_per_s(self) -> float:
        times = self._window_times
        if len(times) < 2 or time.monotonic() - times[-1] > 10:
            return 0.0
        return (len(times) - 1) / (times[-1] - times[0])

    def _rows(self) -> RenderableType:
        """Return a row for each question, and below them those of what is heard."""
        rows = Table.grid(padding=(0, 2))
        for question, answer in self._answers.items():
            presence = None if answer is None else answer.presence
            is_on = presence is not None and presence >= self._on[question]
            rows.add_row(
                Text(question, "bold" if self._active.get(question) else "", no_wrap=True),
                *_gauge(presence, "red" if is_on else "cyan"),
                self._state(question, answer),
            )
        if self._heard is not None:
            rows.add_row(Text("heard", "dim"))
            self._add_sounds(rows, self._heard)
        return rows

    def _add_sounds(self, rows: Table, heard: HeardLine) -> None:
        sounds = heard.sounds or ()
        for name, presence in sounds:
            rows.add_row(Text(name, no_wrap=True), *_gauge(presence, "cyan"))
        note = heard.note or (None if sounds else NOTHING)
        if note is not None:
            rows.add_row(Text(), *_gauge(None, ""), Text(note, "dim", no_wrap=True))
        for _ in range(self._n_sounds - len(sounds) - (note is not None)):
            rows.add_row()

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


def _gauge(presence: float | None, style: str) -> tuple[Text, Text]:
    """Return a presence as a bar and as a figure."""
    figure = "   -" if presence is None else f"{presence:.2f}"
    return _bar(presence or 0.0, _BAR_WIDTH, style), Text(figure)


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
