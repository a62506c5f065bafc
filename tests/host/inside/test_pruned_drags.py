"""A drag whose updates run on a part of the model: its K/V behind the last tap, and the MODEL afterwards."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import comfy.model_management as mm
import pytest
import tiny
import torch
from bounds import same
from region_drag_editing.drag_core.recipes.dragflow import KV as FLUX_KV
from region_drag_editing.drag_core.recipes.dragflow import TAPS as FLUX_TAPS
from region_drag_editing.drag_core.types import DragError, FeatureTap
from region_drag_editing.nodes import DragInvert, RegionMaskAffine
from region_drag_editing.nodes.host import memory, optimise
from region_drag_editing.nodes.host.family import family_in, family_of
from region_drag_editing.nodes.host.inversion import kv_layers
from region_drag_editing.nodes.host.optimise import DragChoices, DragOutcome, drag_latent
from region_drag_editing.nodes.host.whole import net_of
from torch import nn

UPDATES = 70  # DragFlow's


def small(folder: Path) -> Any:
    """4 double and 4 single blocks, no embedded model's."""
    return tiny.load_flux(tiny.flux_weights(blocks=4), folder / "flux.safetensors", torch.float32)


def deep(folder: Path) -> Any:
    """FLUX.1's 19 double and 38 single blocks, each of one head."""
    weights = tiny.flux_weights(hidden=128, blocks=38)
    gone = tuple(f"double_blocks.{i}." for i in range(19, 38))
    kept = {k: v for k, v in weights.items() if not k.startswith(gone)}
    return tiny.load_flux(kept, folder / "flux.safetensors", torch.float32)


def dragged(
    patcher: Any,
    prune: bool,
    kv: str = "recipe",
    layers: str = "auto",
    steps: int = 8,
    effort: str = "recipe",
) -> DragOutcome:
    """Recipe dragflow on a random latent, through the node that inverts."""
    h, w = tiny.LATENT
    with torch.inference_mode():
        image = torch.zeros(1, 8 * h, 8 * w, 3)
        mask = torch.zeros(1, 8 * h, 8 * w)
        mask[:, 24:64, 40:80] = 1
        motion = {"task": "relocation", "target_x": 80.0, "target_y": 52.0}
        regions = RegionMaskAffine.execute(image, motion, 1.0, "adaptive", "", mask).args[0]
        latent = {"samples": tiny.noise(1, 16, h, w, seed=2)}
        path = DragInvert.execute(patcher, tiny.positive(), latent, "auto", steps, 0.5, "auto", 1.0, layers)
        wish = DragChoices("dragflow", kv=kv, effort=effort)
        return drag_latent(patcher, tiny.positive(), path.args[3], regions, wish, prune=prune)


def state(patcher: Any) -> tuple[int, int, str, list[str]]:
    net = patcher.model.diffusion_model
    names = [n for n, _ in net.named_parameters()]
    return len(net.double_blocks), len(net.single_blocks), type(net.final_layer).__name__, names


@pytest.mark.parametrize("kv", ["recipe", "denoise", "drag and denoise"])
def test_layers_behind_the_last_tap_are_injected_while_denoising(kv: str, tmp_path: Path) -> None:
    made, before = {}, None
    for prune in (False, True):
        patcher = small(tmp_path)
        before = before or state(patcher)
        made[prune] = dragged(patcher, prune, kv)
        pruned = prune and not patcher.is_dynamic()  # a dynamic patcher never is
        assert made[prune].report["pruned"] is pruned and state(patcher) == before
    whole, part = made[False], made[True]
    assert len(whole.result.losses) == UPDATES and whole.result.losses == part.result.losses
    assert same(whole.result.handoff.z, part.result.handoff.z)
    assert same(whole.result.z, part.result.z)
    layers = part.report["kv_layers"]
    assert layers == whole.report["kv_layers"] and {n.split(".")[0] for n in layers} == {"double", "single"}
    assert part.result.kv is None  # nothing of the source's stays on the device


