"""A copy of the pack with one more published method: one file and one line, as README says for a new one."""

from __future__ import annotations

import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FILE = '''"""A toy."""

from __future__ import annotations

from dataclasses import replace

from ..types import Task, Variant
from .dragnext import METHOD as DRAGNEXT
from .dragnext import dragnext
from .recipe import Recipe
from .record import Paper


def toy(task: Task, variant: Variant = "ours") -> Recipe:
    """DragNeXt, under another name."""
    return dragnext(task, variant)


METHOD = replace(
    DRAGNEXT, name="toy", paper=Paper("A Toy", "Nobody", 2026, "2600.00001"), build=toy, default=False
)
'''


def with_toy(folder: Path) -> Path:
    """The copy's root, in `folder`."""
    root = folder / "pack"
    left_out = shutil.ignore_patterns("__pycache__", ".git", ".venv*", "out", "models", "node_modules")
    for name in ("drag_core", "nodes", "web", "tests"):
        shutil.copytree(ROOT / name, root / name, ignore=left_out)
    shutil.copy(ROOT / "__init__.py", root)
    shutil.copy(ROOT / "pyproject.toml", root)
    (root / "drag_core/recipes/toy.py").write_text(FILE, encoding="utf-8")
    table = root / "drag_core/recipes/__init__.py"
    text = table.read_text(encoding="utf-8")
    table.write_text(
        text.replace('    "adaptivedrag",\n', '    "adaptivedrag",\n    "toy",\n'), encoding="utf-8"
    )
    return root
