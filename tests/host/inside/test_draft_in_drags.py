"""A draft's keys and values in DragOptimize: connected or made here; and what stands in the way, refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from bounds import same, within
from region_drag_editing.drag_core.types import DragError
from region_drag_editing.nodes import DragInvert, DragKVInject, DragOptimize, RegionMaskAffine
from region_drag_editing.nodes.host import inversion as inversions
from region_drag_editing.nodes.host.backbones import selftest
from region_drag_editing.nodes.host.loaders import load_embedded
from region_drag_editing.nodes.host.optimise import DragChoices, drag_latent
from region_drag_editing.nodes.host.own_start import WITHOUT_KV
from torch import Tensor

MODELS = ["embedded-flux", "embedded-sd"]
SETTINGS = {"embedded-flux": (25, 0.36), "embedded-sd": (50, 0.4)}  # the presets' own
ALL = ["double.0", "double.1", "single.0", "single.1"]
FEW = {"method": "region", "iterations": 2, "hold": 1, "step": 1.0}
INJECTED = "DragKVInject on this model would also bend the features of the picture"


def scene(name: str, side: int = 128) -> dict[str, Any]:
    """A disc that moves to the right, and what the region node makes of it."""
    with torch.inference_mode():
        model, positive, vae = load_embedded(name)
        y, x = torch.meshgrid(torch.linspace(0, 1, side), torch.linspace(0, 1, side), indexing="ij")
        disc = (((x - 0.3) ** 2 + (y - 0.44) ** 2) < 0.02).float()
        picture = torch.stack([x * (1 - disc) + disc, y, 0.5 + 0.5 * torch.sin(9 * x)], -1)[None]
        motion = {"task": "relocation", "target_x": 0.56 * side, "target_y": 0.47 * side}
        made = RegionMaskAffine.execute(picture, motion, 1.0, "adaptive", "", disc[None]).args
        pictures = {"source": picture, "warped": made[5], "filled": made[6]}
        latents = {k: {"samples": vae.encode(v)} for k, v in pictures.items()}
    return {"name": name, "model": model, "positive": positive, "regions": made[0], "latents": latents}


def invert(s: dict[str, Any], which: str, kv: str = "none", **other: Any) -> Any:
    steps, strength = SETTINGS[s["name"]]
    given = {"solver": "auto", "steps": steps, "strength": strength, "shift": "auto"} | other
    with torch.inference_mode():
        return DragInvert.execute(
            s["model"], s["positive"], s["latents"][which], guidance=1.0, kv_layers=kv, **given
        ).args[3]


def optimise(
    s: dict[str, Any], recipe: str = "dragflow", model: Any = None, kv: str = "recipe", **more: Any
) -> tuple[Tensor, dict[str, Any]]:
    with torch.inference_mode():
        out = DragOptimize.execute(
            model or s["model"], s["positive"], more.pop("trajectory", s["source"]), s["regions"], recipe,
            more.pop("variant", "ours"), FEW, "auto", kv, 0, 0, **more,
        ).args  # fmt: skip
    return out[0]["samples"], json.loads(out[4])


def inverted(s: dict[str, Any]) -> dict[str, Any]:
    """With the picture's inversion, and the draft's with and without keys and values."""
    made = {"source": ("source", "none"), "draft": ("warped", "auto"), "bare": ("warped", "none")}
    return s | {name: invert(s, *which) for name, which in made.items()}


@pytest.fixture(scope="module", params=MODELS)
def setup(request: pytest.FixtureRequest) -> dict[str, Any]:
    return inverted(scene(request.param))


@pytest.fixture(scope="module")
def flux() -> dict[str, Any]:
    return inverted(scene("embedded-flux"))


def test_our_dragflow_looks_at_the_draft(flux: dict[str, Any]) -> None:
    """The picture needs none of its own; one pass a level with updates comes on top."""
    cache = flux["draft"].trajectory.kv
    before = (cache.levels, cache.bytes)
    seen, report = optimise(flux, draft=flux["draft"])
    without, off = optimise(flux, draft=flux["draft"], kv="off")
    assert (report["kv_of"], report["kv_layers"]) == ("draft", ALL) and flux["source"].trajectory.kv is None
    assert (off["kv_of"], off["kv_layers"]) == (None, [])
    levels = sum(n > 0 for n in report["updates_by_level"])
    assert report["model_calls"] == off["model_calls"] + levels
    assert float((seen - without).abs().max()) > 1e-2 and (cache.levels, cache.bytes) == before
    bare, told = optimise(flux, draft=flux["bare"])  # as before there was this, and told
    assert same(bare, without) and told["kv_layers"] == [] and told["notes"][0] == WITHOUT_KV
    assert WITHOUT_KV not in [*report["notes"], *off["notes"]]
    assert optimise(flux, draft=flux["draft"], variant="paper", effort="fast")[1]["kv_layers"] == []


def test_a_draft_made_here_has_them_too(flux: dict[str, Any]) -> None:
    _, report = optimise(flux)
    assert report["start"] == "made here: draft"
    assert (report["kv_of"], report["kv_layers"]) == ("draft", ALL)
    seen, asked = optimise(flux, kv="drag and denoise")
    assert asked["kv_of"] == "draft" and asked["start_model_calls"] == 0  # remembered, with them
    without, off = optimise(flux, kv="off")
    assert off["kv_layers"] == [] and float((seen - without).abs().max()) > 1e-2


def test_whose_is_the_users_choice(setup: dict[str, Any]) -> None:
    picture = invert(setup, "source", "auto")
    made = {
        kv_of: optimise(
            setup, "custom", kv="drag and denoise", kv_of=kv_of, draft=setup["draft"], trajectory=picture
        )
        for kv_of in ("auto", "picture", "draft")
    }
    whose = {kv_of: report["kv_of"] for kv_of, (_, report) in made.items()}
    assert whose == {"auto": "picture", "picture": "picture", "draft": "draft"}
    assert same(made["auto"][0], made["picture"][0])
    assert float((made["draft"][0] - made["picture"][0]).abs().max()) > 1e-4


def test_in_two_runs_and_made_anew(flux: dict[str, Any]) -> None:
    """A pruned model for the updates: the same bits. "recompute": what the draft's latents give again."""
    wish = DragChoices(
        "custom", method="region", numbers={k: v for k, v in FEW.items() if k != "method"},
        taps="double.0, double.1:norm1", kv="drag and denoise", kv_of="draft",
    )  # fmt: skip
    anew = invert(flux, "warped", "auto", kv_memory="recompute")
    args = (flux["model"], flux["positive"], flux["source"], flux["regions"], wish)
    with torch.inference_mode():
        whole, part = (drag_latent(*args, draft=flux["draft"], prune=p) for p in (False, True))
        replayed = drag_latent(*args, draft=anew)
    assert part.report["pruned"] != flux["model"].is_dynamic() and not whole.report["pruned"]
    assert same(whole.result.z, part.result.z)
    gap = float((replayed.result.z - whole.result.z).abs().max())
    assert gap <= within(1e-4), gap


