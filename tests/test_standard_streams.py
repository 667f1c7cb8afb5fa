"""Closed streams, a recorder that dies, a terminal that goes, a user without a home."""

from __future__ import annotations

import json
import os
import pwd
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import soundfile

from listen_edge.cli.root import main

_COMMAND = [sys.executable, "-m", "listen_edge"]


def _shell(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script in which "$@" is listen-edge with these arguments."""
    return subprocess.run(
        ["bash", "-c", script, "bash", *_COMMAND, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.parametrize("arguments", [["mic", "--stdin"], ["replay", "-"]], ids=" ".join)
@pytest.mark.parametrize(
    ("script", "says"),
    [
        ('"$@" <&-', "stdin is closed; pipe raw PCM into it"),
        ('false | "$@"', "stdin: "),
        ('printf abc | "$@"', "stdin: "),
    ],
    ids=["closed", "recorder-died", "less-than-two-samples"],
)
def test_a_stdin_that_brings_nothing_is_an_error(
    arguments: list[str], script: str, says: str
) -> None:
    done = _shell(script, *arguments, "--ask", "siren?", "--format", "jsonl")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"listen-edge: {says}")
    *others, error = (json.loads(line) for line in done.stdout.splitlines())
    assert (error["type"], error["message"]) == ("error", line.removeprefix("listen-edge: "))
    assert {other["type"] for other in others} <= {"health"}


@pytest.mark.parametrize("command", ["ask", "replay"])
def test_a_closed_stdout_is_an_error_and_takes_no_other_files_place(
    command: str, tiny_folder: Path
) -> None:
    done = _shell('"$@" >&-', command, str(tiny_folder / "clips/siren.ogg"), "--ask", "siren?")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("listen-edge: standard output is closed")


def test_a_closed_stderr_costs_no_answer(tiny_folder: Path) -> None:
    done = _shell('"$@" 2>&-', "ask", str(tiny_folder / "clips/siren.ogg"), "--ask", "siren?")
    assert (done.returncode, done.stdout.split()[-1]) == (0, "present")


@contextmanager
def _hearing_a_siren(folder: Path, script: str) -> Iterator[subprocess.Popen[str]]:
    """Listen to a siren that does not end, on a pipe; the event has begun."""
    samples, rate = soundfile.read(folder / "clips/siren.ogg", dtype="int16")
    read_end, write_end = os.pipe()
    arguments = ["mic", "--stdin", "--rate", str(rate), "--confirm", "1/1", "--on", "0.7"]
    arguments += ["--off", "0.3", "--ask", "siren?", "--format", "jsonl"]
    process = subprocess.Popen(
        ["bash", "-c", f'{script}exec "$@"', "bash", *_COMMAND, *arguments],
        stdin=read_end,
        stdout=subprocess.PIPE,
        text=True,
        # The tests themselves may run under nohup, which a child would inherit.
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    )
    os.close(read_end)

    def sound() -> None:
        with suppress(BrokenPipeError), os.fdopen(write_end, "wb") as pipe:
            while True:  # a listener that was not given a core for seconds hears the next one
                pipe.write(samples.tobytes())

    siren = threading.Thread(target=sound)
    siren.start()
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if json.loads(line)["type"] == "event":
                break
        yield process
    finally:
        process.kill()
        process.wait()
        siren.join()
        assert process.stdout is not None
        process.stdout.close()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGHUP, 129), (signal.SIGTERM, 0)])
def test_a_signal_closes_the_event(number: signal.Signals, code: int, tiny_folder: Path) -> None:
    with _hearing_a_siren(tiny_folder, "") as process:
        process.send_signal(number)
        assert process.stdout is not None
        end = json.loads(process.stdout.read().splitlines()[-1])
        assert process.wait(10) == code
    assert (end["type"], end["phase"], end["reason"]) == ("event", "end", "stopped")


def test_under_nohup_it_goes_on(tiny_folder: Path) -> None:
    with _hearing_a_siren(tiny_folder, "trap '' HUP; ") as process:
        process.send_signal(signal.SIGHUP)
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["type"] in ("answer", "health")
        process.terminate()
        assert process.stdout.read() and process.wait(10) == 0


def test_a_user_without_a_home_is_told_of_the_variable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tiny_folder: Path
) -> None:
    def unknown(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.delenv("HOME")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    recording = str(tiny_folder / "clips/siren.ogg")
    monkeypatch.setattr(sys, "argv", ["listen-edge", "ask", recording, "--ask", "siren?"])
    with pytest.raises(SystemExit) as exit_:
        main()
    captured = capsys.readouterr()
    assert (exit_.value.code, captured.out) == (1, "")
    (line,) = captured.err.splitlines()
    assert "has no home folder for the cache of model files; set XDG_CACHE_HOME" in line
