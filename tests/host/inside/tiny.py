"""Random models of a few million weights, written as files and loaded as the host loads a user's; a drag on
them; and what several of the tests here ask.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import comfy.latent_formats
import comfy.ldm.flux.layers
import comfy.ldm.flux.model
import comfy.memory_management
import comfy.model_base
import comfy.model_detection
import comfy.model_management as mm
import comfy.model_patcher
import comfy.ops
import comfy.samplers
import comfy.sd
import pytest
import torch
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
from region_drag_editing.drag_core.features.supervise import RegionSupervision
from region_drag_editing.drag_core.types import AffineMotion, FeatureTap, Grid, Region
from region_drag_editing.nodes.host import loaders, session
from region_drag_editing.nodes.host.session import SessionNeeds
from safetensors.torch import save_file
from torch import Tensor

Weights = dict[str, Tensor]

LATENT = (12, 18)  # cells; neither square nor a power of two
IMAGE = Grid(96, 144)
GUIDANCE = 4.0  # the host multiplies by 1000 in bfloat16: exact for 4, not for 2.5
HEAD = 16  # channels of an attention head of the UNet
FLOW_T, NOISE_T = 0.5, 381.0
FLUX_TAPS = tuple(FeatureTap(b, s) for b in ("double.1", "single.1") for s in ("out", "norm1"))
DOUBLE_TAPS = FLUX_TAPS[:2]
UNET_TAPS = (FeatureTap("up.0"), FeatureTap("up.1"))


def _random(net: torch.nn.Module, seed: int) -> Weights:
    g = torch.Generator().manual_seed(seed)
    out = {}
    for name, v in net.state_dict().items():
        w = torch.randn(v.shape, generator=g)
        if v.ndim >= 2:
            w = w / v[0].numel() ** 0.5
        else:
            w = 0.02 * w if name.endswith("bias") else 1 + 0.05 * w
        out[name] = w
    return out


@contextmanager
def with_weights() -> Iterator[None]:
    """Networks that are made while open have all their parameters: under dynamic VRAM the host's own have
    none before a file is read.
    """
    with pytest.MonkeyPatch.context() as m:
        m.setattr(comfy.memory_management, "aimdo_enabled", False)
        yield


@contextmanager
def on_meta() -> Iterator[None]:
    """Networks that are made while open have all their parameters, without memory."""
    with torch.device("meta"), with_weights():
        yield


def flux_weights(hidden: int = 256, blocks: int = 2, seed: int = 1) -> Weights:
    """A FLUX of `blocks` double and as many single blocks; heads of 128. Names as in the released files."""
    with on_meta():
        net = comfy.ldm.flux.model.Flux(
            image_model="flux",
            in_channels=16,
            out_channels=16,
            vec_in_dim=16,
            context_in_dim=16,
            hidden_size=hidden,
            mlp_ratio=4.0,
            num_heads=hidden // 128,
            depth=blocks,
            depth_single_blocks=blocks,
            axes_dim=[16, 56, 56],
            theta=10000,
            patch_size=2,
            qkv_bias=True,
            guidance_embed=True,
            txt_ids_dims=[],
            dtype=torch.float32,
            operations=comfy.ops.disable_weight_init,
        )
    weights = _random(net, seed)
    return {
        k.replace("query_norm.weight", "query_norm.scale").replace("key_norm.weight", "key_norm.scale"): v
        for k, v in weights.items()
    }


def unet_weights(seed: int = 2) -> Weights:
    """A UNet of two levels, with the layers of SD1.5."""
    with on_meta():
        net = UNetModel(
            image_size=32,
            in_channels=4,
            out_channels=4,
            model_channels=32,
            num_res_blocks=[1, 1],
            channel_mult=[1, 2],
            transformer_depth=[1, 1],
            transformer_depth_output=[1, 1, 1, 1],
            transformer_depth_middle=1,
            context_dim=16,
            use_spatial_transformer=True,
            legacy=False,
            num_heads=-1,
            num_head_channels=HEAD,
            dtype=torch.float32,
            operations=comfy.ops.disable_weight_init,
        )
    return _random(net, seed)


class _Config(loaders._TinyUNet):  # type: ignore[misc]
    latent_format = comfy.latent_formats.SD15


def load_flux(weights: Weights, path: Path, dtype: torch.dtype, inference: bool = True) -> Any:
    """The patcher of a file of `dtype`, as UNETLoader makes it: inside the executor's inference mode."""
    save_file({k: v.to(dtype).contiguous() for k, v in weights.items()}, path)
    with torch.inference_mode(inference):
        return comfy.sd.load_diffusion_model(str(path), model_options={"dtype": dtype})


def load_unet(weights: Weights, dtype: torch.dtype, inference: bool = True) -> Any:
    with torch.inference_mode(inference):
        given = {f"x.{k}": v.to(dtype) for k, v in weights.items()}
        config = _Config(comfy.model_detection.detect_unet_config(given, "x."))
        config.unet_config |= {"num_heads": -1, "num_head_channels": HEAD}
        config.set_inference_dtype(dtype, mm.unet_manual_cast(dtype, mm.get_torch_device()))
        model = comfy.model_base.BaseModel(config)
        model.load_model_weights(given, "x.")
        return comfy.model_patcher.CoreModelPatcher(
            model, load_device=mm.get_torch_device(), offload_device=mm.unet_offload_device()
        )


