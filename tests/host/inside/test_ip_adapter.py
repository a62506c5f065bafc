"""Native adapters on the host's FLUX: against the oracle, off, chained, in a drag, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import adapter_oracle as plain
import folder_paths
import oracle
import pytest
import tiny
import torch
from bounds import same, within
from ip_adapters import KINDS, SCALE, Z, apply, load, picture, predicted, put, shares, wanted
from region_drag_editing.drag_core.types import DragError, FeatureTap
from region_drag_editing.nodes import DragAdapterInjection, DragApplyIPAdapter, DragLoadIPAdapter
from region_drag_editing.nodes.host.adapters import ip_adapter
from region_drag_editing.nodes.host.backbones import grad
from region_drag_editing.nodes.host.loaders import load_embedded
from tiny import FLOW_T, FLUX_TAPS, error, noise
from tiny_gradients import float64_throughout
from torch import Tensor


@pytest.fixture(scope="module", autouse=True)
def folders(tmp_path_factory: pytest.TempPathFactory) -> Any:
    kept = dict(folder_paths.folder_names_and_paths)
    for name in (ip_adapter.FOLDERS, "clip_vision"):
        where = [str(tmp_path_factory.mktemp(name))]
        folder_paths.folder_names_and_paths[name] = (where, folder_paths.supported_pt_extensions)
    yield
    folder_paths.folder_names_and_paths.update(kept)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("flux") / "flux.safetensors"
    return tiny.load_flux(tiny.flux_weights(), path, torch.float32)


@pytest.mark.parametrize("kind", KINDS)
def test_features_and_prediction_are_the_oracles(model: Any, kind: str) -> None:
    got = predicted(apply(model, kind)[1], Z)
    want = wanted(kind, Z)
    off = predicted(model, Z)
    names = [t.block + (" norm1" if t.site == "norm1" else "") for t in FLUX_TAPS]
    names += ["prediction"] * 2
    errors = [float((g - want[n]).abs().max() / want[n].abs().max()) for g, n in zip(got, names, strict=True)]
    print(f"{kind}: largest error {max(errors):.1e}; effect {error(got[-1], off[-1]):.3f}")
    assert max(errors) <= within(1e-5) and error(got[-1], off[-1]) > 0.01


@pytest.mark.parametrize("kind", KINDS)
def test_off_is_the_plain_model_bit_for_bit(model: Any, kind: str) -> None:
    before = predicted(model, Z)
    zero = apply(model, kind, scale=0.0)
    assert zero[0] is model and zero[1] is model
    for start, end in ((0.0, 0.2), (0.9, 1.0)):  # the shift puts sigma 0.5 at three quarters of sampling
        out_of_range = predicted(apply(model, kind, start=start, end=end)[1], Z)
        assert all(same(a, b) for a, b in zip(out_of_range, before, strict=True))
    inversion, editing, said = apply(model, kind, stage="editing")
    assert inversion is model and editing is not model and "stage editing" in said
    if kind != "character":  # whose weights the host counts: it then loads the whole anew
        assert editing.clone_has_same_weights(model)
    assert all(same(a, b) for a, b in zip(predicted(model, Z), before, strict=True))
    assert not model.model_options["transformer_options"].get("patches") and not model.additional_models


@pytest.mark.parametrize("kind", KINDS)
def test_gradients(model: Any, kind: str) -> None:
    """With and without checkpoints, against a finite difference along itself."""
    on = apply(model, kind)[1]
    taps = (FeatureTap("single.1"), FeatureTap("double.1", "norm1"))

    def body(backbone: Any, _: Tensor) -> tuple[list[Tensor], float]:
        got = []
        for checkpoint in (False, True):
            backbone.checkpoint = checkpoint
            x = tiny.at(backbone, Z).clone().requires_grad_()
            total = torch.stack([m.square().mean() for m in backbone.features(x, FLOW_T, taps)[0]]).sum()
            got.append(torch.autograd.grad(total, x)[0])
        with torch.no_grad():
            way = got[0] / got[0].norm()
            ends = [
                sum(
                    float(m.double().square().mean())
                    for m in backbone.features(x.detach() + s * way, FLOW_T, taps)[0]
                )
                for s in (0.02, -0.02)
            ]
        return got, (ends[0] - ends[1]) / 0.04

    (one, again), slope = tiny.in_session(on, body, taps)
    plain_one = tiny.in_session(model, body, taps)[0][0]
    print(f"{kind}: checkpoints {error(again, one):.1e}, difference {slope / float(one.norm()) - 1:.1e}")
    assert error(again, one) <= within(1e-6)
    assert abs(slope / float(one.norm()) - 1) <= 2e-3
    assert error(one, plain_one) > 1e-3  # the adapter counts in it


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_in_float64(model: Any, kind: str, tmp_path: Path) -> None:
    """The oracle's own gradient, in float64."""
    exact = tiny.load_flux(tiny.flux_weights(), tmp_path / "f.safetensors", torch.float64)
    on = apply(exact, kind)[1]
    way = noise(1, 16, *tiny.LATENT, seed=9).double()

    def slope(z: Tensor, prediction: Callable[[Tensor], Tensor]) -> float:
        x = z.double().requires_grad_()
        (g,) = torch.autograd.grad((prediction(x) * way.to(x)).sum(), x)
        return float((g * way.to(x)).sum())

    with float64_throughout():

        def body(backbone: Any, _: Tensor) -> float:
            return slope(
                tiny.at(backbone, Z), lambda x: backbone.features(x, FLOW_T, FLUX_TAPS, stop=False)[1]
            )

        got = tiny.in_session(on, body, FLUX_TAPS)
    w = {n: v.double() for n, v in tiny.flux_weights().items()}
    args = (FLOW_T, tiny.TEXT.double(), tiny.POOLED.double(), tiny.GUIDANCE, 2.220446049250313e-16)
    adapter = shares(kind, SCALE)
    want = slope(Z, lambda x: oracle.flux(w, x, *args, adapter=adapter, behind=kind == "xlabs")["prediction"])
    print(f"{kind}: slope {got:.6f}, the oracle's {want:.6f}")
    assert abs(got / want - 1) <= 1e-4


