"""Every node has a help page that names its inputs, options and outputs, and quotes only what the code says.

Read from the syntax trees: neither the host nor the pack is imported.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import get_args

import pytest

from drag_core.recipes import METHODS, choice
from drag_core.recipes.record import Way

# What the schema of DragOptimize makes from the methods' records.
NUMBERS = list(dict.fromkeys(name for m in METHODS.values() for name in vars(m.numbers)))

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "web" / "docs"
GAP = "\u2026"  # stands for a value in a quoted sentence


@dataclass(frozen=True)
class Node:
    """What a schema says; `inputs` are regular expressions: a name made in a loop is known in part only."""

    id: str
    title: str
    inputs: tuple[str, ...]
    options: tuple[str, ...]
    outputs: tuple[str, ...]


def text_of(x: ast.AST, gap: str) -> str | None:
    """A text, the values in an f-string replaced by `gap`; None where it is no text."""
    if isinstance(x, ast.Constant) and isinstance(x.value, str):
        return x.value
    if isinstance(x, ast.JoinedStr):
        return "".join(gap if isinstance(v, ast.FormattedValue) else str(v.value) for v in x.values)
    return None


def called(call: ast.Call) -> str:
    return getattr(call.func, "attr", getattr(call.func, "id", ""))


def makers(functions: dict[str, ast.FunctionDef]) -> dict[str, int]:
    """Functions that make one input under a name that they are given -> which of their arguments it is."""
    out = {}
    for name, f in functions.items():
        for call in (c for c in ast.walk(f) if isinstance(c, ast.Call) and called(c) == "Input" and c.args):
            parameters = [a.arg for a in f.args.args]
            if isinstance(call.args[0], ast.Name) and call.args[0].id in parameters:
                out[name] = parameters.index(call.args[0].id)
    return out


def calls(body: ast.AST, functions: dict[str, ast.FunctionDef]) -> Iterator[ast.Call]:
    """All calls in `body` and in the module's functions that it calls, in the order of the text."""
    for x in ast.iter_child_nodes(body):
        if isinstance(x, ast.Call):
            yield x
            if isinstance(x.func, ast.Name) and x.func.id in functions:
                yield from calls(functions[x.func.id], functions)
        yield from calls(x, functions)


def functions_of(tree: ast.Module, folder: Path | None) -> dict[str, ast.FunctionDef]:
    """The module's own functions, and those of the modules in `folder` that it imports from."""
    out = {}
    for line in tree.body:
        beside = isinstance(line, ast.ImportFrom) and line.level == 1 and line.module
        if beside and folder and (file := folder / f"{line.module}.py").exists():
            out |= functions_of(ast.parse(file.read_text(encoding="utf-8")), folder)
    return out | {f.name: f for f in tree.body if isinstance(f, ast.FunctionDef)}


def nodes_in(source: str, folder: Path | None = None) -> list[Node]:
    tree = ast.parse(source)
    functions = functions_of(tree, folder)
    named = makers(functions)
    out = []
    for cls in (c for c in tree.body if isinstance(c, ast.ClassDef)):
        found = list(calls(cls, functions))
        schema = next((c for c in found if called(c) == "Schema"), None)
        if schema is None:
            continue
        said = {k.arg: text_of(k.value, "") for k in schema.keywords}
        inputs, options, outputs = [], [], []
        for call in found:
            kind, keywords = called(call), {k.arg: k.value for k in call.keywords}
            at = 0 if kind in ("Input", "Output") or kind.lower() == "option" else named.get(kind)
            name = text_of(call.args[at], "\0") if at is not None and len(call.args) > at else None
            if kind == "ranged":  # an input made from a record's field, perhaps under a name of its own
                named_field = call.args[3] if len(call.args) > 3 else call.args[1]
                name = text_of(named_field, "\0")
                inputs += [] if name else NUMBERS
            if kind == "Output":
                outputs.append(text_of(keywords["display_name"], "") if "display_name" in keywords else name)
            elif kind.lower() == "option":
                options += [name] if name else get_args(Way)
            elif name is not None:
                inputs.append(re.escape(name).replace("\0", r"\w+"))
            if isinstance(keywords.get("options"), ast.List):
                options += [o for x in keywords["options"].elts for o in options_in(x)]
        wanted = (tuple(dict.fromkeys(x for x in several if x)) for several in (inputs, options))
        title = said["display_name"] or ""
        out.append(Node(said["node_id"] or "", title, *wanted, tuple(x or "" for x in outputs)))
    return out


def options_in(x: ast.expr) -> list[str]:
    """An option's text, or what drag_core.recipes.choice has under the name."""
    if (text := text_of(x, "")) is not None:
        return [text]
    name = x.value if isinstance(x, ast.Starred) else x
    found = getattr(choice, name.id, ()) if isinstance(name, ast.Name) else ()
    return [found] if isinstance(found, str) else list(found)


def rows(page: str, heading: str) -> list[str]:
    """First cells of all tables in the section of that heading, without the tables' heads."""
    section = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", page, re.M | re.S)
    lines = section[1].splitlines() if section else []
    is_row = [line.startswith("|") for line in lines]
    body = [line for line, before in zip(lines[1:], is_row, strict=False) if before and line.startswith("|")]
    return [line.split("|")[1].strip() for line in body if not line.startswith("|--")]


def names(page: str, heading: str) -> list[str]:
    return [name for cell in rows(page, heading) for name in re.findall(r"`([^`]+)`", cell)]


