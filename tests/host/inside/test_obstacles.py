"""What other nodes can put in a drag's way is refused in one sentence, and nothing stays behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import comfy.controlnet
import comfy.hooks
import comfy.ldm.flux.math
import comfy.ldm.modules.attention as attention
import comfy.model_management as mm
import comfy.model_sampling
import comfy.sd
import pytest
import tiny
import torch
from bounds import within
from comfy.ldm.flux.model import Flux
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
from comfy_api.torch_helpers import set_torch_compile_wrapper
from comfy_extras.nodes_easycache import EasyCacheNode, LazyCacheNode
from region_drag_editing.drag_core.types import DragError, FeatureTap
from region_drag_editing.nodes.host.backbones import grad
from region_drag_editing.nodes.host.session import SessionNeeds, run
from torch import Tensor

import nodes

FLUX = tiny.flux_weights(hidden=128, blocks=1)
UNET = tiny.unet_weights()
TAPS = {"flux": (FeatureTap("double.0"), FeatureTap("single.0", "norm1")), "unet": tiny.UNET_TAPS}
LORA = {
    "diffusion_model.double_blocks.0.img_attn.qkv.lora_A.weight": tiny.noise(4, 128),
    "diffusion_model.double_blocks.0.img_attn.qkv.lora_B.weight": tiny.noise(384, 4),
}


@pytest.fixture
def flux(tmp_path: Path) -> Any:
    return tiny.load_flux(FLUX, tmp_path / "flux.safetensors", torch.float32)


def hooks(net: torch.nn.Module) -> int:
    return sum(
        len(m._forward_hooks) + len(m._forward_pre_hooks) + len(m._backward_hooks) for m in net.modules()
    )


def ours(net: torch.nn.Module) -> list[str]:
    """Layers that still have a forward of ours."""
    found = grad.replaced(net)
    return [name for name, m in found if m.__dict__["forward"].__module__ == grad.__name__]


def drag(backbone: Any, _: Tensor) -> float:
    """A gradient, and the prediction: what every method does."""
    kind = "flux" if hasattr(backbone.net, "double_blocks") else "unet"
    t = tiny.FLOW_T if kind == "flux" else tiny.NOISE_T
    channels = backbone.call.model.latent_format.latent_channels
    z = tiny.at(backbone, tiny.noise(1, channels, *tiny.LATENT, seed=3)).requires_grad_()
    maps, _ = backbone.features(z, t, TAPS[kind])
    (g,) = torch.autograd.grad(torch.stack([m.square().mean() for m in maps]).sum(), z)
    return float(g.norm())


def refused(
    patcher: Any,
    words: str,
    positive: Any = None,
    shape: tuple[int, ...] | None = None,
    sigmas: tuple[float, float] = (0.0, 1.0),
) -> str:
    net = patcher.model.diffusion_model
    kept, training = tiny.hooks(net), mm.in_training
    with torch.inference_mode(), pytest.raises(DragError, match=words) as caught:
        latent = torch.zeros(shape or (1, 16, *tiny.LATENT))
        run(patcher, positive or tiny.positive(), latent, drag, SessionNeeds(TAPS["flux"], True, sigmas=sigmas))
    assert (tiny.hooks(net), mm.in_training) == (kept, training) and not ours(net)
    said = str(caught.value)
    print(said)
    assert "\n" not in said and said.count(". ") == 0 and ("  " not in said)
    return said


def test_nothing_in_the_way(flux: Any) -> None:
    assert tiny.in_session(flux, drag) > 0


def test_a_lora_in_bypass_mode(flux: Any) -> None:
    with torch.inference_mode():
        bypassed, _ = comfy.sd.load_bypass_lora_for_models(flux, None, LORA, 1.0, 0)
    want = tiny.in_session(flux, drag)
    for _ in range(2):
        said = refused(bypassed, "without bypass")
        assert "double_blocks.0.img_attn.qkv" in said and "comfy.weight_adapter.bypass" in said
        assert tiny.in_session(flux, drag) == pytest.approx(
            want, rel=within(0.0)
        )  # the host has taken it off again


def test_a_layer_that_a_pack_replaced(flux: Any) -> None:
    layer = flux.model.diffusion_model.single_blocks[0].linear1
    layer.forward = lambda x: 0 * type(layer).forward(layer, x)
    assert "single_blocks.0.linear1" in refused(flux, "has been replaced by test_obstacles")


def test_a_wrapper_around_the_model(flux: Any) -> None:
    wrapped = flux.clone()
    wrapped.set_model_unet_function_wrapper(lambda apply, given: apply(given["input"], given["timestep"]))
    refused(wrapped, "test_obstacles wraps the model's function")


@pytest.mark.parametrize("node", [EasyCacheNode, LazyCacheNode])
def test_nodes_that_skip_steps(flux: Any, node: Any) -> None:
    cached = node.execute(flux, 0.2, 0.15, 0.95, False).args[0]
    refused(cached, f"{node.__name__.removesuffix('Node').lower()} skips or recompiles")


def test_a_compiled_model(flux: Any) -> None:
    compiled = flux.clone()
    set_torch_compile_wrapper(compiled, "eager")
    refused(compiled, "torch.compile skips or recompiles")


def test_another_forward_of_flux(flux: Any) -> None:
    net = flux.model.diffusion_model
    net.forward_orig = lambda *args, **kw: type(net).forward_orig(net, *args, **kw)
    refused(flux, "replaced FLUX's forward_orig")


def test_attention_without_a_gradient(flux: Any) -> None:
    def sage(before: Any, q: Tensor, k: Tensor, v: Tensor, *args: Any, **kw: Any) -> Tensor:
        return before(q.detach(), k.detach(), v.detach(), *args, **kw)

    patched = flux.clone()
    patched.model_options["transformer_options"]["optimized_attention_override"] = sage
    refused(patched, "the attention of test_obstacles has no gradient")


def test_a_host_whose_own_attention_has_no_gradient(flux: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """--use-sage-attention: the gradient is taken through PyTorch's, a prediction through the host's."""
    calls = []

    @attention.wrap_attn
    def fast(q: Tensor, k: Tensor, v: Tensor, heads: int, **kw: Any) -> Tensor:
        calls.append(1)
        return attention.attention_pytorch(q.detach(), k.detach(), v.detach(), heads, **kw)

    want = tiny.in_session(flux, drag)
    monkeypatch.setattr(comfy.ldm.flux.math, "optimized_attention", fast)
    assert tiny.in_session(flux, drag) == pytest.approx(want, rel=within(0.0)) and not calls
    tiny.output(flux)
    assert calls


def changed(**kw: Any) -> Any:
    (text, held), *_ = tiny.positive()
    return [[text, {**held, **kw}]]


CONDS: dict[str, tuple[Callable[[], Any], str]] = {
    "area": (lambda: nodes.ConditioningSetArea().append(tiny.positive(), 64, 64, 0, 0, 1.0)[0], "an area"),
    "mask": (
        lambda: nodes.ConditioningSetMask().append(tiny.positive(), torch.ones(1, 96, 144), "default", 1.0)[
            0
        ],
        "a mask",
    ),
    "control": (lambda: changed(control=comfy.controlnet.ControlBase()), "a ControlNet"),
    "hooks": (lambda: changed(hooks=comfy.hooks.create_hook_lora(LORA, 1.0, 0.0)), "hooks"),
    "two": (
        lambda: nodes.ConditioningCombine().combine(tiny.positive(), tiny.positive())[0],
        "has 2 parts",
    ),
}


@pytest.mark.parametrize("name", CONDS)
def test_conditionings(flux: Any, name: str) -> None:
    make, words = CONDS[name]
    with torch.inference_mode():
        positive = make()
    refused(flux, words, positive)


@pytest.mark.parametrize(
    ("percent", "sigmas", "fits"),
    [
        ((0.0, 1.0), (0.0, 1.0), True),
        ((0.3, 1.0), (0.0, 0.9), False),  # begins too late
        ((0.0, 0.5), (0.0, 0.9), False),  # ends too soon
        ((0.3, 0.6), (0.0, 0.9), False),
        ((0.3, 1.0), (0.0, 0.2), True),
        ((0.0, 0.5), (0.95, 1.0), True),
    ],
)
def test_the_range_of_a_conditioning(
    flux: Any, percent: tuple[float, float], sigmas: tuple[float, float], fits: bool
) -> None:
    """Over all of the run, not only over a part: elsewhere the host would predict nothing."""
    with torch.inference_mode():
        (positive,) = nodes.ConditioningSetTimestepRange().set_range(tiny.positive(), *percent)
    if not fits:
        refused(flux, "widen its timestep range", positive, sigmas=sigmas)
        return
    with torch.inference_mode():
        need = SessionNeeds(TAPS["flux"], True, sigmas=sigmas)
        assert run(flux, positive, torch.zeros(1, 16, *tiny.LATENT), lambda backbone, z: "ran", need) == "ran"


@pytest.mark.parametrize("shape", [(2, 16, 12, 18), (1, 16, 1, 12, 18)])
def test_latents_that_are_not_one_picture(flux: Any, shape: tuple[int, ...]) -> None:
    assert str(shape) in refused(flux, "a drag edits one picture", shape=shape)


class QwenImage(Flux):  # type: ignore[misc]
    pass


class ComfyFluxWrapper(Flux):  # type: ignore[misc]
    pass


class UNetSpatioTemporal(UNetModel):  # type: ignore[misc]
    pass


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (QwenImage, "this is a QwenImage model; drags work on"),
        (ComfyFluxWrapper, "nunchaku model"),
        (UNetSpatioTemporal, "this is a UNetSpatioTemporal model"),
    ],
)
def test_other_models(kind: type, words: str, flux: Any) -> None:
    patcher = flux if issubclass(kind, Flux) else tiny.load_unet(UNET, torch.float32)
    patcher.model.diffusion_model.__class__ = kind
    refused(patcher, words, shape=(1, patcher.model.latent_format.latent_channels, *tiny.LATENT))


def test_another_way_of_sampling(flux: Any) -> None:
    class Sampling(comfy.model_sampling.ModelSamplingContinuousEDM, comfy.model_sampling.EDM):  # type: ignore[misc]
        pass

    other = flux.clone()
    other.add_object_patch("model_sampling", Sampling(flux.model.model_config))
    refused(other, "the model samples by")
