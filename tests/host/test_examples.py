"""Every example workflow, as shipped, in a real server; results are measured against the exact answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from drag_core.bench.cases import measure
from drag_core.bench.lit.cases import lit_case_number
from drag_core.motion.instruction import parse
from drag_core.motion.task import build_task
from tests.host.place import ROOT, lacks
from tests.host.record_examples import RUNS_ALONE, pictures
from tests.host.server import Server
from tests.host.told import Run
from tests.host.workflows import to_prompt
from tools.examples import FOLDER, MOVE, examples

SECONDS = 120.0
# What the embedded models reach on the shipped scene, with room: error of the moved thing's place in px, PSNR
# (dB) of
# the target region against the exact picture. The starting point alone ("copy-paste") is worse in both.
BARS: dict[str, tuple[float, float]] = {
    "dragflow": (2.0, 22.0),
    "dragnext": (2.0, 22.0),
    "gooddrag": (2.0, 22.0),
    "dragdiffusion": (2.0, 20.0),
    "copy-paste": (6.0, 14.0),
    "identity": (2.0, 22.0),
    "finish": (2.0, 22.0),
}


def shipped(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return content


@pytest.fixture(scope="module")
def runs(server: Server) -> dict[str, Run]:
    """Each once."""
    info = server.object_info()
    names = [name for name in RUNS_ALONE if name != "adaptivedrag" or not lacks("skimage")]
    return {name: server.run(to_prompt(shipped(name), info), SECONDS * 3) for name in names}


def report(run: Run, workflow: dict[str, Any]) -> dict[str, Any]:
    assert run.ok, run.error
    node = next(str(n["id"]) for n in workflow["nodes"] if n["type"] == "DragOptimize")
    out: dict[str, Any] = json.loads(run.outputs[node]["drag_report"][0])
    return out


def test_the_files_are_those_of_the_builder(server: Server) -> None:
    """python -m tests.host.record_examples writes them anew after a change of a node."""
    built = examples(server.object_info())
    assert sorted(built) == sorted(p.stem for p in FOLDER.glob("*.json"))
    for name, content in built.items():
        assert shipped(name) == content, name
    assert {p.stem for p in FOLDER.glob("*.jpg")} == set(RUNS_ALONE)


@pytest.mark.parametrize("name", RUNS_ALONE)
def test_it_runs_as_shipped(server: Server, runs: dict[str, Run], name: str) -> None:
    if name not in runs:
        pytest.skip("no scikit-image in the host's Python: install requirements.txt there")
    run, workflow = runs[name], shipped(name)
    assert run.ok, run.error
    updates = 0 if name in ("finish", MOVE) else report(run, workflow)["updates"]
    print(f"{name}: {run.seconds:.1f} s, {updates} updates")
    assert run.seconds <= SECONDS
    assert len(pictures(server, workflow, run.outputs)) == 2


@pytest.mark.parametrize("name", list(BARS))
def test_it_does_what_it_says(server: Server, runs: dict[str, Run], name: str) -> None:
    workflow = shipped(name)
    node = next(str(n["id"]) for n in workflow["nodes"] if n["type"] == "DragMetrics")
    table = runs[name].outputs[node]["text"][0]
    print(name, table, sep="\n")

    def value(start: str) -> float:
        line = next(line for line in table.splitlines() if line.startswith(start))
        return float(line[len(start) :].split()[0])

    place, target = BARS[name]
    assert value("background, PSNR") == 100.0  # pasted back: not a bit outside the mask
    assert value("centroid error") <= place
    assert value("target region, to the reference, PSNR") >= target


def test_the_shortest_graph_moves_the_thing(server: Server, runs: dict[str, Run]) -> None:
    """Five nodes and five wires; nothing changes outside what may, and the thing is where it was dragged."""
    workflow, run, case = shipped(MOVE), runs[MOVE], lit_case_number(3, "move")
    ours = [n for n in workflow["nodes"] if not n["type"].endswith("Note")]
    assert (len(ours), len(workflow["links"])) == (5, 5)
    before, after = (
        torch.from_numpy(x.copy()).movedim(-1, 0) for x in pictures(server, workflow, run.outputs)
    )
    node = next(n for n in workflow["nodes"] if n["type"] == "DragEditor")
    task, _ = build_task(parse(node["widgets_values"][0]), case.task.image)
    assert task.editable is not None and torch.equal(
        before[:, task.editable < 0.5], after[:, task.editable < 0.5]
    )
    found = measure(after.float() / 255, case)
    print(found)
    assert found["centroid"] <= 2 and found["target"] >= 25
    report = json.loads(next(o["drag_report"][0] for o in run.outputs.values() if "drag_report" in o))
    assert (report["recipe"], report["recipe_asked"], report["model_calls"]) == ("finish", "auto", 4)


def test_the_refined_picture_is_twice_as_large_and_much_the_same(
    server: Server, runs: dict[str, Run]
) -> None:
    workflow = shipped("drag-upscale-refine")
    _, refined = pictures(server, workflow, runs["drag-upscale-refine"].outputs)
    assert refined.shape == (512, 512, 3)
    edge = np.abs(np.diff(refined.astype(float), axis=0)).mean()
    assert 0.2 < edge < 20  # a picture, not noise and not one colour


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("sd15", {"v1-5-pruned-emaonly.safetensors"}),
        (
            "flux-dev",
            {"flux1-dev.safetensors", "clip_l.safetensors", "t5xxl_fp16.safetensors", "ae.safetensors"},
        ),
        (
            "flux-fp8",
            {"flux1-dev.safetensors", "clip_l.safetensors", "t5xxl_fp8_e4m3fn.safetensors", "ae.safetensors"},
        ),
        (
            "flux-intent",
            {"flux1-dev.safetensors", "clip_l.safetensors", "t5xxl_fp16.safetensors", "ae.safetensors"},
        ),
        (
            "flux-ip-adapter",
            {"flux1-dev.safetensors", "clip_l.safetensors", "t5xxl_fp16.safetensors", "ae.safetensors"}
            | {"flux-ip-adapter-v2.safetensors", "clip_vision_l.safetensors"},
        ),
        (
            "flux-instantcharacter",
            {"flux1-dev.safetensors", "clip_l.safetensors", "t5xxl_fp16.safetensors", "ae.safetensors"}
            | {"instantcharacter_ip-adapter.bin", "sigclip_vision_patch14_384.safetensors"}
            | {"dinov2_giant.safetensors"},
        ),
        (
            "inpaint-flux-fill",
            {"flux1-fill-dev.safetensors", "clip_l.safetensors", "t5xxl_fp16.safetensors"}
            | {"ae.safetensors"},
        ),
        ("inpaint-sdxl", {"sd_xl_base_1.0_inpainting_0.1.safetensors"}),
    ],
)
def test_the_real_ones_lack_only_their_models(server: Server, name: str, files: set[str]) -> None:
    """The weights can't be had here: the server must find nothing wrong but the files, once there is a
    picture.
    """
    server.upload(np.full((512, 512, 3), 128, np.uint8), "example.png")
    _, body = server.post(to_prompt(shipped(name), server.object_info()))
    found = [e for node in body["node_errors"].values() for e in node["errors"]]
    assert {e["type"] for e in found} == {"value_not_in_list"}
    assert {e["extra_info"]["received_value"] for e in found} == files
    server.drain()  # the preview of the regions needs no model and runs


@pytest.mark.parametrize("name", ["inpaint-flux-fill", "inpaint-sdxl"])
def test_an_inpainting_template_draws_the_hole_alone(server: Server, name: str) -> None:
    """As shipped but for the files: an embedded model stands in for the inpainting one, at its own size."""
    rng = np.random.default_rng(0)
    picture = np.clip(rng.normal(128, 40, (16, 16, 3)), 0, 255).astype(np.uint8).repeat(32, 0).repeat(32, 1)
    server.upload(picture, "example.png")
    prompt = to_prompt(shipped(name), server.object_info())
    for number in "1234":
        prompt.pop(number, None)
    small = {"inpaint-flux-fill": "embedded-flux", "inpaint-sdxl": "embedded-sd"}[name]
    prompt["1"] = {"class_type": "DragEmbeddedModel", "inputs": {"model_name": small}}
    prompt["12"]["inputs"]["side"] = 256
    prompt["16"]["inputs"] |= {"positive": ["1", 1], "negative": ["1", 1], "vae": ["1", 2]}
    prompt["17"]["inputs"]["model"] = ["1", 0]
    prompt["18"]["inputs"]["steps"] = 4
    prompt["19"]["inputs"]["vae"] = ["1", 2]
    for number in ("14", "15"):
        prompt.pop(number)
    prompt["30"] = {"class_type": "SaveImage", "inputs": {"images": ["13", 5], "filename_prefix": "draft"}}
    prompt["31"] = {"class_type": "MaskToImage", "inputs": {"mask": ["13", 8]}}
    prompt["32"] = {"class_type": "SaveImage", "inputs": {"images": ["31", 0], "filename_prefix": "hole"}}
    prompt["33"] = {"class_type": "SaveImage", "inputs": {"images": ["20", 0], "filename_prefix": "piece"}}
    run = server.run(prompt, SECONDS)
    assert run.ok, run.error
    draft, hole, piece, whole = (
        server.image(run.outputs[n]["images"][0]).astype(int) for n in ("30", "32", "33", "22")
    )
    off = np.abs(piece - draft).max(-1)
    assert off[hole[..., 0] == 0].max() == 0 and off[hole[..., 0] > 250].mean() > 2
    assert whole.shape == picture.shape
    changed = np.abs(whole - picture).max(-1) > 0
    assert changed.any() and not changed[:100].any()  # far from the drag nothing changed


def test_the_server_offers_them_as_templates(server: Server) -> None:
    assert sorted(server.get("/workflow_templates")["region-drag-editing"]) == sorted(
        Path(p).stem for p in (ROOT / "example_workflows").glob("*.json")
    )
