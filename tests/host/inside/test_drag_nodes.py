"""DragOptimize through the host, beyond the examples: methods, K/V, pruning, the self-test, refusals."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import comfy.model_management as mm
import pytest
import torch
from bounds import same
from disc import REST, TASK, moved_disc
from region_drag_editing.drag_core.ranges import Ranged
from region_drag_editing.drag_core.types import DragError, FeatureTap
from region_drag_editing.nodes import DragInvert, DragOptimize, RegionMaskAffine
from region_drag_editing.nodes.host import inversion, memory
from region_drag_editing.nodes.host.backbones import flux, grad, selftest
from region_drag_editing.nodes.host.optimise import DragChoices, drag_latent
from torch import Tensor

AS_THE_HOST = True  # TF32 too: conftest.py
POINTS = '{"version": 1, "points": [{"start": [40, 56], "target": [72, 60]}]}'
METHODS = {
    "region": {"iterations": 2, "hold": 1, "step": 1.0},
    "pbsi": {"levels": 2, "updates": 2, "step": 0.01, "background": 0.2},
    "point": {
        "levels": 2,
        "updates": 3,
        "tracking": 2,
        "radius": 2,
        "search": 4,
        "stride": 2.0,
        "preserve": True,
        "step": 0.01,
        "background": 0.2,
    },
}


@pytest.fixture(scope="module", params=["embedded-flux", "embedded-sd"])
def setup(request: pytest.FixtureRequest) -> dict[str, Any]:
    made = moved_disc(request.param)
    model, positive, latent = made["model"], made["positive"], made["latent"]
    steps = 8 if request.param == "embedded-flux" else 12
    with torch.inference_mode():
        inverted = DragInvert.execute(model, positive, latent, "auto", steps, 0.5, "auto", 1.0, "auto").args
        points = RegionMaskAffine.execute(image=made["picture"], task=TASK, instruction=POINTS, **REST).args[
            0
        ]
    return {"name": request.param, "inversion": inverted[3], "points": points} | made


def optimise(
    setup: dict[str, Any],
    method: str,
    regions: str = "regions",
    kv: str = "off",
    model: Any = None,
    taps: str = "auto",
    **numbers: Any,
) -> tuple[Tensor, dict[str, Any]]:
    with torch.inference_mode():
        out = DragOptimize.execute(
            model or setup["model"],
            setup["positive"],
            setup["inversion"],
            setup[regions],
            "custom",
            "ours",
            {"method": method, **METHODS[method], **numbers},
            taps,
            kv,
            0,
            0,
        ).args
    report: dict[str, Any] = json.loads(out[4])
    return out[0]["samples"], report


@pytest.mark.parametrize("method", list(METHODS))
def test_every_method_runs_on_both_families(setup: dict[str, Any], method: str) -> None:
    samples, report = optimise(setup, method)
    assert torch.isfinite(samples).all() and report["method"] == method
    expected = {"region": 3, "pbsi": 4}.get(method)
    assert len(report["losses"]) == (expected or report["updates"]) and report["updates"] >= 2
    again, _ = optimise(setup, method)
    assert same(samples, again)


def test_points_without_a_region(setup: dict[str, Any]) -> None:
    samples, report = optimise(setup, "point", "points")
    assert torch.isfinite(samples).all() and report["handles"]
    with pytest.raises(DragError, match="moves regions and the drag has none"):
        optimise(setup, "region", "points")


def test_less_effort(setup: dict[str, Any]) -> None:
    """Fast: pasted first, twelve updates on the trajectory as it is. Until settled: fewer, never more."""
    numbers = {"iterations": 1, "hold": 29, "step": 0.001}
    wish = DragChoices("custom", method="region", numbers=numbers, kv="off")
    args = (setup["model"], setup["positive"], setup["inversion"], setup["regions"])
    with torch.inference_mode():
        made = {e: drag_latent(*args, replace(wish, effort=e)) for e in ("recipe", "until settled", "fast")}
    updates = {e: len(edited.result.losses) for e, edited in made.items()}
    assert updates == {"recipe": 30, "until settled": 10, "fast": 12}  # steps that small lower no loss
    assert made["fast"].report["levels"] == made["recipe"].report["levels"]
    first = [made[e].result.losses[0] for e in ("fast", "recipe")]
    assert first[0] < first[1]  # the regions are there already
    points = setup["points"]
    with torch.inference_mode(), pytest.raises(DragError, match="fast moves regions"):
        drag_latent(*args[:3], points, replace(wish, method="point", numbers={}, effort="fast"))


def test_keys_and_values_act_and_the_trajectory_stays_as_it_was(setup: dict[str, Any]) -> None:
    cache = setup["inversion"].trajectory.kv
    before = (cache.levels, cache.bytes)
    without, _ = optimise(setup, "region", kv="off")
    both, report = optimise(setup, "region", kv="drag and denoise")
    after, _ = optimise(setup, "region", kv="denoise")
    assert report["kv_layers"] == list(cache.blocks)
    assert not torch.equal(both, without) and not torch.equal(after, without)
    assert not torch.equal(both, after)
    assert (cache.levels, cache.bytes) == before


def test_a_pruned_model_drags_the_same(setup: dict[str, Any]) -> None:
    """Two runs, the first on a clone without the blocks behind the last tap: bit for bit the same."""
    numbers = METHODS["region"]
    if setup["name"] != "embedded-flux":
        numbers = METHODS["pbsi"]
    taps = "double.0, double.1:norm1" if setup["name"] == "embedded-flux" else "up.0"
    wish = DragChoices(
        "custom", method="region" if "flux" in setup["name"] else "pbsi", numbers=numbers, taps=taps, kv="off"
    )
    args = (setup["model"], setup["positive"], setup["inversion"], setup["regions"], wish)
    with torch.inference_mode():
        whole = drag_latent(*args, prune=False)
        part = drag_latent(*args, prune=True)
        again = drag_latent(*args, prune=False)
    pruned = "flux" in setup["name"] and not setup["model"].is_dynamic()
    assert whole.report["pruned"] is False and part.report["pruned"] is pruned
    assert same(whole.result.z, part.result.z)
    assert same(torch.tensor(whole.result.losses), torch.tensor(part.result.losses))
    assert same(whole.result.z, again.result.z)


def test_the_host_is_asked_for_the_gradients_memory(
    setup: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host's own estimate is for inference; what it reserves must cover the gradient pass."""
    asked: list[tuple[float, float]] = []
    load = mm.load_models_gpu

    def watch(models: Any, memory_required: float = 0, minimum_memory_required: Any = None, **kw: Any) -> Any:
        asked.append((memory_required, minimum_memory_required))
        return load(models, memory_required, minimum_memory_required=minimum_memory_required, **kw)

    monkeypatch.setattr(mm, "load_models_gpu", watch)
    optimise(setup, "region")
    net = setup["model"].model.diffusion_model
    taps = (FeatureTap("single.1"),) if setup["name"] == "embedded-flux" else (FeatureTap("up.1"),)
    wanted = memory.activation_bytes(net, (16, 16), taps, False, False)
    most, minimum = asked[-1]  # those before it are of the start that is made: a codec, an inversion
    assert minimum >= wanted > 0 and most >= minimum
    asked.clear()
    with torch.inference_mode():
        DragInvert.execute(
            setup["model"], setup["positive"], setup["latent"], "auto", 7, 0.5, "auto", 1.0, "none"
        )
    assert asked and asked[0][1] == setup["model"].model.memory_required([1, 16, 16, 16])


