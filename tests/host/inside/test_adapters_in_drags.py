"""Whole drags with adapters: native ones, Redux and Kontext by conditioning; and a subject's encoding."""

from __future__ import annotations

import json
from typing import Any

import adapter_oracle as plain
import comfy.clip_vision
import comfy.ldm.flux.redux
import comfy.sd
import pytest
import torch
from bounds import same
from comfy_extras.nodes_edit_model import ReferenceLatent
from disc import SIDE, moved_disc
from node_helpers import conditioning_set_values
from region_drag_editing.drag_core.adapters.files import read
from region_drag_editing.drag_core.adapters.instant_character import Subject, cut_out, views
from region_drag_editing.drag_core.types import DragError, FeatureTap
from region_drag_editing.nodes import DragApplyIPAdapter, DragEncodeSubject, DragInvert, DragOptimize
from region_drag_editing.nodes.host.adapters.adapter import inject
from region_drag_editing.nodes.host.adapters.injection import worn_by
from region_drag_editing.nodes.host.adapters.ip_adapter import Adapter
from region_drag_editing.nodes.host.session import SessionNeeds
from tiny import at, error, noise, run, with_weights
from torch import Tensor

import nodes

METHOD = {"method": "region", "iterations": 2, "hold": 1, "step": 1.0}


@pytest.fixture(scope="module")
def setup() -> dict[str, Any]:
    return moved_disc("embedded-flux")


def drag(
    setup: dict[str, Any], models: tuple[Any, Any], source: Any = None, target: Any = None, kv: str = "auto"
) -> tuple[Tensor, dict[str, Any]]:
    """Inverted with the first model and prompt, dragged with the second."""
    source, target = source or setup["positive"], target or source or setup["positive"]
    with torch.inference_mode():
        inverted = DragInvert.execute(
            models[0], source, setup["latent"], "auto", 8, 0.5, "auto", 1.0, kv
        ).args[3]
        use = "off" if kv == "none" else "drag and denoise"
        out = DragOptimize.execute(
            models[1], target, inverted, setup["regions"], "custom", "ours", METHOD, "auto", use, 0, 0
        ).args
    return out[0]["samples"], json.loads(out[4])


def adapted(setup: dict[str, Any], kind: str, **more: Any) -> tuple[Any, Any]:
    net = setup["model"].model.diffusion_model
    doubles = len(net.double_blocks)
    layers = doubles if kind == "xlabs" else doubles + len(net.single_blocks)
    make = {"xlabs": plain.xlabs, "instantx": plain.instantx, "character": plain.character}[kind]
    adapter = Adapter(read(make(layers, net.hidden_size)), plain.pooling())
    given: dict[str, Any] = {"clip_vision_output": comfy.clip_vision.Output()}
    given["clip_vision_output"]["image_embeds"] = noise(1, plain.CLIP, seed=31)
    given["clip_vision_output"]["last_hidden_state"] = noise(1, plain.PATCHES, plain.SIGLIP, seed=32)
    if kind == "character":
        parts = (noise(1, n * plain.PATCHES, plain.WIDE, seed=30 + n) for n in (3, 1, 4))
        given = {"subject": Subject(*parts)}
    with torch.inference_mode():
        scale, stage = more.pop("scale", 0.5), more.pop("stage", "both")
        out = DragApplyIPAdapter.execute(
            setup["model"], adapter, scale, stage, 0.0, 1.0, "constant", **given, **more
        )
    return out.args[:2]


@pytest.fixture(scope="module")
def bare(setup: dict[str, Any]) -> Tensor:
    return drag(setup, (setup["model"],) * 2)[0]


@pytest.mark.parametrize("kind", ["xlabs", "instantx", "character"])
def test_a_drag_with_a_native_adapter(setup: dict[str, Any], bare: Tensor, kind: str) -> None:
    both, report = drag(setup, adapted(setup, kind))
    once, _ = drag(setup, adapted(setup, kind, stage="editing"))
    print(f"{kind}: both {error(both, bare):.3f}, editing {error(once, bare):.3f}")
    assert report["updates"] == 3 and report["kv_layers"]
    assert error(both, bare) > 1e-3 and error(once, bare) > 1e-3 and error(once, both) > 1e-3
    assert same(drag(setup, (setup["model"],) * 2)[0], bare)  # nothing stayed on the model
    again, _ = drag(setup, adapted(setup, kind))
    assert same(again, both)