def test_at_the_depth_of_flux_1(tmp_path: Path) -> None:
    patcher = deep(tmp_path)
    before = state(patcher)
    assert before[:2] == (19, 38)
    edited = dragged(patcher, True, steps=4)
    assert edited.report["pruned"] != patcher.is_dynamic() and edited.report["updates"] == UPDATES
    assert edited.report["kv_layers"] == list(FLUX_KV)
    assert edited.report["taps"] == [f"{t.block}:{t.site}" for t in FLUX_TAPS]
    assert state(patcher) == before


def raising(make: Callable[[], BaseException], at: int) -> Callable[..., Any]:
    """A listener that raises in update `at`, and at every try after it."""
    seen = [0]

    def listener(*args: Any, **kw: Any) -> Callable[[Any], None]:
        def told(step: Any) -> None:
            seen[0] += 1
            if seen[0] >= at:
                raise make()

        return told

    return listener


ENDS: dict[str, tuple[Callable[[], BaseException], type[BaseException]]] = {
    "error": (lambda: ValueError("of a pack"), ValueError),
    "cancel": (mm.InterruptProcessingException, mm.InterruptProcessingException),
    "out of memory": (lambda: torch.OutOfMemoryError("no room"), DragError),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_drag_that_ends_early_leaves_the_model_whole(
    end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patcher, (make, said) = deep(tmp_path), ENDS[end]
    before, family = state(patcher), family_of(patcher.model)
    output = tiny.output(patcher)
    cut: list[int] = []
    real = memory.pruned
    monkeypatch.setattr(memory, "pruned", lambda *a: cut.append(1) or real(*a))
    with monkeypatch.context() as m, pytest.raises(said):
        m.setattr(optimise, "listener", raising(make, 10))
        dragged(patcher, True, steps=4)
    assert cut == ([] if patcher.is_dynamic() else [1])
    assert state(patcher) == before and not patcher.object_patches_backup
    assert family_of(patcher.model) == family == family_in(patcher)
    assert same(tiny.output(patcher), output)
    edited = dragged(patcher, True, "off", "none", 4, "fast")
    assert edited.report["taps"] == [f"{t.block}:{t.site}" for t in FLUX_TAPS]


def test_a_refusal_before_loading_leaves_another_clone_as_it_is(tmp_path: Path) -> None:
    """The list of what was replaced is shared by all clones: what is loaded now may be somebody else's."""
    patcher = small(tmp_path)
    other = patcher.clone()
    other.add_object_patch("diffusion_model.double_blocks", first(patcher, 2))
    want = tiny.output(other)
    with pytest.raises(KeyError), memory.while_pruned(patcher, (FeatureTap("double.2"),)):
        raise KeyError("before anything was loaded")
    assert same(tiny.output(other), want)


def first(patcher: Any, count: int) -> nn.ModuleList:
    return nn.ModuleList(list(patcher.model.diffusion_model.double_blocks)[:count])


def apart() -> None:
    """Unloads. On a card the host alone can't go from a clone of fewer blocks to the model (0.33.0): the
    blocks that the clone lacks stay on the CPU, since the network counts as loaded.
    """
    mm.unload_all_models()


def test_layers_are_counted_on_the_users_model_whatever_is_loaded(tmp_path: Path) -> None:
    """A distilled clone of another pack has fewer blocks; the host puts them on the one network of both."""
    patcher = small(tmp_path)
    whole, layers = family_in(patcher), kv_layers(patcher)
    size = memory.kv_size(patcher, tiny.LATENT, whole.kv, 1)
    plain = memory.drag_bytes(patcher, FLUX_TAPS)
    distilled = patcher.clone()
    distilled.add_object_patch("diffusion_model.double_blocks", first(patcher, 2))
    want = tiny.output(distilled)
    assert len(patcher.model.diffusion_model.double_blocks) == 2  # loaded now
    assert family_in(patcher) == whole and kv_layers(patcher) == layers and len(whole.blocks) == 8
    assert memory.kv_size(patcher, tiny.LATENT, whole.kv, 1) == size
    assert memory.drag_bytes(patcher, FLUX_TAPS) == plain
    assert family_in(distilled).blocks == ("double.0", "double.1", *whole.blocks[4:])
    apart()
    edited = dragged(patcher, True, "off", "none", 4, "fast")
    assert edited.report["taps"] == ["double.2:norm1", "double.2:out"]
    apart()
    assert same(tiny.output(distilled), want)
    again = dragged(distilled, True, "off", "none", 4, "fast")
    assert again.report["taps"] == ["single.0:norm1", "single.0:out"]
    assert again.report["pruned"] != patcher.is_dynamic()
    assert same(tiny.output(distilled), want)


def test_a_replaced_layer_deep_inside(tmp_path: Path) -> None:
    patcher = small(tmp_path)
    name = "double_blocks.1.img_mod"
    other = patcher.clone()
    other.add_object_patch(f"diffusion_model.{name}", nn.Identity())
    net = patcher.model.diffusion_model
    own = net.get_submodule(name)
    assert type(net_of(other).get_submodule(name)) is nn.Identity and net_of(patcher) is net
    assert net.get_submodule(name) is own  # only looked at
    other.patch_model(load_weights=False)
    assert type(net.get_submodule(name)) is nn.Identity
    assert net_of(patcher).get_submodule(name) is own and type(net_of(patcher)) is type(net)
    other.unpatch_model(unpatch_weights=False)
    assert net.get_submodule(name) is own


def test_what_a_stopped_pass_reaches(tmp_path: Path) -> None:
    def flux(backbone: Any, _: Any) -> Any:
        return [
            backbone.reached(("double.0", "double.2", "single.1"), (FeatureTap(b),))
            for b in ("double.1", "double.2", "single.1")
        ]

    found = tiny.in_session(small(tmp_path), flux, (FeatureTap("double.1"),))
    assert found == [("double.0",), ("double.0", "double.2"), ("double.0", "double.2", "single.1")]

    def unet(backbone: Any, _: Any) -> Any:
        return [backbone.reached(tuple(backbone.attentions), (FeatureTap(b),)) for b in backbone.taps]

    found = tiny.in_session(tiny.load_unet(tiny.unet_weights(), torch.float32), unet, tiny.UNET_TAPS)
    names = tuple(f"attn.{i}" for i in range(7))  # a block a level, two on the way up, one in the middle
    assert found == [names[:1], names[:2], names[:3], names[:5], names]


@pytest.mark.parametrize(
    "name",
    [
        *(f"double_blocks.0{part}" for part in ("", ".img_attn", ".img_mod")),
        "single_blocks.0.linear2",
        "list",
    ],
)
def test_another_nodes_patch_is_taken_off_as_it_was_put_on(name: str, tmp_path: Path) -> None:
    """A drag pruned beside it leaves neither that patch nor a constant of ours on the network."""
    patcher = small(tmp_path)
    net = patcher.model.diffusion_model
    before = {n: id(m) for n, m in net.named_modules()}
    theirs = patcher.clone()
    if name == "list":
        own = list(net.double_blocks)
        theirs.add_object_patch("diffusion_model.double_blocks", nn.ModuleList([own[1], own[0], own[3]]))
    else:
        theirs.add_object_patch(f"diffusion_model.{name}", copy.deepcopy(net.get_submodule(name)))
    want = tiny.output(theirs)
    report = dragged(theirs, True, "off", "none", 4, "fast").report
    assert report["pruned"] != theirs.is_dynamic()
    assert same(tiny.output(theirs), want)
    mm.unload_all_models()
    assert {n: id(m) for n, m in net.named_modules()} == before
