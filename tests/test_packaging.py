"""What is installed is what lies in the checkout."""

from __future__ import annotations

from pathlib import Path

import pytest

import listen_edge

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    tomllib = None  # type: ignore[assignment]

ROOT = Path(__file__).parent.parent


@pytest.fixture()
def setuptools() -> dict[str, object]:
    if tomllib is None:
        pytest.skip("tomllib came with Python 3.11")
    with (ROOT / "pyproject.toml").open("rb") as file:
        tool: dict[str, object] = tomllib.load(file)["tool"]["setuptools"]
    return tool


def test_every_folder_with_code_is_packaged(setuptools: dict[str, object]) -> None:
    folders = {
        path.parent.relative_to(ROOT)
        for top in ("listen_edge", "export", "runtime", "train")
        for path in (ROOT / top).rglob("*.py")
    }
    names = {
        ".".join(f.parts if f.parts[0] == "listen_edge" else ("listen_edge", *f.parts))
        for f in folders
    }
    assert set(setuptools["packages"]) == names  # type: ignore[call-overload]


def test_public_names_are_these() -> None:
    assert listen_edge.__all__ == [
        "Answer", "Engine", "ListenEdgeError", "__version__", "listen", "load",
    ]  # fmt: skip
    for name in listen_edge.__all__:
        assert getattr(listen_edge, name)
