"""SD2.x and SDXL over diffusers: v-prediction, added conditions, files and folders, drags.

Tiny random networks of each geometry.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint
from safetensors.torch import save_file
from torch import Tensor

from drag_core.backends import keys, single_file, text
from drag_core.backends.diffusers_unet import DiffusersUNet
from drag_core.backends.load import load_model
from drag_core.choice import unet_taps
from drag_core.drag import denoise, invert
from drag_core.edit import run_task
from drag_core.recipes import SD_KV, SD_UP
from drag_core.schedules import ddim as ddim_schedule
from drag_core.solvers import ddim
from drag_core.types import (
    AffineMotion,
    DragError,
    FeatureTap,
    Grid,
    KVCache,
    KVInject,
    KVRecord,
    Region,
    Task,
)
from tests.core.test_backends import original_vae, tiny_unet

DOWN, UP, CROSS_DOWN, CROSS_UP = "DownBlock2D", "UpBlock2D", "CrossAttnDownBlock2D", "CrossAttnUpBlock2D"
LIKE: dict[str, dict[str, Any]] = {  # width 64 or 32 in place of 320; otherwise as the released models
    "sd15": dict(
        block_out_channels=(32, 32, 64, 64),
        down_block_types=(CROSS_DOWN,) * 3 + (DOWN,),
        up_block_types=(UP,) + (CROSS_UP,) * 3,
        cross_attention_dim=24,
    ),
    "sd21": dict(
        block_out_channels=(64, 64, 128, 128),
        down_block_types=(CROSS_DOWN,) * 3 + (DOWN,),
        up_block_types=(UP,) + (CROSS_UP,) * 3,
        cross_attention_dim=1024,
        attention_head_dim=(1, 1, 2, 2),
        use_linear_projection=True,
    ),
    "sdxl": dict(
        block_out_channels=(64, 64, 128),
        down_block_types=(DOWN, CROSS_DOWN, CROSS_DOWN),
        up_block_types=(CROSS_UP, CROSS_UP, UP),
        cross_attention_dim=2048,
        attention_head_dim=(1, 1, 2),
        use_linear_projection=True,
        transformer_layers_per_block=(1, 2, 10),
        addition_embed_type="text_time",
        addition_time_embed_dim=256,
        projection_class_embeddings_input_dim=24 + 6 * 256,
    ),
}
LIKE["sdxl, shallow"] = LIKE["sdxl"] | {"transformer_layers_per_block": (1, 1, 2)}  # for the time
DEPTH = {"sd15": (1, 1, 1, 0), "sd21": (1, 1, 1, 0), "sdxl": (0, 2, 10), "sdxl, shallow": (0, 1, 2)}


def backbone(name: str, velocity: bool = False) -> DiffusersUNet:
    torch.manual_seed(1)
    config = LIKE[name]
    pooled = torch.randn(1, 24) if name.startswith("sdxl") else None
    words = torch.randn(1, 3, config["cross_attention_dim"])
    return DiffusersUNet(tiny_unet(**config), words, pooled, velocity)


def original(unet: UNet2DConditionModel, name: str) -> dict[str, Tensor]:
    """The network's weights under the names of the released files."""
    table = {new: old for old, new in keys.unet_blocks(2, DEPTH[name]).items()}
    out = keys.rename(unet.state_dict(), table)
    assert len(out) == len(unet.state_dict())
    return out


@pytest.mark.parametrize(
    ("name", "ups", "attentions", "kv"),
    [("sd15", 4, 16, range(10, 16)), ("sd21", 4, 16, range(10, 16)), ("sdxl", 3, 70, range(64, 70))],
)
def test_taps_and_kv_layers(name: str, ups: int, attentions: int, kv: range) -> None:
    b = backbone(name)
    assert len(b.projections) == attentions and b.kv == tuple(f"attn.{i}" for i in kv)
    assert name == "sdxl" or b.kv == SD_KV
    assert unet_taps(SD_UP, b.blocks) == tuple(FeatureTap(f"up.{i}") for i in range(ups))
    taps = unet_taps(SD_UP[2:3], b.blocks)
    assert taps == (FeatureTap(f"up.{ups - 2}"),)
    z = torch.randn(1, 4, 16, 8)
    with torch.no_grad():
        (found,), _ = b.features(z, 301.0, taps)
        assert found.shape == (1, LIKE[name]["block_out_channels"][1], 16, 8)  # at the latent's resolution
        cache = KVCache()
        plain = b.predict(z, 301.0, KVRecord(cache, b.kv))
        assert set(cache.blocks) == set(b.kv)
        other = torch.randn_like(z)
        gap = b.predict(other, 301.0, KVInject(cache, b.kv)) - b.predict(other, 301.0)
        assert gap.abs().max() > 1e-5 and torch.equal(b.predict(z, 301.0), plain)


