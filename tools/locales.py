"""The node texts of the editor's languages: python -m tools.locales

Writes locales/en/nodeDefs.json, and locales/zh/nodeDefs.json again in the schemas' order; says what the
translation lacks or has too much. The schemas are those of tests/golden/object_info.json.

As the frontend 1.49.6 reads them (app.ts, litegraphService.ts, NodeTooltip.vue, useNodeTooltips.ts): a text
without a translation is the schema's own, in English too, so the English file holds only what the frontend
does not find there: the tooltips on the sockets of inputs that a DynamicCombo brings. Dots in their names
become underscores: "method.step" is method_step. Options of a combo are not translated. Names, titles and
descriptions are vue-i18n messages, where { } @ | mean something; tooltips are plain.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .widgets import DYNAMIC, Info, Spec, options_of, ordered, type_of

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = ROOT / "tests" / "golden" / "object_info.json"
LOCALES = ROOT / "locales"
Texts = dict[str, Any]  # the content of a nodeDefs.json, or a part of it


def inputs_of(info: Info) -> Iterator[tuple[str, Spec, tuple[str, ...]]]:
    """(name, spec, chosen options) of a node's inputs. What a DynamicCombo brings is named "method.step", and
    comes once for every option that brings it.
    """

    def walk(
        inputs: list[tuple[str, Spec, bool]], before: str, chosen: tuple[str, ...]
    ) -> Iterator[tuple[str, Spec, tuple[str, ...]]]:
        for name, spec, _ in inputs:
            yield before + name, spec, chosen
            if type_of(spec) == DYNAMIC:
                for option in options_of(spec)["options"]:
                    brought = ordered({"input": option["inputs"]})
                    yield from walk(brought, f"{before}{name}.", (*chosen, option["key"]))

    return walk(ordered(info), "", ())


def key_of(name: str) -> str:
    """An input's key in a nodeDefs.json."""
    return name.replace(".", "_")


def together(tooltips: list[tuple[str, str]]) -> str:
    """One text of (option, tooltip) pairs; where they differ the options are named before their text."""
    options: dict[str, list[str]] = {}
    for option, text in tooltips:
        options.setdefault(text, []).append(option)
    if len(options) == 1:
        return tooltips[0][1]
    return " ".join(f"{', '.join(names)}: {text}" for text, names in options.items())


def texts(info: Info) -> Texts:
    """All texts of a node that a language can replace, as its schema says them."""
    inputs: dict[str, Texts] = {}
    tooltips: dict[str, list[tuple[str, str]]] = {}
    for name, spec, chosen in inputs_of(info):
        inputs[key_of(name)] = {"name": name.split(".")[-1]}
        if said := options_of(spec).get("tooltip"):
            tooltips.setdefault(key_of(name), []).append((" ".join(chosen), said))
    for key, found in tooltips.items():
        inputs[key]["tooltip"] = together(found)
    said = info["output_tooltips"] or [None] * len(info["output_name"])
    outputs = {
        str(i): {"name": name} | ({"tooltip": tooltip} if tooltip else {})
        for i, (name, tooltip) in enumerate(zip(info["output_name"], said, strict=True))
    }
    titles = {"display_name": info["display_name"], "description": info["description"]}
    return {**{k: v for k, v in titles.items() if v}, "inputs": inputs, "outputs": outputs}


def english(nodes: dict[str, Info]) -> Texts:
    """What English needs beside the schemas."""
    out: Texts = {}
    for node, info in nodes.items():
        said = texts(info)["inputs"]
        brought = {key_of(name) for name, _, chosen in inputs_of(info) if chosen}
        kept = {k: {"tooltip": v["tooltip"]} for k, v in said.items() if k in brought and "tooltip" in v}
        if kept:
            out[node] = {"inputs": kept}
    return out


def flat(part: Texts, before: str = "") -> dict[str, str]:
    """path -> text, in order: "DragCrop.inputs.side.name"."""
    out: dict[str, str] = {}
    for key, value in part.items():
        out |= flat(value, f"{before}{key}.") if isinstance(value, dict) else {before + key: value}
    return out


def in_order(part: Texts, like: Texts) -> Texts:
    """The same texts in the order of `like`, what `like` has not at the end."""
    keys = [*(k for k in like if k in part), *(k for k in part if k not in like)]
    return {k: in_order(v, like.get(k, {})) if isinstance(v := part[k], dict) else v for k in keys}


def read(path: Path) -> Texts:
    found: Texts = json.loads(path.read_text(encoding="utf-8"))
    return found


def text_of(content: Texts) -> str:
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


def main() -> int:
    nodes = read(GOLDEN)
    wanted = {node: texts(info) for node, info in nodes.items()}
    (LOCALES / "en" / "nodeDefs.json").write_text(text_of(english(nodes)), encoding="utf-8")
    chinese = LOCALES / "zh" / "nodeDefs.json"
    there = read(chinese)
    chinese.write_text(text_of(in_order(there, wanted)), encoding="utf-8")
    ours, theirs = flat(there), flat(wanted)
    missing, stale = [p for p in theirs if p not in ours], [p for p in ours if p not in theirs]
    for path in missing:
        print(f"zh lacks {path}: {theirs[path]}")
    for path in stale:
        print(f"zh has {path}, which no node has")
    return 1 if missing or stale else 0


if __name__ == "__main__":
    sys.exit(main())
