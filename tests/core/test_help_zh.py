"""Chinese help pages: the same tables, terms and quoted messages as the English pages beside them.

The frontend 1.49.6 asks for docs/<node>/zh.md first and then for docs/<node>.md (nodeHelpService.ts).
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.core.test_help import rows
from tests.core.test_locales import CHINESE, HAN, NODES, terms
from tools.locales import inputs_of

PAGES = Path(__file__).resolve().parents[2] / "web" / "docs"
THERE = sorted(f.parent.name for f in PAGES.glob("*/zh.md"))
WRONG = "If something goes wrong"
WHOLE = "(?a:(?<!\\w){}(?!\\w))"
HEADINGS = {"Wiring": "接线", "Inputs": "输入", "Outputs": "输出", WRONG: "如果出错"}


def sections(page: str) -> list[tuple[str, list[str]]]:
    """(heading, first cells of its tables) of every section."""
    return [(h, rows(page, re.escape(h))) for h in re.findall(r"^## (.*)", page, re.M)]


def names_of(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def shown(node: str, heading: str) -> dict[str, str]:
    """An input's or output's name -> how the Chinese editor shows it."""
    if heading == "Inputs":
        keys = {name.split(".")[-1]: name.replace(".", "_") for name, _, _ in inputs_of(NODES[node])}
        return {name: CHINESE[f"{node}.inputs.{key}.name"] for name, key in keys.items()}
    if heading == "Outputs":
        return {n: CHINESE[f"{node}.outputs.{i}.name"] for i, n in enumerate(NODES[node]["output_name"])}
    return {}


def problems(node: str, chinese: str, english: str) -> list[str]:
    out = []
    if chinese.splitlines()[0] != f"# {CHINESE[f'{node}.display_name']}":
        out.append("its title is not the node's")
    ours, theirs = sections(chinese), sections(english)
    if len(ours) != len(theirs):
        return [*out, f"{len(ours)} sections, the English page has {len(theirs)}"]
    for (heading, cells), (said, cells_said) in zip(ours, theirs, strict=True):
        if heading != HEADINGS.get(said, heading) or not HAN.search(heading):
            out.append(f"section {heading} is {said} in English")
        labels = shown(node, said)
        left = [" ".join([f"`{x}`" for x in names_of(c)]) or c for c in cells]
        if left != [" ".join([f"`{x}`" for x in names_of(c)]) or c for c in cells_said]:
            out.append(f"the table rows of {heading} are not those of {said}")
        out += [
            f"{n} is not called {labels[n]}"
            for c in cells
            for n in names_of(c)
            if n in labels and labels[n] not in c.rsplit("`", 1)[1]
        ]
    wanted = sorted({*terms(english), *names_of(english)})
    return out + [f"{x} is not in it" for x in wanted if not re.search(WHOLE.format(re.escape(x)), chinese)]


def pages(node: str) -> tuple[str, str]:
    zh, en = PAGES / node / "zh.md", PAGES / f"{node}.md"
    return zh.read_text(encoding="utf-8"), en.read_text(encoding="utf-8")


def test_the_main_nodes_have_one() -> None:
    assert {"DragEditor", "DragInvert", "DragOptimize", "DragRegionMaskAffine"} <= set(THERE)


@pytest.mark.parametrize("node", THERE)
def test_page_says_what_the_english_one_says(node: str) -> None:
    assert problems(node, *pages(node)) == []


@pytest.mark.parametrize(
    ("old", "new", "wrong"),
    [
        ("# 拖拽反演", "# 反演", "its title is not the node's"),
        ("## 求解器\n", "", "6 sections, the English page has 7"),
        ("## 输入", "## 输进", "section 输进 is Inputs in English"),
        ("`shift` 移位", "`move` 移位", "the table rows of 输入 are not those of Inputs"),
        ("`shift` 移位", "`shift` 移动", "shift is not called 移位"),
        ("`sigmas` Sigmas", "`sigmas` 西格玛", "sigmas is not called Sigmas"),
        ("| steps is …; this", "| steps is …, this", f"the table rows of 如果出错 are not those of {WRONG}"),
        ("12 GiB", "13 GiB", "12 is not in it"),
        ("FireFlow", "火流", "FireFlow is not in it"),
    ],
)
def test_a_page_that_does_not_fit_is_found(old: str, new: str, wrong: str) -> None:
    zh, en = pages("DragInvert")
    assert old in zh
    assert wrong in problems("DragInvert", zh.replace(old, new), en)
