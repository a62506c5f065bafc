"""One drag, asked the same way of any backbone; and, run by the host's own Python, on the host's models.

    python parity_probe.py COMFYUI INPUTS.npz ARRAYS.npz

drag_core has another name there (region_drag_editing.drag_core), so it comes in by name. Imports nothing of
this repository but standins.py, and that only as a script.
"""

from __future__ import annotations

import importlib
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

MODELS = ("embedded-flux", "embedded-sd")
LEVEL = {"embedded-flux": 0.5, "embedded-sd": 381.0}
KV = {"embedded-flux": ("single.0", "single.1"), "embedded-sd": ("attn.5", "attn.6")}
SIDE = 256
DRAGS = {
    "embedded-flux": {"dragflow": ("dragflow", False), "dragflow and K/V": ("dragflow", True)},
    "embedded-sd": {
        "dragnext": ("dragnext", False),
        "dragnext and K/V": ("dragnext", True),
        "dragnext, soft background": ("dragnext", False),
    },
}


def taps(core: str, backbone: Any) -> tuple[Any, ...]:
    """All that there are."""
    tap = importlib.import_module(f"{core}.types").FeatureTap
    sites = ("out", "norm1") if any(b.startswith("double") for b in backbone.blocks) else ("out",)
    return tuple(tap(block, site) for block in backbone.blocks for site in sites)


def whole_drag(core: str, backbone: Any, name: str, case: str, z: Any) -> Any:
    """The latent after invert() and drag(), some updates at some levels: a square is moved and turned."""
    import torch

    types, recipes, presets, steps = (
        importlib.import_module(f"{core}.{m}") for m in ("types", "recipes", "recipes.presets", "drag")
    )
    mask, editable = torch.zeros(SIDE, SIDE), torch.zeros(SIDE, SIDE)
    mask[64:144, 48:128] = 1
    editable[40:200, 24:232] = 1
    motion = types.AffineMotion(shift=(56.0, 16.0), angle=0.2, anchor=(88.0, 104.0))
    task = types.Task(types.Grid(SIDE, SIDE), (types.Region(mask, motion),), editable=editable)
    recipe_name, with_kv = DRAGS[name][case]
    recipe = recipes.METHODS[recipe_name].build(task)
    # the soft background's L1 norm turns rounding at a zero gap into whole signs: few updates
    levels, updates = (2, 2) if "soft" in case else (3, 4)
    kv = KV[name] if with_kv else ()
    preset = replace(presets.PRESETS[name], levels=levels, updates=updates)
    fitted = replace(presets.adapt(recipe, preset, task), kv_blocks=kv)
    if "soft" in case:
        fitted = replace(fitted, constraint=recipe.constraint)
        assert fitted.constraint.needs_prediction
    invert = importlib.import_module(f"{core}.trajectory.invert").invert
    source = invert(backbone, z, fitted.schedule, fitted.solver, fitted.kv_blocks)
    result = steps.drag(backbone, source, fitted)
    assert len(result.losses) == levels * updates
    return result.z


def with_lora(patcher: Any, path: Path) -> Any:
    """The host's own loader's work, from a file anywhere."""
    import comfy.sd
    import comfy.utils

    weights = comfy.utils.load_torch_file(str(path), safe_load=True)
    out, _ = comfy.sd.load_lora_for_models(patcher, None, weights, 1.0, 0)
    assert len(out.patches) > 0
    return out


def on_the_host(given: dict[str, Any], loras: Path) -> dict[str, Any]:
    import torch
    from region_drag_editing.nodes.host.loaders import load_embedded
    from region_drag_editing.nodes.host.session import SessionNeeds, run

    core = "region_drag_editing.drag_core"
    out: dict[str, Any] = {}
    for name in MODELS:
        patcher, ((text, held),), _ = load_embedded(name)
        z = given[name].clone()

        def body(backbone: Any, _: Any, name: str = name, z: Any = z) -> None:
            z = z.clone()  # outside inference mode
            with torch.no_grad():
                out[f"{name} prediction"] = backbone.predict(z, LEVEL[name])
                for tap, x in zip(
                    taps(core, backbone),
                    backbone.features(z, LEVEL[name], taps(core, backbone))[0],
                    strict=True,
                ):
                    out[f"{name} {tap.block} {tap.site}"] = x
            for case in DRAGS[name]:
                out[f"{name} {case}"] = whole_drag(core, backbone, name, case, z)

        need = SessionNeeds(taps(core, Blocks(patcher)), True)
        positive = [[text, {**held, "guidance": 1.0}]]
        run(patcher, positive, torch.zeros_like(z), body, need)

        def predicted(backbone: Any, _: Any, name: str = name, z: Any = z) -> None:
            with torch.no_grad():
                out[f"{name} with a LoRA"] = backbone.predict(z.clone(), LEVEL[name])

        adapted = with_lora(patcher, loras / f"{name}.safetensors")
        run(adapted, positive, torch.zeros_like(z), predicted)
    return out


class Blocks:
    def __init__(self, patcher: Any) -> None:
        from region_drag_editing.nodes.host.family import family_of

        self.blocks = family_of(patcher.model).blocks


def main() -> None:
    from standins import load_pack, on_cpu

    kept = on_cpu(Path(sys.argv[1]).resolve())
    load_pack()
    import numpy as np
    import torch

    given = {k: torch.from_numpy(v) for k, v in np.load(sys.argv[2]).items()}
    with torch.inference_mode():
        out = on_the_host(given, Path(sys.argv[2]).parent)
    np.savez(sys.argv[3], **{k: v.detach().float().cpu().numpy() for k, v in out.items()})
    del kept


if __name__ == "__main__":
    main()
