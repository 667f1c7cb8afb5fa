"""A package that is missing names the extra that the command needs, as pyproject.toml has it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from listen_edge.cli.root import cli
from listen_edge.extras import COMMANDS, DISTRIBUTIONS, extra_for

ROOT = Path(__file__).parents[1]
FOLDERS = ("listen_edge", "runtime", "train", "export")


def _project() -> dict[str, Any]:
    tomllib = pytest.importorskip("tomllib", reason="comes with Python 3.11")
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return project


def _imported() -> set[str]:
    """Return the modules of other packages that any of ours imports."""
    names = set()
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import):
                    names |= {alias.name.partition(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    names.add(node.module.partition(".")[0])
    return names - set(sys.stdlib_module_names) - {"listen_edge"}


def test_every_import_is_a_dependency_or_in_an_extra() -> None:
    base = {line.partition(">")[0].replace("-", "_") for line in _project()["dependencies"]}
    base |= {"llama_cpp"}
    lacking = {name for name in _imported() - base if extra_for(name, None) in (None, "dev")}
    assert lacking == set()


def test_the_table_names_what_there_is() -> None:
    project = _project()
    assert set(COMMANDS) <= set(cli.commands)
    assert set(COMMANDS.values()) <= set(project["optional-dependencies"])
    written = str(project["optional-dependencies"])
    assert all(f"'{distribution}>" in written for distribution in DISTRIBUTIONS.values())


@pytest.mark.parametrize(
    ("module", "command", "extra"),
    [
        ("httpx", "bundle", "pull"),
        ("httpx", "eval", "eval"),
        ("httpx", "synthesize", "train"),
        ("cryptography", "bundle", "pull"),
        ("huggingface_hub.errors", "bundle", "pull"),
        ("onnx", "export", "export"),
        ("onnxscript", "bench", "export"),
        ("torch", "export", "export"),
        ("torch", "train", "train"),
        ("torch", "bench", "train"),
        ("whisper", "bench", "train"),
        ("yaml", "train", "train"),
        ("pyroomacoustics", "eval", "eval"),
        ("pyroomacoustics", "train", "train"),
        ("matplotlib", "report", "train"),
        ("sounddevice", "mic", "mic"),
        ("onnxruntime", "ask", "cpu"),
        ("no_such_package", "ask", None),
    ],
)
def test_the_commands_own_extra_goes_first(module: str, command: str, extra: str | None) -> None:
    assert extra_for(module, command) == extra


@pytest.mark.parametrize(
    ("arguments", "missing", "extra"),
    [
        ("bundle pull https://127.0.0.1:9/tiny.tar", "httpx", "pull"),
        ("export llm folder --out a.gguf", "torch", "export"),
    ],
)
def test_a_missing_package_is_one_line(arguments: str, missing: str, extra: str) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None; from listen_edge.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments.split()], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"listen-edge: {missing} is not installed; run: pip install 'listen-edge[{extra}]'\n"
    )
