"""What the diffusers backbones leave out of an update: modulations, injected projections; and checkpoints."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from drag_core.backends.diffusers_flux import DiffusersFlux
from drag_core.trajectory.kvcache import KVPlain
from drag_core.types import DragError, FeatureTap, KVInject, KVRecord
from tests.core.test_backends import BACKBONES, flux_backbone

TAPS = (FeatureTap("double.0", "norm1"), FeatureTap("double.1"))


def count_calls(modules: list[nn.Module]) -> list[tuple[int, ...]]:
    """The shape of the input of every computation of these linear layers, however they are called."""
    calls: list[tuple[int, ...]] = []
    for m in modules:
        own = m.forward

        def forward(x: Tensor, *args: Any, own: Any = own) -> Tensor:
            calls.append(tuple(x.shape))
            out: Tensor = own(x, *args)
            return out

        m.forward = forward
    return calls


def gradient(backbone: DiffusersFlux, z: Tensor, t: float, kv: Any, taps: Any = TAPS) -> list[Tensor]:
    z = z.clone().requires_grad_()
    maps, _ = backbone.features(z, t, taps, kv)
    total = sum((m.square().mean() for m in maps), z.new_zeros(()))
    return [*(m.detach() for m in maps), torch.autograd.grad(total, z)[0]]


def equal(a: list[Tensor], b: list[Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_modulations_are_computed_once_a_level() -> None:
    fresh, z = flux_backbone()
    norms = [n.linear for b in fresh.net.transformer_blocks for n in (b.norm1, b.norm1_context)]
    first = [gradient(flux_with(fresh), z, t, None) for t in (0.6, 0.3)]
    calls = count_calls(norms)
    for t, want in ((0.6, first[0]), (0.3, first[1])):
        calls.clear()
        with torch.no_grad():
            fresh.features(z, t, TAPS)
        assert len(calls) == 4
        for _ in range(3):
            assert equal(gradient(fresh, z, t, None), want)
        assert len(calls) == 4
    assert not equal(first[0], first[1])
    fresh.predict(z, 0.3)
    assert len(calls) == 8, "a prediction takes no answers"


def flux_with(other: DiffusersFlux) -> DiffusersFlux:
    """Another backbone over the same network."""
    return DiffusersFlux(other.net, other.text, other.pooled)


def test_a_reference_pass_forgets_the_answers() -> None:
    """Weights that changed since (an adapter) are seen by the next level."""
    backbone, z = flux_backbone()
    with torch.no_grad():
        before = backbone.features(z, 0.5, TAPS)[0]
        backbone.net.transformer_blocks[0].norm1.linear.weight.mul_(2)
        after = backbone.features(z, 0.5, TAPS)[0]
    assert not torch.equal(before[0], after[0])


@pytest.mark.parametrize("name", BACKBONES)
def test_injected_keys_and_values_are_not_computed(name: str) -> None:
    make, _, block, t = BACKBONES[name]
    backbone, z = make()
    cache = KVPlain()
    with torch.no_grad():
        backbone.predict(z, t, KVRecord(cache, (block,)))
        calls = count_calls(list(backbone.projections[block]))
        backbone.predict(torch.randn_like(z), t, KVInject(cache, (block,)))
        text = backbone.text.shape[1] if name == "flux" else 0  # a single block's own text tokens
        assert calls == ([(1, text, 128)] * 2 if text else [])
        calls.clear()
        backbone.predict(z, t)
        assert len(calls) == 2, "the projections were not given back"


@pytest.mark.parametrize("name", BACKBONES)
def test_keys_of_another_size_are_refused(name: str) -> None:
    make, _, block, t = BACKBONES[name]
    backbone, z = make()
    cache = KVPlain()
    with torch.no_grad():
        backbone.predict(z, t, KVRecord(cache, (block,)))
        with pytest.raises(DragError, match="image tokens"):
            backbone.predict(z[..., :8], t, KVInject(cache, (block,)))
        assert torch.isfinite(backbone.predict(z[..., :8], t)).all()


@pytest.mark.parametrize("taps", [TAPS, (FeatureTap("double.1", "norm1"),), (FeatureTap("single.0"),)])
def test_checkpoints_change_nothing(taps: tuple[FeatureTap, ...]) -> None:
    """Features and gradient bit for bit, injected K/V included, which the second pass needs too."""
    backbone, z = flux_backbone()
    cache, blocks = KVPlain(), ("double.0", "double.1", "single.0")
    with torch.no_grad():
        backbone.predict(torch.randn_like(z), 0.6, KVRecord(cache, blocks))
    kv = KVInject(cache, blocks)
    again = DiffusersFlux(backbone.net, backbone.text, backbone.pooled, checkpoint=True)
    results = [gradient(b, z, 0.6, kv, taps) for b in (backbone, again)]
    assert equal(*results) and not equal(results[0], gradient(backbone, z, 0.6, None, taps))
