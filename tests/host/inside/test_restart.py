"""Invert's outputs restart the host's own samplers at the inverted state; ours hand over to them."""

from __future__ import annotations

import json
from typing import Any

import comfy.samplers
import pytest
import torch
from bounds import within
from comfy_extras.nodes_custom_sampler import (
    BasicGuider,
    DisableNoise,
    SamplerCustomAdvanced,
)
from comfy_extras.nodes_model_advanced import ModelSamplingFlux
from region_drag_editing.drag_core.trajectory.noised import noise_in
from region_drag_editing.drag_core.types import DragError
from region_drag_editing.nodes import DragInvert, DragOptimize, RegionMaskAffine
from region_drag_editing.nodes.host.loaders import load_embedded
from region_drag_editing.nodes.host.schedule import to_host
from torch import Tensor

MODELS = ["embedded-flux", "embedded-sd"]
SETTINGS = {"embedded-flux": (8, 0.5), "embedded-sd": (12, 0.5)}


@pytest.fixture(scope="module", params=MODELS)
def setup(request: pytest.FixtureRequest) -> dict[str, Any]:
    """A smooth picture, its latent, its inversion; made under inference mode as the executor does."""
    with torch.inference_mode():
        model, positive, vae = load_embedded(request.param)
        y, x = torch.meshgrid(torch.linspace(0, 1, 128), torch.linspace(0, 1, 128), indexing="ij")
        picture = torch.stack([x, y, 0.5 + 0.5 * torch.sin(9 * x)], -1)[None]
        latent = {"samples": vae.encode(picture)}
        steps, strength = SETTINGS[request.param]
        out = DragInvert.execute(model, positive, latent, "auto", steps, strength, "auto", 1.0, "none").args
    return {"name": request.param, "model": model, "positive": positive, "vae": vae, "picture": picture,
            "latent": latent, "out": out}  # fmt: skip


class Seen(comfy.samplers.KSAMPLER):
    """The host's Euler, which also keeps the latent that it started from."""

    def __init__(self) -> None:
        self.start: Tensor | None = None

        def euler(model: Any, x: Tensor, sigmas: Tensor, **kw: Any) -> Tensor:
            self.start = x.clone()
            return comfy.samplers.k_diffusion_sampling.sample_euler(model, x, sigmas, **kw)

        super().__init__(euler)


def sampled(
    setup: dict[str, Any], noise: Any, latent: dict[str, Any], sigmas: Tensor
) -> tuple[Tensor, Tensor]:
    """(the state that the stock sampler starts from, its finished latent)."""
    with torch.inference_mode():
        guider = BasicGuider.execute(setup["model"], setup["positive"]).args[0]
        sampler = Seen()
        out = SamplerCustomAdvanced.execute(noise, guider, sampler, sigmas, latent).args[0]
    assert sampler.start is not None
    return sampler.start.cpu(), out["samples"]


def error(a: Tensor, b: Tensor) -> float:
    return float((a.cpu() - b.cpu()).abs().max())


@pytest.mark.parametrize("mask", [None, "half", "soft"])
def test_noise_latent_and_sigmas_start_at_the_inverted_state(setup: dict[str, Any], mask: str | None) -> None:
    noise, latent, sigmas, inversion = setup["out"][:4]
    path = inversion.trajectory
    latent = dict(latent)
    if mask is not None:
        painted = torch.zeros(1, 128, 128)
        painted[:, :, 40:] = 1.0 if mask == "half" else 0.7
        latent["noise_mask"] = painted
    start, _ = sampled(setup, noise, latent, sigmas)
    wanted = to_host(path.z[0], path.schedule, 0)
    print(setup["name"], mask, error(start, wanted))
    assert error(start, wanted) <= within(1e-5)
    assert len(sigmas) == len(path.schedule.t) and float(sigmas[-1]) == 0