def test_sdxl_is_told_the_pictures_size() -> None:
    b = backbone("sdxl, shallow")
    z = torch.randn(1, 4, 16, 8)
    sizes = torch.tensor([[128.0, 64, 0, 0, 128, 64]])
    given = {"text_embeds": b.pooled, "time_ids": sizes}
    with torch.no_grad():
        want = b.net(z, 301, b.text, added_cond_kwargs=given).sample
        torch.testing.assert_close(b.predict(z, 301.0), want)
        both = b.batch(torch.cat([z, z]), torch.tensor([301.0, 500.0]))
        torch.testing.assert_close(both[:1], want, rtol=1e-4, atol=1e-5)
    with pytest.raises(DragError, match="needs the pooled text"):
        DiffusersUNet(b.net, b.text)


@pytest.mark.parametrize("t", [1, 381, 741, 981])
def test_v_prediction_is_diffusers_own(t: int) -> None:
    """DDIMScheduler's step of a v-model, and our step on the noise made of it."""
    b = backbone("sd21", velocity=True)
    scheduler = DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )
    scheduler.set_timesteps(50)
    s = ddim_schedule(50)
    i = s.t.index(float(t))
    z = torch.randn(1, 4, 8, 8)
    with torch.no_grad():
        v = b.net(z, t, b.text).sample
        want = scheduler.step(v, t, z).prev_sample
        got, _ = ddim(b, z, s, i, i + 1, None, None)
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)


def test_a_hand_computed_velocity() -> None:
    b = backbone("sd21", velocity=True)
    z0, noise, t = torch.randn(1, 4, 8, 8), torch.randn(1, 4, 8, 8), 500
    alpha, sigma = (float(x) ** 0.5 for x in (b._alphas[t], 1 - b._alphas[t]))
    b.net.forward = lambda *a, **k: (alpha * noise - sigma * z0,)  # a model that knows the answer
    torch.testing.assert_close(b.predict(alpha * z0 + sigma * noise, float(t)), noise, rtol=1e-4, atol=1e-5)


def test_gradients_through_v_prediction_and_added_conditions() -> None:
    for name, velocity in (("sd21", True), ("sdxl, shallow", False)):
        b = backbone(name, velocity)
        b.net.double()
        z = torch.randn(1, 4, 8, 8, dtype=torch.float64, requires_grad=True)
        way = torch.randn_like(z)

        def loss(x: Tensor, b: DiffusersUNet = b) -> Tensor:
            maps, out = b.features(x, 301.0, (FeatureTap("up.1"),), stop=False)
            assert out is not None
            return maps[0].square().mean() + out.square().mean()

        (g,) = torch.autograd.grad(loss(z), z)
        h = 1e-6
        with torch.no_grad():
            slope = (loss(z + h * way) - loss(z - h * way)) / (2 * h)
        assert float((g * way).sum()) == pytest.approx(float(slope), rel=1e-5)


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
    vae = AutoencoderKL(
        block_out_channels=(32, 32),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        layers_per_block=1,
        latent_channels=4,
    )
    weights |= {"first_stage_model." + k: v for k, v in original_vae(vae.state_dict(), 2).items()}
    save_file({k: v.contiguous() for k, v in weights.items()}, path)
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

    from drag_core.drag import Recipe
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

    result, picture = run_task(model, torch.rand(1, 3, 64, 64), task, recipe, change=shorter)
    wanted = {"sd21": "up.2", "sdxl, shallow": "up.1"}[name]
    assert FeatureTap(wanted) in seen[0].taps and all(t.block in model.backbone.blocks for t in seen[0].taps)  # type: ignore
    assert seen[0].kv_blocks == model.backbone.kv  # type: ignore[attr-defined]
    assert len(result.losses) == 3 and torch.isfinite(result.z).all() and picture.shape[0] == 1


