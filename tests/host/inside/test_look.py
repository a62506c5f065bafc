"""DragFeatureView and DragTapProbe on the embedded models and on a random Qwen-Image."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import comfy.model_management as mm
import mmdit
import pytest
import tiny
import torch
from bounds import ON_CARD, same
from region_drag_editing.drag_core.features.probe import probe_motion, ranked
from region_drag_editing.drag_core.types import DragError, FeatureTap, Grid
from region_drag_editing.nodes import (
    DragExampleScene,
    DragFeatureView,
    DragInvert,
    DragOptimize,
    DragTapProbe,
    RegionMaskAffine,
)
from region_drag_editing.nodes.host import look
from region_drag_editing.nodes.host.family import family_of
from region_drag_editing.nodes.host.loaders import load_embedded
from region_drag_editing.nodes.host.shape import host_shape

MODELS = {"embedded-flux": (25, 0.36), "embedded-sd": (50, 0.4)}


@cache
def setup(name: str) -> dict[str, Any]:
    with torch.inference_mode():
        model, positive, vae = load_embedded(name)
        scene = DragExampleScene.execute("move", 0).args[0][:, 64:192, 64:192]
        latent = {"samples": vae.encode(scene)}
        steps, strength = MODELS[name]
        inverted = DragInvert.execute(
            model, positive, latent, "auto", steps, strength, "auto", 1.0, "none"
        ).args[3]
    return {"model": model, "positive": positive, "vae": vae, "scene": scene, "inverted": inverted}


def view(name: str, taps: str, level: int = 0) -> Any:
    s = setup(name)
    with torch.inference_mode():
        return DragFeatureView.execute(s["model"], s["positive"], s["inverted"], taps, level)


@pytest.mark.parametrize("name", MODELS)
def test_every_block_has_a_picture(name: str) -> None:
    s = setup(name)
    net = s["model"].model.diffusion_model
    blocks = family_of(s["model"].model).blocks
    out = view(name, "all")
    images, text = out.args
    assert images.shape == (len(blocks), 128, 128, 3) and 0 <= images.min() and images.max() <= 1
    assert all(float(i.std()) > 0.03 for i in images)  # no picture is grey
    assert text.splitlines()[0].startswith("t ") and text.splitlines()[-1] == f"all taps: {', '.join(blocks)}"
    assert all(b in line for b, line in zip(blocks, text.splitlines()[1:], strict=False))
    again = view(name, "all").args[0]
    assert same(images, again)
    one = view(name, blocks[-1]).args[0]
    assert same(one[0], images[-1])  # whichever others are looked at
    assert not torch.equal(view(name, blocks[-1], 3).args[0], one)
    assert tiny.hooks(net) == 0 and s["model"].model_options["transformer_options"] == {}


def test_it_stops_at_the_last_tap() -> None:
    s = setup("embedded-flux")
    net, ran = s["model"].model.diffusion_model, []
    blocks = [*net.double_blocks, *net.single_blocks]
    handles = [b.register_forward_pre_hook(lambda *_, i=i: ran.append(i)) for i, b in enumerate(blocks)]
    try:
        view("embedded-flux", "double.1:norm1, double.0")
    finally:
        for handle in handles:
            handle.remove()
    assert ran == [0, 1]


def test_what_cannot_be_seen_is_said() -> None:
    with pytest.raises(
        DragError, match="feature tap 'double.9' is not in this model; it has double.0, double.1"
    ):
        view("embedded-flux", "double.9")
    with pytest.raises(
        DragError, match=r"level is 40 and the trajectory has 0 \(the noisiest\) to 9 \(clean\)"
    ):
        view("embedded-flux", "auto", 40)
    with pytest.raises(DragError, match="site 'norm1' does not exist on a UNet"):
        view("embedded-sd", "all:norm1")


@pytest.mark.parametrize("name", MODELS)
def test_the_probe_finds_taps_that_carry_a_drag(name: str) -> None:
    s = setup(name)
    steps, strength = MODELS[name]
    with torch.inference_mode():
        args = (s["model"], s["positive"], s["vae"], s["scene"], "all", steps, strength, 2, 2)
        taps, table, plot = DragTapProbe.execute(*args).args
        again = DragTapProbe.execute(*args).args[:2]
        assert again[0] == taps and (ON_CARD or again[1] == table)
    print(table)
    rows = table.splitlines()[2:]
    blocks = family_of(s["model"].model).blocks
    assert len(rows) == len(blocks) and plot.shape == (1, 480, 960, 3)
    best = taps.split(", ")
    assert rows[0].split(" | ")[0] == f"| {best[0]}" and len(best) == 2
    scores = [float(row.split(" | ")[-1].rstrip(" |")) for row in rows]
    assert scores == sorted(scores, reverse=True) and scores[0] > max(0.15, scores[-1])
    # the string goes into DragOptimize
    image = s["scene"]
    mask = torch.zeros(1, 128, 128)
    mask[:, 48:80, 32:64] = 1
    with torch.inference_mode():
        regions = RegionMaskAffine.execute(
            image=image,
            mask=mask,
            task={"task": "relocation", "target_x": 75.0, "target_y": 64.0},
            weight=1.0,
            editable="adaptive",
            instruction="",
        ).args[0]
        method = {"method": "region", "iterations": 1, "hold": 1, "step": 10.0}
        given = (s["model"], s["positive"], s["inverted"], regions, "custom", "ours", method)
        out = DragOptimize.execute(*given, taps, "off", 0, 0).args
    assert json.loads(out[4])["taps"] == [f"{b}:out" for b in best]


def test_a_size_that_the_model_cannot_hold() -> None:
    s = setup("embedded-flux")
    with torch.inference_mode(), pytest.raises(DragError, match="the picture is 122x128 and its latent"):
        image = s["scene"][:, :, :122]
        DragTapProbe.execute(s["model"], s["positive"], s["vae"], image, "all", 4, 0.5, 1, 1)


def test_interrupt() -> None:
    s = setup("embedded-flux")
    mm.interrupt_current_processing(True)
    with pytest.raises(mm.InterruptProcessingException):
        view("embedded-flux", "all")
    assert tiny.hooks(s["model"].model.diffusion_model) == 0


def test_other_transformers() -> None:
    """Latents with an axis of time, through the probe."""
    patcher = mmdit.load("Qwen-Image")
    image = Grid(96, 144)
    with torch.inference_mode():
        pictures = tuple(host_shape(patcher.model, tiny.noise(1, 16, *tiny.LATENT, seed=k)) for k in (1, 2))
        scores = look.probe_taps(patcher, tiny.positive(), pictures, image, "all", 4, 0.5, 1)
    assert [s.tap for s in scores] == [FeatureTap(f"double.{i}") for i in range(3)]
    assert all(s.ratio > 0.8 for s in scores) and len(ranked(scores)) == 3
    assert probe_motion(image).shift == (24.0, 9.6)
