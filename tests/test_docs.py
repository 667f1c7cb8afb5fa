"""Every block of the documents that can run here is run; the others say why not.

A block in sh, console or python runs, in a folder with recordings and a data set, unless such a
comment stands before it, which is invisible when rendered:

    <!-- not run: needs a microphone -->

What a console block shows below a command is what the command prints: `...` stands for any lines,
and numbers may differ by one in their last digit, as they do between processors. In a python
block, a comment behind an expression is its value. The options of every `listen-edge` line are
read, whether it is run or not.
"""

from __future__ import annotations

import ast
import csv
import math
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click
import pytest
import soundfile
from click.testing import CliRunner

from listen_edge.cli import main
from listen_edge.cli.root import cli
from tests.small_ontology import write_ontology

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
RUN, SHOWN = ("sh", "console", "python"), ("text", "json", "yaml")
OPERATORS = {"|", "&&", ">"}
_FENCE = re.compile(
    r"^(?P<mark><!-- not run: \S.* -->\n)?```(?P<language>.*)\n(?P<body>(?:.*\n)*?)```$", re.M
)
_NUMBER = re.compile(r"-?\d+(?:\.(\d+))?")
RECORDINGS = {  # name in the documents: example recording
    "door.wav": "siren",
    "night.wav": "dog",
    "hours/a.wav": "glass_breaking",
    "hours/b.wav": "crying_baby",
    "sounds/siren/a.wav": "siren",
    "DIR/audio/a.wav": "dog",
    "DIR/audio/b.wav": "siren",
}
# The demo's own recipe, without its installing; the command as this checkout has it.
_SHELL = f"""
set -euo pipefail
make() {{ command make -s -C {ROOT} -o .venv/.demo BIN={Path(sys.executable).parent} "$@"; }}
"""


class Block(NamedTuple):
    place: str  # file and line
    language: str
    body: str
    is_run: bool


class Command(NamedTuple):
    line: str
    shown: list[str]  # below it


def _blocks(path: Path) -> Iterator[Block]:
    text = path.read_text()
    for found in _FENCE.finditer(text):
        line = text.count("\n", 0, found.start("language")) + 1
        is_run = found["language"] in RUN and not found["mark"]
        yield Block(f"{path.name}:{line}", found["language"], found["body"], is_run)


BLOCKS = [block for path in DOCUMENTS if path.exists() for block in _blocks(path)]


def _commands(block: Block) -> list[Command]:
    """Return the commands of a block, each with its continuation lines."""
    commands: list[Command] = []
    is_open = False
    for line in block.body.splitlines():
        if is_open:
            commands[-1] = Command(f"{commands[-1].line}\n{line}", [])
        elif block.language == "sh" or line.startswith("$ "):
            commands.append(Command(line.removeprefix("$ "), []))
        else:
            commands[-1].shown.append(line)
            continue
        is_open = _is_open(commands[-1].line)
    return commands


def _is_open(line: str) -> bool:
    """Return whether a command goes on in the next line."""
    try:
        _words(line)
    except ValueError:  # a quotation
        return True
    return line.endswith("\\")