def test_the_noisy_latent_starts_there_without_noise(setup: dict[str, Any]) -> None:
    noise, latent, sigmas, inversion, noisy = setup["out"]
    path = inversion.trajectory
    start, out = sampled(setup, DisableNoise.execute().args[0], noisy, sigmas)
    assert error(start, to_host(path.z[0], path.schedule, 0)) <= within(1e-5)
    assert error(out, sampled(setup, noise, latent, sigmas)[1]) <= within(1e-4)


def test_the_stock_sampler_comes_back_to_the_picture(setup: dict[str, Any]) -> None:
    noise, latent, sigmas, _ = setup["out"][:4]
    _, out = sampled(setup, noise, latent, sigmas)
    plain = torch.randn(latent["samples"].shape, generator=torch.Generator().manual_seed(0))

    class Other:
        seed = 0

        def generate_noise(self, latent: dict[str, Any]) -> Tensor:
            return plain

    _, other = sampled(setup, Other(), latent, sigmas)
    here, there = ((x - latent["samples"]).square().mean().sqrt() for x in (out, other))
    print(setup["name"], float(here), float(there))
    assert here < 0.35 * there


def test_full_noise_restarts_too() -> None:
    """At the last level the host scales noise otherwise (max_denoise). FLUX has no latent left to hand over:
    a drag from there ends all the same, and says so.
    """
    for name in MODELS:
        with torch.inference_mode():
            model, positive, _ = load_embedded(name)
            latent = {"samples": torch.randn(1, 16, 16, 16, generator=torch.Generator().manual_seed(1))}
            out = DragInvert.execute(model, positive, latent, "auto", 5, 1.0, "auto", 1.0, "none").args
            inversion = out[3]
            assert torch.allclose(out[4]["samples"], latent["samples"], atol=1e-5) == (
                name == "embedded-flux"
            )
        one = {"model": model, "positive": positive}
        start, _ = sampled(one, out[0], latent, out[2])
        wanted = to_host(inversion.trajectory.z[0], inversion.trajectory.schedule, 0)
        assert error(start, wanted) <= within(1e-5) * float(wanted.abs().max()), name
        mask = torch.zeros(1, 128, 128)
        mask[:, 40:72, 24:56] = 1
        with torch.inference_mode():
            regions = RegionMaskAffine.execute(
                image=torch.zeros(1, 128, 128, 3),
                mask=mask,
                task={"task": "relocation", "target_x": 72.0, "target_y": 56.0},
                weight=1.0,
                editable="adaptive",
                instruction="",
            ).args[0]
            method = {"method": "region", "iterations": 1, "hold": 0, "step": 1.0}
            dragged = DragOptimize.execute(
                model, positive, inversion, regions, "custom", "ours", method, "auto", "off", 0, 0
            ).args
        notes = [n for n in json.loads(dragged[4])["notes"] if not n.startswith("start: made here")]
        assert len(notes) == (1 if name == "embedded-flux" else 0)
        again, _ = sampled(one, dragged[3], dragged[1], dragged[2])
        assert torch.isfinite(again).all() and torch.isfinite(dragged[0]["samples"]).all()


def test_a_model_sampling_node_counts() -> None:
    """ModelSamplingFlux sits on the patcher, not in the model, until the model runs."""
    with torch.inference_mode():
        model, positive, _ = load_embedded("embedded-flux")
        (shifted,) = ModelSamplingFlux().patch(model, 3.0, 3.0, 128, 128)
        latent = {"samples": torch.randn(1, 16, 16, 16, generator=torch.Generator().manual_seed(1))}
        outs = [
            DragInvert.execute(m, positive, latent, "auto", 6, 0.5, shift, 1.0, "none").args
            for m, shift in ((model, "model"), (shifted, "model"), (shifted, "auto"))
        ]
    first = [float(out[2][0]) for out in outs]
    assert first[1] > first[0] + 0.1 and first[2] < first[0]  # 3, 1.15 and the resolution's own shift
    one = {"model": shifted, "positive": positive}
    start, _ = sampled(one, outs[1][0], latent, outs[1][2])
    assert error(start, outs[1][3].trajectory.z[0]) <= within(1e-5)


