"""A short run of the fuzzer finds nothing, and it would find what it looks for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TARGETS = {
    *("recordings", "ffmpeg", "containers", "questions", "manifests", "folders", "archives"),
    *("lines", "names", "thresholds"),
}
FAULTS = {
    "crash": ("os.kill(os.getpid(), signal.SIGSEGV)", "Segmentation fault"),
    "exit": ("os._exit(3)", "the process ended with 3"),
    "error": ("1 / 0", "ZeroDivisionError"),
    "stderr": ("os.write(2, b'Note: resync')", "words on stdout or stderr: Note: resync"),
    "stdout": ("os.write(1, b'Error A')", "words on stdout or stderr: Error A"),
    "file": ("os.open('/', os.O_RDONLY)", "left open"),
    "process": ("os.posix_spawn('/bin/sleep', ['sleep', '1'], {})", "a process is left"),
    "thread": ("threading.Thread(target=time.sleep, args=[1]).start()", "left running"),
    "memory": ("bytearray(600 << 20)", "MemoryError"),
    "address space": ("np.empty(600 << 20, np.uint8)", "MemoryError"),
}
_SCRIPT = """
import json, os, signal, sys, threading, time
from pathlib import Path
from tempfile import TemporaryDirectory
import numpy as np
from hypothesis import strategies as st
from tests.fuzz.rounds import run_round
from tests.fuzz.targets import Target

found = {}
for name, code in json.load(sys.stdin).items():
    with TemporaryDirectory() as folder:
        target = Target(st.just(0), lambda given, work: exec(code), 1)
        found[name] = run_round(target, 0, 1, Path(folder))
print(json.dumps(found))
"""


def test_a_short_run_finds_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.fuzz", "--short", "--keep", str(tmp_path)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-5000:]
    *rows, total = run.stdout.splitlines()
    n_inputs = {name: int(rest.split()[0]) for name, rest in (row.split(": ") for row in rows)}
    assert set(n_inputs) == TARGETS and min(n_inputs.values()) >= 25
    assert total == f"{sum(n_inputs.values())} inputs, 0 findings"


@pytest.fixture(scope="module")
def found() -> dict[str, tuple[int, str]]:
    """What the fuzzer says of checks that do what no decoder may do."""
    codes = json.dumps({name: code for name, (code, _) in FAULTS.items()})
    command = [sys.executable, "-c", _SCRIPT]
    run = subprocess.run(command, cwd=ROOT, input=codes, capture_output=True, text=True, check=True)
    result: dict[str, tuple[int, str]] = json.loads(run.stdout)
    return result


@pytest.mark.parametrize("fault", list(FAULTS))
def test_the_fuzzer_notices(found: dict[str, tuple[int, str]], fault: str) -> None:
    n_inputs, finding = found[fault]
    assert n_inputs == 1 and FAULTS[fault][1] in finding
