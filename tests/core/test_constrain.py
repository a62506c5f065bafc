"""Background constraints: what they add, what they put back."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from drag_core.trajectory.constrain import Constraint, FreeBackground, HardBackground, SoftBackground


def pair(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    """An edited latent, its reference, and a mask whose left half may change."""
    g = torch.Generator().manual_seed(0)
    editable = torch.zeros(1, 1, 4, 6)
    editable[..., :3] = 1
    z, ref = torch.randn(2, 1, 4, 4, 6, generator=g, dtype=dtype)
    return z, ref, editable


def test_hard_background_is_bit_exact() -> None:
    z, ref, editable = pair()
    ref[0, 0, 0, 5], z[0, 0, 0, 5] = -0.0, torch.nan  # a blend by multiplication would keep the nan
    out = HardBackground(editable).project(z, ref)
    assert torch.equal(out[..., :3], z[..., :3]) and torch.equal(out[..., 3:], ref[..., 3:])
    assert HardBackground(editable).penalty(z, ref) == 0 and not HardBackground(editable).needs_prediction


def test_soft_background_by_hand() -> None:
    _, ref, editable = pair()
    z = ref.clone()
    z[0, 2, 1, 0] += 7  # may change: free
    z[0, 2, 1, 4] += 0.5
    z[0, 3, 0, 5] -= 0.25
    soft = SoftBackground(editable, 0.2)
    assert float(soft.penalty(z, ref)) == pytest.approx(0.2 * 0.75, rel=1e-5)
    assert soft.project(z, ref) is z and soft.needs_prediction


def test_soft_gradient() -> None:
    z, ref, editable = pair(torch.float64)
    soft = SoftBackground(editable, 0.3)
    assert torch.autograd.gradcheck(lambda x: soft.penalty(x, ref), z.requires_grad_())
    (gradient,) = torch.autograd.grad(soft.penalty(z, ref), z)
    assert torch.equal(gradient[..., :3], torch.zeros(1, 4, 4, 3, dtype=torch.float64))
    assert torch.allclose(gradient[..., 3:].abs(), torch.full((1, 4, 4, 3), 0.3, dtype=torch.float64))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize(
    "made", [HardBackground(pair()[2]), SoftBackground(pair()[2], 0.2), FreeBackground()]
)
def test_half_precision_stays_half(made: Constraint, dtype: torch.dtype) -> None:
    z, ref, _ = pair()
    assert made.project(z.to(dtype), ref.to(dtype)).dtype == dtype
    assert made.penalty(z.to(dtype), ref.to(dtype)).dtype == dtype


def test_free_background_does_nothing() -> None:
    z, ref, _ = pair()
    free = FreeBackground()
    assert free.project(z, ref) is z and free.penalty(z, ref) == 0 and not free.needs_prediction
