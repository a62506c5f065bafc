"""Models of full size: SDXL, SD2.1 and FLUX on the meta device, SD1.5 as a file of random weights that is
loaded and dragged for real.
"""

from __future__ import annotations

import json
import resource
import time
from pathlib import Path
from typing import Any

import comfy.model_detection
import comfy.model_patcher
import comfy.ops
import folder_paths
import pytest
import tiny
import torch
from comfy.ldm.hunyuan_video.model import HunyuanVideo
from comfy.ldm.models.autoencoder import AutoencoderKL
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
from region_drag_editing.drag_core.recipes.common import SD_UP
from region_drag_editing.drag_core.recipes.dragflow import KV as FLUX_KV
from region_drag_editing.drag_core.recipes.dragflow import TAPS as FLUX_TAPS
from region_drag_editing.drag_core.types import DragError, FeatureTap
from region_drag_editing.nodes import DragInvert, DragOptimize, RegionMaskAffine
from region_drag_editing.nodes.host import memory
from region_drag_editing.nodes.host.backbones import unet
from region_drag_editing.nodes.host.family import family_of
from safetensors.torch import save_file
from torch import Tensor

import nodes

UNET = {
    "use_checkpoint": False,
    "image_size": 32,
    "out_channels": 4,
    "use_spatial_transformer": True,
    "legacy": False,
    "adm_in_channels": None,
    "in_channels": 4,
    "model_channels": 320,
    "use_temporal_attention": False,
    "use_temporal_resblock": False,
}
FOUR = {
    "num_res_blocks": [2, 2, 2, 2],
    "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0],
    "channel_mult": [1, 2, 4, 4],
    "transformer_depth_middle": 1,
    "transformer_depth_output": [1] * 9 + [0] * 3,
}
SD15 = UNET | FOUR | {"use_linear_in_transformer": False, "context_dim": 768, "num_heads": 8}
SD21 = UNET | FOUR | {"use_linear_in_transformer": True, "context_dim": 1024, "num_head_channels": 64}
SDXL = UNET | {
    "num_classes": "sequential",
    "adm_in_channels": 2816,
    "num_res_blocks": [2, 2, 2],
    "transformer_depth": [0, 0, 2, 2, 10, 10],
    "channel_mult": [1, 2, 4],
    "transformer_depth_middle": 10,
    "use_linear_in_transformer": True,
    "context_dim": 2048,
    "num_head_channels": 64,
    "transformer_depth_output": [0, 0, 0, 2, 2, 2, 10, 10, 10],
}
DEV = {
    "image_model": "flux",
    "in_channels": 16,
    "out_channels": 16,
    "vec_in_dim": 768,
    "context_in_dim": 4096,
    "hidden_size": 3072,
    "mlp_ratio": 4.0,
    "num_heads": 24,
    "depth": 19,
    "depth_single_blocks": 38,
    "axes_dim": [16, 56, 56],
    "theta": 10000,
    "patch_size": 2,
    "qkv_bias": True,
    "guidance_embed": True,
    "txt_ids_dims": [],
}


def on_meta(config: dict[str, Any], dtype: torch.dtype) -> Any:
    """The host's own model of this configuration, without memory for its weights."""
    found = comfy.model_detection.model_config_from_unet_config(dict(config))
    assert found is not None
    found.set_inference_dtype(dtype, None)
    with tiny.on_meta():
        return found.get_model({}, "", device="meta")