def test_kv_inject_before_a_drag_is_refused_whatever_ran_before(setup: dict[str, Any]) -> None:
    """It was refused for a size that was right, or not at all once a small drag had run."""
    model = DragKVInject.execute(setup["model"], setup["draft"], "auto", 0.0, 1.0).args[0]
    selftest.forget()
    for ran in (False, True):
        for patched in (model, model.clone()):
            with pytest.raises(DragError, match=INJECTED) as said:
                optimise(setup, "custom", patched, draft=setup["draft"])
            assert "DragInvert of the draft to draft" in str(said.value) and "\n" not in str(said.value)
            with pytest.raises(DragError, match=INJECTED):  # before the minutes of an inversion
                DragOptimize.check_lazy_status(
                    model=patched, regions=setup["regions"], recipe="custom", variant="ours", trajectory=None
                )
        if not ran:
            optimise(setup, "custom", draft=setup["draft"])


def test_what_is_refused(setup: dict[str, Any]) -> None:
    steps, strength = SETTINGS[setup["name"]]
    for settings, said in (
        ({"steps": steps + 5}, r"the draft was inverted at \d+ levels and the picture at \d+: give both"),
        ({"steps": 2 * steps, "strength": strength / 2}, r"other noise levels \(strength or shift\)"),
    ):
        with pytest.raises(DragError, match=said):
            optimise(setup, "custom", draft=invert(setup, "warped", **settings))
    if setup["name"] == "embedded-flux":
        with pytest.raises(DragError, match="with the solver euler and the picture with fireflow"):
            optimise(setup, "custom", draft=invert(setup, "warped", solver="euler"))
        with pytest.raises(DragError, match="the draft holds 1: set kv_layers to auto in its DragInvert"):
            optimise(setup, draft=invert(setup, "warped", "single.1"))
    else:
        with pytest.raises(DragError, match="dragnext uses no keys and values on embedded UNet: set kv to"):
            optimise(setup, "dragnext", kv_of="draft")  # before a draft is made
    with pytest.raises(DragError, match="the draft was inverted without keys and values"):
        optimise(setup, "custom", kv="drag and denoise", kv_of="draft", draft=setup["bare"])
    refill = invert(setup, "filled")
    with pytest.raises(DragError, match="a draft are asked for and there is none"):
        optimise(setup, "custom", kv="drag and denoise", kv_of="draft", refill=refill)


def test_copy_paste_uses_a_refill_and_a_warped_picture(setup: dict[str, Any]) -> None:
    filled, warped = invert(setup, "filled"), setup["latents"]["warped"]
    ways = ({}, {"refill": filled}, {"warped": warped}, {"refill": filled, "warped": warped})
    ends = [optimise(setup, "copy_paste", **way)[0] for way in ways]
    differ = [float((a - b).abs().max()) for i, a in enumerate(ends) for b in ends[:i]]
    assert min(differ) > 1e-2, differ
    wanted = warped["samples"]
    assert float((ends[3] - wanted).square().mean()) < float((ends[0] - wanted).square().mean())


def test_a_picture_its_refill_and_its_draft_are_remembered(flux: dict[str, Any]) -> None:
    inversions._last.clear()
    wanted = ("source", "none"), ("filled", "none"), ("warped", "auto")
    first, again = ([invert(flux, *which) for which in wanted] for _ in range(2))
    assert all(a is b for a, b in zip(first, again, strict=True))
