"""FLUX.2, Chroma, SD3.5 and Qwen-Image: taps, gradients against plain autograd on the host's own network,
early stop, K/V, levels, a whole drag; and that the model is left as it was.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import comfy.model_detection
import comfy.model_management as mm
import comfy.model_patcher
import comfy.sample
import comfy.samplers
import mmdit
import pytest
import tiny
import torch
from bounds import same, within
from comfy_extras.nodes_flux import compute_empirical_mu
from mmdit import NAMES, loaded, point
from region_drag_editing.drag_core.recipes.dragflow import KV as FLUX_KV
from region_drag_editing.drag_core.recipes.dragflow import TAPS as FLUX_TAPS
from region_drag_editing.drag_core.trajectory.invert import denoise
from region_drag_editing.drag_core.trajectory.kvcache import KVPlain
from region_drag_editing.drag_core.trajectory.solvers import alf
from region_drag_editing.drag_core.types import FeatureTap, KVCache, KVInject, KVRecord
from region_drag_editing.nodes import DragInvert
from region_drag_editing.nodes.host import memory
from region_drag_editing.nodes.host.backbones import grad
from region_drag_editing.nodes.host.backbones.layouts import layout_of
from region_drag_editing.nodes.host.backbones.selftest import self_test
from region_drag_editing.nodes.host.family import family_of
from region_drag_editing.nodes.host.session import SessionNeeds
from region_drag_editing.nodes.host.shape import core_shape, host_shape
from tiny import Asked, error
from tiny_gradients import gradient
from torch import Tensor

TEXT_FIRST = ("Stable Diffusion 3", "Qwen-Image")  # in what a double block returns
T = 0.5


def all_taps(name: str) -> tuple[FeatureTap, ...]:
    blocks = family_of(loaded(name).model).blocks
    return tuple(FeatureTap(b, site) for b in blocks for site in ("out", "norm1"))


def plain(
    name: str, asked: Asked, taps: tuple[FeatureTap, ...], pulls: list[Tensor]
) -> tuple[list[Tensor], Tensor]:
    """Features and gradient by ordinary autograd through a float64 copy of the host's network, nothing of
    ours around it. The host adds in place to what autograd keeps; PyTorch's own guard against that is on.
    `pulls`: the loss's derivative at the features, as tiny.Got has it.
    """
    patcher = mmdit.load(name, inference=False)
    model = patcher.model
    net = copy.deepcopy(model.diffusion_model).double()
    layout = layout_of(net)
    assert layout is not None
    found: dict[FeatureTap, Tensor] = {}
    for block_name, (block, stream) in layout.blocks(net).items():

        def out(_: Any, __: Any, got: Any, at: str = block_name) -> None:
            image = got[int(name in TEXT_FIRST)] if isinstance(got, tuple) else got
            found[FeatureTap(at, "out")] = image.clone()

        def read(_: Any, args: Any, at: str = block_name) -> None:
            found[FeatureTap(at, "norm1")] = args[0].clone()

        block.register_forward_hook(out)
        block.get_submodule(stream.reader).register_forward_pre_hook(read)
    with torch.inference_mode(False), torch.enable_grad():
        z = asked.z.double().requires_grad_()
        cond = model.extra_conds(
            noise=host_shape(model, asked.z),
            device=torch.device("cpu"),
            cross_attn=tiny.TEXT,
            pooled_output=tiny.POOLED,
            guidance=tiny.GUIDANCE,
        )
        given = {k: v.cond.double() if torch.is_tensor(v.cond) else v.cond for k, v in cond.items()}
        time = model.model_sampling.timestep(torch.tensor([T])).double()
        before, mm.in_training = mm.in_training, True
        try:
            with torch.autograd.graph.allow_mutation_on_saved_tensors():
                net(host_shape(model, z), time, context=given.pop("c_crossattn"), **given)
                h, w = (s // net.patch_size for s in tiny.LATENT)
                tokens = [found[t][:, -h * w :] for t in taps]
                maps = [x.transpose(1, 2).unflatten(-1, (h, w)) for x in tokens]
                (g,) = torch.autograd.grad(maps, z, [p.double() for p in pulls])
        finally:
            mm.in_training = before
    return [m.detach() for m in maps], g


@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_is_that_of_plain_autograd(name: str) -> None:
    patcher, taps = loaded(name), all_taps(name)
    before = mmdit.output(patcher)

    def body(backbone: Any, _: Tensor) -> tuple[Asked, list[Any]]:
        z = tiny.at(backbone, point(name, 3))
        with torch.no_grad():
            reference, _ = backbone.features(tiny.at(backbone, point(name, 4)), T, taps)
        asked, got = Asked(z, reference), []
        for checkpoint in (False, True):
            backbone.checkpoint = checkpoint
            got.append(gradient(backbone, asked, T, taps))
        return asked, got

    asked, (got, memoised) = tiny.in_session(patcher, body, taps)
    maps, g = plain(name, asked, taps, got.pulls)
    features = max(error(a, b) for a, b in zip(got.maps, maps, strict=True))
    print(f"{name}: features {features:.1e}, gradient {error(got.gradient, g):.1e}")
    assert len(maps) == len(taps) and g.norm() > 0
    assert features <= within(1e-5) and error(got.gradient, g) <= within(1e-4)
    assert error(memoised.gradient, got.gradient) <= within(1e-6)
    net = patcher.model.diffusion_model
    assert grad.replaced(net) == [] and tiny.hooks(net) == 0 and not mm.in_training
    assert patcher.model_options["transformer_options"] == {}
    assert same(mmdit.output(patcher), before)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_runs_after_the_last_tap(name: str) -> None:
    patcher = loaded(name)
    net = patcher.model.diffusion_model
    ran: list[str] = []
    layout = layout_of(net)
    assert layout is not None
    blocks = layout.blocks(net)
    handles = [
        block.register_forward_pre_hook(lambda *_, at=at: ran.append(at)) for at, (block, _) in blocks.items()
    ]
    names = list(blocks)
    try:
        for i, last in enumerate(names):
            ran.clear()
            _, end = tiny.in_session(
                patcher, lambda b, _, at=last: b.features(tiny.at(b, point(name, 3)), T, (FeatureTap(at),))
            )
            assert ran == names[: i + 1] and end is None
    finally:
        for handle in handles:
            handle.remove()


@pytest.mark.parametrize("name", NAMES)
def test_keys_and_values(name: str) -> None:
    patcher = loaded(name)
    blocks = family_of(patcher.model).attentions

    def body(backbone: Any, _: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, KVCache]:
        own, others, z = KVPlain(), KVPlain(), tiny.at(backbone, point(name, 3))
        with torch.no_grad():
            bare = backbone.predict(z, T)
            backbone.hits.clear()
            recorded = backbone.predict(z, T, KVRecord(own, blocks))
            assert backbone.hits == set(blocks)
            backbone.predict(tiny.at(backbone, point(name, 4)), T, KVRecord(others, blocks))
            mine = backbone.predict(z, T, KVInject(own, blocks))
            other = backbone.predict(z, T, KVInject(others, blocks))
        self_test(backbone, T, (FeatureTap(blocks[1]),), blocks[:2], again=True)  # a gradient through them
        assert same(bare, recorded)
        return bare, mine, other, z, own

    bare, mine, other, z, own = tiny.in_session(patcher, body)
    assert error(mine, bare) <= within(1e-6) and error(other, bare) > 1e-2
    patch = patcher.model.diffusion_model.patch_size
    tokens = z.shape[-1] * z.shape[-2] // patch**2
    assert all(own.get(T, b)[i].shape[2] == tokens for b in blocks for i in (0, 1))
    alone = [b for b in own.blocks if b.endswith(".alone")]
    assert alone == (["double.0.alone"] if name == "Stable Diffusion 3" else [])


@pytest.mark.parametrize("name", NAMES)
def test_levels_and_the_way_back(name: str) -> None:
    """`auto` is the model's rule; alf returns; one call a step and one more; stock samplers start there."""
    patcher = loaded(name)
    samples = host_shape(patcher.model, point(name, 6))
    with torch.inference_mode():
        out = DragInvert.execute(
            patcher, tiny.positive(), {"samples": samples}, "alf", 8, 0.75, "auto", tiny.GUIDANCE, "none"
        ).args
    noise, latent, sigmas, inversion = out[:4]
    path = inversion.trajectory
    tokens = samples.shape[-1] * samples.shape[-2] // patcher.model.diffusion_model.patch_size**2
    mu = {
        "FLUX.2": compute_empirical_mu(tokens, 8),  # the host's own copy of the authors' rule
        "Chroma": 1.15,
        "Stable Diffusion 3": math.log(3.0),
        "Qwen-Image": 0.5 + 0.4 * (tokens - 256) / (8192 - 256),
    }[name]
    wanted = [math.exp(mu) / (math.exp(mu) + 1 / (k / 8) - 1) for k in (6, 5, 4, 3, 2, 1)]
    assert path.schedule.t == pytest.approx((*wanted, 0.0)) and inversion.calls == 7
    assert sigmas.tolist() == pytest.approx([*wanted, 0.0])

    def back(backbone: Any, _: Tensor) -> Tensor:
        here = inversion.moved(backbone.call.device)
        return denoise(backbone, here.z[0], here.schedule, alf, here.carry)

    again = tiny.in_session(patcher, back)
    clean = core_shape(patcher.model.process_latent_in(samples))
    print(f"{name}: there and back {error(again, clean):.1e}")
    assert error(again, clean) <= within(1e-5)
    with torch.inference_mode():
        made = noise.generate_noise(latent)
        x = patcher.model.model_sampling.noise_scaling(
            sigmas[:1], made, patcher.model.process_latent_in(samples)
        )
    assert x.shape == samples.shape and error(core_shape(x), path.z[0]) <= within(1e-5)


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("Qwen-Image", {"attention_mask": torch.tensor([[1, 1, 1, 0, 0]])}),
        ("Qwen-Image", {"reference_latents_method": "index_timestep_zero"}),
        ("FLUX.2", {"reference_latents_method": "index_timestep_zero"}),
    ],
)
def test_what_a_block_is_given_beside_its_arguments(name: str, more: dict[str, Any]) -> None:
    """A text mask, the modulation of reference pictures: held by the host's closures alone."""
    patcher, taps = loaded(name), all_taps(name)[:2]
    if "reference_latents_method" in more:
        more = more | {"reference_latents": [host_shape(patcher.model, point(name, 9))]}
    positive = tiny.positive()
    positive[0][1] |= more

    def body(backbone: Any, _: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        z = tiny.at(backbone, point(name, 3))
        with torch.no_grad():
            bare = backbone.predict(z, T)
        gradients = []
        for checkpoint in (False, True):
            backbone.checkpoint = checkpoint
            x = z.clone().requires_grad_()
            maps, end = backbone.features(x, T, taps, stop=False)
            loss = end.square().mean() + maps[0].square().mean()
            gradients.append(torch.autograd.grad(loss, x)[0])
        return bare, end.detach(), gradients

    with torch.inference_mode():
        latent = torch.zeros(1, patcher.model.latent_format.latent_channels, *tiny.LATENT)
        bare, end, (g, again) = tiny.run(patcher, positive, latent, body, SessionNeeds(taps, True))
        without = tiny.run(
            patcher, tiny.positive(), latent, lambda b, _: b.predict(tiny.at(b, point(name, 3)), T)
        )
    assert error(end, bare) <= within(1e-6) and error(without, bare) > 1e-3
    assert error(again, g) <= within(1e-6)


FULL = {
    "FLUX.2": {"hidden_size": 6144, "num_heads": 48, "depth": 8, "depth_single_blocks": 48},
    "Chroma": {"hidden_size": 3072, "num_heads": 24, "depth": 19, "depth_single_blocks": 38, "out_dim": 3072},
    "Stable Diffusion 3": {"depth": 38, "num_blocks": None, "x_block_self_attn_layers": []},
    "Qwen-Image": {"num_layers": 60, "attention_head_dim": 128, "num_attention_heads": 24}
    | {"axes_dims_rope": (16, 56, 56)},
}


@pytest.mark.parametrize("name", NAMES)
def test_full_size(name: str) -> None:
    """Taps and K/V layers at FLUX.1's depth; what a gradient pass keeps; what is loaded for it."""
    config = mmdit.CONFIGS[name] | FULL[name]
    if name == "Stable Diffusion 3":
        config["context_embedder_config"] = {
            "target": "torch.nn.Linear",
            "params": {"in_features": 4096, "out_features": 2432},
        }
    found = comfy.model_detection.model_config_from_unet_config(config)
    assert found is not None
    found.set_inference_dtype(torch.bfloat16, None)
    with tiny.on_meta():
        model = found.get_model({}, "", device="meta")
    family = family_of(model)
    taps = family.ground().taps(FLUX_TAPS)
    print(name, [t.block for t in taps], family.kv)
    assert family.label == name and {t.block for t in taps} | set(family.kv) <= set(family.blocks)
    if name == "Chroma":
        assert taps == FLUX_TAPS and family.kv == FLUX_KV
    depth = [family.blocks.index(t.block) / (len(family.blocks) - 1) for t in taps]
    assert len(taps) == 4 and all(abs(d - 17.5 / 56) < 0.02 for d in depth)
    size = tuple(1024 // family.cell for _ in range(2))
    kept, again = (
        memory.activation_bytes(model.diffusion_model, size, taps, False, r) for r in (False, True)
    )
    assert 2**29 < again < kept < 40 * 2**30
    patcher = comfy.model_patcher.ModelPatcher(model, torch.device("cpu"), torch.device("cpu"))
    part = memory.pruned(patcher, taps)
    share = part.size / patcher.model_size()
    print(name, f"kept {kept / 2**30:.1f} GiB, {again / 2**30:.1f} with checkpoints, loads {share:.2f}")
    assert 0.25 < share < 0.6
