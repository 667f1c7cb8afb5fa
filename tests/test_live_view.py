"""What people look at: drawn from the same lines, whatever their order."""

from __future__ import annotations

import io
from dataclasses import replace

from rich.console import Console

from listen_edge.cli.live_view import LiveView
from listen_edge.lines.event import Event
from listen_edge.lines.health import Health
from listen_edge.lines.heard import HeardLine
from listen_edge.runtime.listening.timeline import Timeline
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


def test_a_device_with_a_long_name_leaves_the_figures_whole() -> None:
    head = drawn(
        view_of(replace(ANSWER, source="USB PnP Sound Device: Audio (hw:1,0)"), HEALTH), 80
    )
    assert "-23.1 dBFS" in head.splitlines()[0] and "3 dropped" in head.splitlines()[0]


HEARD = HeardLine(
    "microphone", (0.0, 5.0), (("siren", 0.9), ("speech", 0.5)), None, -23.1, 20.0, 0.1, "tiny@0"
)


def test_what_is_heard_stands_below_the_questions() -> None:
    rows = drawn(view_of(ANSWER, HEALTH, HEARD), width=80).splitlines()
    siren, speech = (next(k for k, r in enumerate(rows) if r.startswith(n)) for n in
                     ("siren ", "speech"))  # fmt: skip
    question = next(k for k, row in enumerate(rows) if row.startswith("siren?"))
    assert question < siren < speech and "0.50" in rows[speech]
    assert rows[siren].index("█") == rows[question].index("█")


def test_what_is_not_heard_says_why_and_nothing_jumps() -> None:
    view = view_of(ANSWER, HEARD)
    n_rows = len(drawn(view, width=80).splitlines())
    for line, said in (
        (replace(HEARD, sounds=None, reason="silent_input"), "unknown (silent_input)"),
        (replace(HEARD, sounds=()), "none of the sounds it knows"),
        (replace(HEARD, sounds=HEARD.sounds[:1], reason="clipped"), "others unknown (clipped)"),  # type: ignore[index]
    ):
        view.take(line)
        text = drawn(view, width=80)
        assert said in text and len(text.splitlines()) == n_rows


def test_without_questions_the_view_has_level_sounds_and_what_was_heard() -> None:
    view = LiveView([], [], Console(file=io.StringIO()), Timeline(lambda a, b: a == b))
    with view:
        for begin_s in (0.0, 1.0, 9.0):
            view.show(replace(HEARD, window_s=(begin_s, begin_s + 5)))
    text = drawn(view, width=80)
    assert "-23.1 dBFS" in text and "siren  6 s, peak 0.90" in text