def test_taps_of_the_users_own(setup: dict[str, Any]) -> None:
    taps = "double.0:norm1, single.1" if setup["name"] == "embedded-flux" else "mid, up.1"
    _, report = optimise(setup, "region", taps=taps)
    assert len(report["taps"]) == 2
    with pytest.raises(DragError, match="'nowhere.1' is not in this model"):
        optimise(setup, "region", taps="nowhere.1")
    with pytest.raises(DragError, match="has site 'middle'; use out or norm1"):
        optimise(setup, "region", taps="double.0:middle")


def test_what_takes_the_gradient_away_is_named(setup: dict[str, Any]) -> None:
    """A sage-like attention: right values, no gradient."""
    selftest.forget()
    patched = setup["model"].clone()

    def detached(function: Any, q: Tensor, k: Tensor, v: Tensor, *args: Any, **kw: Any) -> Tensor:
        return function(q.detach(), k.detach(), v.detach(), *args, **kw)

    patched.model_options["transformer_options"]["optimized_attention_override"] = detached
    with pytest.raises(DragError, match=r"the attention of test_drag_nodes has no gradient"):
        optimise(setup, "region", model=patched)


def test_a_wrong_gradient_stops_before_the_drag(
    setup: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Checkpoints that compute something else in backward, as torch's around the host's block closure do."""
    selftest.forget()
    if setup["name"] != "embedded-flux":
        monkeypatch.setattr(selftest, "checkpoint", lambda f, x, **kw: tuple(1.1 * m for m in f(x)))
    else:
        monkeypatch.setattr(flux, "checkpoint", lambda f, *x, **kw: tuple(1.1 * y for y in f(*x)))
    with pytest.raises(DragError, match="the gradient through this model is wrong by"):
        optimise(setup, "region")
    monkeypatch.undo()
    optimise(setup, "region")


def test_a_gradient_that_is_wrong_with_and_without_checkpoints_is_found(
    setup: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    selftest.forget()
    monkeypatch.setattr(grad, "dense", lambda weight: 1.1 * weight)  # of every layer's backward
    with pytest.raises(DragError, match="the gradient through this model is wrong by"):
        optimise(setup, "region")


def test_hooks_that_are_not_reached_are_named(setup: dict[str, Any]) -> None:
    """Another pack's replacement of a block that leaves out the host's attention patches."""
    selftest.forget()
    if setup["name"] != "embedded-flux":  # a UNet has no replacement of whole blocks
        return
    patched = setup["model"].clone()
    replace = {("single_block", 1): lambda args, extra: {"img": args["img"]}}
    patched.model_options["transformer_options"]["patches_replace"] = {"dit": replace}
    with pytest.raises(DragError, match="the K/V hooks of single.1 were not reached"):
        optimise(setup, "region", kv="drag and denoise", model=patched)


def test_bad_latents_are_one_sentence(setup: dict[str, Any]) -> None:
    def inverted(samples: Tensor) -> None:
        with torch.inference_mode():
            DragInvert.execute(
                setup["model"], setup["positive"], {"samples": samples}, "auto", 8, 0.5, "auto", 1.0, "none"
            )

    with pytest.raises(DragError, match="the latent has 4 channels and this model works on 16"):
        inverted(torch.zeros(1, 4, 16, 16))
    with pytest.raises(DragError, match="a drag edits one picture"):
        inverted(torch.zeros(2, 16, 16, 16))
    if setup["name"] == "embedded-flux":
        with pytest.raises(DragError, match="the latent is 15x16 cells and embedded FLUX cuts it into 2x2"):
            inverted(torch.zeros(1, 16, 16, 15))


def test_a_diverging_drag_says_so(setup: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DragError, match="method region's step is 1e[+]38; it must be a number from 0.001 to"):
        optimise(setup, "region", step=1e38)
    monkeypatch.setattr(Ranged, "__post_init__", lambda numbers: None)
    with pytest.raises(DragError, match="the drag diverged"):
        optimise(setup, "region", step=1e38)


def test_too_few_levels(setup: dict[str, Any]) -> None:
    with pytest.raises(DragError, match="updates at 90 noise levels and the trajectory has"):
        optimise(setup, "pbsi", levels=90)


def test_uses_of_an_inversion_are_counted_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inversion, "_uses", type(inversion._uses)())
    first, *others = (SimpleNamespace(key=str(i)) for i in range(inversion.COUNTED + 1))
    assert [inversion.count_use(first) for _ in range(3)] == [0, 1, 2]
    assert [inversion.count_use(x) for x in others[1:]] == [0] * (inversion.COUNTED - 1)
    assert inversion.count_use(first) == 3  # among the last used ones
    inversion.count_use(others[0])
    assert len(inversion._uses) == inversion.COUNTED and inversion.count_use(others[1]) == 0
