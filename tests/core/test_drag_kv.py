"""Keys and values of the inversion in a drag, and the cache that holds them."""

from __future__ import annotations

import pytest
import torch

from drag_core.drag import drag
from drag_core.trajectory.kvcache import KVPlain
from tests.core.analytic import Linear
from tests.core.test_drag import FLOW, recipe, source


@pytest.mark.parametrize("while_dragging", [True, False])
def test_keys_and_values_come_from_the_inversion_at_the_same_level(while_dragging: bool) -> None:
    backbone = Linear(rate=0.2)
    path = source(backbone, kv_blocks=("a",))
    drag(
        backbone, path, recipe(ramp=((0.5, 1.0), (1.0,)), kv_blocks=("a",), kv_while_dragging=while_dragging)
    )
    levels_asked = [t for t, _ in backbone.injected]
    updates = [FLOW.t[0]] * 3 + [FLOW.t[1]] if while_dragging else []
    assert levels_asked == [*updates, FLOW.t[1], FLOW.t[2], FLOW.t[3]]
    for t, key in backbone.injected:
        assert torch.equal(key, path.z[FLOW.t.index(t)])
    backbone.injected.clear()
    drag(backbone, path, recipe(ramp=((1.0,),)))  # no kv_blocks: nothing injected
    assert backbone.injected == []


def test_cache_gives_the_nearest_level() -> None:
    cache = KVPlain()
    for t in (0.2, 0.5, 0.9):
        cache.put(t, "a", torch.full((2, 3), t, requires_grad=True), torch.full((2, 3), 10 * t))
    both = torch.zeros(1)
    cache.put(0.6, "b", both, both)
    assert float(cache.get(0.69, "a")[0][0, 0]) == pytest.approx(0.5)
    assert float(cache.get(0.71, "a")[1][0, 0]) == pytest.approx(9.0)
    assert float(cache.get(5.0, "a")[0][0, 0]) == pytest.approx(0.9)
    assert not cache.get(0.5, "a")[0].requires_grad
    assert cache.levels == (0.2, 0.5, 0.6, 0.9)
    assert cache.bytes == 4 * (3 * 2 * 6 + 1)  # the pair that is one tensor counts once
    with pytest.raises(KeyError, match="'c'"):
        cache.get(0.5, "c")[0]
