"""What was heard when: windows of one sound that touch are one span."""

from __future__ import annotations

import pytest

from listen_edge.lines.answer import Reason
from listen_edge.lines.heard import NOTHING, HeardLine
from listen_edge.runtime.listening.timeline import Span, Timeline

Sounds = dict[str, float] | None


def heard(begin_s: float, sounds: Sounds, reason: Reason | None = None) -> HeardLine:
    told = None if sounds is None else tuple(sounds.items())
    window_s = (begin_s, begin_s + 5)
    return HeardLine("night.wav", window_s, told, reason, -20.0, 0.0, 0.0, "fake@0")


def spans(*lines: HeardLine) -> list[tuple[str, float, float, float | None]]:
    timeline = Timeline(lambda a, b: {a, b} <= {"bark", "dog"})
    found = [span for line in lines for span in timeline.take(line)]
    return [(s.what, s.begin_s, s.end_s, s.peak) for s in found + timeline.finish()]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([heard(0, {"dog": 0.6}), heard(1, {"dog": 0.9}), heard(2, {"dog": 0.7})],
         [("dog", 0, 7, 0.9)]),
        ([heard(0, {"dog": 0.6}), heard(1, {}), heard(5, {"dog": 0.7})], [("dog", 0, 10, 0.7)]),
        ([heard(0, {"dog": 0.6}), heard(6, {"dog": 0.7})],
         [("dog", 0, 5, 0.6), ("dog", 6, 11, 0.7)]),
        ([heard(0, {"dog": 0.6}), heard(1, {"bark": 0.9}), heard(2, {"dog": 0.7})],
         [("bark", 0, 7, 0.9)]),
        ([heard(0, {"siren": 0.8, "dog": 0.9}), heard(1, {"siren": 0.7})],
         [("dog", 0, 5, 0.9), ("siren", 0, 6, 0.8)]),
        ([heard(0, None, "silent_input"), heard(1, None, "silent_input"), heard(2, None, "stale")],
         [("unknown (silent_input)", 0, 6, None), ("unknown (stale)", 2, 7, None)]),
        ([heard(0, {"dog": 0.9}, "clipped")],
         [("dog", 0, 5, 0.9), ("others unknown (clipped)", 0, 5, None)]),
        ([heard(0, {}, "clipped")], [("others unknown (clipped)", 0, 5, None)]),
        ([heard(k, {}) for k in range(9)], [(NOTHING, 0, 13, None)]),
        ([heard(0, {"dog": 0.9}), *(heard(k, {}) for k in range(6, 9))], [("dog", 0, 5, 0.9)]),
        ([], []),
    ],
    ids=["merged", "a gap in touching windows", "windows apart", "a like name", "two at once",
         "deaf", "doubtful", "doubtful and empty", "never a sound", "nothing later", "no window"],
)  # fmt: skip
def test_windows_become_spans(
    lines: list[HeardLine], expected: list[tuple[str, float, float, float | None]]
) -> None:
    assert spans(*lines) == expected


def test_what_goes_on_is_all_that_is_held() -> None:
    timeline = Timeline(lambda a, b: False)
    for k in range(200):
        timeline.take(heard(k, {f"sound {k}": 0.9}))
        assert len(timeline._open) <= 6


def test_a_span_is_one_printable_line() -> None:
    text = Span("night\n.wav", 3.0, 8.0, "dog", 0.987).to_text_line()
    assert text.split() == ["night\\n.wav", "3.0-8.0", "dog", "0.99"]
