"""A published method's numbers stand in its own file and nowhere else; pages and lists are its record's."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from drag_core.recipes import METHODS
from drag_core.recipes.choice import RECIPES, usual_numbers
from drag_core.recipes.record import Way
from drag_core.types import DragError, Grid, Task
from tests.toy_method import with_toy

ROOT = Path(__file__).resolve().parents[2]
PAGES = {
    "web/docs/DragOptimize.md": ("Start value ", "Recipes"),
    "web/docs/DragOptimize/zh.md": ("初始值", "方案"),
}
# Which ways' start values a row of the page lists, in its order.
ORDER: dict[str, tuple[str, ...]] = {
    "iterations": ("region",),
    "hold": ("region",),
    "levels": ("pbsi", "point"),
    "updates": ("pbsi", "point", "semantic"),
    "step": ("region", "pbsi", "point", "semantic"),
    "background": ("pbsi", "semantic"),  # pbsi's and point's are one
    "steps": ("semantic",),
    "guidance": ("semantic",),
    "tracking": ("point",),
}


def pairs(tree: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Every `name=value`: keywords, defaults, fields, entries; a schema's default under its input's name."""
    for n in ast.walk(tree):
        if isinstance(n, ast.Call):
            yield from ((k.arg, k.value) for k in n.keywords if k.arg)
            if n.args and isinstance(n.args[0], ast.Constant) and isinstance(n.args[0].value, str):
                yield from ((n.args[0].value, k.value) for k in n.keywords if k.arg == "default")
        elif isinstance(n, (ast.FunctionDef, ast.Lambda)):
            names = [a.arg for a in (*n.args.posonlyargs, *n.args.args)]
            count = len(n.args.defaults)
            yield from zip(names[len(names) - count :], n.args.defaults, strict=True)
            given = zip(n.args.kwonlyargs, n.args.kw_defaults, strict=True)
            yield from ((a.arg, d) for a, d in given if d is not None)
        elif isinstance(n, ast.AnnAssign) and n.value is not None and isinstance(n.target, ast.Name):
            yield n.target.id, n.value
        elif isinstance(n, ast.Dict):
            for key, value in zip(n.keys, n.values, strict=True):
                if isinstance(key, ast.Constant) and isinstance(key.value, str):
                    yield key.value, value


def copies(source: str, inputs_step: bool = False) -> list[str]:
    """Numbers of a method that a text has under the same name.

    `inputs_step`: a schema's `step` is a slider's.
    """
    numbers: dict[str, set[Any]] = {}
    for m in METHODS.values():
        for name, value in (*vars(m.numbers).items(), *vars(m.inversion).items()):
            numbers.setdefault(name, set()).add(value)
    out = []
    for name, value in pairs(ast.parse(source)):
        if inputs_step and name == "step":
            continue
        is_number = isinstance(value, ast.Constant) and type(value.value) in (int, float)
        if is_number and value.value in numbers.get(name, ()):  # type: ignore[attr-defined]
            out.append(f"{value.lineno}: {name}={value.value}")  # type: ignore[attr-defined]
    return out


# The same name and number, and another thing.
OTHERS = {
    "drag_core/features/sam2.py": 1,  # the stride of its patches
    "drag_core/recipes/presets.py": 2,  # the embedded FLUX's own six levels; a paste at one level
    "drag_core/recipes/fast.py": 1,  # a paste at one level
    "drag_core/trajectory/start.py": 1,  # a paste at one level
}


def test_a_papers_number_stands_in_one_place() -> None:
    found = {}
    for file in (*(ROOT / "drag_core").rglob("*.py"), *(ROOT / "nodes").rglob("*.py")):
        name = file.relative_to(ROOT).as_posix()
        if name in {f"drag_core/recipes/{method}.py" for method in METHODS}:
            continue
        there = copies(file.read_text(encoding="utf-8"), name.startswith("nodes/"))
        if there:
            found[name] = there
    assert {name: len(there) for name, there in found.items()} == OTHERS, found


@pytest.mark.parametrize(
    "source",
    [
        "def f(task, radius=4): ...",
        "class A:\n    iterations: int = 50",
        "Supervision(search=12)",
        'io.Int.Input("tracking", default=3)',
        'NUMBERS = {"updates": 30}',
        "def f(*, guidance=0.1): ...",
    ],
)
def test_a_copy_is_found(source: str) -> None:
    assert len(copies(source)) == 1


@pytest.mark.parametrize(("page", "mark"), [(p, m) for p, (m, _) in PAGES.items()])
def test_the_help_page_says_the_start_values(page: str, mark: str) -> None:
    rows = re.findall(r"^\| `(\w+)`[^|`]*\|(.*)\|$", (ROOT / page).read_text(encoding="utf-8"), re.M)
    said = {name: row.split(mark)[1] for name, row in rows if mark in row}
    assert set(ORDER) <= set(said)
    for name, ways in ORDER.items():
        numbers = [float(x) for x in re.findall(r"\d+(?:\.\d+)?", said[name])]
        assert numbers == [float(getattr(usual_numbers(way), name)) for way in ways], (name, said[name])  # type: ignore[arg-type]


@pytest.mark.parametrize(("page", "heading"), [(p, h) for p, (_, h) in PAGES.items()])
def test_the_help_page_has_a_row_for_every_recipe_with_its_paper(page: str, heading: str) -> None:
    assert missing_rows((ROOT / page).read_text(encoding="utf-8"), heading) == []


def missing_rows(page: str, heading: str) -> list[str]:
    section = page.split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = {r: re.search(rf"^\| `{r}` \|.*$", section, re.M) for r in RECIPES}
    out = [r for r, row in rows.items() if row is None]
    return out + [m.name for m in METHODS.values() if (row := rows[m.name]) and m.paper.url not in row[0]]


def test_every_way_has_a_method_whose_numbers_it_starts_from() -> None:
    assert {m.way for m in METHODS.values()} == set(get_args(Way))
    assert [m.name for m in METHODS.values() if m.default] == ["dragflow", "dragnext", "gooddrag"]
    assert all(
        re.fullmatch(r"\d{4}\.\d{5}", m.paper.arxiv) and 2023 <= m.paper.year for m in METHODS.values()
    )


@pytest.mark.parametrize("name", METHODS)
def test_a_variant_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(DragError, match="variant is 'relased'; it must be ours, paper or released"):
        METHODS[name].build(Task(Grid(64, 64)), "relased")  # type: ignore[arg-type]


CHECK = "from tests.core import test_record as t; p = t.ROOT / 'web/docs/DragOptimize.md'; " + (
    "print(t.missing_rows(p.read_text(encoding='utf-8'), 'Recipes'))"
)


def test_a_new_method_is_one_file_and_one_line(tmp_path: Path) -> None:
    """It is on the command line, and the check of the help pages asks for its row; the node: tests/host."""
    root = with_toy(tmp_path)

    def asked(*argv: str) -> str:
        return subprocess.run(
            [sys.executable, *argv], cwd=root, capture_output=True, text=True, check=True
        ).stdout

    assert re.search(
        r"dragnext,\s+gooddrag,\s+dragdiffusion,\s+adaptivedrag,\s+toy\s+\(SD\)",
        asked("-m", "drag_core", "edit", "--help"),
    )
    assert asked("-c", CHECK).strip() == "['toy']"
