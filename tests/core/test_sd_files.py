"""Checkpoint files and folders of SD2.x and SDXL: read, refused, dragged with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint
from safetensors.torch import save_file
from torch import Tensor

from drag_core.backends import keys, single_file
from drag_core.backends.diffusers_unet import DiffusersUNet
from drag_core.backends.load import load_model
from drag_core.edit import run_task
from drag_core.trajectory.schedules import ddim as ddim_schedule
from drag_core.types import AffineMotion, DragError, FeatureTap, Grid, Region, Task
from tests.core.test_backends import save_with_vae, tiny_unet
from tests.core.test_stable_diffusions import DEPTH, LIKE, original


def whole_file(
    name: str, path: Path, velocity: bool = False
) -> tuple[UNet2DConditionModel, dict[str, Tensor]]:
    """A checkpoint in its original names: UNet and autoencoder."""
    torch.manual_seed(2)
    unet = tiny_unet(**LIKE[name] | ({"cross_attention_dim": 64} if name == "sd15" else {}))
    weights = {keys.LDM_PREFIX + k: v for k, v in original(unet, name).items()}
    if velocity:
        key = keys.LDM_PREFIX + "output_blocks.11.1.transformer_blocks.0.norm1.bias"
        weights[key] = 0.2 * torch.randn(weights[key].shape)
        unet.up_blocks[3].attentions[2].transformer_blocks[0].norm1.bias.data.copy_(weights[key])
    torch.manual_seed(3)
    save_with_vae(weights, path)
    return unet.eval(), weights


@pytest.mark.parametrize(
    ("name", "velocity", "side", "scale"),
    [("sd21", False, 512, 0.18215), ("sd21", True, 768, 0.18215), ("sdxl, shallow", False, 1024, 0.13025)],
)
def test_a_single_file(tmp_path: Path, name: str, velocity: bool, side: int, scale: float) -> None:
    unet, weights = whole_file(name, tmp_path / "model.safetensors", velocity)
    words = {"prompt_embeds": torch.randn(1, 3, unet.config.cross_attention_dim)}
    save_file(words, tmp_path / "text.safetensors")
    if name.startswith("sdxl"):
        with pytest.raises(DragError, match="SDXL needs pooled_prompt_embeds"):
            load_model(str(tmp_path / "model.safetensors"), text=tmp_path / "text.safetensors")
        words["pooled_prompt_embeds"] = torch.randn(1, 24)
        save_file(words, tmp_path / "text.safetensors")
    model = load_model(str(tmp_path / "model.safetensors"), text=tmp_path / "text.safetensors")
    want = DiffusersUNet(unet, words["prompt_embeds"], words.get("pooled_prompt_embeds"), velocity)
    z = torch.randn(1, 4, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(
            model.backbone.predict(z, 400.0), want.predict(z, 400.0), rtol=1e-5, atol=1e-5
        )
    assert (model.side, model.codec.scale, model.family) == (side, scale, "sd")
    theirs = convert_ldm_unet_checkpoint(
        {k: v for k, v in weights.items() if k.startswith(keys.LDM_PREFIX)}, dict(unet.config)
    )
    ours = keys.rename(
        {k.removeprefix(keys.LDM_PREFIX): v for k, v in weights.items()}, keys.unet_blocks(2, DEPTH[name])
    )
    assert theirs.keys() == ours.keys() and all(torch.equal(theirs[k], ours[k]) for k in ours)


def test_files_that_cannot_be_dragged_are_one_sentence(tmp_path: Path) -> None:
    for change, words in (
        ({"in_channels": 9}, "reads 9 channels"),
        ({"cross_attention_dim": 1280}, "refiner or an unCLIP"),
    ):
        unet = tiny_unet(**LIKE["sdxl, shallow"] | change)
        with pytest.raises(DragError, match=words):
            single_file.sd_unet({keys.LDM_PREFIX + k: v for k, v in original(unet, "sdxl, shallow").items()})


@pytest.mark.parametrize(("name", "kind"), [("sd21", "v_prediction"), ("sdxl, shallow", "epsilon")])
def test_a_diffusers_folder(tmp_path: Path, name: str, kind: str) -> None:
    torch.manual_seed(4)
    unet = tiny_unet(**LIKE[name])
    unet.save_pretrained(tmp_path / "unet")
    vae = AutoencoderKL(block_out_channels=(32,), latent_channels=4, scaling_factor=0.13025)
    vae.save_pretrained(tmp_path / "vae")
    pipeline = f"StableDiffusion{'XL' if name == 'sdxl' else ''}Pipeline"
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": pipeline}))
    (tmp_path / "scheduler").mkdir()
    facts = {
        "prediction_type": kind,
        "beta_schedule": "scaled_linear",
        "beta_start": 0.00085,
        "beta_end": 0.012,
    }
    scheduler = tmp_path / "scheduler" / "scheduler_config.json"
    scheduler.write_text(json.dumps(facts))
    words = {"prompt_embeds": torch.randn(1, 3, unet.config.cross_attention_dim)}
    words |= {"pooled_prompt_embeds": torch.randn(1, 24)} if name.startswith("sdxl") else {}
    save_file(words, tmp_path / "text.safetensors")
    model = load_model(str(tmp_path), text=tmp_path / "text.safetensors")
    z = torch.randn(1, 4, 8, 8)
    want = DiffusersUNet(unet, words["prompt_embeds"], words.get("pooled_prompt_embeds"), kind != "epsilon")
    with torch.no_grad():
        torch.testing.assert_close(model.backbone.predict(z, 41.0), want.predict(z, 41.0))
    assert model.side == 64 and model.codec.scale == 0.13025
    for change, said in (
        ({"prediction_type": "sample"}, "predicts sample"),
        ({"beta_end": 0.02}, "beta_end 0.02"),
    ):
        scheduler.write_text(json.dumps(facts | change))
        with pytest.raises(DragError, match=said):
            load_model(str(tmp_path), text=tmp_path / "text.safetensors")


@pytest.mark.parametrize(
    ("name", "recipe"),
    [("sd21", "dragnext"), ("sdxl, shallow", "dragnext"), ("sdxl, shallow", "dragdiffusion")],
)
def test_a_whole_drag(tmp_path: Path, name: str, recipe: str) -> None:
    """The papers' recipes as they are, but for fewer updates: taps and K/V layers are this model's own."""
    from dataclasses import replace

    from drag_core.recipes.recipe import Recipe
    from drag_core.types import Handle

    unet, _ = whole_file(name, tmp_path / "model.safetensors", velocity=name == "sd21")
    words = {"prompt_embeds": torch.randn(1, 3, unet.config.cross_attention_dim)}
    words |= {"pooled_prompt_embeds": torch.randn(1, 24)} if name.startswith("sdxl") else {}
    save_file(words, tmp_path / "text.safetensors")
    model = load_model(str(tmp_path / "model.safetensors"), text=tmp_path / "text.safetensors")
    codec = model.codec
    encode = codec.encode
    codec.encode = lambda image: torch.nn.functional.interpolate(encode(image), scale_factor=0.25)  # type: ignore
    mask = torch.zeros(64, 64)
    mask[16:32, 16:32] = 1
    region = Region(mask, AffineMotion(shift=(16.0, 8.0)))
    task = Task(Grid(64, 64), (region,), (Handle((24.0, 24.0), (40.0, 32.0)),))
    seen: list[Recipe] = []

    def shorter(r: Recipe, _: Task) -> Recipe:
        seen.append(r)
        return replace(r, schedule=ddim_schedule(8, 0.5), ramp=((0.5, 1.0), (1.0,)))

    result, picture = run_task(model, torch.rand(1, 3, 64, 64), task, recipe=recipe, change=shorter)
    wanted = {"sd21": "up.2", "sdxl, shallow": "up.1"}[name]
    assert FeatureTap(wanted) in seen[0].taps and all(t.block in model.backbone.blocks for t in seen[0].taps)  # type: ignore
    assert seen[0].kv_blocks == model.backbone.kv  # type: ignore[attr-defined]
    assert len(result.losses) == 3 and torch.isfinite(result.z).all() and picture.shape[0] == 1
