"""The writer of workflow files and the converter: what they refuse, and that places make sense. What the
editor itself does is in tests/golden/test_golden_workflows.py.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.host.workflows import to_prompt
from tools.workflows import Group, Node, Note, nodes_of, workflow


def node(required: dict[str, Any], outputs: str = "", **more: Any) -> dict[str, Any]:
    names = outputs.split()
    return {
        "input": {"required": required, "optional": more.pop("optional", {})},
        "output": names,
        "output_name": [n.lower() for n in names],
        "output_is_list": [False] * len(names),
        "display_name": "",
        **more,
    }


METHOD = [
    {"key": "plain", "inputs": {"required": {"steps": ["INT", {"default": 5}]}}},
    {
        "key": "deep",
        "inputs": {
            "required": {
                "how": [
                    "COMFY_DYNAMICCOMBO_V3",
                    {"options": [{"key": "a", "inputs": {}}, {"key": "b", "inputs": {}}]},
                ],
                "points": ["POINTS", {}],
            },
            "optional": {"rate": ["FLOAT", {"default": 0.5}]},
        },
    },
]
METHOD[1]["inputs"]["required"]["how"][1]["options"][1]["inputs"] = {
    "required": {"k": ["INT", {"default": 9}]}
}
INFO = {
    "Source": node({"name": [["x", "y"], {}], "seed": ["INT", {"default": 1}]}, "IMAGE POINTS"),
    "Drag": node(
        {
            "image": ["IMAGE", {}],
            "text": ["STRING", {"default": "", "dynamicPrompts": True, "multiline": True}],
            "method": ["COMFY_DYNAMICCOMBO_V3", {"options": METHOD}],
            "last": ["BOOLEAN", {}],
        },
        "IMAGE",
        optional={"mask": ["MASK", {}], "draw": ["STRING", {"widgetType": "EDITOR", "socketless": True}]},
    ),
    "Old": node({"image": ["IMAGE", {}], "n": ["INT", {"forceInput": True}], "m": ["INT", {}]}, "IMAGE"),
    "Save": node({"images": ["IMAGE", {}]}),
}
SOURCE, SAVE = Node(1, "Source"), Node(3, "Save", {}, {"images": (2, 0)})
DEEP = {"method": "deep", "method.how": "b", "draw": "d", "text": "t"}
DRAG = Node(2, "Drag", DEEP, {"image": (1, "image"), "method.points": (1, "points")})
NODES = [SOURCE, DRAG, SAVE]


def test_the_order_of_widgets_and_sockets() -> None:
    drag = workflow(NODES, INFO)["nodes"][1]
    assert drag["widgets_values"] == ["t", "deep", "b", 9, 0.5, False, "d"]
    assert list(drag["widgets_values_named"]) == [
        "text", "method", "method.how", "method.how.k", "method.rate", "last", "draw",
    ]  # fmt: skip
    assert [i["name"] for i in drag["inputs"]] == [
        "image",
        "mask",
        "text",
        "method",
        "method.how",
        "method.how.k",
        "method.points",
        "method.rate",
        "last",
    ]  # fmt: skip  (draw has no socket)
    assert [i["link"] for i in drag["inputs"]] == [1, None, None, None, None, None, 2, None, None]


def test_the_prompt() -> None:
    prompt = to_prompt(workflow(NODES, INFO), INFO)
    assert prompt["1"]["inputs"] == {"name": "x", "seed": 1}  # without control_after_generate
    assert prompt["2"]["inputs"] == {
        **DEEP,
        "method.how.k": 9,
        "method.rate": 0.5,
        "last": False,
        "image": ["1", 0],
        "method.points": ["1", 1],
    }
    assert prompt["3"]["inputs"] == {"images": ["2", 0]}
    assert to_prompt(workflow(nodes_of(prompt), INFO), INFO) == prompt


def test_a_value_that_is_a_list_is_no_link() -> None:
    prompt = to_prompt(workflow([Node(1, "Source", {"name": ["x", 0]})], INFO), INFO)
    assert prompt["1"]["inputs"]["name"] == {"__value__": ["x", 0]}
    assert to_prompt(workflow(nodes_of(prompt), INFO), INFO) == prompt


def test_no_nodes_overlap() -> None:
    more = [Node(i, "Source") for i in range(4, 8)]
    file = workflow([*NODES, *more], INFO, [Note("n", (0, -500))], [Group("g", (1, 2))])
    boxes = [(*n["pos"], n["pos"][0] + n["size"][0], n["pos"][1] + n["size"][1] + 30) for n in file["nodes"]]
    for i, a in enumerate(boxes):
        for b in boxes[:i]:
            assert a[0] >= b[2] or b[0] >= a[2] or a[1] >= b[3] or b[1] >= a[3]
    x, y, w, h = file["groups"][0]["bounding"]
    for a in boxes[:2]:
        assert x < a[0] and y < a[1] - 30 and a[2] < x + w and a[3] - 30 < y + h
    assert file["last_node_id"] == 8 and len({n["id"] for n in file["nodes"]}) == 8
    assert workflow([*NODES, *more], INFO) == workflow([*NODES, *more], INFO)


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        ([Node(1, "Sauce")], "no node type 'Sauce'"),
        ([SOURCE, SOURCE], "same id"),
        ([Node(1, "Source", {"nam": "x"})], r"node 1 \(Source\) has no nam here; it has .*name"),
        ([SOURCE, Node(2, "Drag", {"method.steps": 3} | DEEP, DRAG.inputs)], "has no method.steps here"),
        (
            [SOURCE, Node(2, "Drag", {"method": "x"}, DRAG.inputs)],
            "method is 'x' and must be one of plain, deep",
        ),
        ([SOURCE, Node(2, "Drag", DEEP, {"image": (1, 0)})], "nothing is linked to method.points"),
        ([SOURCE, Node(2, "Save", {}, {"images": (1, 1)})], "images takes IMAGE, Source gives POINTS"),
        ([SOURCE, Node(2, "Save", {}, {"images": (1, 2)})], "no output 2, only 2"),
        ([SOURCE, Node(2, "Save", {}, {"images": (1, "mask")})], "no output 'mask', only image, points"),
        ([Node(2, "Save", {}, {"images": (1, 0)})], "linked to node 1, which is not there"),
        ([SOURCE, Node(2, "Drag", DEEP, DRAG.inputs | {"draw": (1, 0)})], "has no draw here"),
        ([Node(1, "Old", {}, {"image": (1, 0), "n": (1, 0)})], "nodes 1 need each other"),
    ],
)
def test_what_the_writer_refuses(nodes: list[Node], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        workflow(nodes, INFO)


def changed(index: int, **keys: Any) -> dict[str, Any]:
    file = copy.deepcopy(workflow(NODES, INFO))
    file["nodes"][index] |= keys
    return file


@pytest.mark.parametrize(
    ("file", "said"),
    [
        (changed(0, widgets_values=["x"], widgets_values_named={}), "ends before seed"),
        (changed(0, widgets_values=["x", 1, "fixed", 2]), "1 values more"),
        (changed(0, widgets_values=["x", 1, "fixed"], widgets_values_named={"name": "y"}), "differ at name"),
        (changed(1, type="Dreg"), "no such node"),
        (
            changed(2, inputs=[{"name": "images", "type": "IMAGE", "link": 1}]),
            "link 1 of images does not lead here",
        ),
        (changed(0, inputs=[{"name": "model", "type": "MODEL", "link": 1}]), "has no input model here"),
        (
            changed(1, widgets_values=["{a|b}", "deep", "b", 9, 0.5, False, "d"], widgets_values_named={}),
            "rewrite",
        ),
        (workflow(NODES, INFO) | {"definitions": {"subgraphs": [{}]}}, "subgraphs"),
    ],
)
def test_what_the_converter_refuses(file: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        to_prompt(file, INFO)


def test_values_that_an_old_editor_wrote_for_forced_inputs() -> None:
    """As the editor does: it tells them by their number alone."""
    file = workflow([SOURCE, Node(2, "Old", {"m": 4}, {"image": (1, 0), "n": (3, 0)}), Node(3, "Int")], OLD)
    assert to_prompt(file, OLD)["2"]["inputs"] == {"m": 4, "image": ["1", 0], "n": ["3", 0]}
    file["nodes"][1] |= {"widgets_values": [0, 4]}
    assert to_prompt(file, OLD)["2"]["inputs"]["m"] == 4


OLD = INFO | {"Int": node({}, "INT")}
