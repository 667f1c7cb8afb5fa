"""What a process has not imported when its work is done: each promise in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.dependencies import MODULES, modules_of

DEVICE = modules_of(None, "cpu") - {"rich"}  # what answers; only a live view draws
EVERY_ROOM = ("alarms", "bundle", "evaluation", "export", "runtime", "train")
_WORKSHOPS = ("alarms", "evaluation", "export", "train")
OTHERS = (*_WORKSHOPS, "runtime.measure", "runtime.service")  # no part in an answer

COMMAND = """
from listen_edge.cli import main
sys.argv = ["listen-edge", ARGUMENTS]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
"""
ENGINE = """
import listen_edge, soundfile
samples, rate = soundfile.read(CLIP, dtype="float32")
with listen_edge.load("tiny", n_threads=1) as engine:
    assert engine.ask(samples, ["siren?"], sample_rate=rate)[0].state == "present"
    assert list(listen_edge.listen(engine, CLIP, ["siren?"]))
"""
EVERY_MODULE = """
NOT = ("archive", "service")
import importlib, pkgutil
import listen_edge.runtime as room
for module in pkgutil.walk_packages(room.__path__, room.__name__ + "."):
    if not any(f".{room}" in module.name for room in NOT):
        importlib.import_module(module.name)
"""
CAPTURE = """
from listen_edge.runtime.sources.capture import list_devices
list_devices(with_rates=True)
"""


class Promise(NamedTuple):
    code: str
    packages: set[str]  # all that may be imported of the packages that pyproject.toml names
    not_entered: tuple[str, ...]  # rooms of ours


def _command(arguments: str) -> str:
    return COMMAND.replace("ARGUMENTS", arguments)


PROMISES = {
    "import listen_edge": Promise("import listen_edge", set(), EVERY_ROOM),
    "--help": Promise(_command("'--help'"), {"click"}, EVERY_ROOM),
    "ask": Promise(_command("'ask', CLIP, '--ask', 'siren?'"), DEVICE, OTHERS),
    "load, ask, listen": Promise(ENGINE, DEVICE - {"click"}, ("cli", *OTHERS)),
    "every module of runtime": Promise(
        EVERY_MODULE,
        DEVICE - {"click"} | {"sounddevice"},
        ("alarms", "cli", "export", "train"),
    ),
    "every module of the service": Promise(
        EVERY_MODULE.replace(', "service"', ","),
        DEVICE | {"sounddevice"} | modules_of("service"),  # uvicorn is a command, with click
        ("alarms", "cli", "export", "train"),
    ),
    "every module of archives": Promise(
        EVERY_MODULE.replace('"archive", ', ""),
        DEVICE | {"sounddevice", "click"} | modules_of("scan"),  # Ray is a command, with click
        ("alarms", "cli", "export", "train"),
    ),
    "capture process": Promise(CAPTURE, {"sounddevice"}, ("bundle", "cli", "runtime.llama")),
}


@pytest.mark.parametrize("promise", PROMISES.values(), ids=PROMISES.keys())
def test_a_process_imports_no_more_than_promised(promise: Promise, tiny_folder: Path) -> None:
    clip = str(tiny_folder / "clips/siren.ogg")
    script = (
        f"import sys\nCLIP = {clip!r}\n{promise.code}\n"
        "import json\nprint()\nprint(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    imported = json.loads(done.stdout.splitlines()[-1])
    assert ({m.split(".")[0] for m in imported} & MODULES) - promise.packages == set()
    rooms = tuple(f"listen_edge.{room}." for room in promise.not_entered)
    assert [m for m in imported if f"{m}.".startswith(rooms)] == []
