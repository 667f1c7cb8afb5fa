"""How large a file and a function may grow."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAX_FILE_LINES = 350
MAX_FUNCTION_LINES = 50  # from def, decorators left out


@pytest.mark.parametrize(
    "folder", ["listen_edge", "runtime", "train", "export", "tests", "benchmarks"]
)
def test_files_and_functions_stay_small(folder: str) -> None:
    large = []
    for path in sorted((ROOT / folder).rglob("*.py")):
        text = path.read_text()
        name = path.relative_to(ROOT)
        if (n_lines := len(text.splitlines())) > MAX_FILE_LINES:
            large.append(f"{name}: {n_lines} lines, at most {MAX_FILE_LINES}; split it by noun")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
                n_lines = node.end_lineno - node.lineno + 1
                if n_lines > MAX_FUNCTION_LINES:
                    large.append(f"{name}: {node.name} has {n_lines} lines")
    assert large == []
