"""Commands and notifications: what they inherit, what they leave, and that neither holds us up."""

from __future__ import annotations

import json
import logging
import os
import signal
import stat
import threading
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from listen_edge.lines.stored_event import StoredEventLine
from listen_edge.runtime.service.config.telling import CommandConfig
from listen_edge.runtime.service.outputs import OutputError
from listen_edge.runtime.service.outputs.command import Command
from listen_edge.runtime.service.outputs.desktop import Desktop
from tests.outputs import owed, wait_for


def _script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def _command(path: Path, *words: str, timeout: float = 20.0) -> Command:
    return Command(CommandConfig(id="lamp", run=(str(path), *words), timeout=timeout))


def _refusal(output: Command | Desktop, **changes: Any) -> OutputError:
    with pytest.raises(OutputError) as refused:
        output.deliver(owed(1, **changes))
    return refused.value


def _is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_a_command_gets_the_event_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LISTEN_EDGE_OUTPUTS__MQTT__PASSWORD", "hunter2")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    monkeypatch.setenv("LANG", "C.UTF-8")
    held, other = os.pipe()
    os.set_inheritable(held, True)
    try:
        script = _script(
            tmp_path / "lamp",
            f"cat > {tmp_path}/stdin; env > {tmp_path}/env; pwd > {tmp_path}/cwd\n"
            f"ls /proc/$$/fd > {tmp_path}/fds; printf '%s|' \"$@\" > {tmp_path}/words",
        )
        _command(script, "a b", "$(id)", "*", "").deliver(owed(1, "end", ask="a\nb; rm -rf /"))
    finally:
        os.close(held)
        os.close(other)
    told = StoredEventLine.from_json_line((tmp_path / "stdin").read_text())
    assert told.ask == "a\nb; rm -rf /" and told.phase == "end"
    env = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines())
    ours = {name for name in env if name.startswith("LISTEN_EDGE_EVENT_")}
    assert set(env) - ours <= {"PATH", "LANG", "HOME", "PWD", "SHLVL", "_", "OLDPWD"}
    assert ours == {"LISTEN_EDGE_EVENT_" + key.upper() for key in json.loads(told.to_json_line())}
    assert env["LISTEN_EDGE_EVENT_ASK"] == r"a\nb; rm -rf /"
    assert (env["LISTEN_EDGE_EVENT_CLIP"], env["LISTEN_EDGE_EVENT_IS_TEST"]) == ("", "false")
    assert (tmp_path / "cwd").read_text() == "/\n"
    assert (tmp_path / "words").read_text() == "a b|$(id)|*||"
    assert str(held) not in (tmp_path / "fds").read_text().split()


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("echo no lamp; echo here >&2; exit 3", "lamp: exit code 3: no lamp here"),
        ("kill -9 $$", "lamp: killed by signal 9"),
        (r"printf '\033[31mred\nnew\n'; exit 1", r"lamp: exit code 1: \x1b[31mred new"),
    ],
    ids=["exit", "signal", "escapes"],
)
def test_a_command_that_fails_is_run_again(tmp_path: Path, body: str, told: str) -> None:
    err = _refusal(_command(_script(tmp_path / "lamp", body)))
    assert str(err) == told and not err.is_lasting