@pytest.mark.parametrize(
    ("name", "config", "ups", "kv", "widths"),
    [
        ("SD1.x", SD15, 4, range(10, 16), (1280, 1280, 640, 320)),
        ("SD2.x", SD21, 4, range(10, 16), (1280, 1280, 640, 320)),
        ("SDXL", SDXL, 3, range(64, 70), (1280, 640, 320)),
    ],
)
def test_unets(name: str, config: dict[str, Any], ups: int, kv: range, widths: tuple[int, ...]) -> None:
    model = on_meta(config, torch.float16)
    family = family_of(model)
    assert (family.name, family.label, family.preset) == ("sd", name, None)
    assert family.kv == tuple(f"attn.{i}" for i in kv)
    assert [b for b in family.blocks if b.startswith("up.")] == [f"up.{i}" for i in range(ups)]
    net = model.diffusion_model
    attentions = unet.self_attentions(net)
    assert len(attentions) == (70 if ups == 3 else 16)
    assert {p for p, n in attentions.items() if n in family.kv} == {
        p for p in attentions if p[0] == "output" and p[1] >= (3 if ups == 3 else 6)
    }
    modules = unet.tap_modules(net)
    for tap in family.ground().taps(SD_UP):  # every tap of the recipes is a layer of the last up blocks
        last = modules[tap.block]
        width = getattr(last, "out_channels", None) or getattr(last, "in_channels", None) or last.channels
        assert int(width) == widths[int(tap.block.split(".")[1])]
    assert family.ground().taps(SD_UP[2:3]) == (FeatureTap(f"up.{ups - 2}"),)
    assert family.ground().taps((FeatureTap("up.0"),)) == ((FeatureTap("up.0"),) if ups == 4 else ())
    kept = memory.activation_bytes(net, (64, 64), family.ground().taps(SD_UP[2:3]), False, False) / 2**20
    assert (950 < kept < 1100) if name == "SDXL" else (350 < kept < 450)  # counted: 1205 and 474 times 0.845


@pytest.mark.parametrize(("guided", "label"), [(True, "dev"), (False, "schnell")])
def test_flux(guided: bool, label: str) -> None:
    model = on_meta(DEV | {"guidance_embed": guided}, torch.bfloat16)
    family = family_of(model)
    assert (family.name, family.label, family.preset, family.kv) == ("flux", "FLUX.1", None, FLUX_KV)
    assert len(family.blocks) == 57 and family.ground().taps(FLUX_TAPS) == FLUX_TAPS
    assert {t.block for t in FLUX_TAPS} | set(FLUX_KV) <= set(family.blocks)
    net = model.diffusion_model
    size = (128, 128)  # 1024x1024 pixels
    plain = memory.activation_bytes(net, size, FLUX_TAPS, False, False) / 2**30
    memoised = memory.activation_bytes(net, size, FLUX_TAPS, False, True) / 2**30
    print(label, "GiB kept at 1024x1024:", plain, "with checkpoints:", memoised)
    assert 7.2 <= plain <= 7.6 and 1.2 <= memoised <= 1.4  # measured: 7.36 and 1.26
    patcher = comfy.model_patcher.ModelPatcher(model, torch.device("cpu"), torch.device("cpu"))
    part = memory.pruned(patcher, FLUX_TAPS)
    print(label, "GiB of weights loaded:", part.size / 2**30, "of", patcher.model_size() / 2**30)
    assert 8.0 <= part.size / 2**30 <= 8.2 and patcher.model_size() / 2**30 > 22
    assert len(part.object_patches["diffusion_model.double_blocks"]) == 19
    assert len(part.object_patches["diffusion_model.single_blocks"]) == 0


def test_other_models_are_refused() -> None:
    class Other:
        diffusion_model = torch.nn.Linear(1, 1)

    with pytest.raises(
        DragError, match="this is a Linear model; drags work on Stable Diffusion 1.x, 2.x, XL, FLUX.1, FLUX.2"
    ):
        family_of(Other())
    with tiny.on_meta():
        Other.diffusion_model = HunyuanVideo(
            image_model="hunyuan_video",
            in_channels=16,
            out_channels=16,
            vec_in_dim=16,
            context_in_dim=16,
            hidden_size=128,
            mlp_ratio=4.0,
            num_heads=1,
            depth=1,
            depth_single_blocks=1,
            axes_dim=[16, 56, 56],
            theta=256,
            patch_size=[1, 2, 2],
            qkv_bias=True,
            guidance_embed=False,
            byt5=False,
            meanflow=False,
            use_cond_type_embedding=False,
            vision_in_dim=None,
            meanflow_sum=False,
            operations=comfy.ops.disable_weight_init,
        )
    with pytest.raises(DragError, match="this is a HunyuanVideo model; drags work on"):
        family_of(Other())


