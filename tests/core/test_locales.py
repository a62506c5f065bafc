"""Every node's texts in the editor's languages: complete for the golden schemas, their terms unchanged."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tools import locales
from tools.locales import LOCALES, english, flat, in_order, inputs_of, key_of, read, text_of, texts, together
from tools.widgets import DYNAMIC, options_of, type_of

HAN = re.compile(r"[\u4e00-\u9fff]")
LATIN = {"Latent", "Sigmas", "VAE", "JSON"}  # names that Chinese users read in Latin letters
NODES = read(locales.GOLDEN)
ENGLISH = flat({node: texts(info) for node, info in NODES.items()})
FILE = LOCALES / "zh" / "nodeDefs.json"
CHINESE = flat(read(FILE))
TITLES = {i: ENGLISH[f"{i}.display_name"] for i in NODES}
OPTIONS = {
    f"{node}.inputs.{key_of(name)}.tooltip": [
        o["key"] if isinstance(o, dict) else o for o in options_of(spec)["options"]
    ]
    for node, info in NODES.items()
    for name, spec, _ in inputs_of(info)
    if type_of(spec) in ("COMBO", DYNAMIC)
}


def terms(text: str) -> set[str]:
    """What no translation changes: texts in quotes, numbers, and words with a capital, a digit or an
    underscore inside, which are names of papers, models, nodes, inputs and units.
    """
    quoted = re.findall(r"(?<!\w)'([^']+)'(?!\w)", text)
    words = [re.sub("(?<=[A-Z])s$", "", w.strip(".:/-")) for w in re.findall(r"[\w.:/-]+", text)]
    return {*quoted, *(w for w in words if re.search(r"[\d_]|.[A-Z]", w))}


def whole(word: str, text: str) -> bool:
    return bool(re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text, re.ASCII))


def title_of(node: str, chinese: dict[str, str]) -> str:
    """A node's title as other texts name it: without what stands in brackets."""
    return chinese[f"{node}.display_name"].split("（")[0]


def problems(path: str, said: str, chinese: dict[str, str], options: list[str]) -> list[str]:
    """What is wrong with the translation of the English text `said`."""
    text = chinese[path]
    kind = path.rsplit(".", 1)[1]
    out = []
    if not text.strip() or text == said:
        return ["it is empty or still English"]
    if not HAN.search(text) and not (kind == "name" and text in LATIN):
        out.append("it has no Chinese")
    if kind != "tooltip" and set(text) & set("{}@|$"):
        out.append("it has a sign of vue-i18n's syntax")
    if kind in ("tooltip", "description"):
        if not text.endswith("。"):
            out.append("it does not end with 。")
        out += [f"{term} is not in it" for term in sorted(terms(said)) if term not in text]
        out += [f"option {o} is not in it" for o in options if whole(o, said) and not whole(o, text)]
        for node, title in TITLES.items():
            out += [
                f"{x} does not stand behind its Chinese title"
                for x in (node, title)
                if whole(x, said) and f"{title_of(node, chinese)}（{x}）" not in text
            ]
    if re.search(r"[\u4e00-\u9fff（）“”][,;:?!()]|[,;:?!()][\u4e00-\u9fff（）“”]", text):
        out.append("it has narrow punctuation beside Chinese")
    return out


def test_english_is_up_to_date() -> None:
    assert (LOCALES / "en" / "nodeDefs.json").read_text(encoding="utf-8") == text_of(english(NODES))


def test_english_repeats_nothing_that_the_schema_tells_the_editor() -> None:
    there = flat(read(LOCALES / "en" / "nodeDefs.json"))
    own = {f"{n}.inputs.{x}.tooltip" for n, info in NODES.items() for x, _, c in inputs_of(info) if not c}
    assert there and not own & set(there)
    assert {path.rsplit(".", 1)[1] for path in there} == {"tooltip"}


def test_chinese_has_every_text_and_no_other() -> None:
    assert sorted(CHINESE) == sorted(ENGLISH)


def test_chinese_is_in_the_schemas_order() -> None:
    wanted = {node: texts(info) for node, info in NODES.items()}
    assert FILE.read_text(encoding="utf-8") == text_of(in_order(read(FILE), wanted))


@pytest.mark.parametrize("path", sorted(ENGLISH))
def test_a_translation(path: str) -> None:
    assert problems(path, ENGLISH[path], CHINESE, OPTIONS.get(path, [])) == []


@pytest.mark.parametrize("node", NODES)
def test_names_are_told_apart(node: str) -> None:
    """By their keys too: "a.b" and "a_b" would be one."""
    names = {name for name, _, _ in inputs_of(NODES[node])}
    keys = {key_of(name) for name in names}
    assert len({CHINESE[f"{node}.inputs.{key}.name"] for key in keys}) == len(keys) == len(names)


def test_titles_differ() -> None:
    titles = [title_of(node, CHINESE) for node in NODES]
    assert len(set(titles)) == len(titles)


def test_the_menus_categories_are_translated() -> None:
    """The frontend looks each part of a category up by itself (app.ts, translateNodeDef)."""
    parts = {part for info in NODES.values() for part in info["category"].split("/")}
    assert set(read(LOCALES / "zh" / "main.json")["nodeCategories"]) == parts


