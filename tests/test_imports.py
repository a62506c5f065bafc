"""No import circle, every imported name of ours there, the packages in their order.

Read from the syntax trees, imports inside functions and under TYPE_CHECKING counted. Each rule is shown to
fail on a tree that breaks it.
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterable
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKS = ("drag_core", "nodes", "benchmarks", "tools", "tests")
IN_THE_HOST = "region_drag_editing."  # how the tests inside the host name the pack

# A file imports from rows above its own, and in its row from its own package.
CORE = (
    ("errors", "autocast"),
    ("ranges",),
    ("types", "block"),
    ("step",),
    ("motion", "adapters", "lora"),
    ("trajectory", "kernels", "pictures", "metrics", "mllm"),
    ("features", "backends"),
    ("recipes",),
    ("result",),
    ("updates",),
    ("drag",),
    ("finishing", "preparing"),
    ("edit", "beside"),
    ("bench",),
    ("__main__",),
)
HOST = (
    ("shape", "recent", "tracks", "whole", "pixels", "files", "waiting"),
    ("schedule",),
    ("backbones",),
    ("family", "memory", "marked"),
    ("graphs",),
    ("prompts", "sizes"),
    ("session", "plain", "adapters", "loaders", "lpips", "progress"),
    ("inversion",),
    ("patches", "features", "dift", "guide", "plan", "lora", "wish", "sam2", "finish_choices"),
    ("optimise", "own_start", "early", "look", "finish", "variants"),
    ("candidates",),
    ("edit",),
)


def modules(root: Path) -> dict[str, Path]:
    out = {}
    for file in (f for pack in PACKS for f in (root / pack).rglob("*.py")):
        parts = file.relative_to(root).with_suffix("").parts
        out[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return out


def imported(file: Path, root: Path) -> list[tuple[int, str, str]]:
    """(line, module, name) of every `from ... import` in a file, relative ones made absolute."""
    package, out = file.relative_to(root).parent.parts, []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])]).removeprefix(IN_THE_HOST)
            out += [(node.lineno, module, a.name) for a in node.names]
    return out


def defined(file: Path) -> set[str]:
    out: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            out.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            out |= {a.asname or a.name for a in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            out.add(node.id)
    return out


def circle(graph: dict[str, set[str]]) -> list[str]:
    """One circle of the graph; empty if there is none."""
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as e:
        return list(e.args[1])
    return []


def row(module: str, prefix: str, rows: Iterable[tuple[str, ...]]) -> tuple[int, str] | None:
    """(row, package) of a module in an order; None if it has no place there."""
    if not module.startswith(prefix):
        return None
    package = module.removeprefix(prefix).split(".")[0]
    return next(((i, package) for i, names in enumerate(rows) if package in names), None)


def errors(root: Path) -> list[str]:
    known = modules(root)
    names = {m: defined(f) for m, f in known.items()}
    graph: dict[str, set[str]] = {m: set() for m in known}
    out = []
    for module, file in known.items():
        for line, source, name in imported(file, root):
            if source.split(".")[0] not in PACKS:
                continue
            target = f"{source}.{name}" if f"{source}.{name}" in known else source
            where = f"{file.relative_to(root).as_posix()}:{line}"
            if target not in known or (target == source and name not in names[source]):
                if source != "nodes":  # in the host's process that is the host's own
                    out.append(f"{where}: {source} has no {name}")
                continue
            if target != module and not module.startswith("tests"):
                graph[module].add(target)
            for prefix, rows in (("drag_core.", CORE), ("nodes.host.", HOST)):
                here, there = row(module, prefix, rows), row(target, prefix, rows)
                if here and there and here[1] != there[1] and there[0] >= here[0]:
                    out.append(f"{where}: {here[1]} imports {there[1]}, which stands no lower")
    for prefix, rows in (("drag_core.", CORE), ("nodes.host.", HOST)):
        for module in known:
            if module.startswith(prefix) and row(module, prefix, rows) is None:
                out.append(
                    f"{module} has no place in the order of {prefix}*: give it one in {Path(__file__).name}"
                )
    if ring := circle(graph):
        out.append(f"circle: {' -> '.join(ring)}")
    return out


def script_errors(root: Path) -> list[str]:
    """The same for web/: a circle of scripts, or a script that is not there."""
    graph: dict[str, set[str]] = {}
    out = []
    for file in sorted((root / "web").rglob("*.js")):
        here = file.relative_to(root).as_posix()
        graph[here] = set()
        text = re.sub(r"/\*.*?\*/|^\s*//.*?$", "", file.read_text(encoding="utf-8"), flags=re.S | re.M)
        for found in re.findall(r"^(?:import|export)\b[^;'\"]*?['\"](\.[^'\"]+)['\"]", text, flags=re.M):
            target = (file.parent / found).resolve()
            if root.resolve() / "web" not in target.parents:
                continue  # the host's own scripts
            if not target.exists():
                out.append(f"{here}: there is no {found}")
                continue
            graph[here].add(target.relative_to(root.resolve()).as_posix())
    if ring := circle(graph):
        out.append(f"circle: {' -> '.join(ring)}")
    return out


def test_the_tree_has_no_circle_and_keeps_its_order() -> None:
    assert errors(ROOT) == []


def test_the_scripts_have_no_circle() -> None:
    assert len(list((ROOT / "web").rglob("*.js"))) > 50
    assert script_errors(ROOT) == []


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"a": "from .b import y\nx = 1", "b": "def f():\n    from .a import x\ny = 1"}, "circle"),
        ({"a": "if TYPE_CHECKING:\n    from .b import y\nx = 1", "b": "from .a import x\ny = 1"}, "circle"),
        ({"a": "from . import b", "b": "from .c import z", "c": "from .a import b as z"}, "circle"),
        ({"a": "from .b import gone", "b": "x = 1"}, "drag_core.motion.b has no gone"),
        ({"a": "from ..drag import x", "../drag": "x = 1"}, "motion imports drag, which stands no lower"),
        ({"a": "from ..adapters import x", "../adapters/__init__": "x = 1"}, "motion imports adapters"),
        ({"../new": "x = 1"}, "drag_core.new has no place"),
    ],
)
def test_a_broken_rule_is_found(tmp_path: Path, files: dict[str, str], said: str) -> None:
    for name, text in files.items():
        file = (tmp_path / "drag_core/motion" / f"{name}.py").resolve()
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (found,) = errors(tmp_path)
    assert said in found


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"a": "import { y } from './b.js'", "b": "import { x } from './a.js'"}, "circle"),
        ({"a": "import { y }\n  from './b.js'", "b": "export { x } from './lib/../a.js'"}, "circle"),
        ({"a": "import './b.js'"}, "there is no ./b.js"),
    ],
)
def test_a_broken_rule_of_the_scripts_is_found(tmp_path: Path, files: dict[str, str], said: str) -> None:
    (tmp_path / "web/lib").mkdir(parents=True)
    for name, text in files.items():
        (tmp_path / "web" / f"{name}.js").write_text(text)
    (found,) = script_errors(tmp_path)
    assert said in found


def test_files_that_texts_name_are_there() -> None:
    """`drag_core/motion/task.py`, drag_core.motion.task ... in comments and documents."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    files = listed.stdout.split() if listed.returncode == 0 else []
    texts = [f for f in files if f.endswith((".py", ".md", ".js", ".mjs")) and not f.startswith("tests/")]
    path = re.compile(
        r"(?<![\w/.-])(?:drag_core|nodes|tests|tools|benchmarks|web)/[\w/.-]+\.(?:py|js|mjs|md)\b"
    )
    dotted = re.compile(r"(?<![\w/.])drag_core((?:\.[a-z_]+)+)")
    gone, seen = [], 0
    for file in texts:
        if not (ROOT / file).exists():
            continue
        text = (ROOT / file).read_text(encoding="utf-8")
        for name in path.findall(text):
            seen += 1
            if not (ROOT / name).exists():
                gone.append(f"{file}: {name}")
        for name in dotted.findall(text):
            seen += 1
            first = ROOT / "drag_core" / name.split(".")[1]
            if not (first.is_dir() or first.with_suffix(".py").exists() or name.endswith((".py", ".js"))):
                gone.append(f"{file}: drag_core{name}")
    assert gone == [] and (seen > 50 or not files)