def test_inversion_returns_on_a_v_model() -> None:
    b = backbone("sd21", velocity=True)
    z = torch.randn(1, 4, 8, 8)
    s = ddim_schedule(25, 0.5)
    path = invert(b, z, s, ddim)
    assert (denoise(b, path.z[0], s, ddim) - z).norm() / z.norm() < 0.05


def clip(width: int, layers: int, act: str, projection: bool = False) -> Any:
    transformers = pytest.importorskip(
        "transformers", reason="transformers is missing: pip install transformers"
    )
    torch.manual_seed(5)
    config = transformers.CLIPTextConfig(
        vocab_size=100,
        hidden_size=width,
        intermediate_size=96,
        num_hidden_layers=layers,
        num_attention_heads=width // 64,
        max_position_embeddings=9,
        bos_token_id=98,
        eos_token_id=99,
        pad_token_id=99,
        hidden_act=act,
        projection_dim=40,
    )
    kind = transformers.CLIPTextModelWithProjection if projection else transformers.CLIPTextModel
    return kind(config).eval()


def open_clip(net: Any) -> dict[str, Tensor]:
    """transformers' CLIP text weights under OpenCLIP's names."""
    own = {k.removeprefix("text_model."): v for k, v in net.state_dict().items()}
    out = {
        "positional_embedding": own["embeddings.position_embedding.weight"],
        "token_embedding.weight": own["embeddings.token_embedding.weight"],
        "ln_final.weight": own["final_layer_norm.weight"],
        "ln_final.bias": own["final_layer_norm.bias"],
    }
    if "text_projection.weight" in own:
        out["text_projection"] = own["text_projection.weight"].T
    pairs = (
        ("ln_1", "layer_norm1"),
        ("ln_2", "layer_norm2"),
        ("mlp.c_fc", "mlp.fc1"),
        ("mlp.c_proj", "mlp.fc2"),
    )
    for i in range(net.config.num_hidden_layers):
        a, b = f"transformer.resblocks.{i}", f"encoder.layers.{i}"
        for leaf in ("weight", "bias"):
            out |= {f"{a}.{x}.{leaf}": own[f"{b}.{y}.{leaf}"] for x, y in pairs}
            out[f"{a}.attn.out_proj.{leaf}"] = own[f"{b}.self_attn.out_proj.{leaf}"]
            out[f"{a}.attn.in_proj_{leaf}"] = torch.cat(
                [own[f"{b}.self_attn.{x}_proj.{leaf}"] for x in "qkv"]
            )
    return out


def test_the_empty_prompt_of_sd2_and_sdxl() -> None:
    """SD2: last layer but one, with the final norm. SDXL: without it, two encoders, and the pooled token."""
    net = clip(64, 3, "gelu")
    end, zero = torch.tensor([[98] + [99] * 8]), torch.tensor([[98, 99] + [0] * 7])
    norm = next(m for n, m in net.named_modules() if n.endswith("final_layer_norm"))
    with torch.no_grad():
        want = norm(net(zero, output_hidden_states=True).hidden_states[-2])
    got = text.open_text({text.OPEN + k: v for k, v in open_clip(net).items()}, "", "x")
    torch.testing.assert_close(got, want)
    small, large = clip(64, 3, "quick_gelu"), clip(128, 4, "gelu", projection=True)
    own = {k if k.startswith("text_model.") else f"text_model.{k}": v for k, v in small.state_dict().items()}
    weights = {text.XL_CLIP + k: v for k, v in own.items()}
    weights |= {text.XL_OPEN + k: v for k, v in open_clip(large).items()}
    with torch.no_grad():
        a, b = small(end, output_hidden_states=True), large(zero, output_hidden_states=True)
    got, pooled = text.xl_text(weights, "", "x")
    torch.testing.assert_close(got, torch.cat([a.hidden_states[-2], b.hidden_states[-2]], -1))
    torch.testing.assert_close(pooled, b.text_embeds)
    for encode in (text.open_text, text.xl_text):
        with pytest.raises(DragError, match="no tokenizer"):
            encode(weights, "a cat", "x")
