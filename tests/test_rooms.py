"""The rooms of the house, and what each may import: the table of CONTRIBUTING.md."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.dependencies import EXTRAS, MODULES, modules_of

ROOT = Path(__file__).parent.parent
HOUSE = ("listen_edge", "runtime", "train", "export")
DOORS = ("listen_edge/__init__.py", "listen_edge/__main__.py")  # they open onto other rooms


class Import(NamedTuple):
    place: str  # file and line
    room: str
    module: str
    for_types: bool  # under `if TYPE_CHECKING:`


def _files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def _in_house(path: Path) -> bool:
    return str(path.relative_to(ROOT)) not in DOORS


def _room(path: Path) -> str:
    return ".".join(path.parent.relative_to(ROOT).parts)


@cache
def _room_of_module(module: str) -> str | None:
    """Return the room that holds a module of ours, None for any other module."""
    parts = module.split(".")
    if parts[0] != "listen_edge":
        return None
    places = parts[1:] if parts[1:2] and parts[1] in HOUSE else parts
    while not (ROOT.joinpath(*places) / "__init__.py").exists():
        places = places[:-1]
    return ".".join(places)


def _is_module(name: str) -> bool:
    parts = name.split(".")
    path = ROOT.joinpath(*(parts[1:] if parts[1] in HOUSE else parts))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def _imports(path: Path) -> Iterator[Import]:
    """Yield what a file imports, inside functions too, and our modules that a string names."""
    tree = ast.parse(path.read_text())
    for_types = {
        id(node)
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and ast.unparse(branch.test) == "TYPE_CHECKING"
        for node in ast.walk(branch)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{path}:{node.lineno}: a relative import"
            members = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [node.module, *(m for m in members if m.startswith("listen_edge."))]
        elif isinstance(node, ast.Constant) and re.fullmatch(
            r"listen_edge(\.\w+)+", str(node.value)
        ):
            names = [node.value] if _is_module(str(node.value)) else []
        else:
            continue
        for name in names:
            place = f"{path.relative_to(ROOT)}:{node.lineno}"
            yield Import(place, _room(path), name, id(node) in for_types)


@pytest.fixture(scope="module")
def imports() -> list[Import]:
    return [found for path in _files(*HOUSE) if _in_house(path) for found in _imports(path)]


@pytest.fixture(scope="module")
def may_import() -> dict[str, set[str]]:
    """The table of CONTRIBUTING.md: room -> the rooms it may import."""
    rows = re.findall(
        r"^\| `([\w.]+)` \|[^|]*\|([^|]*)\|$", (ROOT / "CONTRIBUTING.md").read_text(), re.M
    )
    rooms = [room for room, _ in rows]
    assert len(rooms) == len(set(rooms))
    return {
        room: set(rooms) if cell.strip() == "every room" else set(re.findall(r"`([\w.]+)`", cell))
        for room, cell in rows
    }


def test_every_room_has_its_row(may_import: dict[str, set[str]]) -> None:
    assert {_room(path) for path in _files(*HOUSE)} == set(may_import)
    assert set().union(*may_import.values()) <= set(may_import)


def test_rooms_import_what_their_row_says(
    imports: list[Import], may_import: dict[str, set[str]]
) -> None:
    """Names for type annotations alone may come from anywhere: nothing is loaded for them."""
    wrong = [
        f"{found.place}: {found.room} may not import {found.module}"
        for found in imports
        if (room := _room_of_module(found.module)) not in (None, found.room)
        and room not in may_import[found.room]
        and not found.for_types
    ]
    assert wrong == []


def test_the_table_points_one_way(may_import: dict[str, set[str]]) -> None:
    """train, export, runtime -> listen_edge; export -> train; nothing back."""

    def reach(house: str) -> set[str]:
        rooms = [r for r in may_import if r.split(".")[0] == house and r != "listen_edge.cli"]
        return {other.split(".")[0] for room in rooms for other in may_import[room]}

    assert reach("listen_edge") == {"listen_edge"}
    assert reach("runtime") == {"listen_edge", "runtime"}
    assert reach("train") <= {"listen_edge", "runtime", "train"}
    assert reach("export") <= {"listen_edge", "runtime", "train"}
    assert not any("listen_edge.cli" in rooms for room, rooms in may_import.items()
                   if room != "listen_edge.cli")  # fmt: skip
    assert "runtime.measure" not in may_import["runtime.listening"]
    assert "runtime.listening" not in may_import["runtime.sources"] | may_import["runtime"]


def test_only_train_and_export_import_what_their_extras_bring(imports: list[Import]) -> None:
    heavy = modules_of("train", "export") - modules_of(None, *(EXTRAS - {"train", "export"}))
    assert {"torch", "transformers", "whisper", "onnx"} <= heavy
    wrong = [
        f"{found.place}: {found.module}"
        for found in imports
        if found.module.split(".")[0] in heavy and found.room.split(".")[0] not in HOUSE[2:]
    ]
    assert wrong == []


def test_no_file_is_named_after_a_dependency() -> None:
    """Run as a script, it would hide the real one."""
    assert [path for path in _files(*HOUSE, "benchmarks") if path.stem in MODULES] == []
