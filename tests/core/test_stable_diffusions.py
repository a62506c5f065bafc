"""SD2.x and SDXL over diffusers: v-prediction, added conditions, taps and layers.

Tiny random networks of each geometry.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from torch import Tensor

from drag_core.backends import keys
from drag_core.backends.diffusers_unet import DiffusersUNet
from drag_core.recipes.common import SD_KV, SD_UP
from drag_core.recipes.placing import unet_taps
from drag_core.trajectory.invert import denoise, invert
from drag_core.trajectory.kvcache import KVPlain
from drag_core.trajectory.schedules import ddim as ddim_schedule
from drag_core.trajectory.solvers import ddim
from drag_core.types import DragError, FeatureTap, KVInject, KVRecord
from tests.core.test_backends import tiny_unet

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
        cache = KVPlain()
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


def test_inversion_returns_on_a_v_model() -> None:
    b = backbone("sd21", velocity=True)
    z = torch.randn(1, 4, 8, 8)
    s = ddim_schedule(25, 0.5)
    path = invert(b, z, s, ddim)
    assert (denoise(b, path.z[0], s, ddim) - z).norm() / z.norm() < 0.05
