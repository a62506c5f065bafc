"""DragFlow's fidelities and DragNeXt's regions, with a distance that can be computed by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from drag_core.metrics.fidelity import if_bg, if_s2s, if_s2t, part
from drag_core.types import AffineMotion, DragError, Region
from tests.core.test_metrics import box, noise

SOURCE, MOVE = box(slice(10, 20), slice(8, 28)), AffineMotion(shift=(30.0, 16.0))  # 200 of 5120 px
REGION = Region(SOURCE, MOVE)
WHOLE = 64 * 80


def absolute(a: Tensor, b: Tensor) -> float:
    """Mean absolute difference of the masked pictures in [-1, 1]."""
    assert a.shape == b.shape and a.ndim == 3
    return float((a.double() - b.double()).abs().mean())


def test_bg_sees_the_outside_alone() -> None:
    a = torch.full((3, 64, 80), 0.5)
    inside = torch.where(SOURCE > 0.5, a + 0.25, a)
    assert if_bg(a, inside, SOURCE, absolute) == 1
    assert if_bg(a, inside, 1 - SOURCE, absolute) == pytest.approx(1 - 0.5 * 200 / WHOLE)


def test_outside_a_mask_is_mid_grey() -> None:
    """Multiplied in [-1, 1]: 0 there is the grey of 0.5, not black."""
    seen: list[Tensor] = []

    def look(a: Tensor, b: Tensor) -> float:
        seen.extend((a, b))
        return 0.0

    if_s2s(torch.ones(3, 64, 80), torch.zeros(3, 64, 80), [REGION], look)
    assert [sorted(set(x.flatten().tolist())) for x in seen] == [[0.0, 1.0], [-1.0, 0.0]]


def test_s2s_is_the_mean_over_regions() -> None:
    a = torch.full((3, 64, 80), 0.5)
    b = torch.where(SOURCE > 0.5, a + 0.25, a)
    other = Region(box(slice(40, 44), slice(2, 7)), MOVE)
    want = 1 - (0.5 * 200 / WHOLE + 0.0) / 2
    assert if_s2s(a, b, [REGION, other], absolute) == pytest.approx(want)
    with pytest.raises(DragError, match="over the drag's regions and there are none"):
        if_s2s(a, b, [], absolute)


def test_s2t_of_a_perfect_move_is_one() -> None:
    a = noise(3)
    b = noise(4)
    b[:, 26:36, 38:58] = a[:, 10:20, 8:28]
    for variant in ("paper", "released"):
        assert if_s2t(a, b, [REGION], absolute, variant) == pytest.approx(1, abs=1e-6)
    assert if_s2t(a, a, [REGION], absolute) < 0.99


def test_paper_and_released_differ_behind_the_rim() -> None:
    """A target mask one column wider: the paper has grey there, the release what stood beside the source."""
    a, wider = torch.ones(3, 64, 80), box(slice(26, 36), slice(38, 59))
    b = torch.ones(3, 64, 80)
    paper = if_s2t(a, b, [REGION], absolute, moved=[wider])
    released = if_s2t(a, b, [REGION], absolute, "released", [wider])
    assert released == pytest.approx(1) and paper == pytest.approx(1 - 10 / WHOLE, abs=1e-6)
    with pytest.raises(DragError, match="1 regions and 2 target masks"):
        if_s2t(a, b, [REGION], absolute, moved=[wider, wider])


def test_a_turn_carries_the_content_with_it() -> None:
    a = noise(5, 64, 64)
    square = box(slice(20, 40), slice(20, 40), 64, 64)
    quarter = Region(square, AffineMotion(angle=torch.pi / 2, anchor=(29.5, 29.5)))
    b = a.clone()
    b[:, 20:40, 20:40] = torch.rot90(a[:, 20:40, 20:40], -1, (1, 2))  # clockwise on the screen
    assert if_s2t(a, b, [quarter], absolute, "released") == pytest.approx(1, abs=1e-5)


def test_parts() -> None:
    a, b = torch.full((3, 64, 80), 0.5), torch.full((3, 64, 80), 0.75)
    assert part(a, b, SOURCE, SOURCE, absolute) == pytest.approx(0.5 * 200 / WHOLE)
    assert part(a, b, SOURCE, SOURCE, absolute, "bbox224") == pytest.approx(0.5)
    there = box(slice(26, 46), slice(38, 48))  # of another shape: both become 224x224
    assert part(a, b, SOURCE, there, absolute, "bbox224") == pytest.approx(0.5)
    assert part(a, a, SOURCE, there, absolute) == 0  # grey in grey
    with pytest.raises(DragError, match="a mask is empty"):
        part(a, b, SOURCE, torch.zeros(64, 80), absolute, "bbox224")
    with pytest.raises(DragError, match="cut"):
        part(a, b, SOURCE, there, absolute, "box")


def test_the_box_is_tight() -> None:
    seen: list[Tensor] = []

    def look(a: Tensor, b: Tensor) -> float:
        seen.extend((a, b))
        return 0.0

    a = noise(6)
    part(a, a, SOURCE, SOURCE, look, "bbox224")
    want = torch.nn.functional.interpolate((a[:, 10:20, 8:28] * 2 - 1)[None], (224, 224), mode="bilinear")[0]
    assert torch.equal(seen[0], want)