def test_where_one_begins_is_found() -> None:
    """Few nodes lie in the menu's first list; who searches by other packs' words finds the first two."""
    first = {name for name, info in NODES.items() if info["category"] == "drag"}
    assert {"DragEdit", "DragEditor"} <= first and len(first) <= 4
    for name in ("DragEdit", "DragEditor"):
        assert {"move object", "liquify", "warp"} <= set(NODES[name]["search_aliases"])


POINT = [DYNAMIC, {"options": [{"key": "middle", "inputs": {}}, {"key": "own", "inputs": {}}]}]
POINT[1]["options"][1]["inputs"] = {"required": {"x": ["INT", {"tooltip": "From the left."}]}}
METHOD: list[dict[str, Any]] = [
    {"key": "fast", "inputs": {"required": {"step": ["FLOAT", {"tooltip": "Newton's."}], "at": POINT}}},
    {"key": "slow", "inputs": {"required": {"step": ["FLOAT", {"tooltip": "Adam's."}]}}},
    {"key": "sure", "inputs": {"optional": {"step": ["FLOAT", {"tooltip": "Adam's."}]}}},
]
INFO = {
    "input": {"required": {"model": ["MODEL", {"tooltip": "Any."}], "how": [DYNAMIC, {"options": METHOD}]}},
    "output": ["MODEL", "MASK"],
    "output_name": ["model", "mask"],
    "output_tooltips": [None, "Of it."],
    "display_name": "Try",
    "description": "",
}


def test_a_schema_by_hand() -> None:
    assert texts(INFO) == {
        "display_name": "Try",
        "inputs": {
            "model": {"name": "model", "tooltip": "Any."},
            "how": {"name": "how"},
            "how_step": {"name": "step", "tooltip": "fast: Newton's. slow, sure: Adam's."},
            "how_at": {"name": "at"},
            "how_at_x": {"name": "x", "tooltip": "From the left."},
        },
        "outputs": {"0": {"name": "model"}, "1": {"name": "mask", "tooltip": "Of it."}},
    }
    brought = {"how_step": {"tooltip": "fast: Newton's. slow, sure: Adam's."}}
    brought["how_at_x"] = {"tooltip": "From the left."}
    assert english({"Try": INFO, "Plain": INFO | {"input": {}}}) == {"Try": {"inputs": brought}}
    assert together([("a", "Same."), ("b", "Same.")]) == "Same."


def test_the_tool_says_what_is_missing_and_what_is_left(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for language in ("en", "zh"):
        (tmp_path / language).mkdir()
    (tmp_path / "golden.json").write_text(text_of({"Try": INFO}), encoding="utf-8")
    there = {"Try": {"outputs": {"7": {"name": "旧"}}, "display_name": "试"}}
    (tmp_path / "zh" / "nodeDefs.json").write_text(text_of(there), encoding="utf-8")
    monkeypatch.setattr(locales, "LOCALES", tmp_path)
    monkeypatch.setattr(locales, "GOLDEN", tmp_path / "golden.json")
    assert locales.main() == 1
    said = capsys.readouterr().out
    assert "zh lacks Try.inputs.how_step.tooltip: fast: Newton's. slow, sure: Adam's.\n" in said
    assert "zh has Try.outputs.7.name, which no node has\n" in said and "display_name" not in said
    assert list(read(tmp_path / "zh" / "nodeDefs.json")["Try"]) == ["display_name", "outputs"]
    assert read(tmp_path / "en" / "nodeDefs.json") == english({"Try": INFO})


SAID = "As DragInvert has it: none, or a list as 'single.6', for FLUX at 0.5 of kv_layers. Not the paper's."
RIGHT = "如拖拽反演（DragInvert）：none，或列表 'single.6'，用于 FLUX，kv_layers 的 0.5。与论文不同。"


@pytest.mark.parametrize(
    ("old", "new", "wrong"),
    [
        ("拖拽反演（DragInvert）", "DragInvert", "DragInvert does not stand behind its Chinese title"),
        ("none", "无", "option none is not in it"),
        ("single.6", "single.9", "single.6 is not in it"),
        ("FLUX", "通量", "FLUX is not in it"),
        ("0.5", "一半", "0.5 is not in it"),
        ("kv_layers", "层", "kv_layers is not in it"),
        ("。", "", "it does not end with 。"),
        ("：", ":", "it has narrow punctuation beside Chinese"),
        (RIGHT, SAID, "it is empty or still English"),
        (RIGHT, " ", "it is empty or still English"),
    ],
)
def test_a_wrong_translation_is_found(old: str, new: str, wrong: str) -> None:
    path = "DragKVInject.inputs.layers.tooltip"
    assert problems(path, SAID, CHINESE | {path: RIGHT}, ["auto", "none"]) == []
    assert wrong in problems(path, SAID, CHINESE | {path: RIGHT.replace(old, new)}, ["auto", "none"])


@pytest.mark.parametrize("text", ["层@名", "层|名", "{层}", "layer"])
def test_a_wrong_name_is_found(text: str) -> None:
    path = "DragKVInject.inputs.layers.name"
    assert problems(path, "layers", CHINESE | {path: text}, [])