def official_sd15() -> dict[str, Tensor]:
    """Random weights under the names of v1-5-pruned: UNet, autoencoder and CLIP text model, 1.07 billion of
    them.
    """
    g = torch.Generator().manual_seed(0)
    with tiny.on_meta():
        net = UNetModel(**SD15, operations=comfy.ops.disable_weight_init)
        vae = AutoencoderKL(
            ddconfig={
                "double_z": True,
                "z_channels": 4,
                "resolution": 256,
                "in_channels": 3,
                "out_ch": 3,
                "ch": 128,
                "ch_mult": [1, 2, 4, 4],
                "num_res_blocks": 2,
                "attn_resolutions": [],
                "dropout": 0.0,
            },
            embed_dim=4,
        )
    shapes = {f"model.diffusion_model.{k}": v.shape for k, v in net.state_dict().items()}
    shapes |= {f"first_stage_model.{k}": v.shape for k, v in vae.state_dict().items()}
    text = "cond_stage_model.transformer.text_model."
    shapes[text + "embeddings.token_embedding.weight"] = torch.Size((49408, 768))
    shapes[text + "embeddings.position_embedding.weight"] = torch.Size((77, 768))
    for i in range(12):
        layer = f"{text}encoder.layers.{i}."
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            shapes[f"{layer}self_attn.{part}.weight"] = torch.Size((768, 768))
            shapes[f"{layer}self_attn.{part}.bias"] = torch.Size((768,))
        for part, (out, into) in (("fc1", (3072, 768)), ("fc2", (768, 3072))):
            shapes[f"{layer}mlp.{part}.weight"] = torch.Size((out, into))
            shapes[f"{layer}mlp.{part}.bias"] = torch.Size((out,))
        for part in ("layer_norm1", "layer_norm2"):
            shapes |= {f"{layer}{part}.{k}": torch.Size((768,)) for k in ("weight", "bias")}
    shapes |= {f"{text}final_layer_norm.{k}": torch.Size((768,)) for k in ("weight", "bias")}
    out = {}
    for name, shape in shapes.items():
        if len(shape) > 1:
            w = torch.randn(shape, generator=g) / float(torch.Size(shape[1:]).numel()) ** 0.5
        else:
            w = torch.zeros(shape) if name.endswith("bias") else torch.ones(shape)
        out[name] = w.half()
    return out


def test_a_full_sd15_checkpoint_drags(tmp_path: Path) -> None:
    """Slow: two minutes and more on two cores, 2.1 GB on disk for its while."""
    weights = official_sd15()
    assert len(weights) == 686 + 248 + 196 and sum(w.numel() for w in weights.values()) > 1.06e9
    save_file(weights, tmp_path / "v1-5-random.safetensors")
    del weights
    folder_paths.add_model_folder_path("checkpoints", str(tmp_path))
    folder_paths.filename_list_cache.clear()
    started = time.perf_counter()
    with torch.inference_mode():
        model, clip, vae = nodes.CheckpointLoaderSimple().load_checkpoint("v1-5-random.safetensors")
        assert family_of(model.model).label == "SD1.x"
        (positive,) = nodes.CLIPTextEncode().encode(clip, "a photograph")
        y, x = torch.meshgrid(torch.linspace(0, 1, 256), torch.linspace(0, 1, 256), indexing="ij")
        picture = torch.stack([x, y, 1 - x], -1)[None]
        (latent,) = nodes.VAEEncode().encode(vae, picture)
        inverted = DragInvert.execute(model, positive, latent, "ddim", 4, 0.5, "auto", 1.0, "auto").args[3]
        mask = torch.zeros(1, 256, 256)
        mask[:, 96:160, 64:128] = 1
        regions = RegionMaskAffine.execute(
            image=picture,
            mask=mask,
            task={"task": "relocation", "target_x": 160.0, "target_y": 128.0},
            weight=1.0,
            editable="adaptive",
            instruction="",
        ).args[0]
        method = {"method": "region", "iterations": 1, "hold": 1, "step": 100.0}
        out = DragOptimize.execute(
            model, positive, inverted, regions, "custom", "ours", method, "auto", "recipe", 0, 0
        ).args
        (edited,) = nodes.VAEDecode().decode(vae, out[0])
    facts = json.loads(out[4])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"SD1.5 of full size: {time.perf_counter() - started:.0f} s, process peak {peak:.1f} GiB, "
        f"losses {facts['losses']}, K/V {facts['kv_layers']}"
    )
    assert facts["updates"] == 2 and facts["losses"][1] < facts["losses"][0]
    assert facts["kv_layers"] == [f"attn.{i}" for i in range(10, 16)]
    assert edited.shape == (1, 256, 256, 3) and torch.isfinite(edited).all()
    assert float((out[0]["samples"] - latent["samples"]).abs().max()) > 0
