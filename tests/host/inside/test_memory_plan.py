"""DragMemoryPlan: what it says of FLUX.1-dev and SD's sizes on cards of known size; nothing is loaded."""

from __future__ import annotations

import comfy.model_patcher
import pytest
import torch
from bounds import ON_CARD
from region_drag_editing.drag_core.types import DragError
from region_drag_editing.nodes import DragMemoryPlan
from region_drag_editing.nodes.host import plan
from region_drag_editing.nodes.host.loaders import load_embedded
from test_layouts import DEV, on_meta

GIB = 2**30


@pytest.fixture(scope="module")
def dev() -> comfy.model_patcher.ModelPatcher:
    model = on_meta(DEV, torch.bfloat16)
    return comfy.model_patcher.ModelPatcher(model, torch.device("cpu"), torch.device("cpu"))


# what of 1024x1024 fits where: 8.1 GiB of weights, 7.4 or 1.3 of activations, 0.3 of K/V, 0.8 besides
CARDS = [
    (24, "fits"),
    (16, "fits with checkpoints"),
    (12, "fits with checkpoints"),
    (9, "from RAM"),
    (6, "too large"),
]


@pytest.mark.parametrize(("gb", "verdict"), CARDS)
def test_flux_dev_at_1024(dev: comfy.model_patcher.ModelPatcher, gb: float, verdict: str) -> None:
    said = plan.fit(dev, (1024, 1024), int(gb * GIB), plan.kv_layers(dev)[0], 20, 16.0, "auto")
    print(gb, said)
    assert verdict in said.verdict and said.whole == (gb >= 12)
    assert (said.verdict == "fits") == (gb == 24)
    assert said.kv is not None and said.kv.whole == 20 * 624 * 2**20 and said.kv.storage == "pageable"
    assert said.resident == 288 * 2**20
    assert 7.2 < said.plain / GIB < 7.6 and 1.2 < said.checkpoints / GIB < 1.4


def test_the_report(dev: comfy.model_patcher.ModelPatcher) -> None:
    out = DragMemoryPlan.execute(dev, 12.0, 0, 0, 25, 0.76, "auto", 16.0, "auto")
    text = out.args[0]
    print(text)
    assert "a card of 12 GB: 12.0 GiB" in text and "weights 22.2 GiB, 8.1 GiB of them while updating" in text
    assert [line.split()[0] for line in text.splitlines()[3:8]] == [f"{s}x{s}" for s in plan.SIDES]
    assert "12.19 GiB pageable" in text and "largest that fits: " in text
    assert "inverting and denoising run the whole model" in text
    one = DragMemoryPlan.execute(dev, 24.0, 1344, 768, 25, 0.76, "none", 0.0, "auto").args[0]
    assert "1344x768" in one and "none" in one and "512x512" not in one
    with pytest.raises(DragError, match="'single.99' is not in this model"):
        DragMemoryPlan.execute(dev, 24.0, 0, 0, 25, 0.76, "single.99", 0.0, "auto")
    tight = DragMemoryPlan.execute(dev, 24.0, 1024, 1024, 25, 0.76, "auto", 1.0, "fp8").args[0]
    assert "K/V kept fp8 take 6.19 GiB and the budget is 1.00 GiB" in tight


@pytest.mark.parametrize("name", ["embedded-flux", "embedded-sd"])
def test_on_this_machine(name: str) -> None:
    with torch.inference_mode():
        model = load_embedded(name)[0]
    text = DragMemoryPlan.execute(model, 0.0, 256, 256, 25, 0.36, "auto", 0.0, "auto").args[0]
    where = "what is free now" if ON_CARD else "this machine without a GPU"
    assert where in text and text.splitlines()[3].endswith("fits")