def _words(line: str) -> list[str]:
    """Split a line as the shell would, without its comment."""
    reader = shlex.shlex(line.replace("\\\n", " "), posix=True, punctuation_chars=True)
    reader.whitespace_split = True
    return list(reader)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_a_block_says_what_it_is(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n```") == 2 * len(list(_FENCE.finditer(text))), "a fence that is not closed"
    for block in _blocks(path):
        assert block.language in RUN + SHOWN, block.place
        if block.language in SHOWN:
            assert not re.search(r"^(\$ |listen-edge )", block.body, re.M), block.place
    outside = _FENCE.sub("", text)
    assert not re.search(r"^ {4,}(\$ |listen-edge )", outside, re.M), "a command without a fence"
    assert "<!-- not run" not in outside, "a mark that stands before no block"


@pytest.mark.parametrize(
    "block", [b for b in BLOCKS if b.language in ("sh", "console")], ids=lambda block: block.place
)
def test_the_options_of_a_shown_command_exist(
    block: Block, material: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(material)
    for command in _commands(block):
        words = _words(command.line)
        if words[0] == "listen-edge" or words[:2] == ["docker", "run"]:
            arguments = words[words.index("listen-edge") + 1 :]
            ends = [k for k, word in enumerate(arguments) if word in OPERATORS]
            _read_arguments(arguments[: min(ends, default=len(arguments))])


def _read_arguments(arguments: list[str]) -> None:
    """Parse a command line without running it; `...` stands for what was left out."""
    command: click.Command = cli
    context = click.Context(cli, **cli.context_settings)
    while isinstance(command, click.Group) and arguments and not arguments[0].startswith("-"):
        name, *arguments = arguments
        found = command.get_command(context, name)
        assert found is not None, f"there is no command {name}"
        command = found
    given = [argument for argument in arguments if argument != "..."]
    is_short = len(given) < len(arguments)
    try:
        command.make_context(command.name, given, context, resilient_parsing=is_short)
    except click.BadParameter as err:
        if "does not exist" not in err.message:  # a file of the reader's
            raise


@pytest.fixture(scope="module")
def material(
    tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path, esc50_folder: Path
) -> Path:
    """The recordings, bundle and data set that the documents speak of, small and made here."""
    folder = tmp_path_factory.mktemp("material")
    clips = tiny_folder / "clips"
    (folder / "listen_edge").mkdir()
    (folder / "listen_edge/bundles").symlink_to(ROOT / "listen_edge/bundles")
    shutil.copytree(tiny_folder, folder / "bundles/door")
    shutil.copytree(esc50_folder, folder / "ESC-50")
    table = folder / "ESC-50/meta/esc50.csv"
    for made_up, label in (("hum", "siren"), ("beep", "dog"), ("hiss", "rain")):
        table.write_text(table.read_text().replace(made_up, label))
    for name, clip in RECORDINGS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / name, *soundfile.read(clips / f"{clip}.ogg"))
    write_ontology(folder / "ontology.json")
    with (folder / "DIR/meta.csv").open("w", newline="") as file:
        rows = [("a.wav", "dog", "NAME"), ("b.wav", "siren", "NAME")]
        csv.writer(file).writerows([("filename", "label", "source"), *rows])
    heard = (str(folder / name) for name in ("hours", "night.wav"))
    asked = "--ask", "dog barking?", "--ask", "siren?", "--llm", "never"
    done = CliRunner().invoke(cli, ["scan", *heard, *asked, "--out", str(folder / "archive")])
    assert done.exit_code == 0, done.output
    return folder


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.is_run], ids=lambda block: block.place)
def test_a_block_runs_as_it_stands(
    block: Block,
    material: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(material, tmp_path / "here", symlinks=True)
    monkeypatch.chdir(tmp_path / "here")
    if block.language == "python":
        _run_python(block)
        return
    for command in _commands(block):
        words = _words(command.line)
        if words[0] == "listen-edge" and not OPERATORS & set(words):
            monkeypatch.setattr(sys, "argv", words)
            with pytest.raises(SystemExit) as end:
                main()
            printed, err = capsys.readouterr()
            assert not end.value.code, err
        else:
            done = subprocess.run(
                ["bash", "-c", _SHELL + command.line], capture_output=True, text=True
            )
            printed, err = done.stdout, done.stderr
            assert done.returncode == 0, err
        if command.shown:
            assert _is_shown(command.shown, printed.splitlines()), printed


def _is_shown(shown: list[str], printed: list[str]) -> bool:
    if not shown:
        return not printed
    if shown[0] == "...":
        return any(_is_shown(shown[1:], printed[k:]) for k in range(len(printed) + 1))
    return bool(printed) and _is_same(shown[0], printed[0]) and _is_shown(shown[1:], printed[1:])


def _is_same(shown: str, printed: str) -> bool:
    """Compare two lines whose numbers may differ by one in their last digit."""
    if _NUMBER.sub("#", shown) != _NUMBER.sub("#", printed):
        return False
    for one, other in zip(_NUMBER.finditer(shown), _NUMBER.finditer(printed), strict=True):
        if abs(float(one[0]) - float(other[0])) > 1.01 * 10 ** -len(one[1] or ""):
            return False
    return True


def _run_python(block: Block) -> None:
    lines = block.body.splitlines()
    names: dict[str, Any] = {}
    for node in ast.parse(block.body).body:
        comment = lines[node.lineno - 1].partition("  # ")[2]
        if isinstance(node, ast.Expr) and comment:
            value = eval(ast.unparse(node), names)
            assert _is_same(comment, _shown_value(value)), value
        else:
            exec(compile(ast.Module([node], []), block.place, "exec"), names)


def _shown_value(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_shown_value, value))
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return f"{value:.2f}" if isinstance(value, float) and math.isfinite(value) else f'"{value}"'


@pytest.mark.parametrize(
    ("shown", "printed", "is_shown"),
    [
        (["a 0.07"], ["a 0.08"], True),
        (["a 0.07"], ["a 0.09"], False),
        (["a 0.07  absent"], ["a 0.07  present"], False),
        (["a", "..."], ["a", "b", "c"], True),
        (["...", "c"], ["a", "b", "c"], True),
        (["a"], ["a", "b"], False),
        (["a", "b"], ["a"], False),
    ],
)
def test_what_is_shown_is_compared(shown: list[str], printed: list[str], is_shown: bool) -> None:
    assert _is_shown(shown, printed) is is_shown
