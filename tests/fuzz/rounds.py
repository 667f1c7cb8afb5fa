"""One round of a target in a process of its own, which is watched from inside and from outside.

An input is written to disk before it is tried: a crash of a C library leaves it there.
"""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import multiprocessing
import os
import pickle
import resource
import signal
import threading
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any, TextIO

import hypothesis

from tests.fuzz.targets import Target

MAX_CPU_S, MAX_WALL_S = 5.0, 30.0  # of one input, with its ffmpeg; by the clock others compute too
MAX_GROWTH = 500 << 20  # bytes of memory, resident or only asked for
_FINDING, _INPUT, _COUNT, _WORDS = "finding", "input", "count", "words"


class Hang(BaseException):
    """An input takes longer than MAX_WALL_S; nothing that catches Exception stops it."""


def run_round(target: Target, seed: int, n_examples: int, folder: Path) -> tuple[int, str | None]:
    """Try inputs in a child process.

    Args:
        folder: empty; holds the pickled `input` and the `finding` afterwards.

    Returns:
        The number of inputs tried, and what was found, or None.
    """
    child = multiprocessing.get_context("fork").Process(
        target=_examine_all, args=(target, seed, n_examples, folder)
    )
    child.start()
    child.join()
    found = _read(folder / _FINDING)
    if child.exitcode and not found.strip():
        found = f"the process ended with {child.exitcode}"
    return int(_read(folder / _COUNT) or 0), found.strip() or None


def _read(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""


def _examine_all(target: Target, seed: int, n_examples: int, folder: Path) -> None:
    """Try inputs until one fails; runs in the child, which is not left."""
    finding = (folder / _FINDING).open("w")
    faulthandler.enable(finding)  # where a C library crashes
    _prepare(folder)
    n_tried = 0

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=n_examples,
        deadline=None,
        database=None,
        phases=(hypothesis.Phase.generate,),
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(target.inputs)
    def examine(given: Any) -> None:
        nonlocal n_tried
        n_tried += 1
        (folder / _INPUT).write_bytes(pickle.dumps(given))
        (folder / _COUNT).write_text(str(n_tried))
        with _told(finding), TemporaryDirectory(dir=folder) as work, watched(finding.fileno()):
            target.check(given, Path(work))

    with _told(finding):
        examine()
    os._exit(0)


@contextlib.contextmanager
def _told(finding: TextIO) -> Iterator[None]:
    """Write what is raised and end the process, before hypothesis tries the same again."""
    try:
        yield
    except BaseException:  # noqa: BLE001 - a Hang as well
        finding.write(traceback.format_exc())
        finding.flush()
        os._exit(1)


def _prepare(folder: Path) -> None:
    words = os.open(folder / _WORDS, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(words, 1)
    os.dup2(words, 2)
    os.close(words)
    logging.root.addHandler(logging.NullHandler())
    warnings.simplefilter("error")
    signal.signal(signal.SIGALRM, _raise_hang)
    _, _, address_space = _memory()
    resource.setrlimit(resource.RLIMIT_AS, (address_space + MAX_GROWTH,) * 2)


def _raise_hang(number: int, frame: FrameType | None) -> None:
    raise Hang(f"no end after {MAX_WALL_S:.0f} s")


@contextlib.contextmanager
def watched(crash_descriptor: int) -> Iterator[None]:
    """Raise AssertionError or Hang if what is done inside breaks a limit or leaves something.

    Args:
        crash_descriptor: where the stack of a C library that never returns is written.
    """
    Path("/proc/self/clear_refs").write_text("5")  # the peak of resident memory starts anew
    before, cpu_s = _memory(), _cpu_s()
    open_files, threads = _open_files(), threading.active_count()
    faulthandler.dump_traceback_later(2 * MAX_WALL_S, exit=True, file=crash_descriptor)
    signal.setitimer(signal.ITIMER_REAL, MAX_WALL_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()
    took_s = _cpu_s() - cpu_s
    assert took_s <= MAX_CPU_S, f"{took_s:.1f} s of computing"
    _, peak, _ = _memory()
    grown = peak - before[0]
    assert grown <= MAX_GROWTH, f"{grown >> 20} MiB more"
    of_child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss << 10
    assert of_child <= before[0] + MAX_GROWTH, f"{of_child >> 20} MiB in ffmpeg"
    assert os.fstat(2).st_size == 0, (
        "words on stdout or stderr: " + Path("/proc/self/fd/2").read_text()
    )
    assert _open_files() == open_files, f"left open: {_open_files() - open_files}"
    assert threading.active_count() == threads, f"left running: {threading.enumerate()}"
    with contextlib.suppress(ChildProcessError):
        raise AssertionError(f"a process is left: {os.waitpid(-1, os.WNOHANG)}")


def _memory() -> tuple[int, int, int]:
    """Return bytes: resident, the most that were resident, and of address space."""
    status = dict(line.split(":", 1) for line in _read(Path("/proc/self/status")).splitlines())
    rss, peak, size = (int(status[key].split()[0]) << 10 for key in ("VmRSS", "VmHWM", "VmSize"))
    return rss, peak, size


def _cpu_s() -> float:
    ours, children = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return ours.ru_utime + ours.ru_stime + children.ru_utime + children.ru_stime


def _open_files() -> set[str]:
    """Return the descriptors and what each leads to, the listing's own left out."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.add(f"{entry.name} {entry.readlink()}")
    return {what for what in found if f"/proc/{os.getpid()}/fd" not in what}