def test_another_size_is_refused(setup: dict[str, Any]) -> None:
    noise, _, sigmas, _ = setup["out"][:4]
    with pytest.raises(DragError, match="the inverted latent is 16x16"):
        sampled(setup, noise, {"samples": torch.zeros(1, 16, 8, 16)}, sigmas)


def test_the_drag_hands_over(setup: dict[str, Any]) -> None:
    """Both ways of going on: the noisy latent without noise, and the noise output beside any latent."""
    mask = torch.zeros(1, 128, 128)
    mask[:, 40:72, 24:56] = 1
    with torch.inference_mode():
        regions = RegionMaskAffine.execute(
            image=setup["picture"],
            mask=mask,
            task={"task": "relocation", "target_x": 72.0, "target_y": 56.0},
            weight=1.0,
            editable="adaptive",
            instruction="",
        ).args[0]
        method = {"method": "region", "iterations": 3, "hold": 0, "step": 1.0}
        out = DragOptimize.execute(
            setup["model"], setup["positive"], setup["out"][3], regions, "custom", "ours", method,
            "auto", "off", 0, 0,
        ).args  # fmt: skip
        nothing = DisableNoise.execute().args[0]
    finished, noisy, sigmas, noise, report = out
    facts = json.loads(report)
    assert facts["updates"] == 3 and len(facts["losses"]) == 3
    inversion = setup["out"][3]
    start, _ = sampled(setup, nothing, noisy, sigmas)
    again, _ = sampled(setup, noise, setup["latent"], sigmas)
    moved = to_host(inversion.trajectory.z[0], inversion.trajectory.schedule, 0)
    print(setup["name"], error(start, again), error(start, moved))
    assert error(start, again) <= within(2e-5)
    assert error(start, moved) > 1e-3  # the updates are in it
    assert torch.isfinite(finished["samples"]).all()


def test_noised_is_no_inversion(setup: dict[str, Any]) -> None:
    """The picture with one noise at every level, without a model call; a drag goes on from it."""
    steps, strength = SETTINGS[setup["name"]]

    def invert(seed: int, kv: str = "none") -> tuple[Any, ...]:
        given = (
            setup["model"],
            setup["positive"],
            setup["latent"],
            "noised",
            steps,
            strength,
            "auto",
            1.0,
            kv,
        )
        with torch.inference_mode():
            return DragInvert.execute(*given, seed=seed).args  # type: ignore[no-any-return]

    out = invert(5)
    path, plan = out[3].trajectory, out[3].trajectory.schedule
    noise = noise_in(path)
    assert out[3].calls == 0 and invert(5)[3] is out[3] and 0.9 < float(noise.std()) < 1.1
    for z, a, s in zip(path.z[:-1], plan.alpha, plan.sigma, strict=False):
        assert error(a * path.z[-1] + s * noise, z) <= 1e-5
    assert error(invert(6)[3].trajectory.z[0], path.z[0]) > 0.1
    with_keys = invert(5, "auto")[3]
    assert with_keys.calls == len(plan.t) - 1 and torch.equal(with_keys.trajectory.z[0], path.z[0])
    with torch.inference_mode():
        nothing = DisableNoise.execute().args[0]
    start, _ = sampled(setup, nothing, out[4], out[2])
    again, _ = sampled(setup, out[0], setup["latent"], out[2])
    assert error(start, again) <= within(2e-5)
    assert error(start, to_host(path.z[0], plan, 0)) <= within(2e-5)
    mask = torch.zeros(1, 128, 128)
    mask[:, 40:72, 24:56] = 1
    motion = {"task": "relocation", "target_x": 72.0, "target_y": 56.0}
    with torch.inference_mode():
        regions = RegionMaskAffine.execute(setup["picture"], motion, 1.0, "adaptive", "", mask).args[0]
        method = {"method": "region", "iterations": 3, "hold": 0, "step": 1.0}
        report = DragOptimize.execute(
            setup["model"], setup["positive"], out[3], regions, "custom", "ours", method, "auto", "off", 0, 0
        ).args[4]
    assert json.loads(report)["updates"] == 3 and json.loads(report)["inversion"]["solver"] == "noised"
