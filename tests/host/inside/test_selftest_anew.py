"""The self-test: anew for every precision and patch, and what it says."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any

import comfy.model_management as mm
import pytest
import tiny
import torch
from region_drag_editing.drag_core.types import DragError
from region_drag_editing.nodes.host import memory, session
from region_drag_editing.nodes.host.backbones import flux, kernels, selftest
from region_drag_editing.nodes.host.backbones.selftest import self_test
from selftests import WRONG, check, in_half, off_by, unet
from torch import Tensor


@pytest.fixture(autouse=True)
def anew() -> None:
    selftest.forget()


def test_every_precision_is_tested() -> None:
    """The bar of bfloat16 says nothing about float32."""
    half, weights = in_half(), unet(torch.bfloat16)
    assert [check(m) for m in (half, half, weights, weights, unet(), unet())] == [1, 0, 1, 0, 1, 0]


def test_every_kind_of_patch_is_tested() -> None:
    plain = unet()
    assert check(plain) == 1
    name = "diffusion_model.output_blocks.1.1.proj_in.weight"
    shape = plain.model.state_dict()[name].shape
    patched, stronger = plain.clone(), plain.clone()
    for clone, strength in ((patched, 0.5), (stronger, 1.0)):
        clone.add_patches({name: (0.05 * tiny.noise(*shape),)}, strength)
    objects, hooked = plain.clone(), plain.clone()
    objects.add_object_patch("diffusion_model.out", plain.model.diffusion_model.out)
    hooked.set_model_attn1_patch(lambda n, context, value, extra: (n, context, value))
    assert [check(p) for p in (patched, stronger, objects, hooked)] == [1, 0, 1, 1]
    assert check(plain) == 0


def test_other_input_channels_and_a_dynamic_patcher_are_tested(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = unet()
    assert check(plain) == 1
    own = plain.is_dynamic()
    monkeypatch.setattr(type(plain), "is_dynamic", lambda self: not own)
    key = []

    def body(backbone: Any, _: Tensor) -> None:
        key.append(selftest._identity(backbone))
        monkeypatch.undo()
        key.append(selftest._identity(backbone))
        monkeypatch.setattr(backbone.net, "in_channels", 9)
        key.append(selftest._identity(backbone))

    tiny.in_session(plain, body, tiny.UNET_TAPS)
    assert len(set(key)) == 3


def packs(module: str) -> Callable[..., Any]:
    """A patch of the pack `module` that changes nothing."""

    def patch(n: Tensor, context: Tensor, value: Tensor, extra: Any) -> tuple[Tensor, Tensor, Tensor]:
        return n, context, value

    out = FunctionType(patch.__code__, patch.__globals__)
    out.__module__ = module
    return out


def test_every_foreign_pack_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """By our own package's name, not by a word that others have in theirs; and the libraries' versions."""
    ours = selftest.__name__.split(".")[0]
    assert selftest.PACK == ours and flux.SESSION == session.__name__
    others = ["custom_nodes.drag_and_drop.nodes", f"{ours}_too.nodes", "somebody"]
    patched = unet().clone()
    for module in (*others, f"{ours}.nodes.host.backbones.unet"):
        patched.set_model_attn1_patch(packs(module))

    class Their(torch.nn.SiLU):
        __module__ = "dragon.nodes"

    out = patched.model.diffusion_model.out
    patched.add_object_patch("diffusion_model.out", torch.nn.Sequential(out[0], Their(), out[2]))
    patched.add_object_patch("diffusion_model.out.1", Their())
    off_by(1.1)(monkeypatch)
    with pytest.raises(DragError, match=WRONG) as caught:
        check(patched)
    said = str(caught.value)
    print(said)
    assert f"patches on it: {', '.join(sorted([*others, 'dragon.nodes']))})" in said
    assert "connect the model without that, or report it with ComfyUI 0." in said
    monkeypatch.undo()
    monkeypatch.setattr(kernels.importlib.metadata, "version", lambda name: {"comfy-kitchen": "9.8.7"}[name])
    monkeypatch.setattr(kernels.importlib.metadata, "PackageNotFoundError", KeyError)
    assert kernels.versions().endswith(", comfy-kitchen 9.8.7")


def test_nobody_is_named_on_a_plain_model(monkeypatch: pytest.MonkeyPatch) -> None:
    off_by(1.1)(monkeypatch)
    with pytest.raises(DragError, match=r"is allowed; float32 on \S+\): report it with ComfyUI [\d.]+"):
        check(unet())


def test_the_measures_are_logged_apart(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        check(unet())
        check(in_half())
    full, half = [r.message for r in caplog.records if "self-test passed" in r.message]
    number = r"\d\.\de[-+]\d\d"
    measures = [
        f"{what} {number} of {bar}"
        for what, bar in (
            ("passes that stopped early", "1.0e-04"),
            ("recomputed passes", "1.0e-04"),
            ("a finite difference", "3.0e-02"),
        )
    ]
    assert re.fullmatch(rf"drag: self-test passed \(float32 on \S+\): {', '.join(measures)}", full), full
    assert "bfloat16 on " in half and "2.0e-02" in half and "finite" not in half


def test_a_whole_joint_transformer_and_a_pruned_one_pass(tmp_path: Path) -> None:
    """The pruned one has no whole pass; it is another model for the key."""
    patcher = tiny.load_flux(tiny.flux_weights(), tmp_path / "f.safetensors", torch.float32)
    whole: list[bool] = []

    def body(backbone: Any, _: Tensor) -> int:
        whole.append(not selftest._cut(backbone.net))
        before = len(selftest._passed)
        self_test(backbone, tiny.FLOW_T, tiny.DOUBLE_TAPS)
        return len(selftest._passed) - before

    part = memory.pruned(patcher, tiny.DOUBLE_TAPS)
    keys = []
    try:
        for p in (patcher, part, patcher):
            mm.unload_all_models()  # else the host alone fails on a card: test_pruned_drags.apart
            keys.append(tiny.in_session(p, body, tiny.DOUBLE_TAPS))
        assert keys == [1, 1, 0]
    finally:
        mm.unload_model_and_clones(part)
    assert whole == [True, False, True]


def test_several_gpus_are_refused() -> None:
    plain, several = unet(), unet()
    several.set_additional_models("multigpu", [plain.clone()])
    with pytest.raises(
        DragError, match="runs on several GPUs and a drag is one picture: remove the MultiGPU"
    ):
        check(several)
    later = unet()
    later.model_options["multigpu_clones"] = {torch.device("cpu"): later}
    with pytest.raises(DragError, match="runs on several GPUs"):
        check(later)
