"""An edit without gradients: the draft's own pixels, the model's in the hole, the picture's outside."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from drag_core.__main__ import main
from drag_core.backends.load import load_model
from drag_core.edit import edit_picture
from drag_core.finishing import finish_task
from drag_core.motion.areas import hole
from drag_core.motion.instruction import from_dict
from drag_core.pictures.draft import draft_of
from drag_core.pictures.files import to_bytes, write_png
from drag_core.pictures.paste import soft
from drag_core.recipes.presets import PRESETS
from drag_core.step import Step
from drag_core.trajectory.finish import STEPS
from drag_core.types import AffineMotion, DragError, Grid, Handle, Region, Task

model = cache(load_model)
SIZE = Grid(128, 128)


def picture() -> Tensor:
    y, x = torch.meshgrid(torch.linspace(0, 1, 128), torch.linspace(0, 1, 128), indexing="ij")
    out = torch.stack([0.2 + 0.3 * x, 0.3 + 0.3 * y, 0.5 + 0 * x])
    out[:, 40:72, 24:56] = torch.tensor([0.9, 0.2, 0.1])[:, None, None]
    return out[None]


def task(editable: Tensor | None = None) -> Task:
    mask = torch.zeros(128, 128)
    mask[40:72, 24:56] = 1
    return Task(SIZE, (Region(mask, AffineMotion(shift=(48.0, 0.0))),), editable=editable)


@pytest.mark.parametrize("name", PRESETS)
def test_only_the_hole_is_the_models(name: str) -> None:
    may = torch.zeros(128, 128)
    may[24:88, 8:120] = 1
    told: list[Step] = []
    drag = task(may)
    result, out = finish_task(model(name), picture(), drag, on_step=told.append)
    draft = draft_of(picture()[0], drag).picture
    share = soft(hole(drag), SIZE)[0, 0] * may
    assert torch.equal(out[0][:, share == 0], torch.where(may > 0.5, draft, picture()[0])[:, share == 0])
    assert (out[0] - draft).abs().amax(0)[share > 0.9].max() > 1e-3  # and there it has drawn
    assert torch.equal(out[0][:, may == 0], picture()[0][:, may == 0])
    assert [s.stage for s in told] == ["finish"] * STEPS and result.losses == ()
    here, there = out[0, :, 48:64, 32:48].mean((1, 2)), out[0, :, 48:64, 80:96].mean((1, 2))
    assert there == pytest.approx(torch.tensor([0.9, 0.2, 0.1]), abs=1e-5)
    assert here == pytest.approx(torch.tensor([0.3, 0.43, 0.5]), abs=0.08)


def test_a_seed_is_another_hole_and_a_strength_touches_the_thing() -> None:
    drag, small = task(), model("embedded-sd")
    one, same, other = (finish_task(small, picture(), drag, seed=s)[1] for s in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)
    touched = finish_task(small, picture(), drag, seed=1, of_core=0.5)[1]
    assert not torch.equal(touched[..., 48:64, 80:96], one[..., 48:64, 80:96])


def test_points_alone_bend_without_a_call() -> None:
    """What they carry is the draft's: nothing is left to draw."""
    may = torch.zeros(128, 128)
    may[16:112, 16:112] = 1
    drag = Task(SIZE, handles=(Handle((40.0, 56.0), (56.0, 56.0)),), editable=may)
    told: list[Step] = []
    _, out = finish_task(model("embedded-sd"), picture(), drag, on_step=told.append)
    assert torch.equal(out[0], draft_of(picture()[0], drag).picture) and not told
    assert not torch.equal(out, picture())


def test_nothing_marked_is_refused() -> None:
    with pytest.raises(DragError, match="marks nothing that moves"):
        finish_task(model("embedded-sd"), picture(), Task(SIZE))


def test_on_the_command_line(tmp_path: Path) -> None:
    write_png(tmp_path / "in.png", to_bytes(picture()[0]))
    drag = {
        "version": 1,
        "image": {"width": 128, "height": 128},
        "regions": [
            {
                "polygons": [[[24, 40], [56, 40], [56, 72], [24, 72]]],
                "task": "relocation",
                "target": [88, 56],
            }
        ],
        "editable": {"mode": "adaptive"},
    }
    (tmp_path / "drag.json").write_text(json.dumps(drag))
    args = ["edit", str(tmp_path / "in.png"), "--drag", str(tmp_path / "drag.json"), "--recipe", "finish"]
    assert main([*args, "--out", str(tmp_path / "out.png")]) in (0, None)
    report = json.loads((tmp_path / "out.json").read_text())
    assert report["recipe"] == "finish" and report["losses"] == []


@pytest.mark.parametrize("side", [128, 256, 384])
def test_a_pictures_own_pixels_pass_no_resize_and_no_fade(side: int) -> None:
    """The embedded models work at 256: what moves keeps its pixels at any size of the picture."""
    k = side // 128
    image = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    drag = {
        "version": 1,
        "image": {"width": side, "height": side},
        "regions": [
            {
                "polygons": [[[24 * k, 40 * k], [56 * k, 40 * k], [56 * k, 72 * k], [24 * k, 72 * k]]],
                "task": "relocation",
                "target": [88 * k, 56 * k],
            }
        ],
        "editable": {"mode": "adaptive"},
    }
    edit = edit_picture(model("embedded-sd"), image, from_dict(drag), recipe="finish")
    there = edit.image[..., 42 * k : 70 * k, 76 * k : 100 * k]
    assert torch.allclose(there, image[..., 42 * k : 70 * k, 28 * k : 52 * k], atol=1e-3)  # of its warp
    may = F.interpolate(edit.task.editable[None, None], (side, side), mode="nearest")[0, 0] > 0.5
    assert torch.equal(edit.image[..., ~may], image[..., ~may])
    hollow = edit.image[..., 50 * k : 62 * k, 34 * k : 46 * k] - image[..., 50 * k : 62 * k, 34 * k : 46 * k]
    assert hollow.abs().mean() > 0.05