def computing_in(patcher: Any, dtype: torch.dtype) -> Any:
    """A clone that computes in `dtype` on any machine, as the node ModelComputeDtype makes it."""
    clone = patcher.clone()
    clone.set_model_compute_dtype(dtype)
    return clone


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


TEXT, POOLED = noise(1, 5, 16, seed=11), noise(1, 16, seed=12)


def at(backbone: Any, x: Tensor) -> Tensor:
    """x where a body's tensors are: on the device of its session."""
    return x.to(backbone.call.device)


def home(x: Any) -> Any:
    """What a body returned, with its tensors on the CPU, where references and oracles compute."""
    if isinstance(x, Tensor):
        return x.cpu()
    if isinstance(x, (list, tuple)):
        return type(x)(home(y) for y in x)
    if isinstance(x, dict):
        return {k: home(y) for k, y in x.items()}
    if isinstance(x, (Asked, Got)) and is_dataclass(x):
        return replace(x, **{f.name: home(getattr(x, f.name)) for f in fields(x)})
    return x


def run(*args: Any, **kw: Any) -> Any:
    """session.run; its result on the CPU."""
    out = session.run(*args, **kw)
    with torch.inference_mode(False):  # copies that autograd may go on from
        return home(out)


def positive() -> Any:
    """The executor's inference tensors, as a text encoder node gives them."""
    with torch.inference_mode():
        return [[TEXT.clone(), {"pooled_output": POOLED.clone(), "guidance": GUIDANCE}]]


def supervision(mean: str = "region") -> RegionSupervision:
    """A square moved 20 px to the right, 8 down and turned."""
    mask = torch.zeros(IMAGE.height, IMAGE.width)
    mask[24:64, 40:80] = 1
    region = Region(mask, AffineMotion(shift=(20.0, 8.0), angle=0.2, anchor=(60.0, 44.0)))
    return RegionSupervision((region,), IMAGE, Grid(24, 36), mean=mean)


@dataclass(frozen=True)
class Asked:
    """z (1, C, h, w) to differentiate at; `reference` (one map per tap) and `next_reference` as drag() has
    them. `factor`: of the whole loss.
    """

    z: Tensor
    reference: list[Tensor]
    prediction: Tensor | None = None
    factor: float = 1.0

    def loss(self, maps: list[Tensor], prediction: Tensor | None) -> Tensor:
        """The region loss, and a penalty on the prediction if there is one."""
        total = supervision().loss(maps, [r.to(maps[0]) for r in self.reference], None, 0.7)
        if prediction is not None and self.prediction is not None:
            total = total + 0.2 * (prediction - self.prediction.to(prediction)).abs().mean()
        return total * self.factor


@dataclass(frozen=True)
class Got:
    """`pulls`: the loss's derivative at the maps, and at the prediction if there is one: where a gap of the
    L1 loss is as small as the rounding, its sign is the rounding's, and a reference must take it from here.
    """

    maps: list[Tensor]
    prediction: Tensor | None
    loss: float
    gradient: Tensor
    pulls: list[Tensor]


def in_session(
    patcher: Any,
    body: Callable[..., Any],
    taps: tuple[FeatureTap, ...] = (),
    inference: bool = True,
    **kw: Any,
) -> Any:
    """session.run as a node calls it: in inference mode, with inference tensors. The result is on the CPU.

    Not `inference`: weights that the host moves to a card stay ordinary tensors, which autograd can save.
    """
    with torch.inference_mode(inference):
        channels = patcher.model.latent_format.latent_channels
        latent = torch.zeros(1, channels, *LATENT)
        return run(patcher, positive(), latent, body, SessionNeeds(taps, True), **kw)


def hooks(net: torch.nn.Module) -> int:
    """How many hooks its modules have."""
    return sum(
        len(m._forward_hooks) + len(m._forward_pre_hooks) + len(m._backward_hooks) for m in net.modules()
    )


def error(got: Tensor, want: Tensor) -> float:
    """Relative, in the 2-norm."""
    return float((got.double() - want.double()).norm() / want.double().norm())


def output(patcher: Any) -> Tensor:
    """Two steps of the host's Euler sampler from a fixed latent, in inference mode as a sampler node."""
    with torch.inference_mode():
        channels = patcher.model.latent_format.latent_channels
        guider = comfy.samplers.CFGGuider(patcher)
        guider.inner_set_conds({"positive": positive()})
        guider.set_cfg(1.0)
        sigmas = torch.tensor([0.9, 0.5, 0.0])
        start = noise(1, channels, *LATENT, seed=5)
        sampler = comfy.samplers.sampler_object("euler")
        out: Tensor = guider.sample(start, torch.zeros_like(start), sampler, sigmas, disable_pbar=True)
        return out.clone()
