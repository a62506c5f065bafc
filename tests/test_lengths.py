"""No file of over 300 lines, Python or JavaScript, and outside the tests no function of over 80.

Each rule is shown to fail on a text that breaks it.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MOST_OF_A_FILE = 300
MOST_OF_A_FUNCTION = 80  # a node's define_schema, a list of its inputs, may be longer
FOLDERS = ("drag_core", "nodes", "web", "benchmarks", "tools", "tests")
SUFFIXES = {".py", ".js", ".mjs", ".ts"}
WITH_SHORT_FUNCTIONS = ("drag_core/", "nodes/", "benchmarks/", "tools/")


def length_errors(source: str, path: str) -> list[str]:
    """What is too long in the text of one file; `path` is from the root."""
    out = []
    if (lines := len(source.splitlines())) > MOST_OF_A_FILE:
        out.append(f"{path}: {lines} lines, more than {MOST_OF_A_FILE}")
    if not path.endswith(".py") or not path.startswith(WITH_SHORT_FUNCTIONS):
        return out
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name != "define_schema":
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > MOST_OF_A_FUNCTION:
                out.append(f"{path}:{node.lineno}: {node.name} has {lines} lines")
    return out


def errors(root: Path) -> list[str]:
    files = [*root.iterdir(), *(f for folder in FOLDERS for f in (root / folder).rglob("*"))]
    return [
        error
        for file in sorted(f for f in files if f.suffix in SUFFIXES and f.is_file())
        if "node_modules" not in file.parts
        for error in length_errors(file.read_text(encoding="utf-8"), file.relative_to(root).as_posix())
    ]


def test_nothing_is_too_long() -> None:
    assert all((ROOT / folder).is_dir() for folder in FOLDERS)
    assert errors(ROOT) == []


LONG_FILE = "x = 1\n" * (MOST_OF_A_FILE + 1)
LONG = "def f():\n" + "    x = 1\n" * MOST_OF_A_FUNCTION
METHOD = "class A:\n    async def f():\n" + "        x = 1\n" * MOST_OF_A_FUNCTION


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("dev.py", LONG_FILE),
        ("drag_core/task.py", LONG_FILE),
        ("web/lib/editor.js", LONG_FILE),
        ("tests/core/test_drag.py", LONG_FILE),
        ("drag_core/task.py", LONG),
        ("nodes/host/plan.py", METHOD),
        ("benchmarks/gpu.py", LONG),
        ("tools/embedded/card.py", LONG),
    ],
)
def test_what_is_too_long_is_found(tmp_path: Path, path: str, source: str) -> None:
    file = tmp_path / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(source)
    assert len(errors(tmp_path)) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("drag_core/task.py", "x = 1\n" * MOST_OF_A_FILE),
        ("web/lib/editor.js", "x = 1\n" * MOST_OF_A_FILE),
        ("web/docs/DragOptimize.md", LONG_FILE),
        ("tests/core/test_drag.py", LONG),
        ("drag_core/task.py", LONG.replace("    x = 1\n", "", 1)),
        ("nodes/optimize.py", LONG.replace("def f", "def define_schema")),
    ],
)
def test_what_may_be_long(tmp_path: Path, path: str, source: str) -> None:
    file = tmp_path / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(source)
    assert errors(tmp_path) == []
