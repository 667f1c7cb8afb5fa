"""A notification on this desktop when an event begins, through notify-send."""

from __future__ import annotations

import html
import shutil
import threading
from collections.abc import Sequence
from datetime import datetime, timezone

from listen_edge.environment import own_environment
from listen_edge.printable import escaped
from listen_edge.runtime.service.outputs import OutputError
from listen_edge.runtime.service.outputs.process import run_bounded
from listen_edge.runtime.service.records.types import (
    Delivery,
    QuestionStatus,
    Sounding,
    SourceStatus,
)

_TIMEOUT_S = 10.0
_MOST_CHARACTERS = 100  # of the words in it
_NEWS_S = 300.0  # an older event is no news: nobody is shown last night's at breakfast
_VARIABLES = (  # how notify-send finds the session
    "PATH", "LANG", "HOME", "DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR", "DISPLAY",
    "WAYLAND_DISPLAY",
)  # fmt: skip


class Desktop:
    """An Output for whoever sits in front of this machine."""

    name = "desktop"

    def __init__(self) -> None:
        self._is_over = threading.Event()

    def start(self) -> None:
        """Be ready."""
        self._is_over.clear()

    def deliver(self, delivery: Delivery) -> None:
        """Show that an event has begun; its updates and end are not shown.

        Raises:
            OutputError: there is no desktop; lasting if the event is no news any more.
        """
        if delivery.phase != "start":
            return
        age_s = (datetime.now(timezone.utc) - delivery.event.started_at).total_seconds()
        if age_s > _NEWS_S:
            raise OutputError(
                f"the event is {age_s:.0f} s old; notifications are of the last {_NEWS_S:.0f} s",
                is_lasting=True,
            )
        program = shutil.which("notify-send")
        if program is None:
            raise OutputError("notify-send is not installed; run: apt install libnotify-bin")
        title = "A test: nothing was heard" if delivery.event.is_test else "A sound was heard"
        finished = run_bounded(
            [program, "--app-name=listen-edge", "--", title, notification(delivery)],
            b"",
            own_environment(*_VARIABLES),
            timeout_s=_TIMEOUT_S,
            is_over=self._is_over,
        )
        if finished.code:
            raise OutputError(f"notify-send: {finished.failure}")

    def show(
        self,
        sources: Sequence[SourceStatus],
        questions: Sequence[QuestionStatus],
        soundings: Sequence[Sounding],
    ) -> None:
        """Only events are shown."""

    def stop(self) -> None:
        """End a notification that is not shown yet."""
        self._is_over.set()


def notification(delivery: Delivery) -> str:
    """Return the body of a notification: its words are shown as they are, never as markup.

    Source: Desktop Notifications Specification 1.2, "Markup"; libnotify's notify-send, which
        takes a backslash in the body for the begin of an escape.
    """
    event = delivery.event
    at = event.started_at.astimezone().strftime("%H:%M:%S")
    words = [escaped(text)[:_MOST_CHARACTERS] for text in (event.ask, event.source)]
    text = f"{words[0]} at {words[1]}, {at}, presence {event.peak_presence:.2f}"
    return html.escape(text, quote=False).replace("\\", "\\\\")
