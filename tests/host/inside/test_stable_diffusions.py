"""SD2.1 with v-prediction and SDXL through the host: predictions, whole drags with K/V, an identity LoRA.

Tiny random models of each geometry, in the host's own classes.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import comfy.ldm.modules.diffusionmodules.openaimodel as openai
import comfy.model_detection
import comfy.model_management as mm
import comfy.model_patcher
import comfy.ops
import comfy.sd
import comfy.supported_models
import comfy.utils
import pytest
import tiny
import torch
from bounds import within
from region_drag_editing.drag_core.lora import Training, file_weights
from region_drag_editing.drag_core.recipes.assemble import assemble
from region_drag_editing.drag_core.recipes.choice import shown_numbers
from region_drag_editing.drag_core.types import AffineMotion, Handle, Region, Task
from region_drag_editing.nodes import DragInvert, DragOptimize, RegionMaskAffine
from region_drag_editing.nodes.host import lora as identity
from region_drag_editing.nodes.host.family import family_of
from region_drag_editing.nodes.host.wish import DragChoices, ground_of
from tiny import noise
from torch import Tensor

LIKE: dict[str, dict[str, Any]] = {
    "sd21": {
        "num_res_blocks": [2, 2, 2, 2],
        "channel_mult": [1, 1, 2, 2],
        "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0],
        "transformer_depth_middle": 1,
        "transformer_depth_output": [1] * 9 + [0] * 3,
        "context_dim": 1024,
    },
    "sdxl": {
        "num_res_blocks": [2, 2, 2],
        "channel_mult": [1, 1, 2],
        "transformer_depth": [0, 0, 1, 1, 2, 2],
        "transformer_depth_middle": 2,
        "transformer_depth_output": [0, 0, 0, 1, 1, 1, 2, 2, 2],
        "context_dim": 2048,
        "num_classes": "sequential",
        "adm_in_channels": 24 + 6 * 256,
    },
}
POOLED = noise(1, 24, seed=13)


@cache
def model(name: str) -> Any:
    config = LIKE[name]
    with tiny.on_meta():
        net = openai.UNetModel(
            image_size=32,
            in_channels=4,
            out_channels=4,
            model_channels=32,
            use_spatial_transformer=True,
            use_linear_in_transformer=True,
            legacy=False,
            num_heads=-1,
            num_head_channels=16,
            dtype=torch.float32,
            operations=comfy.ops.disable_weight_init,
            **config,
        )
    weights = {f"x.{k}": v for k, v in tiny._random(net, 3).items()}
    if name == "sd21":  # by this the host tells a v-prediction
        key = "x.output_blocks.11.1.transformer_blocks.0.norm1.bias"
        weights[key] = 0.3 * noise(*weights[key].shape)
    with torch.inference_mode():
        kind = comfy.supported_models.SDXL if name == "sdxl" else comfy.supported_models.SD20
        found = kind(comfy.model_detection.detect_unet_config(weights, "x."))
        found.unet_config |= {"num_heads": -1, "num_head_channels": 16}
        found.set_inference_dtype(torch.float32, None)
        made = found.get_model(weights, "x.")
        made.load_model_weights(weights, "x.")
        return comfy.model_patcher.CoreModelPatcher(
            made, load_device=mm.get_torch_device(), offload_device=mm.unet_offload_device()
        )


def positive(name: str) -> Any:
    with torch.inference_mode():
        return [[noise(1, 5, LIKE[name]["context_dim"], seed=11), {"pooled_output": POOLED.clone()}]]


def latent(name: str) -> Tensor:
    with torch.inference_mode():
        out: Tensor = model(name).model.process_latent_out(0.5 * noise(1, 4, *tiny.LATENT, seed=4))
        return out.clone()


@pytest.mark.parametrize("t", [1.0, 381.0, 741.0])
@pytest.mark.parametrize("name", LIKE)
def test_the_prediction_is_the_networks_own(name: str, t: float) -> None:
    """SD2.1: noise = alpha·v + sigma·z. SDXL: told the pooled text and the size in pixels."""
    patcher = model(name)
    z = noise(1, 4, *tiny.LATENT, seed=5)
    net = patcher.model.diffusion_model

    def body(backbone: Any, _: Tensor) -> tuple[Tensor, Tensor]:
        device, here = backbone.call.device, tiny.at(backbone, z)
        context = positive(name)[0][0].clone().to(device)
        y = None
        if name == "sdxl":
            h, w = 8.0 * tiny.LATENT[0], 8.0 * tiny.LATENT[1]
            sizes = torch.tensor([h, w, 0.0, 0.0, h, w])
            places = openai.timestep_embedding(sizes, 256).flatten()[None]
            y = torch.cat([POOLED, places], 1).to(device)
        with torch.no_grad():
            raw = net(here.clone(), torch.tensor([t], device=device), context=context, y=y)
            return backbone.predict(here.clone(), t), raw

    with torch.inference_mode():
        got, raw = tiny.run(patcher, positive(name), latent(name), body)
    sampling = patcher.get_model_object("model_sampling")
    alpha = float(1 / (1 + sampling.sigmas[round(t)].double().cpu() ** 2)) ** 0.5
    want = alpha * raw + (1 - alpha**2) ** 0.5 * z if name == "sd21" else raw
    scale = float(want.abs().max())
    print(name, t, float((got - want).abs().max()), scale)
    assert (got - want).abs().max() <= max(
        2e-4, within(0.0)
    ) * scale  # at t = 1 the host divides a difference by 0.04


@pytest.mark.parametrize("name", LIKE)
def test_a_whole_drag(name: str) -> None:
    patcher, family = model(name), family_of(model(name).model)
    assert family.label == {"sd21": "SD2.x", "sdxl": "SDXL"}[name]
    assert family.kv == tuple(f"attn.{i}" for i in (range(10, 16) if name == "sd21" else range(14, 17)))
    h, w = tiny.IMAGE.height, tiny.IMAGE.width
    with torch.inference_mode():
        z = {"samples": latent(name)}
        inverted = DragInvert.execute(patcher, positive(name), z, "auto", 12, 0.5, "auto", 1.0, "auto").args[
            3
        ]
        mask = torch.zeros(1, h, w)
        mask[:, 24:56, 32:64] = 1
        task = {"task": "relocation", "target_x": 72.0, "target_y": 48.0}
        regions = RegionMaskAffine.execute(
            image=torch.rand(1, h, w, 3),
            mask=mask,
            task=task,
            weight=1.0,
            editable="adaptive",
            instruction="",
        ).args[0]
        method = {"method": "pbsi", "levels": 2, "updates": 3, "step": 0.02, "background": 0.2}
        out = DragOptimize.execute(
            patcher,
            positive(name),
            inverted,
            regions,
            "custom",
            "ours",
            method,
            "auto",
            "drag and denoise",
            0,
            0,
        ).args
    report = json.loads(out[4])
    assert report["kv_layers"] == list(family.kv) and report["updates"] == 6
    assert report["taps"] == [f"up.{i}:out" for i in range(4 if name == "sd21" else 3)]
    # that the gradient is right is the drag's own self-test, which has a finite difference in float32
    edited = out[0]["samples"]
    assert torch.isfinite(edited).all() and (edited - z["samples"]).abs().max() > 1e-2


@pytest.mark.parametrize("name", LIKE)
@pytest.mark.parametrize("recipe", ["gooddrag", "adaptivedrag", "dragnext"])
def test_a_recipes_numbers_as_custom_keep_its_taps(name: str, recipe: str) -> None:
    """In the editor a changed number makes a recipe custom: nothing else of it changes."""
    patcher = model(name)
    with torch.inference_mode():
        z = {"samples": latent(name)}
        given = (patcher, positive(name), z, "auto", 12, 0.75, "auto", 1.0, "auto")
        inverted = DragInvert.execute(*given).args[3]
    mask = torch.zeros(tiny.IMAGE.height, tiny.IMAGE.width)
    mask[24:56, 32:64] = 1
    moved = Region(mask, AffineMotion(shift=(24.0, 8.0)))
    task = Task(tiny.IMAGE, (moved,), (Handle((48.0, 40.0), (72.0, 48.0)),))
    method, numbers = shown_numbers()[recipe]
    wishes = DragChoices(recipe), DragChoices("custom", method=method, numbers=numbers)
    ground = ground_of(family_of(patcher.model), inverted)
    named, custom = (assemble(task, ground, w) for w in wishes)
    assert named.taps == custom.taps and (len(named.taps) == 1) == (recipe != "dragnext")
    assert named.kv_blocks == custom.kv_blocks and named.ramp == custom.ramp


@pytest.mark.parametrize("name", LIKE)
def test_an_identity_lora(name: str) -> None:
    """A v-prediction's own loss is the noise's over alpha²; the names are those of LoRA files."""
    patcher = model(name)
    with torch.inference_mode():  # as the executor runs a node: so the host moves the weights
        trained = identity.train(
            patcher, positive(name), latent(name), Training(steps=4, rank=4, rate=5e-3, batch=2)
        )
    weights = file_weights(trained.lora)
    assert all(k.startswith("lora_unet_down_blocks_" if "down" in k[:20] else "lora_unet_") for k in weights)
    known = comfy.utils.unet_to_diffusers(patcher.model.model_config.unet_config)
    stems = {f"lora_unet_{k.removesuffix('.weight').replace('.', '_')}" for k in known}
    assert {k.split(".")[0] for k in weights} <= stems
    patched = identity.with_lora(patcher, trained, 1.0)
    assert len(patched.patches) == len(trained.lora.weights) == (16 * 8 if name == "sd21" else 17 * 8)