def test_a_mask_and_a_fade(model: Any) -> None:
    """Outside the mask nothing is added; XLabs adds behind block 0, whose own output shows it."""
    mask = torch.zeros(1, 96, 144)
    mask[:, 32:64, 48:96] = 1
    tap = (FeatureTap("double.0"),)
    off, on, part = (
        predicted(m, Z, tap)[0] for m in (model, *(apply(model, "xlabs", mask=k)[1] for k in (None, mask)))
    )
    cells = torch.zeros(1, 1, 6, 9)
    cells[..., 2:4, 3:6] = 1
    assert (
        torch.allclose(part, torch.where(cells > 0, on, off), atol=within(1e-6)) and error(part, off) > 1e-3
    )
    linear = predicted(apply(model, "xlabs", fade="linear")[1], Z, tap)[0]
    assert torch.allclose(linear, off + 0.5 * (on - off), atol=within(1e-5))  # sigma 0.5 is half way to 0
    with pytest.raises(DragError, match="adapter's mask is empty"):
        apply(model, "xlabs", mask=torch.zeros(1, 96, 144))


@pytest.mark.parametrize("kind", KINDS)
def test_chains_with_other_patches(model: Any, kind: str) -> None:
    """Somebody's attention patch and block replacement, before and after; two adapters; a batch of two."""

    def doubled(q: Tensor, k: Tensor, v: Tensor, extra_options: Any = None, **kw: Any) -> dict[str, Tensor]:
        return {"v": 2 * v}

    def wrapped(args: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
        out = extra["original_block"](args)
        return {**out, "img": 1.5 * out["img"]}

    def patched(patcher: Any) -> Any:
        clone = patcher.clone()
        clone.set_model_attn1_patch(doubled)
        return clone

    def replaced(patcher: Any) -> Any:
        clone = patcher.clone()
        clone.set_model_patch_replace(wrapped, "dit", "double_block", 0)
        return clone

    first = predicted(apply(patched(model), kind)[1], Z)[-1]
    second = predicted(patched(apply(model, kind)[1]), Z)[-1]
    alone = predicted(patched(model), Z)[-1]
    assert same(first, second) and error(first, alone) > 1e-3
    inner = predicted(apply(replaced(model), kind)[1], Z)[-1]
    assert error(inner, predicted(replaced(model), Z)[-1]) > 1e-3
    assert error(inner, predicted(apply(model, kind)[1], Z)[-1]) > 1e-3
    twice = predicted(apply(apply(model, kind, scale=0.5)[1], kind, scale=0.3)[1], Z)[-1]
    assert error(twice, predicted(apply(model, kind)[1], Z)[-1]) <= within(1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_universal_strength(model: Any, kind: str) -> None:
    """DragAdapterInjection sees it as hooks, and mixes outputs with and without."""
    on = apply(model, kind)[1]
    off, full = predicted(model, Z)[-1], predicted(on, Z)[-1]
    with torch.inference_mode():
        out = DragAdapterInjection.execute(model, on, 0.5, "both", 0.0, 1.0).args
    assert "hooks" in out[2] and "whole" not in out[2]
    half = predicted(out[1], Z)[-1]
    assert torch.allclose(half, off + 0.5 * (full - off), atol=within(1e-5))


def test_stock_samplers_and_what_is_left(model: Any) -> None:
    before = tiny.output(model)
    for kind in KINDS:
        on = apply(model, kind)[1]
        first = tiny.output(on)
        assert error(first, before) > 1e-3 and same(first, tiny.output(on))
    assert same(tiny.output(model), before)
    assert grad.replaced(model.model) == [] and tiny.hooks(model.model) == 0


def test_a_batch_of_pictures_gives_all_their_tokens(model: Any) -> None:
    one, three = (apply(model, "xlabs", pictures=n)[1] for n in (1, 3))
    assert error(predicted(one, Z)[-1], predicted(three, Z)[-1]) > 1e-4


def test_replaced_blocks_are_noticed(model: Any) -> None:
    """Somebody's block that calls no attention patch."""
    on = apply(model, "xlabs")[1].clone()
    for i in range(2):
        on.set_model_patch_replace(
            lambda args, extra: {"img": args["img"], "txt": args["txt"]}, "dit", "double_block", i
        )
    with pytest.raises(DragError, match="the adapter's hooks were not reached"):
        tiny.output(on)


def test_wrong_files_and_inputs_are_one_sentence(model: Any) -> None:
    with pytest.raises(DragError, match="lacks ip_adapter_proj_model.norm.bias"):
        load("xlabs", {n: w for n, w in plain.xlabs().items() if "norm.bias" not in n})
    put(ip_adapter.FOLDERS, "evil.bin", {"x": print})
    with pytest.raises(DragError, match="evil.bin cannot be read as safetensors or as plain weights"):
        DragLoadIPAdapter.execute("evil.bin", "none")
    with pytest.raises(DragError, match="for 3 layers of width 256 and this model has 2 of width 256"):
        args = (model, load("xlabs", plain.xlabs(3)), 1.0, "both", 0.0, 1.0, "constant")
        DragApplyIPAdapter.execute(*args, **picture("xlabs"))
    rest = (1.0, "both", 0.0, 1.0, "constant")
    with pytest.raises(DragError, match="connect CLIP Vision Encode"):
        DragApplyIPAdapter.execute(model, load("xlabs"), *rest)
    with pytest.raises(DragError, match="connect Drag Encode Subject"):
        DragApplyIPAdapter.execute(model, load("character"), *rest, **picture("xlabs"))
    with torch.inference_mode():
        bare = DragLoadIPAdapter.execute("instantx.bin", "none").args[0]
        unet = load_embedded("embedded-sd")[0]
    with pytest.raises(DragError, match="needs SigLIP's pooling"):
        DragApplyIPAdapter.execute(model, bare, *rest, **picture("instantx"))
    with pytest.raises(DragError, match="is for FLUX.1 and this model is embedded UNet"):
        DragApplyIPAdapter.execute(unet, load("xlabs"), *rest, **picture("xlabs"))