def test_the_report_says_whether_the_papers_adapter_is_on(setup: dict[str, Any]) -> None:
    def report(model: Any, variant: str) -> dict[str, Any]:
        with torch.inference_mode():
            inverted = DragInvert.execute(
                setup["model"], setup["positive"], setup["latent"], "auto", 12, 0.5, "auto", 1.0, "none"
            ).args[3]
            out = DragOptimize.execute(
                model, setup["positive"], inverted, setup["regions"], "dragflow", variant, METHOD,
                "auto", "off", 0, 0,
            ).args  # fmt: skip
        found: dict[str, Any] = json.loads(out[4])
        return found

    model, on = setup["model"], adapted(setup, "xlabs")[1]
    assert not worn_by(model) and worn_by(on) and worn_by(inject(model, on, 0.5, (0.0, 1.0), True))
    without, given = report(model, "paper"), report(on, "paper")
    assert (without["adapter"], given["adapter"]) == ("none", "given")
    said = [n for n in without["notes"] if n.endswith("and none was given with Drag Apply IP-Adapter")]
    assert len(said) == 1 and not [n for n in given["notes"] if "Drag Apply IP-Adapter" in n]
    assert not [n for n in report(model, "ours")["notes"] if "Drag Apply IP-Adapter" in n]


def redux(setup: dict[str, Any], strength: float, how: str) -> Any:
    """The host's own StyleModelApply, with a small Redux of random weights."""
    with torch.inference_mode():
        with with_weights():
            net = comfy.ldm.flux.redux.ReduxImageEncoder(24, setup["positive"][0][0].shape[-1])
        for i, p in enumerate(net.parameters()):
            p.data = 0.3 * noise(*p.shape, seed=i)
        output = comfy.clip_vision.Output()
        output["last_hidden_state"] = noise(1, 7, 24, seed=5)
        style = comfy.sd.StyleModel(net)
        return nodes.StyleModelApply().apply_stylemodel(setup["positive"], style, output, strength, how)[0]


def kontext(setup: dict[str, Any], method: str | None = None) -> Any:
    with torch.inference_mode():
        other = {"samples": setup["latent"]["samples"].flip(-1)[..., :12]}
        cond = ReferenceLatent.execute(setup["positive"], other).args[0]
        return conditioning_set_values(cond, {"reference_latents_method": method}) if method else cond


