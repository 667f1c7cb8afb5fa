"""Events as lines: whole ones, in a bounded file, and on a stdout that somebody may not read."""

from __future__ import annotations

import fcntl
import json
import os
import re
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from listen_edge.lines.stored_event import StoredEventLine
from listen_edge.runtime.service.config.telling import LinesConfig
from listen_edge.runtime.service.outputs import OutputError
from listen_edge.runtime.service.outputs import lines as lines_module
from listen_edge.runtime.service.outputs.lines import Lines
from listen_edge.runtime.service.outputs.message import delivery_key, stored_event_line
from listen_edge.runtime.service.outputs.rotated_file import RotatedFile
from tests.outputs import BEGAN, EVENT, owed, wait_for


def _uids(text: str) -> list[str]:
    return [json.loads(line)["uid"] for line in text.splitlines()]


def test_the_json_of_an_event_is_the_contract() -> None:
    assert json.loads(stored_event_line(owed(1, "end"))) == {
        "v": 1, "type": "stored_event", "ts": "2026-01-01T00:00:08.000Z", "phase": "end",
        "uid": "e1", "source": "kitchen", "question": "siren", "ask": "siren?", "concept": "siren",
        "started_at": "2026-01-01T00:00:00.000Z", "ended_at": "2026-01-01T00:00:08.000Z",
        "duration_s": 8.0, "peak_presence": 0.99, "level_dbfs": -23.1, "on": 0.95, "off": 0.6,
        "reason": "not_heard", "clip": None, "bundle": "tiny@sha256:ab12cd34", "is_test": False,
    }  # fmt: skip


def test_the_document_shows_the_contract() -> None:
    text = (Path(__file__).parent.parent / "docs/service-events.md").read_text()
    (shown,) = re.findall(r"```json\n(.*?)```", text, re.S)
    line = StoredEventLine.from_json_line(shown)
    assert list(json.loads(shown)) == list(json.loads(line.to_json_line()))
    table = text.partition("| key |")[2].partition("\n\n")[0]
    keys = [key for row in table.splitlines() for key in re.findall(r"`(\w+)`", row.split("|")[1])]
    assert keys == [*json.loads(shown)]


def test_what_is_not_over_says_nothing_of_its_end() -> None:
    """A start that is told late, as the event is over, is the line that it was in time."""
    for phase, ts in (("start", "00:00:00"), ("update", "00:00:08")):
        line = json.loads(stored_event_line(owed(1, phase)))
        assert line["ended_at"] is line["reason"] is None
        assert line["ts"] == f"2026-01-01T{ts}.000Z"


def test_times_are_utc_and_every_try_is_the_same() -> None:
    east = timezone(timedelta(hours=9))
    local = owed(1, "end", started_at=BEGAN.astimezone(east), ended_at=EVENT.ended_at)
    assert stored_event_line(local) == stored_event_line(owed(1, "end"))
    cut = owed(1, "end", started_at=datetime(2026, 1, 1, 0, 0, 0, 999_999, timezone.utc))
    assert json.loads(stored_event_line(cut))["started_at"] == "2026-01-01T00:00:00.999Z"


def test_a_key_is_of_one_delivery() -> None:
    """A long event has several updates: a receiver that drops a key it knows must not drop them."""
    assert delivery_key(owed(1)) == "e1:start" and delivery_key(owed(1, "end")) == "e1:end"
    updates = {delivery_key(owed(seq, "update"))[3:] for seq in (2, 3)}
    assert updates == {"update:2", "update:3"}


