"""What the service writes for journald."""

from __future__ import annotations

import io
import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest

from listen_edge.runtime.service.journal import JournalHandler, leads_to_journal


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture()
def clock() -> Clock:
    return Clock()


@pytest.fixture()
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture()
def handler(stream: io.StringIO, clock: Clock) -> JournalHandler:
    return JournalHandler(stream, clock)


@pytest.fixture()
def log(handler: JournalHandler) -> Iterator[logging.Logger]:
    logger = logging.getLogger("tests.journal")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    logger.addHandler(handler)
    yield logger
    logger.removeHandler(handler)


def test_each_line_has_its_priority(log: logging.Logger, stream: io.StringIO) -> None:
    log.debug("a")
    log.info("b")
    log.warning("c")
    log.error("two\nlines <2>")
    log.critical("e")
    assert stream.getvalue() == "<7>a\n<6>b\n<4>c\n<3>two\n<3>lines <2>\n<2>e\n"


def test_a_message_is_told_five_times_a_minute_and_then_how_often(
    log: logging.Logger, stream: io.StringIO, clock: Clock
) -> None:
    for n in range(100):
        log.warning("kitchen: %d windows skipped", n)
    log.warning("hall: it stopped")
    assert stream.getvalue().count("kitchen") == 5 and "<4>hall: it stopped\n" in stream.getvalue()
    clock.now_s = 61.0
    log.warning("kitchen: %d windows skipped", 100)
    assert stream.getvalue().splitlines()[-2:] == [
        "<4>kitchen: 99 windows skipped (and 95 more like it)",
        "<4>kitchen: 100 windows skipped",
    ]


def test_what_was_held_back_is_told_at_the_end(
    log: logging.Logger, stream: io.StringIO, handler: JournalHandler
) -> None:
    for _ in range(7):
        log.error("100 % lost")
    handler.close()
    assert stream.getvalue().splitlines()[5:] == ["<3>100 % lost (and 2 more like it)"]


def test_thousands_of_messages_take_no_memory(log: logging.Logger, handler: JournalHandler) -> None:
    for n in range(5_000):
        log.info("message %s", "x" * n)
    assert len(handler._counts) <= 256


CHILD = """
import logging, os, sys
from listen_edge.runtime.service.journal import log_to_journal
found = os.fstat(2)
os.environ["JOURNAL_STREAM"] = f"{found.st_dev}:{found.st_ino}"
logging.basicConfig(format="le: %(message)s")
assert log_to_journal()
logging.getLogger("x").warning("seen %s", 1)
"""


def test_stderr_that_leads_to_the_journal_gets_priorities(monkeypatch: pytest.MonkeyPatch) -> None:
    done = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "<4>le: seen 1\n")
    monkeypatch.setenv("JOURNAL_STREAM", "8:1")
    assert not leads_to_journal(sys.__stderr__) and not leads_to_journal(io.StringIO())