def slope_error(setup: dict[str, Any], positive: Any) -> float:
    """Of the gradient with checkpoints, along itself."""
    taps = (FeatureTap("single.1"), FeatureTap("double.1", "norm1"))

    def body(backbone: Any, _: Tensor) -> float:
        z = at(backbone, noise(1, 16, SIDE // 8, SIDE // 8, seed=3))
        backbone.checkpoint = True
        x = z.clone().requires_grad_()
        loss = torch.stack([m.square().mean() for m in backbone.features(x, 0.5, taps)[0]]).sum()
        (g,) = torch.autograd.grad(loss, x)
        way = g / g.norm()
        with torch.no_grad():
            ends = [
                sum(float(m.double().square().mean()) for m in backbone.features(z + s * way, 0.5, taps)[0])
                for s in (0.02, -0.02)
            ]
        return abs((ends[0] - ends[1]) / 0.04 / float(g.norm()) - 1)

    with torch.inference_mode():
        return run(setup["model"], positive, setup["latent"]["samples"], body, SessionNeeds(taps, True))


@pytest.mark.parametrize("how", ["redux", "redux weakened", "kontext", "kontext uxo"])
def test_adapters_by_conditioning(setup: dict[str, Any], bare: Tensor, how: str) -> None:
    """More text tokens (Redux) or tokens behind the image's (Kontext): gradients, K/V of the image's own."""
    positive = {
        "redux": lambda: redux(setup, 1.0, "multiply"),
        "redux weakened": lambda: redux(setup, 0.5, "attn_bias"),
        "kontext": lambda: kontext(setup),
        "kontext uxo": lambda: kontext(setup, "uxo"),
    }[how]()
    wrong = slope_error(setup, positive)
    print(how, "finite difference", wrong)
    assert wrong <= 2e-3
    both, report = drag(setup, (setup["model"],) * 2, positive)
    mixed, _ = drag(setup, (setup["model"],) * 2, setup["positive"], positive)  # other lengths than inverted
    assert report["kv_layers"] and error(both, bare) > 1e-4 and error(mixed, bare) > 1e-4
    assert not torch.equal(both, mixed)


def test_references_at_time_zero_are_refused(setup: dict[str, Any]) -> None:
    """The host gives FLUX.1's blocks a batch of two modulations then, and fails."""
    with pytest.raises(DragError, match="index_timestep_zero, which FLUX.1 does not know"):
        slope_error(setup, kontext(setup, "index_timestep_zero"))


def encoder(kind: str, layers: int, size: int) -> Any:
    """The host's own image encoder, small."""
    config = {"model_type": kind, "num_hidden_layers": layers, "hidden_size": 32, "num_attention_heads": 2}
    config |= {"image_size": size, "patch_size": 14, "num_channels": 3, "intermediate_size": 64}
    config |= {"hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-6, "use_swiglu_ffn": True}
    config |= {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.5, 0.25, 0.2]}
    with torch.inference_mode():
        with with_weights():
            made = comfy.clip_vision.ClipVisionModel(config)
        for i, (name, p) in enumerate(made.model.named_parameters()):
            is_norm = "norm" in name or "lambda" in name
            p.data = (1 if is_norm else 0) + 0.1 * noise(*p.shape, seed=i)
        made.model.float()
        return made


def test_a_subject_is_encoded_view_by_view(setup: dict[str, Any]) -> None:
    siglip, dino = encoder("siglip_vision_model", 27, 384), encoder("dinov2", 30, 518)
    mask = torch.zeros(1, SIDE, SIDE)
    mask[:, 40:80, 20:60] = 1
    with torch.inference_mode():
        subject = DragEncodeSubject.execute(setup["picture"], siglip, dino, mask).args[0]
    assert [x.shape[1] for x in (subject.shallow, subject.deep, subject.quarters)] == [2187, 729, 2916]
    assert subject.deep.shape[-1] == 64
    five = views(cut_out(setup["picture"].clone(), mask[0]))
    for part, net, layers, lead, ends in (
        (slice(0, 32), siglip.model.vision_model, (6, 12, 25), 0, siglip.model.vision_model.post_layernorm),
        (slice(32, 64), dino.model, (8, 18, 28), 1, dino.model.layernorm),
    ):
        blocks = net.encoder.layers if lead == 0 else net.encoder.layer
        for view in (0, 3):
            seen: list[Tensor] = []

            def keep(m: Any, args: Any, out: Tensor, to: list[Tensor] = seen) -> None:
                to.append(out.clone())  # the host adds to it in place

            hooks = [b.register_forward_hook(keep) for b in blocks]
            model = siglip if lead == 0 else dino
            mean, std = torch.tensor(model.image_mean), torch.tensor(model.image_std)
            with torch.no_grad():
                net(((five[view : view + 1] - mean) / std).movedim(-1, 1))
            for hook in hooks:
                hook.remove()
            with torch.no_grad():
                last = ends(seen[-1])[:, lead:]
            if view == 0:
                want = torch.cat([seen[i][:, lead:] for i in layers], 1)
                assert error(subject.shallow[..., part], want) <= 1e-5
                assert error(subject.deep[..., part], last) <= 1e-5
            else:
                assert error(subject.quarters[:, 729 * (view - 1) : 729 * view, part], last) <= 1e-5
    with pytest.raises(DragError, match="dino is a siglip_vision_model, not DINOv2 giant"):
        DragEncodeSubject.execute(setup["picture"], siglip, siglip)
    with pytest.raises(DragError, match="siglip is a dinov2 at 518 pixels"):
        DragEncodeSubject.execute(setup["picture"], dino, dino)
    with pytest.raises(DragError, match="holds 2 pictures"):
        DragEncodeSubject.execute(setup["picture"].repeat(2, 1, 1, 1), siglip, dino)
