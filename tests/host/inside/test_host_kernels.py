"""Gradients through networks that call comfy-kitchen's fused kernels, which have none of their own."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import comfy.model_management as mm
import comfy.quant_ops
import pytest
import tiny
import torch
from kernels_nets import NETS
from region_drag_editing.drag_core.types import DragError
from region_drag_editing.nodes.host.backbones import kernels
from region_drag_editing.nodes.host.backbones.grad import frozen
from region_drag_editing.nodes.host.backbones.kernels import plain_kernels
from torch import Tensor

KITCHEN = getattr(comfy.quant_ops, "ck", None)
if KITCHEN is None:
    pytest.skip("this ComfyUI has no comfy-kitchen: pip install comfy-kitchen", allow_module_level=True)
FUSED = [n for n in vars(KITCHEN) if n.startswith(kernels.FUSED)]
STEP = 0.02


def ops() -> dict[str, Any]:
    return {name: getattr(KITCHEN, name) for name in FUSED}


@pytest.mark.parametrize("name", NETS)
def test_backward_under_frozen_is_the_slope(name: str) -> None:
    kind = NETS[name]
    net, before = kind.build(), ops()
    z, way = tiny.noise(*kind.latent, seed=3), tiny.noise(*kind.latent, seed=8)
    with torch.inference_mode(False), torch.enable_grad(), frozen(net):
        x = z.clone().requires_grad_()
        (g,) = torch.autograd.grad(kind.run(net, x).double().square().mean(), x)

        def slope(along: Tensor) -> float:
            with torch.no_grad():
                ends = [float(kind.run(net, z + s * along).double().square().mean()) for s in (STEP, -STEP)]
            return (ends[0] - ends[1]) / (2 * STEP)

        along = g / g.norm()
        found = slope(along) / float(g.norm())
        way = way / way.norm()
        aside = (slope(way) - float((g * way).sum())) / float(g.norm())
    print(f"{name}: slope / gradient {found:.5f}, in a random direction off by {aside:.1e}")
    assert abs(found - 1) <= 5e-3 and abs(aside) <= 5e-3
    assert ops() == before and mm.in_training is False


def test_the_plain_versions_give_the_fused_ones_numbers() -> None:
    """In and out of plain_kernels(): passes differ by rounding only, so features stay comparable."""
    for name, kind in NETS.items():
        net, z = kind.build(), tiny.noise(*kind.latent, seed=3)
        with torch.inference_mode():
            fused = kind.run(net, z)
            with plain_kernels():
                plain = kind.run(net, z)
        print(name, tiny.error(plain, fused))
        assert tiny.error(plain, fused) <= 1e-5


def test_a_weight_that_the_host_takes_back_is_kept() -> None:
    """It lies in a buffer that the next layer overwrites; autograd still needs it."""
    x, scale = tiny.noise(1, 3, 2, 8, seed=1), 1 + 0.1 * tiny.noise(8, seed=2)
    angles = tiny.noise(1, 3, 1, 4, seed=3)
    turn = torch.stack([angles.cos(), -angles.sin(), angles.sin(), angles.cos()], -1).unflatten(-1, (2, 2))

    def gradient(spoil: bool) -> Tensor:
        leaf, own = x.clone().requires_grad_(), scale.clone()
        q, k = KITCHEN.rms_rope_split_half(leaf, leaf, turn, own, own, 1e-6)
        if spoil:
            own.zero_()
        return torch.autograd.grad((q * q * k).sum(), leaf)[0]

    with plain_kernels():
        assert torch.equal(gradient(spoil=True), gradient(spoil=False))


class Stop(BaseException):
    pass


@pytest.mark.parametrize("error", [RuntimeError, Stop])
def test_the_fused_ones_are_back_after_an_error(error: type[BaseException]) -> None:
    before = ops()
    with pytest.raises(error), plain_kernels():
        changed = [n for n in FUSED if getattr(KITCHEN, n) is not before[n]]
        assert {"apply_rope", "rms_rope_split_half", "adaln"} <= set(changed)
        raise error()
    assert ops() == before


def test_an_op_that_is_called_otherwise_or_has_no_plain_version_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def newer(x: Tensor, freqs_cis: Tensor, pairs: int = 2) -> Tensor:
        return x

    monkeypatch.setattr(KITCHEN, "apply_rope1", newer)
    monkeypatch.setattr(KITCHEN, "rms_turned", newer, raising=False)
    with plain_kernels():
        assert KITCHEN.apply_rope1 is newer and KITCHEN.rms_turned is newer
        assert KITCHEN.apply_rope.__module__.endswith("eager.rope")


def test_without_a_way_round_the_fused_ones_a_drag_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the host's switch nor plain versions: backward would raise in the middle of an update."""
    stranger = SimpleNamespace(apply_rope=lambda q, k, table: (q, k))
    monkeypatch.setattr(comfy.quant_ops, "ck", stranger)
    with plain_kernels():
        pass  # the switch is there
    monkeypatch.delattr(mm, "in_training")
    with pytest.raises(DragError, match=r"fused kernels of this host \(ComfyUI .*\) have no gradient"):
        plain_kernels().__enter__()
    monkeypatch.delattr(comfy.quant_ops, "ck")
    with plain_kernels():
        pass  # no comfy-kitchen: nothing is fused
