"""Records workflows.json: what ComfyUI's own editor makes of workflow files, in a browser.

    PYTHONPATH=. python tests/golden/record_workflows.py

Needs a ComfyUI (see tests/host), `pip install playwright` and Chromium at /usr/bin/chromium. The files come
from tools/workflows.py; kept are the file as the editor saves it, the prompt that it queues, and the
object_info of the nodes in them without its descriptions.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from tests.host.server import Server
from tools.workflows import Group, Node, Note, workflow

HERE = Path(__file__).parent
PICTURE = Node(1, "LoadImage", {"image": "a.png"})
READY = "window.app?.extensionManager && window.LiteGraph?.registered_node_types?.SaveImage && app.graph"
ASK = """async (file) => {
    await app.loadGraphData(file)
    await new Promise((r) => setTimeout(r, 1500))
    const {workflow, output} = await app.graphToPrompt()
    return JSON.parse(JSON.stringify({workflow, output}))
}"""


def save(i: int, source: tuple[int, int | str]) -> Node:
    return Node(i, "SaveImage", {"filename_prefix": "out"}, {"images": source})


def resized(
    option: str, more: dict[str, Any], inputs: dict[str, tuple[int, int | str]] | None = None
) -> Node:
    widgets = {"resize_type": option, "scale_method": "bilinear"} | more
    return Node(2, "ResizeImageMaskNode", widgets, {"input": (1, "IMAGE")} | (inputs or {}))


def files(info: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """By name the cases: (nodes, notes, groups) -> file."""
    sized = {"resize_type.width": 96, "resize_type.height": 64, "resize_type.crop": "disabled"}
    out = {
        "dynamic, first option": workflow(
            [PICTURE, resized("scale dimensions", sized), save(3, (2, 0))], info
        ),
        "dynamic, other option": workflow(
            [PICTURE, resized("scale by multiplier", {"resize_type.multiplier": 0.5}), save(3, (2, 0))], info
        ),
        "dynamic, an option with a socket": workflow(
            [
                PICTURE,
                Node(4, "LoadImage", {"image": "b.png"}),
                resized("match size", {"resize_type.crop": "center"}, {"resize_type.match": (4, 0)}),
                save(3, (2, 0)),
            ],
            info,
        ),
        "dynamic, a linked widget": workflow(
            [
                PICTURE,
                Node(5, "PrimitiveInt", {"value": 80, "control_after_generate": "increment"}),
                resized("scale width", {}, {"resize_type.width": (5, 0)}),
                save(3, (2, 0)),
            ],
            info,
        ),
        "dynamic, nested": workflow(
            [
                PICTURE,
                Node(2, "CreateVideo", {"fps": 8.0}, {"images": (1, 0)}),
                Node(
                    3,
                    "SaveVideo",
                    {
                        "filename_prefix": "v",
                        "format": "mp4",
                        "format.codec": "h264",
                        "format.codec.encoding": "re-encode",
                    },
                    {"video": (2, 0)},
                ),
            ],
            info,
        ),
    }
    sampling = [
        Node(1, "UNETLoader", {"unet_name": "m.safetensors"}),
        Node(2, "CLIPLoader", {"clip_name": "c.safetensors", "type": "flux2"}),
        Node(3, "CLIPTextEncode", {"text": "a cat"}, {"clip": (2, 0)}, title="wanted"),
        Node(4, "ConditioningZeroOut", {}, {"conditioning": (3, 0)}),
        Node(5, "EmptyLatentImage", {"width": 256}),
        Node(
            6,
            "KSampler",
            {"seed": 7, "control_after_generate": "randomize", "steps": 4, "cfg": 1.5, "denoise": 0.75},
            {"model": (1, 0), "positive": (3, 0), "negative": (4, 0), "latent_image": (5, 0)},
        ),
        Node(7, "VAELoader", {"vae_name": "v.safetensors"}),
        Node(8, "VAEDecode", {}, {"samples": (6, 0), "vae": (7, 0)}),
        save(9, (8, 0)),
        Node(10, "RandomNoise", {"noise_seed": 3}),
        Node(11, "CFGGuider", {"cfg": 2.0}, {"model": (1, 0), "positive": (3, 0), "negative": (4, 0)}),
        Node(12, "KSamplerSelect", {"sampler_name": "euler"}),
        Node(13, "BasicScheduler", {"steps": 5}, {"model": (1, 0)}),
        Node(
            14,
            "SamplerCustomAdvanced",
            {},
            {
                "noise": (10, 0),
                "guider": (11, 0),
                "sampler": (12, 0),
                "sigmas": (13, 0),
                "latent_image": (6, 0),
            },
        ),
        Node(15, "VAEDecode", {}, {"samples": (14, "denoised_output"), "vae": (7, 0)}),
        save(16, (15, 0)),
    ]
    notes = [Note("# what it does", (0, -400), title="read me")]
    out["sampling"] = workflow(sampling, info, notes, [Group("sampling", (6, 8, 9))])
    bypassed = [
        PICTURE,
        Node(2, "ImageScaleBy", {"scale_by": 2.0}, {"image": (1, 0)}, mode=4),
        Node(3, "ImageInvert", {}, {"image": (2, 0)}, mode=2),
        save(4, (2, 0)),
        save(5, (3, 0)),
        Node(6, "ImageCompositeMasked", {"x": 4}, {"destination": (2, 0), "source": (1, 0), "mask": (1, 1)}),
        save(7, (6, 0)),
        Node(8, "JoinImageWithAlpha", {}, {"image": (1, 0), "alpha": (9, 0)}, mode=4),
        Node(9, "InvertMask", {}, {"mask": (1, 1)}),
        save(10, (8, 0)),
    ]
    out["muted and bypassed"] = workflow(bypassed, info)
    out["reroute and primitive"] = rerouted(info)
    return out


def rerouted(info: dict[str, Any]) -> dict[str, Any]:
    """The editor's own nodes, which object_info doesn't have: put in by hand."""
    file = workflow(
        [PICTURE, Node(2, "ImageScaleBy", {"scale_by": 2.0}, {"image": (1, 0)}), save(3, (2, 0))], info
    )
    picture, scale = file["nodes"][0], file["nodes"][1]
    common = {"size": [200, 80], "flags": {}, "order": 0, "mode": 0, "properties": {}}
    reroute = {"id": 4, "type": "Reroute", "pos": [300, 0], **common}
    reroute["inputs"] = [{"name": "", "type": "*", "link": 3}]
    reroute["outputs"] = [{"name": "", "type": "IMAGE", "links": [1], "slot_index": 0}]
    primitive = {"id": 5, "type": "PrimitiveNode", "pos": [300, 200], **common, "inputs": []}
    primitive["outputs"] = [{"name": "FLOAT", "type": "FLOAT", "widget": {"name": "scale_by"}, "links": [4]}]
    primitive["widgets_values"] = [1.5, "fixed"]
    picture["outputs"][0]["links"] = [3]
    slot = [i["name"] for i in scale["inputs"]].index("scale_by")
    scale["inputs"][slot]["link"] = 4
    file["links"][0] = [1, 4, 0, 2, 0, "IMAGE"]
    file["links"] += [[3, 1, 0, 4, 0, "*"], [4, 5, 0, 2, slot, "FLOAT"]]
    file["nodes"] += [reroute, primitive]
    return file | {"last_node_id": 5, "last_link_id": 4}


def plain(info: Any) -> Any:
    """Without descriptions."""
    if isinstance(info, dict):
        texts = ("tooltip", "description", "output_tooltips", "search_aliases", "help")
        return {k: plain(v) for k, v in info.items() if k not in texts}
    return [plain(v) for v in info] if isinstance(info, list) else info


def main() -> None:
    with Server(Path(tempfile.mkdtemp())) as server, sync_playwright() as play:
        for key, value in {"Comfy.TutorialCompleted": True, "Comfy.Workflow.Persist": False}.items():
            server.ask(f"/settings/{key}", json.dumps(value).encode())
        browser = play.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page()
        page.route("**/*", lambda r: r.continue_() if server.url in r.request.url else r.abort())
        page.goto(server.url)
        page.wait_for_function(READY, timeout=240_000)
        page.wait_for_timeout(3000)
        info = server.object_info()
        cases = {}
        for name, file in files(info).items():
            answer = page.evaluate(ASK, file)
            cases[name] = {"file": file, "saved": answer["workflow"], "prompt": answer["output"]}
        browser.close()
    types = {n["type"] for case in cases.values() for n in case["file"]["nodes"]} & info.keys()
    parts = {"cases": cases, "object_info": {t: plain(info[t]) for t in sorted(types)}}
    lines = [
        f'"{part}": {{\n' + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in of.items()) + "\n}"
        for part, of in parts.items()
    ]
    (HERE / "workflows.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
