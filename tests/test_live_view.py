"""What people look at: drawn from the same lines, whatever their order."""

from __future__ import annotations

import io
from dataclasses import replace

from rich.console import Console

from listen_edge.cli.live_view import LiveView
from listen_edge.lines.event import Event
from listen_edge.lines.health import Health
from tests.test_lines import ANSWER

HEALTH = Health("microphone", "healthy", None, 12, 3, 0, 0, 0, 0.2, -23.0)
START = Event(
    "start", "siren?", "siren", 3.0, 2.0, 0.97, None, None, None, "microphone", "tiny@sha256:0"
)


def drawn(view: LiveView, width: int = 100) -> str:
    console = Console(width=width, file=io.StringIO(), record=True, force_terminal=True)
    console.print(view.render())
    return console.export_text()


def view_of(*lines: object) -> LiveView:
    view = LiveView(["siren?", "dog barking?"], [0.95, 0.95], Console(file=io.StringIO()))
    for line in lines:
        view.take(line)  # type: ignore[arg-type]
    return view


def test_before_the_first_window_nothing_is_claimed() -> None:
    text = drawn(view_of())
    assert "starting" in text and "siren?" in text and "no signal" in text
    assert "present" not in text and "absent" not in text


def test_presence_state_level_and_losses_are_shown() -> None:
    absent = replace(ANSWER, question="dog barking?", state="absent", presence=0.03)
    text = drawn(view_of(ANSWER, absent, HEALTH))
    siren, dog = (
        next(row for row in text.splitlines() if question in row)
        for question in ("siren?", "dog barking?")
    )
    assert "0.97" in siren and "present" in siren
    assert "0.03" in dog and "absent" in dog
    assert (siren.count("█"), dog.count("█")) == (23, 1)
    assert "● " in text and "healthy" in text and "-23.1 dBFS" in text and "3 dropped" in text


def test_an_event_is_marked_while_it_goes_on_and_logged() -> None:
    view = view_of(ANSWER, START)
    assert "EVENT" in drawn(view) and "start   siren?" in drawn(view)
    view.take(replace(START, phase="end", duration_s=9.0, reason="not_heard"))
    text = drawn(view)
    assert "EVENT" not in text and "9.0 s, peak 0.97  (not_heard)" in text


def test_unknown_shows_its_reason_and_a_lost_source_its_state() -> None:
    lost = replace(HEALTH, state="recovering", message="unplugged")
    deaf = replace(ANSWER, state="unknown", reason="no_audio", presence=None, level_dbfs=None)
    text = drawn(view_of(deaf, lost))
    assert "unknown (no_audio)" in text and "no signal" in text
    assert "● " in text and "recovering: unplugged" in text


def test_a_narrow_terminal_keeps_one_row_per_question() -> None:
    rows = [row for row in drawn(view_of(ANSWER), width=60).splitlines() if "siren?" in row]
    assert len(rows) == 1
