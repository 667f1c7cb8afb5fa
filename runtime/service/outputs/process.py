"""One run of another program, bounded in every way: time, output, what it inherits and leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from listen_edge.errors import one_line
from listen_edge.runtime.service.outputs import OutputError

_LOOK_S = 0.02  # between two looks at it
_KEPT_BYTES = 4096  # of what it prints; more is read and thrown away
_READ_BYTES = 65_536  # a look: a program that floods waits, and leaves the processor to listening
_REAP_S = 2.0


class Finished(NamedTuple):
    """How a program ended.

    Attributes:
        code: 0 is success, -N is signal N.
        said: the begin of what it printed, stdout and stderr, on one line.
    """

    code: int
    said: str

    @property
    def failure(self) -> str:
        """How it failed, in words, with the begin of its own."""
        how = f"exit code {self.code}" if self.code > 0 else f"killed by signal {-self.code}"
        return how + (f": {self.said[:120]}" if self.said else "")


def run_bounded(
    words: Sequence[str],
    stdin: bytes,
    environment: Mapping[str, str],
    *,
    timeout_s: float,
    is_over: threading.Event,
) -> Finished:
    """Run a program without a shell, in "/" and in a process group of its own.

    All that is left of the group when it ends is killed: what would live on must leave it (setsid).

    Args:
        words: the program's path and its arguments.
        is_over: ends it early.

    Raises:
        OutputError: it cannot be run, or had to be ended. Its arguments are not told.
    """
    name = Path(words[0]).name
    process = _started(words, stdin, environment)
    deadline = time.monotonic() + timeout_s
    assert process.stdout is not None
    with process.stdout as pipe:
        os.set_blocking(pipe.fileno(), False)
        said = bytearray()
        try:
            while not (has_ended := _has_ended(process.pid)) and time.monotonic() < deadline:
                _read(pipe.fileno(), said)
                if is_over.wait(_LOOK_S):
                    break
            _read(pipe.fileno(), said)
        finally:
            _kill_group(process)
    if not has_ended:
        why = "the service ends" if is_over.is_set() else f"not done within {timeout_s:g} s"
        raise OutputError(f"{name}: {why}; it was killed")
    return Finished(process.returncode, one_line(said.decode(errors="replace")))


def _started(
    words: Sequence[str], stdin: bytes, environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    with os.fdopen(os.memfd_create("stdin"), "w+b", buffering=0) as given:
        given.write(stdin)
        given.seek(0)
        try:
            return subprocess.Popen(
                words,
                stdin=given,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd="/",
                env=dict(environment),
                start_new_session=True,
            )
        except OSError as err:
            raise OutputError(f"{words[0]}: cannot be run ({err.strerror})") from err


def _has_ended(pid: int) -> bool:
    """Look without reaping it: its number, which is its group's, is not given to another yet."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _read(pipe: int, said: bytearray) -> None:
    try:
        printed = os.read(pipe, _READ_BYTES)
    except BlockingIOError:
        return
    said += printed[: max(0, _KEPT_BYTES - len(said))]


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):  # gone, or another user's by now (sudo)
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):  # stuck in the kernel; subprocess reaps it later
        process.wait(_REAP_S)