@pytest.mark.parametrize("kind", ["missing", "a folder", "not executable", "no format"])
def test_a_command_that_cannot_be_run_says_why(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "lamp"
    if kind == "a folder":
        path.mkdir()
    elif kind != "missing":
        path.write_bytes(b"\x7fELF" if kind == "no format" else b"#!/bin/sh\n")
        path.chmod(0o755 if kind == "no format" else 0o644)
    err = _refusal(_command(path, "hunter2"))
    assert str(err).startswith(f"{path}: cannot be run (") and "hunter2" not in str(err)


def test_a_command_that_hangs_is_killed_with_all_its_children(tmp_path: Path) -> None:
    script = _script(
        tmp_path / "lamp",
        f"trap '' TERM INT HUP\nsleep 600 & echo $! > {tmp_path}/child\nsleep 600",
    )
    began = time.monotonic()
    err = _refusal(_command(script, timeout=0.5))
    assert time.monotonic() - began < 3.0
    assert str(err) == "lamp: not done within 0.5 s; it was killed"
    wait_for(lambda: _is_gone(int((tmp_path / "child").read_text())))


def test_what_a_command_leaves_behind_is_killed_and_holds_nothing_up(tmp_path: Path) -> None:
    script = _script(tmp_path / "lamp", f"sleep 600 & echo $! > {tmp_path}/child; exit 0")
    began = time.monotonic()
    _command(script).deliver(owed(1))  # though the child keeps stdout open
    assert time.monotonic() - began < 3.0
    wait_for(lambda: _is_gone(int((tmp_path / "child").read_text())))


def test_a_child_that_leaves_the_group_holds_nothing_up(tmp_path: Path) -> None:
    script = _script(
        tmp_path / "lamp",
        f"setsid sleep 600 & echo $! > {tmp_path}/child\n"
        f"until [ \"$(cut -d' ' -f6 /proc/$!/stat)\" != $$ ]; do :; done",
    )
    began = time.monotonic()
    try:
        _command(script).deliver(owed(1))
        assert time.monotonic() - began < 5.0
    finally:
        os.kill(int((tmp_path / "child").read_text()), signal.SIGKILL)


def test_a_command_that_floods_is_bounded_and_left_waiting(tmp_path: Path) -> None:
    script = _script(tmp_path / "lamp", "exec yes 'it floods'")
    began = time.process_time()
    err = _refusal(_command(script, timeout=1.0))
    assert "not done within 1 s" in str(err) and len(str(err)) < 200
    assert time.process_time() - began < 0.5  # it is not read as fast as it writes


def test_a_command_that_prints_much_and_ends_is_fine(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    script = _script(tmp_path / "lamp", "head -c 300000 /dev/zero | tr '\\0' x; exit 0")
    _command(script).deliver(owed(1))
    (said,) = (record.getMessage() for record in caplog.records)
    assert said.startswith("command:lamp: xxx") and len(said) < 250


def test_a_command_that_reads_no_stdin_is_fine(tmp_path: Path) -> None:
    _command(_script(tmp_path / "lamp", "exec <&-; exit 0")).deliver(owed(1))


def test_a_stop_kills_the_command_at_once(tmp_path: Path) -> None:
    script = _script(tmp_path / "lamp", f"echo $$ > {tmp_path}/pid; sleep 600")
    command = _command(script, timeout=600.0)
    threading.Thread(
        target=lambda: (wait_for((tmp_path / "pid").exists), command.stop()), daemon=True
    ).start()
    began = time.monotonic()
    assert "the service ends" in str(_refusal(command))
    assert time.monotonic() - began < 5.0
    wait_for(lambda: _is_gone(int((tmp_path / "pid").read_text())))


@pytest.fixture()
def notify_send(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A notify-send that writes down its arguments, each on a line, and its environment."""
    (tmp_path / "bin").mkdir()
    text = f"printf '%s\\n' \"$@\" >> {tmp_path}/shown; env > {tmp_path}/env"
    _script(tmp_path / "bin/notify-send", text)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setenv("LISTEN_EDGE_TOKEN", "hunter2")
    return tmp_path / "shown"


def _now(**changes: Any) -> dict[str, Any]:
    return {"started_at": datetime.now(timezone.utc), "ended_at": None, **changes}


def test_a_notification_shows_words_as_they_are(notify_send: Path) -> None:
    ask = '<b>siren</b> & <img src="http://x"/>\\n -- "quoted"\n' + "x" * 500
    Desktop().deliver(owed(1, **_now(ask=ask)))
    shown = notify_send.read_text().splitlines()
    assert shown[:3] == ["--app-name=listen-edge", "--", "A sound was heard"]
    assert shown[3].startswith(
        '&lt;b&gt;siren&lt;/b&gt; &amp; &lt;img src="http://x"/&gt;\\\\n -- "quoted"\\\\nxxx'
    )
    assert len(shown) == 4 and "kitchen" in shown[3] and len(shown[3]) < 300
    assert "hunter2" not in (notify_send.parent / "env").read_text()
    assert "DISPLAY=:0" in (notify_send.parent / "env").read_text()


def test_only_the_begin_of_an_event_is_shown(notify_send: Path) -> None:
    for phase in ("update", "end"):
        Desktop().deliver(owed(1, phase))
    assert not notify_send.exists()
    Desktop().deliver(owed(1, **_now(is_test=True)))
    assert "A test: nothing was heard" in notify_send.read_text()


def test_an_event_of_last_night_is_no_news(notify_send: Path) -> None:
    at = datetime.now(timezone.utc) - timedelta(hours=9)
    err = _refusal(Desktop(), started_at=at)
    assert err.is_lasting and "32400 s old" in str(err) and not notify_send.exists()


def test_a_machine_without_a_desktop_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    err = _refusal(Desktop(), **_now())
    assert str(err) == "notify-send is not installed; run: apt install libnotify-bin"
    _script(tmp_path / "notify-send", "echo cannot open display; exit 1")
    err = _refusal(Desktop(), **_now())
    assert str(err) == "notify-send: exit code 1: cannot open display" and not err.is_lasting
