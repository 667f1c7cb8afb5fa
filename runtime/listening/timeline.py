"""What is heard of windows -> what was heard when: windows of one sound that touch are one span.

Holds what goes on at the moment, so that hours take no more memory than a minute.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from listen_edge.lines.heard import NOTHING, HeardLine
from listen_edge.printable import printable


@dataclass(frozen=True)
class Span:
    """A stretch of whole windows; the sound lies somewhere in it.

    Attributes:
        source: of the windows.
        begin_s, end_s: as in window_s.
        what: the concept, or what is not known and why, see HeardLine.note.
        peak: highest presence, None of what is not known.
    """

    source: str
    begin_s: float
    end_s: float
    what: str
    peak: float | None

    def to_text_line(self) -> str:
        """Return the span for people."""
        peak = "" if self.peak is None else f"{self.peak:5.2f}"
        when = f"{self.begin_s:6.1f}-{self.end_s:<6.1f}"
        return f"{printable(self.source):<20} {when} {printable(self.what):<24} {peak}".rstrip()


class Timeline:
    """The spans of one source.

    Args:
        are_alike: of two concepts, whether one may stand for the other, see Vocabulary; the span
            then has the name of the higher presence.
    """

    def __init__(self, are_alike: Callable[[str, str], bool]) -> None:
        self._are_alike = are_alike
        self._open: list[Span] = []
        self._all: Span | None = None  # from the first window to the last, while nothing is told
        self._has_told = False

    def take(self, line: HeardLine) -> list[Span]:
        """Take what was heard of the next window and return the spans that have ended."""
        begin_s, end_s = line.window_s
        ended = [span for span in self._open if span.end_s < begin_s]
        self._open = [span for span in self._open if span.end_s >= begin_s]
        if self._all is None:
            self._all = Span(line.source, begin_s, end_s, NOTHING, None)
        self._all = replace(self._all, end_s=end_s)
        for name, presence in line.sounds or ():
            self._hear(Span(line.source, begin_s, end_s, name, presence))
        if line.note is not None:
            self._hear(Span(line.source, begin_s, end_s, line.note, None))
        return self._told(ended)

    def finish(self) -> list[Span]:
        """Return the spans that go on, or that nothing was heard all along."""
        ended, self._open = self._open, []
        if not ended and not self._has_told and self._all is not None:
            ended = [self._all]
        return self._told(ended)

    def _hear(self, heard: Span) -> None:
        """Make a span longer, or begin one."""
        for k, span in enumerate(self._open):
            if self._is_same(span, heard):
                surer = max(span, heard, key=lambda one: one.peak or 0.0)
                self._open[k] = replace(surer, begin_s=span.begin_s, end_s=heard.end_s)
                return
        self._open.append(heard)

    def _is_same(self, span: Span, heard: Span) -> bool:
        if span.what == heard.what:
            return True
        is_sound = span.peak is not None and heard.peak is not None
        return is_sound and self._are_alike(span.what, heard.what)

    def _told(self, spans: list[Span]) -> list[Span]:
        self._has_told = self._has_told or bool(spans)
        return sorted(spans, key=lambda span: (span.begin_s, -(span.peak or 0.0)))