def test_a_file_gets_a_line_each(tmp_path: Path) -> None:
    path = tmp_path / "folder/events.jsonl"
    output = Lines(LinesConfig(path=path))
    for seq in range(3):
        output.deliver(owed(seq, ask="a\nb\u2028"))
    read = [StoredEventLine.from_json_line(line) for line in path.read_text().splitlines()]
    assert [line.uid for line in read] == ["e0", "e1", "e2"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_stays_bounded_and_its_newest_lines_are_kept(tmp_path: Path) -> None:
    file = RotatedFile(tmp_path / "events.jsonl", 1000)
    for k in range(200):
        file.append(f"{k:049}")
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert sizes == {"events.jsonl": 1000, "events.jsonl.1": 1000}
    kept = (tmp_path / "events.jsonl.1").read_text() + (tmp_path / "events.jsonl").read_text()
    assert [int(line) for line in kept.splitlines()] == list(range(160, 200))
    file.append("x" * 5000)  # longer than a file may be: it has one of its own
    assert (tmp_path / "events.jsonl").stat().st_size == 5001


def test_another_program_may_rotate_the_file(tmp_path: Path) -> None:
    output = Lines(LinesConfig(path=tmp_path / "events.jsonl"))
    output.deliver(owed(0))
    (tmp_path / "events.jsonl").rename(tmp_path / "moved")
    output.deliver(owed(1))
    assert _uids((tmp_path / "events.jsonl").read_text()) == ["e1"]


def test_a_full_disk_leaves_no_half_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, write = tmp_path / "events.jsonl", os.write
    output = Lines(LinesConfig(path=path))
    output.deliver(owed(0))
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:20]))
    with pytest.raises(OutputError, match=r"events.jsonl: only 20 of \d+ bytes .* disk full\?"):
        output.deliver(owed(1))
    monkeypatch.undo()
    output.deliver(owed(1))
    assert _uids(path.read_text()) == ["e0", "e1"]


@pytest.mark.parametrize("kind", ["a folder", "a pipe without a reader", "below a file"])
def test_what_cannot_be_written_to_is_an_error_at_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "events.jsonl"
    if kind == "a folder":
        path.mkdir()
    elif kind == "below a file":
        path.write_text("")
        path = path / "events.jsonl"
    else:
        os.mkfifo(path)
    with pytest.raises(OutputError, match=r"events.jsonl: "):
        Lines(LinesConfig(path=path)).deliver(owed(1))


@contextmanager
def _pipe_as_stdout(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, int]]:
    """Put a small pipe where stdout was: (end to read from, end to write to)."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    monkeypatch.setattr(lines_module, "_STDOUT", writing)
    try:
        yield reading, writing
    finally:
        os.close(reading)
        os.close(writing)


@pytest.mark.parametrize("is_given_up", [False, True], ids=["tried again", "given up"])
def test_a_stdout_that_nobody_reads_for_a_while_gets_whole_lines(
    is_given_up: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines_module, "_TIMEOUT_S", 0.1)
    output, told, n_written = Lines(LinesConfig()), bytearray(), 0
    with _pipe_as_stdout(monkeypatch) as (reading, _):
        with pytest.raises(OutputError, match="nobody reads from it"):
            for n_written in range(100):
                output.deliver(owed(n_written))
        monkeypatch.setattr(lines_module, "_TIMEOUT_S", 10.0)

        def read() -> None:
            while told.count(b"\n") < n_written + 2:
                told.extend(os.read(reading, 65_536))

        thread = threading.Thread(target=read)
        thread.start()
        for seq in range(n_written + is_given_up, n_written + 2):
            output.deliver(owed(seq))
        thread.join(10.0)
    assert _uids(told.decode()) == [f"e{seq}" for seq in range(n_written + 2)]


def test_a_stop_ends_a_write_that_nobody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    output, told = Lines(LinesConfig()), []

    def deliver() -> None:
        try:
            for seq in range(100):
                output.deliver(owed(seq))
        except OutputError as err:
            told.append(err)

    with _pipe_as_stdout(monkeypatch):
        thread = threading.Thread(target=deliver)
        thread.start()
        output.stop()
        thread.join(5.0)
        wait_for(lambda: told)


def test_a_stdout_that_was_closed_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    monkeypatch.setattr(lines_module, "_STDOUT", writing)
    os.close(reading)
    with pytest.raises(OutputError, match="standard output: Broken pipe"):
        Lines(LinesConfig()).deliver(owed(1))
    os.close(writing)
