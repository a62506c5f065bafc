"""Workflow file -> API prompt, as the editor does it before it queues one (frontend 1.49.6: executionUtil.ts
graphToPrompt, ExecutableNodeDTO.ts, LGraphNode.ts configure, litegraphUtil.ts migrateWidgetsValues).

Stricter than the editor: it refuses a file whose values don't fit the nodes, where the editor shifts or drops
them. Subgraphs and random texts ({a|b}) are not handled.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from tools.widgets import (
    Info,
    Slot,
    Spec,
    as_listed,
    default_of,
    fits,
    options_of,
    ordered,
    output_types,
    slots,
)
from tools.workflows import Prompt

NOTES = {"Note", "MarkdownNote"}
VIRTUAL = NOTES | {"Reroute", "PrimitiveNode"}
MUTED, BYPASSED = 2, 4


@dataclass
class _Node:
    id: str
    raw: dict[str, Any]
    info: Info | None  # None: the editor's own
    inputs: list[dict[str, Any]]
    found: list[Slot]
    values: dict[str, Any]

    @property
    def mode(self) -> int:
        return int(self.raw.get("mode", 0))

    @property
    def virtual(self) -> bool:
        return self.info is None


def _values(info: Info, raw: dict[str, Any]) -> list[Any]:
    """widgets_values less those that an editor before 1.16 wrote for inputs with forceInput. It guesses from
    their number alone, and so does this.
    """
    values = raw.get("widgets_values") or []
    if isinstance(values, dict):
        raise ValueError(f"node {raw['id']} ({raw['type']}): widgets_values by name are not handled")
    shown = {s.name for s in slots(info, lambda _, spec: default_of(spec)) if s.widget}
    old: list[bool] = []
    for name, spec, _ in ordered(info):
        forced = bool(options_of(spec).get("forceInput"))
        if name in shown or forced:
            old += [forced, False] if options_of(spec).get("control_after_generate") else [forced]
    if len(old) != len(values):
        return list(values)
    return [v for v, dropped in zip(values, old, strict=True) if not dropped]


def _read(raw: dict[str, Any], object_info: dict[str, Info]) -> _Node:
    where = f"node {raw['id']} ({raw['type']})"
    stored = {i["name"]: i for i in raw.get("inputs") or []}
    if raw["type"] in VIRTUAL:
        return _Node(str(raw["id"]), raw, None, raw.get("inputs") or [], [], {})
    if raw["type"] not in object_info:
        raise ValueError(f"{where}: this ComfyUI has no such node")
    info = object_info[raw["type"]]
    left, values = _values(info, raw), {}

    def take(name: str, spec: Spec) -> Any:
        if not left:
            raise ValueError(f"{where}: widgets_values ends before {name}")
        values[name] = left.pop(0)
        return values[name]

    try:
        found = slots(info, take, [n for n, i in stored.items() if i.get("link") is not None])
    except ValueError as e:
        raise ValueError(str(e) if where in str(e) else f"{where}: {e}") from None
    if left:
        raise ValueError(f"{where}: widgets_values has {len(left)} values more than the node has widgets")
    named = raw.get("widgets_values_named") or {}
    if wrong := [k for k, v in named.items() if values.get(k, object()) != v]:
        raise ValueError(f"{where}: widgets_values and widgets_values_named differ at {', '.join(wrong)}")
    inputs = [stored.get(s.name, {"name": s.name, "type": s.type, "link": None}) for s in as_listed(found)]
    known = {i["name"] for i in inputs}
    if lost := [n for n, i in stored.items() if n not in known and i.get("link") is not None]:
        raise ValueError(f"{where} has no input {', '.join(lost)} here, and the file links it")
    return _Node(str(raw["id"]), raw, info, inputs, found, values)


class _Graph:
    def __init__(self, workflow: dict[str, Any], object_info: dict[str, Info]) -> None:
        if (workflow.get("definitions") or {}).get("subgraphs"):
            raise ValueError("workflows with subgraphs are not handled")
        self.nodes = {str(n["id"]): _read(n, object_info) for n in workflow["nodes"]}
        self.links = {link[0]: (str(link[1]), int(link[2]), str(link[3])) for link in workflow["links"]}
        for node in self.nodes.values():
            for i in node.inputs:
                if i["link"] is not None and self.links.get(i["link"], ("", 0, ""))[2] != node.id:
                    raise ValueError(f"node {node.id}: link {i['link']} of {i['name']} does not lead here")

    def origin(self, node: _Node, index: int, kind: str | None = None) -> tuple[str, int] | None:
        """The output that an input gets its value from, past reroutes and bypassed nodes."""
        link = node.inputs[index]["link"]
        if link is None:
            return None
        source, slot, _ = self.links[link]
        return self._output(self.nodes[source], slot, kind or str(node.inputs[index]["type"]))

    def _output(self, node: _Node, slot: int, kind: str) -> tuple[str, int] | None:
        if node.mode == MUTED:
            return None
        if node.mode == BYPASSED:
            index = self._past(node, slot, kind)
            return None if index is None else self.origin(node, index)
        if node.virtual:
            return self.origin(node, slot, kind) if slot < len(node.inputs) else None
        return node.id, slot

    def _past(self, node: _Node, slot: int, kind: str) -> int | None:
        """Which input of a bypassed node stands in for its output."""
        types = [str(i["type"]) for i in node.inputs]
        if kind in ("*", ""):
            return (slot if len(types) > slot else 0) if types else None
        given = output_types(node.info)[slot] if node.info else "*"
        if slot < len(types) and fits(types[slot], given) and fits(types[slot], kind):
            return slot
        if kind in types:
            return types.index(kind)
        return next((i for i, t in enumerate(types) if fits(t, given) and fits(t, kind)), None)

    def apply_primitives(self) -> None:
        """A PrimitiveNode writes its value into the widgets that it is linked to."""
        for node in self.nodes.values():
            for i in node.inputs:
                source = self.nodes[self.links[i["link"]][0]] if i["link"] is not None else None
                if source is not None and source.raw["type"] == "PrimitiveNode":
                    node.values[i["name"]] = source.raw["widgets_values"][0]


def _sent(node: _Node, slot: Slot) -> Any:
    value = node.values[slot.name]
    if isinstance(value, str) and options_of(slot.spec).get("dynamicPrompts"):
        if re.search(r"[{\\]|//|/\*", value):
            raise ValueError(f"node {node.id}: the editor would rewrite the text of {slot.name}")
    return {"__value__": value} if isinstance(value, list) else value  # a list would be a link


def to_prompt(workflow: dict[str, Any], object_info: dict[str, Info]) -> Prompt:
    """The prompt to POST. ValueError if the file and this ComfyUI's nodes don't fit together."""
    graph = _Graph(workflow, object_info)
    graph.apply_primitives()
    prompt: Prompt = {}
    for node in graph.nodes.values():
        if node.info is None or node.mode in (MUTED, BYPASSED):
            continue
        inputs = {s.name: _sent(node, s) for s in node.found if s.widget and s.sent}
        for index, entry in enumerate(node.inputs):
            if (source := graph.origin(node, index)) is not None:
                inputs[entry["name"]] = list(source)
        title = node.raw.get("title") or node.info.get("display_name") or node.raw["type"]
        prompt[node.id] = {"inputs": inputs, "class_type": node.raw["type"], "_meta": {"title": title}}
    for entry in prompt.values():  # a link to a node that is not sent
        entry["inputs"] = {
            k: v for k, v in entry["inputs"].items() if not (isinstance(v, list) and v[0] not in prompt)
        }
    return prompt
