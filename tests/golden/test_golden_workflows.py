"""Workflow files and prompts against ComfyUI's editor (frontend 1.49.6), recorded by record_workflows.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.host.workflows import to_prompt
from tools.workflows import nodes_of, workflow

GOLDEN = json.loads(Path(__file__).with_name("workflows.json").read_text(encoding="utf-8"))
CASES: dict[str, dict[str, Any]] = GOLDEN["cases"]
INFO: dict[str, Any] = GOLDEN["object_info"]
DRAWN = [name for name in CASES if name != "reroute and primitive"]  # that one was put together by hand
WHOLE = [name for name in DRAWN if name != "muted and bypassed"]  # its prompt lacks nodes and links


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("which", ["file", "saved"])
def test_the_prompt_is_the_editors(name: str, which: str) -> None:
    """Of the file given to the editor, and of the one that it saves."""
    assert to_prompt(CASES[name][which], INFO) == CASES[name]["prompt"]


@pytest.mark.parametrize("name", WHOLE)
def test_prompt_to_file_to_prompt(name: str) -> None:
    prompt = CASES[name]["prompt"]
    assert to_prompt(workflow(nodes_of(prompt), INFO), INFO) == prompt


def shown(file: dict[str, Any]) -> dict[int, dict[str, Any]]:
    """What of each node a file and the editor's copy of it must have in common: the editor leaves out widgets
    that nothing is linked to, and what an output of no fixed type gives is for it what came in.
    """
    out = {}
    for node in file["nodes"]:
        keys = ("type", "title", "mode", "properties", "widgets_values", "widgets_values_named")
        inputs = [i for i in node["inputs"] if i["link"] is not None or "widget" not in i]
        outputs = [{k: v for k, v in o.items() if k != "type"} for o in node["outputs"]]
        out[node["id"]] = {k: node.get(k) for k in keys} | {"inputs": inputs, "outputs": outputs}
    return out


@pytest.mark.parametrize("name", DRAWN)
def test_the_editor_saves_what_it_was_given(name: str) -> None:
    """So the file says of every node what the editor itself would say."""
    file, saved = CASES[name]["file"], CASES[name]["saved"]
    assert shown(file) == shown(saved)
    ends = [[(x[0], x[1], x[2], x[3]) for x in f["links"]] for f in (file, saved)]
    assert sorted(ends[0]) == sorted(ends[1])
    assert file["groups"] == saved["groups"] and file["version"] == saved["version"] == 0.4
    assert (file["last_node_id"], file["last_link_id"]) == (saved["last_node_id"], saved["last_link_id"])


def test_the_nested_case_is_nested() -> None:
    (saver,) = [n for n in CASES["dynamic, nested"]["prompt"].values() if n["class_type"] == "SaveVideo"]
    assert [k for k in saver["inputs"] if k.startswith("format")] == [
        "format",
        "format.codec",
        "format.codec.encoding",
        "format.codec.encoding.crf",
        "format.codec.encoding.color_space",
    ]
