"""DragFlow's updates and reconstruction, written out beside drag() with the paper's variant, in float64.

On a toy block whose V can be injected, under two prompts; and what our variant records of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from drag_core.drag import drag
from drag_core.recipes.dragflow import dragflow
from drag_core.trajectory.invert import invert
from drag_core.trajectory.schedules import flow
from drag_core.trajectory.solvers import fireflow
from drag_core.types import KV, AffineMotion, FeatureTap, Grid, KVInject, KVRecord, Region, Task
from tests.core.test_paper_loops import close, drawn, large


@dataclass(frozen=True)
class Attending:
    """One block whose V, injected or its own under the prompt, is added to the latent; a velocity by both."""

    prompt: float

    def value(self, z: Tensor, t: float) -> Tensor:
        w = 0.2 * drawn(4, 4, 3, 3, seed=1)
        return 0.3 * torch.tanh(F.conv2d(z, w, padding=1) + self.prompt) * (1 + t)

    def attended(self, z: Tensor, t: float, kv: KV) -> Tensor:
        own = self.value(z, t)
        if isinstance(kv, KVRecord):
            kv.cache.put(t, "double.0", own, own)
        return z + (kv.cache.get(t, "double.0")[1] if isinstance(kv, KVInject) else own)

    def velocity(self, h: Tensor, t: float) -> Tensor:
        w = 0.2 * drawn(4, 4, 3, 3, seed=2)
        return 0.5 * torch.tanh(F.conv2d(h, w, padding=1) + self.prompt) * (1 + t)

    def maps(self, h: Tensor) -> list[Tensor]:
        return [torch.tanh(F.conv2d(h, 0.3 * drawn(3, 4, 3, 3, seed=k), padding=1)) for k in (3, 4)]

    def predict(self, z: Tensor, t: float, kv: KV = None) -> Tensor:
        return self.velocity(self.attended(z, t, kv), t)

    def features(
        self, z: Tensor, t: float, taps: tuple[FeatureTap, ...], kv: KV = None, *, stop: bool = True
    ) -> tuple[list[Tensor], Tensor | None]:
        h = self.attended(z, t, kv)
        return self.maps(h)[: len(taps)], None if stop else self.velocity(h, t)


def test_dragflow_updates_and_reconstruction() -> None:
    """Three updates at the first of four levels, by two taps, under the inversion's own V of the nearest
    level; outside the box the latent is the picture's, denoised under the source's prompt without V.
    """
    origin, edits, s = Attending(0.0), Attending(0.7), flow(5, skip=1)
    mask, grown = torch.zeros(64, 64), torch.zeros(64, 64)
    mask[16:32, 16:32] = 1
    grown[10:38, 10:54] = 1
    region = Region(mask, AffineMotion((16.0, 0.0)), 0.8)
    task = Task(Grid(64, 64), (region,), (), grown, automatic=True)
    source = invert(origin, drawn(1, 4, 8, 8, seed=5), s, fireflow, ("double.0",))
    assert source.kv is not None
    kept = {t: source.kv.get(t, "double.0")[1].clone() for t in source.kv.levels}
    made = dragflow(task, "paper")
    recipe = replace(made, schedule=s, ramp=((0.5, 0.5, 1.0),), kv_blocks=("double.0",))
    got = drag(edits, source, recipe, origin=origin)

    def injected(t: float) -> Tensor:
        return kept[min(kept, key=lambda level: abs(level - t))]

    def edit_velocity(z: Tensor, t: float) -> Tensor:
        return edits.velocity(z + injected(t), t)

    def own_velocity(z: Tensor, t: float) -> Tensor:
        return origin.velocity(z + origin.value(z, t), t)

    box = torch.zeros(1, 1, 8, 8, dtype=torch.float64)
    box[..., 2:4, 2:6] = 1
    ref, t = source.z[0], s.t[0]
    then = [large(x, 16) for x in edits.maps(ref + injected(t))]
    z = ref.clone()
    for progress, rate in ((2, 1000.0), (2, 1000.0), (4, 1200.0)):  # cells of a quarter of the picture's side
        z = z.detach().requires_grad_()
        now = [large(x, 16) for x in edits.maps(z + injected(t))]
        there = slice(4 + progress, 8 + progress)
        gaps = [(n[..., 4:8, there] - o[..., 4:8, 4:8]).abs().sum() for n, o in zip(now, then, strict=True)]
        loss = 0.8 * torch.stack(gaps).sum() / (6 * 16 * 16)
        (gradient,) = torch.autograd.grad(loss, z)
        z = torch.where(box > 0.5, z.detach() - rate * gradient, ref)
    slope = slope_ref = None
    for i in range(len(s.t) - 1):
        dt, middle = s.t[i + 1] - s.t[i], (s.t[i] + s.t[i + 1]) / 2
        slope = edit_velocity(z, s.t[i]) if slope is None else slope
        slope_ref = own_velocity(ref, s.t[i]) if slope_ref is None else slope_ref
        slope = edit_velocity(z + dt / 2 * slope, middle)
        slope_ref = own_velocity(ref + dt / 2 * slope_ref, middle)
        z, ref = z + dt * slope, ref + dt * slope_ref
        z = torch.where(box > 0.5, z, ref)
    close(got.z, z)
    close(got.reconstruction, ref)
    assert float((z - ref)[..., 2:4, 2:6].abs().max()) > 0.1
    wrong = drag(edits, source, recipe)  # the reconstruction under the edit's prompt is another picture
    assert float((wrong.reconstruction - ref).abs().max()) > 0.01


def test_keys_and_values_of_an_update_level_are_recorded_under_the_inversions_prompt() -> None:
    """Ours: at the very level of the updates, by what the picture was inverted with; the edit looks there."""
    origin, edits, s = Attending(0.0), Attending(0.7), flow(5, skip=1)
    mask = torch.zeros(64, 64)
    mask[16:32, 16:32] = 1
    task = Task(Grid(64, 64), (Region(mask, AffineMotion((16.0, 0.0))),), ())
    source = invert(origin, drawn(1, 4, 8, 8, seed=5), s, fireflow, ("double.0",))
    recipe = replace(dragflow(task), schedule=s, ramp=((1.0,),), kv_blocks=("double.0",), settle=0.0)
    made = drag(edits, source, recipe, origin=origin, pause=True)
    t = s.t[0]
    assert made.kv is not None
    close(made.kv.get(t, "double.0")[1], origin.value(source.z[0], t))
    then = edits.maps(source.z[0] + origin.value(source.z[0], t))
    z = source.z[0].clone().requires_grad_()
    now = [large(x, 16) for x in edits.maps(z + origin.value(source.z[0], t))]
    gaps = [
        (n[..., 4:8, 8:12] - large(o, 16)[..., 4:8, 4:8]).abs().sum() for n, o in zip(now, then, strict=True)
    ]
    wanted = float(torch.stack(gaps).sum().detach()) / (6 * 16 * 16)
    assert made.losses[0] == pytest.approx(wanted, abs=1e-9)