def problems(node: Node, page: str) -> list[str]:
    """What is wrong with the page of a node, a sentence each."""
    out = []
    if page.splitlines()[0] != f"# {node.title}":
        out.append(f"its first line is not '# {node.title}'")
    there = names(page, "Inputs")
    out += [f"no input {n}" for n in node.inputs if not any(re.fullmatch(n, x) for x in there)]
    out += [f"unknown input {x}" for x in there if not any(re.fullmatch(n, x) for n in node.inputs)]
    out += [f"no option {n}" for n in node.options if f"`{n}`" not in page]
    if names(page, "Outputs") != list(node.outputs):
        out.append(f"outputs {names(page, 'Outputs')}, in the schema {list(node.outputs)}")
    return out


@cache
def sentences() -> list[str]:
    """Every text of the pack's code, values as gaps."""
    files = [*(ROOT / "nodes").rglob("*.py"), *(ROOT / "drag_core").rglob("*.py")]
    trees = [ast.parse(f.read_text(encoding="utf-8")) for f in files]
    return [text for tree in trees for x in ast.walk(tree) if (text := text_of(x, GAP))]


def quoted(sentence: str, texts: list[str]) -> bool:
    """Whether one of the texts holds the sentence; a gap in it may stand for anything."""
    pattern = re.compile(".*".join(re.escape(part.strip()) for part in sentence.split(GAP)), re.S)
    return any(pattern.search(text) for text in texts)


FILES = sorted((ROOT / "nodes").glob("*.py"))
FOUND = [node for f in FILES for node in nodes_in(f.read_text("utf-8"), f.parent)]


def page_of(node: Node) -> str:
    return (PAGES / f"{node.id}.md").read_text(encoding="utf-8")


def test_every_node_has_a_page_and_every_page_a_node() -> None:
    text = "".join(f.read_text(encoding="utf-8") for f in (ROOT / "nodes").glob("*.py"))
    ids = re.findall(r"node_id=\"(\w+)\"", text)
    assert ids and sorted(ids) == sorted(node.id for node in FOUND)
    assert sorted(ids) == sorted(f.stem for f in PAGES.glob("*.md"))


@pytest.mark.parametrize("node", FOUND, ids=lambda node: node.id)
def test_page_and_schema_agree(node: Node) -> None:
    assert problems(node, page_of(node)) == []


@pytest.mark.parametrize("node", FOUND, ids=lambda node: node.id)
def test_quoted_messages_are_the_codes_own(node: Node) -> None:
    texts = sentences()
    said = rows(page_of(node), "If something goes wrong")
    assert all(len(max(s.split(GAP), key=len)) >= 15 for s in said)
    assert [s for s in said if not quoted(s, texts)] == []


def test_the_reports_fields_are_explained() -> None:
    tree = ast.parse((ROOT / "nodes" / "host" / "optimise.py").read_text(encoding="utf-8"))
    dicts = [[text_of(k, "") for k in d.keys if k] for d in ast.walk(tree) if isinstance(d, ast.Dict)]
    (report,) = [keys for keys in dicts if "peak_memory_mb" in keys]
    inner = next(keys for keys in dicts if "reused" in keys)
    page = (PAGES / "DragOptimize.md").read_text(encoding="utf-8")
    assert [key for key in (*report, *inner) if f"`{key}`" not in page] == []


SOURCE = """
def _number(kind, name, low):
    return kind.Input(name, low)

def _methods():
    both = [io.Int.Input(f"part_{a}") for a in "xy"]
    return [io.DynamicCombo.Option("slow", [_number(io.Int, "iterations", 1), *both])]

class One(io.ComfyNode):
    def define_schema(cls):
        return io.Schema(node_id="One", display_name="Number One", inputs=[
            io.Combo.Input("mode", options=["on", "off"]),
            io.DynamicCombo.Input("method", options=_methods())],
            outputs=[io.Image.Output("image"), io.Mask.Output(display_name="mask")])
"""
PAGE = """# Number One
## Inputs
| Input | Meaning |
|---|---|
| `mode` | `on`, `off` |
| `method` | `slow` |

More:

| Input | Meaning |
|---|---|
| `iterations`, `part_x`, `part_y` | |
## Outputs
| Output | Meaning |
|---|---|
| `image` | |
| `mask` | |
## If something goes wrong
| Message | |
|---|---|
| it is \u2026 px wide | |
"""


def test_a_page_that_fits() -> None:
    (node,) = nodes_in(SOURCE)
    assert sorted(node.inputs) == ["iterations", "method", "mode", r"part_\w+"]
    assert node.options == ("on", "off", "slow") and node.outputs == ("image", "mask")
    assert problems(node, PAGE) == []
    assert rows(PAGE, "If something goes wrong") == [f"it is {GAP} px wide"]


def test_inputs_made_beside_the_node_count(tmp_path: Path) -> None:
    (tmp_path / "parts.py").write_text(SOURCE.split("class One")[0], encoding="utf-8")
    (node,) = nodes_in("from .parts import _methods\nclass One" + SOURCE.split("class One")[1], tmp_path)
    assert node == nodes_in(SOURCE)[0]


@pytest.mark.parametrize(
    "old", ["mode", "method", "iterations", "part_", "image", "mask", "slow", "off", "One"]
)
def test_a_renamed_thing_is_found(old: str) -> None:
    (node,) = nodes_in(re.sub(rf"\b{old}(?=\b|{{)", f"{old}new", SOURCE))
    assert problems(node, PAGE)


def test_a_changed_message_is_found() -> None:
    texts = [t for x in ast.walk(ast.parse('f"the mask is {w} px wide, not {h}"')) if (t := text_of(x, GAP))]
    assert quoted(f"mask is {GAP} px wide", texts) and quoted(f"{GAP} px wide, not {GAP}", texts)
    assert not quoted(f"mask is {GAP} px high", texts)
