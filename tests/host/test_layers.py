"""A draft made with the host's own layers, in a running server: Drag Finish draws what is missing in it."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from drag_core.bench.lit.cases import lit_case_number
from tests.host.server import Server
from tests.host.test_examples import shipped
from tests.host.workflows import to_prompt


def usual(node: dict[str, Any]) -> dict[str, Any]:
    """The inputs of a node that have a usual value."""
    named = node["input"]["required"] | node["input"].get("optional", {})
    options = {k: spec[1] for k, spec in named.items() if len(spec) > 1}
    found = {k: o["default"] for k, o in options.items() if "default" in o}
    return found | {k: o["options"][0] for k, o in options.items() if "options" in o and k not in found}


def test_a_draft_of_the_hosts_layers(server: Server) -> None:
    """The picture without the thing, the thing cut out on a layer above, put where it goes."""
    info = server.object_info()
    if not {"AddLayer", "ImageCompositor"} <= set(info):
        pytest.skip("this ComfyUI has no layers: 0.33 or newer has")
    case = lit_case_number(3, "move")
    dx, dy = (round(v) for v in case.motion.shift)
    prompt = copy.deepcopy(to_prompt(shipped("finish"), info))
    layer = usual(info["AddLayer"])
    cut_out = {"image": ["1", 0], "mask": ["30", 0], "layers": ["31", 0], "x": dx, "y": dy, "z_index": 1}
    prompt |= {
        "30": {"class_type": "InvertMask", "inputs": {"mask": ["1", 1]}},
        "31": {"class_type": "AddLayer", "inputs": layer | {"image": ["3", 6], "z_index": 0}},
        "32": {"class_type": "AddLayer", "inputs": layer | cut_out},
        "33": {"class_type": "ImageCompositor", "inputs": {"layers": ["32", 0], "compositor": {}}},
        # the canvas grows with a layer that stands out of it
        "34": {
            "class_type": "ImageCrop",
            "inputs": {"image": ["33", 0], "x": 0, "y": 0, "width": 256, "height": 256},
        },
    }
    prompt["9"]["inputs"]["draft"] = ["34", 0]
    run = server.run(prompt)
    assert run.ok, run.error
    picture = server.image(run.outputs["12"]["images"][0]).astype(np.float32) / 255
    truth = case.truth.permute(1, 2, 0).numpy()
    arrived = case.truth_mask.numpy() > 0.5
    off = float(np.mean((picture[arrived][:, :3] - truth[arrived]) ** 2))
    print(f"target {-10 * np.log10(off):.1f} dB")
    assert -10 * np.log10(off) > 22
