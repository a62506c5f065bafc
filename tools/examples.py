"""Writes the example workflows: python -m tools.examples OBJECT_INFO.json [FOLDER]

OBJECT_INFO.json is what a running ComfyUI with this pack answers under /object_info.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from .embedded_graphs import automatic, edited, embedded, finished, identified, moved, refine
from .real_graphs import adapted, asked, inpainted, real
from .workflows import Group, Note, workflow

FOLDER = Path(__file__).resolve().parents[1] / "example_workflows"
ABOUT = {
    "dragflow": "DragFlow's recipe on FLUX's architecture: regions, compared block by block; hard "
    "background.",
    "dragnext": "DragNeXt's recipe on Stable Diffusion's UNet: regions, moved on through many noise levels.",
    "gooddrag": "GoodDrag's recipe: points, tracked while they are pulled; dragging and denoising alternate.",
    "dragdiffusion": "DragDiffusion's recipe: points, pulled a little and looked for again.",
    "adaptivedrag": "AdaptiveDrag's recipe: points that carry their super-pixel, as many updates as the drag "
    "is long, targets matched with handles while denoising; what may change is found by DragAutoMask. "
    "Nothing is pasted: on the small model the thing comes out rough. Needs scikit-image (requirements.txt).",
    "copy-paste": "No optimisation: the inverted latents are moved and denoised (RegionDrag's way). The "
    "baseline.",
    "flux-intent": "Needs FLUX.1-dev with its text encoders and autoencoder, and a multimodal model in a "
    "server on this machine (Ollama with qwen2.5vl:7b). Draw the drag in the editor, press the speech "
    "bubble, choose a chip: it sets the task and both prompts. Then run.",
}
MOVE = "1 Move something (runs at once)"
LIT = ("dragflow", "dragnext")
REAL = {"sd15": "sd15", "flux-dev": "flux", "flux-fp8": "flux_fp8"}


def note(text: str) -> list[Note]:
    return [Note(text, (0, -260), (560, 200), "About this workflow")]


ADAPTED = {
    "ip-adapter": "Needs FLUX.1-dev with its text encoders and autoencoder, an XLabs IP-Adapter in "
    "models/xlabs/ipadapters and CLIP-L in models/clip_vision: choose your files in the loaders. As "
    "flux-dev, but the model also looks at the picture itself, so that its subject stays the same.",
    "instantcharacter": "Needs FLUX.1-dev with its text encoders and autoencoder, InstantCharacter in "
    "models/ipadapter-flux, SigLIP so400m at 384 pixels and DINOv2 giant in models/clip_vision: choose your "
    "files in the loaders. DragFlow's own adapter, at its strength: the picture is inverted, dragged and "
    "drawn while the model looks at it as a subject, from which the inversion comes back nearer to the "
    "picture (the paper, Table 1: 25.9 dB instead of 20.4).",
}


def examples(object_info: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """File name -> workflow."""
    text = (
        "Press Run: the butterfly moves to where it was dragged, and the model draws what it leaves. Then "
        "drag it somewhere else in the editor, mark something else, or connect Load Image in place of the "
        "scene. The model is a small one that comes with the pack; on photographs take a checkpoint of "
        "yours, with its vae and clip."
    )
    out = {MOVE: workflow(moved(), object_info, note(text))}
    for name, recipe, model in (
        ("dragflow", "dragflow", "embedded-flux"),
        ("dragnext", "dragnext", "embedded-sd"),
        ("gooddrag", "gooddrag", "embedded-sd"),
        ("dragdiffusion", "dragdiffusion", "embedded-sd"),
        ("copy-paste", "copy_paste", "embedded-flux"),
    ):
        text = (
            f"{ABOUT[name]}\n\nRuns as it is, on the small model that comes with the pack and a drawn "
            "scene. The metrics compare with the exact result."
        )
        lit = name in LIT  # a butterfly in the sky
        nodes = embedded(name, recipe, model, 3 if lit else 0, "lit" if lit else "plain")
        start = any(n.id == 8 for n in nodes)
        groups = [Group("Start: the source emptied, the region pasted", (5, 6, 8))] if start else []
        out[name] = workflow(nodes, object_info, note(text), groups)
    text = (
        f"{ABOUT['adaptivedrag']}\n\nRuns as it is, on the small model that comes with the pack and a drawn "
        "scene."
    )
    groups = [Group("Start: the source emptied", (5, 8))]
    out["adaptivedrag"] = workflow(automatic(), object_info, note(text), groups)
    text = (
        "The drag is drawn in the editor: pick a region, drag it, see where it goes; change it, run again. "
        "Runs as it is, on the small model that comes with the pack and a drawn scene."
    )
    out["drag-editor"] = workflow(edited(), object_info, note(text))
    text = (
        "No gradients and no inversion: the region is moved in pixels, and the model draws the hole that it "
        "leaves, in four calls. Runs as it is, on the small model that comes with the pack and a drawn "
        "scene. The metrics compare with the exact result."
    )
    out["finish"] = workflow(finished(), object_info, note(text))
    text = (
        "The model learns the picture before the drag: a LoRA of its attention (save_as is "
        "empty; with a name the file lies in ComfyUI's loras folder). 12 steps of 2 for the time; the papers "
        "take 70 of 4. Runs as it is, on the small model that comes with the pack and a drawn scene."
    )
    out["identity"] = workflow(identified(), object_info, note(text))
    text = "A drag, then an upscale, then a plain KSampler over it: the result is an ordinary picture."
    out["drag-upscale-refine"] = workflow(refine(), object_info, note(text))
    for kind, files in (
        ("sd15", "a Stable Diffusion 1.5 checkpoint"),
        ("flux-dev", "FLUX.1-dev with its text encoders and autoencoder"),
        (
            "flux-fp8",
            "FLUX.1-dev with its text encoders and autoencoder, read in 8 bit for a smaller card (4 GB of "
            "RAM for keys and values),",
        ),
    ):
        text = (
            f"Needs {files}: choose your files in the loaders, load your picture, and say in the instruction "
            "what moves where (or paint a mask, connect it, empty the instruction, and set the task). The "
            "drag happens at the model's size; the rest of the picture stays as it is, pixel by pixel."
        )
        out[kind] = workflow(real(REAL[kind]), object_info, note(text))
    for name, text in ADAPTED.items():
        out[f"flux-{name}"] = workflow(adapted(name), object_info, note(text))
    out["flux-intent"] = workflow(asked(), object_info, note(ABOUT["flux-intent"]))
    for name, kind, files in (
        ("inpaint-flux-fill", "flux", "FLUX.1 Fill dev with FLUX's text encoders and autoencoder"),
        ("inpaint-sdxl", "sdxl", "an inpainting checkpoint, SDXL's or any other"),
    ):
        text = (
            f"Needs {files}: choose your files in the loaders. Stock nodes alone: the region is moved in "
            "pixels, and the inpainting model fills what it leaves. Load your picture, say in the "
            "instruction what moves where, and in the prompt what is behind it."
        )
        out[name] = workflow(inpainted(kind), object_info, note(text))
    return out


def main(argv: list[str]) -> None:
    info = json.loads(Path(argv[0]).read_text(encoding="utf-8"))
    folder = Path(argv[1]) if len(argv) > 1 else FOLDER
    for name, content in examples(info).items():
        path = folder / f"{name}.json"
        path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(path)


if __name__ == "__main__":
    main(sys.argv[1:])
