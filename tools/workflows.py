"""Workflow files for ComfyUI's editor (LiteGraph schema 0.4), written from a short description of nodes.

`object_info` is what a running ComfyUI answers under /object_info.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from .widgets import CONTROL, Info, Slot, Spec, as_listed, default_of, fits, options_of, output_types, slots

Prompt = dict[str, dict[str, Any]]

HOLLOW, GRID = 7, 6  # shapes of an optional input and of a list output
ROW, WIDGET, TEXT, PICTURE, TITLE, GAP = 20, 24, 120, 240, 30, 60  # px, for places and sizes
PICTURES = {"LoadImage", "LoadImageMask", "SaveImage", "PreviewImage"}


@dataclass(frozen=True)
class Node:
    """`widgets` by input name (of a seed also `control_after_generate`; what is left out has its default);
    `inputs`: name -> (id of the node it comes from, its output's index or name). `mode`: 0 on, 2 muted, 4
    bypassed.
    """

    id: int
    type: str
    widgets: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, tuple[int, int | str]] = field(default_factory=dict)
    position: tuple[float, float] | None = None  # None: in a column behind the nodes that it needs
    size: tuple[float, float] | None = None
    title: str = ""
    mode: int = 0


@dataclass(frozen=True)
class Note:
    """Markdown on the canvas."""

    text: str
    position: tuple[float, float]
    size: tuple[float, float] = (400, 200)
    title: str = ""


@dataclass(frozen=True)
class Group:
    """A titled frame around nodes, given by their ids."""

    title: str
    nodes: tuple[int, ...]
    color: str = "#3f789e"


def _slots_of(node: Node, info: Info) -> tuple[list[Slot], dict[str, Any]]:
    """With the value of every widget. Refuses what the node doesn't have."""
    values: dict[str, Any] = {}
    used: set[str] = set()

    def take(name: str, spec: Spec) -> Any:
        key = CONTROL if options_of(spec).get("control") else name
        used.add(key)
        values[name] = node.widgets.get(key, default_of(spec))
        return values[name]

    found = slots(info, take, list(node.inputs))
    inputs = {s.name for s in found if s.socket}
    if unknown := [*(k for k in node.widgets if k not in used), *(k for k in node.inputs if k not in inputs)]:
        names = ", ".join(sorted(used | inputs))
        raise ValueError(f"node {node.id} ({node.type}) has no {', '.join(unknown)} here; it has {names}")
    return found, values


def _size(node: Node, info: Info, found: list[Slot]) -> tuple[float, float]:
    if node.size:
        return node.size
    rows = max(len([s for s in found if not s.widget]), len(info["output"]))
    texts = [s for s in found if s.widget and options_of(s.spec).get("multiline") and s.type == "STRING"]
    widgets = [s for s in found if s.widget and s not in texts]
    names = max([len(s.name) for s in found], default=0) + max(map(len, info["output_name"]), default=0)
    width = max(400 if texts else 280, 9 * names, 10 * len(node.title or info["display_name"] or ""))
    height = 14 + ROW * rows + WIDGET * len(widgets) + TEXT * len(texts)
    return width, height + (PICTURE if node.type in PICTURES else 0)


def _columns(nodes: Sequence[Node]) -> dict[int, int]:
    """By id the number of nodes on the longest way to it; refuses a circle."""
    by_id = {n.id: n for n in nodes}
    depth: dict[int, int] = {}

    def of(i: int, way: tuple[int, ...]) -> int:
        if i in way:
            raise ValueError(f"the nodes {', '.join(map(str, way[way.index(i) :]))} need each other")
        if i not in depth:
            depth[i] = max(
                (of(o, (*way, i)) + 1 for o, _ in by_id[i].inputs.values() if o in by_id), default=0
            )
        return depth[i]

    return {n.id: of(n.id, ()) for n in nodes}


def _places(nodes: Sequence[Node], sizes: dict[int, tuple[float, float]]) -> dict[int, tuple[float, float]]:
    column, places = _columns(nodes), {n.id: n.position for n in nodes if n.position}
    x = 0.0
    for number in range(max(column.values(), default=-1) + 1):
        here, y = [n for n in nodes if column[n.id] == number], 0.0
        for node in here:
            if node.id not in places:
                places[node.id] = (x, y)
                y += sizes[node.id][1] + TITLE + GAP
        x += max((sizes[n.id][0] for n in here), default=0) + GAP
    return places


def workflow(
    nodes: Sequence[Node],
    object_info: dict[str, Info],
    notes: Sequence[Note] = (),
    groups: Sequence[Group] = (),
) -> dict[str, Any]:
    """The content of a workflow file. ValueError for what the editor would not load as it is meant: an
    unknown node type, widget, input or output, types that don't fit, an input that lacks its link.
    """
    by_id = {n.id: n for n in nodes}
    if len(by_id) != len(nodes):
        raise ValueError("two nodes have the same id")
    for n in nodes:
        if n.type not in object_info:
            raise ValueError(f"node {n.id}: this ComfyUI has no node type {n.type!r}")
    found = {n.id: _slots_of(n, object_info[n.type]) for n in nodes}
    sizes = {n.id: _size(n, object_info[n.type], found[n.id][0]) for n in nodes}
    places, order = _places(nodes, sizes), _columns(nodes)
    links: list[list[Any]] = []
    outgoing: dict[tuple[int, int], list[int]] = {}
    listed: dict[int, list[dict[str, Any]]] = {}
    for n in nodes:
        where = f"node {n.id} ({n.type})"
        listed[n.id] = []
        for index, slot in enumerate(as_listed(found[n.id][0])):
            entry: dict[str, Any] = {"name": slot.name, "type": slot.type, "link": None}
            if slot.optional:
                entry["shape"] = HOLLOW
            if slot.widget:
                entry["widget"] = {"name": slot.name}
            elif slot.nested:
                entry["label"] = slot.name.rsplit(".", 1)[-1]
            if slot.name in n.inputs:
                origin, output = n.inputs[slot.name]
                source, number, kind = _output(by_id, object_info, origin, output, where)
                if not fits(kind, slot.type):
                    raise ValueError(f"{where}: {slot.name} takes {slot.type}, {source.type} gives {kind}")
                entry["link"] = len(links) + 1
                links.append([entry["link"], origin, number, n.id, index, kind])
                outgoing.setdefault((origin, number), []).append(entry["link"])
            elif not slot.widget and not slot.optional:
                raise ValueError(f"{where}: nothing is linked to {slot.name}")
            listed[n.id].append(entry)
    out = [
        _node(
            n,
            object_info[n.type],
            *found[n.id],
            places[n.id],
            sizes[n.id],
            listed[n.id],
            outgoing,
            order[n.id],
        )
        for n in nodes
    ]
    last = max(by_id, default=0)
    out += [_note(note, last + 1 + i, len(nodes) + i) for i, note in enumerate(notes)]
    text = repr([(n["type"], n["id"], n.get("widgets_values")) for n in out])
    return {
        "id": str(uuid.uuid5(uuid.NAMESPACE_OID, text)),  # the same file from the same description
        "revision": 0,
        "last_node_id": last + len(notes),
        "last_link_id": len(links),
        "nodes": out,
        "links": links,
        "groups": [_group(g, i + 1, places, sizes) for i, g in enumerate(groups)],
        "config": {},
        "extra": {},
        "version": 0.4,
    }


def _output(
    by_id: dict[int, Node], object_info: dict[str, Info], origin: int, output: int | str, where: str
) -> tuple[Node, int, str]:
    if origin not in by_id:
        raise ValueError(f"{where} is linked to node {origin}, which is not there")
    source = by_id[origin]
    info = object_info[source.type]
    names = list(info["output_name"])
    if isinstance(output, str) and output not in names:
        raise ValueError(f"{where}: {source.type} has no output {output!r}, only {', '.join(names)}")
    number = names.index(output) if isinstance(output, str) else output
    if not 0 <= number < len(names):
        raise ValueError(f"{where}: {source.type} has no output {number}, only {len(names)}")
    return source, number, output_types(info)[number]


def _node(
    node: Node,
    info: Info,
    found: list[Slot],
    values: dict[str, Any],
    place: tuple[float, float],
    size: tuple[float, float],
    inputs: list[dict[str, Any]],
    outgoing: dict[tuple[int, int], list[int]],
    order: int,
) -> dict[str, Any]:
    module = str(info.get("python_module", ""))
    pack = module.removeprefix("custom_nodes.") if module.startswith("custom_nodes.") else "comfy-core"
    outputs = []
    for i, (kind, name) in enumerate(zip(output_types(info), info["output_name"], strict=True)):
        entry = {"name": name, "type": kind, "slot_index": i, "links": outgoing.get((node.id, i))}
        outputs.append(entry | ({"shape": GRID} if info["output_is_list"][i] else {}))
    out: dict[str, Any] = {
        "id": node.id,
        "type": node.type,
        "pos": list(place),
        "size": list(size),
        "flags": {},
        "order": order,
        "mode": node.mode,
        "inputs": inputs,
        "outputs": outputs,
        "properties": {"Node name for S&R": node.type, "cnr_id": pack},
    }
    if shown := [s.name for s in found if s.widget]:
        # restored by their order; later editors may take the names instead
        out |= {"widgets_values": [values[n] for n in shown]}
        out |= {"widgets_values_named": {n: values[n] for n in shown}}
    return out | ({"title": node.title} if node.title else {})


def _note(note: Note, number: int, order: int) -> dict[str, Any]:
    out: dict[str, Any] = {
        "id": number,
        "type": "MarkdownNote",
        "pos": list(note.position),
        "size": list(note.size),
    }
    out |= {"flags": {}, "order": order, "mode": 0, "inputs": [], "outputs": [], "properties": {}}
    out |= {"widgets_values": [note.text], "widgets_values_named": {"text": note.text}}
    out |= {"color": "#432", "bgcolor": "#000"}
    return out | ({"title": note.title} if note.title else {})


def _group(
    group: Group, number: int, places: dict[int, tuple[float, float]], sizes: dict[int, tuple[float, float]]
) -> dict[str, Any]:
    lows = [places[i] for i in group.nodes]
    highs = [(places[i][0] + sizes[i][0], places[i][1] + sizes[i][1]) for i in group.nodes]
    x, y = (
        min(p[0] for p in lows) - 20,
        min(p[1] for p in lows) - TITLE - 50,
    )  # the nodes' titles, and its own
    w, h = max(p[0] for p in highs) + 20 - x, max(p[1] for p in highs) + 20 - y
    out: dict[str, Any] = {"id": number, "title": group.title, "bounding": [x, y, w, h]}
    return out | {"color": group.color, "flags": {}}


def nodes_of(prompt: Prompt) -> list[Node]:
    """The nodes of an API prompt, which knows no places, titles apart."""
    out = []
    for key, node in prompt.items():
        links = {k: v for k, v in node["inputs"].items() if isinstance(v, list)}
        widgets = {
            k: v["__value__"] if isinstance(v, dict) and "__value__" in v else v
            for k, v in node["inputs"].items()
            if k not in links
        }
        inputs = {k: (int(v[0]), int(v[1])) for k, v in links.items()}
        title = str(node.get("_meta", {}).get("title", ""))
        out.append(Node(int(key), node["class_type"], widgets, inputs, title=title))
    return out
