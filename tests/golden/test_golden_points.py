"""Point supervision, tracking and the whole loop against GoodDrag's and DragDiffusion's released code."""

from __future__ import annotations

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from drag_core.drag import drag
from drag_core.features.supervise import PointSupervision
from drag_core.kernels.lookup import lookup
from drag_core.recipes.recipe import Recipe
from drag_core.trajectory.constrain import Constraint, FreeBackground, SoftBackground
from drag_core.trajectory.schedules import ddim as ddim_levels
from drag_core.trajectory.solvers import ddim
from drag_core.types import KV, FeatureTap, Grid, Handle, Schedule, Trajectory
from tests.golden.load import golden, handles, points, relative

HALF = Grid(
    64, 64
)  # the files' points are cells of this grid; as image and grid alike it leaves them as they are


def gooddrag(pairs: tuple[Handle, ...], search: int = 12, radius: int = 4) -> PointSupervision:
    return PointSupervision(
        pairs,
        HALF,
        HALF,
        radius=radius,
        search=search,
        stride=4.0,
        preserve=True,
        factor=float((2 * radius) ** 2),
    )


def test_gooddrag_loss_and_gradients() -> None:
    """Beside the pull, the second handle (1.4 cells from its target) is left alone."""
    data = golden("gooddrag_motion_loss")
    now, z_next = data["F1"].requires_grad_(), data["x_prev"].requires_grad_()
    supervision = gooddrag(handles(data["handles"], data["targets"]))
    pull = supervision.loss([now], [data["F0"]], supervision.init([data["F0"]]), 1.0)
    total = pull + SoftBackground(data["interp_mask"], 0.2).penalty(z_next, data["x_orig"])
    assert float(pull.detach()) == pytest.approx(float(data["drag_loss"]), rel=1e-5)
    assert float(total.detach()) == pytest.approx(float(data["loss"]), rel=1e-5)
    by_features, by_latent = torch.autograd.grad(total, [now, z_next])
    assert relative(by_features, data["grad_F1"]) < 1e-5
    assert relative(by_latent, data["grad_xprev"]) < 1e-5


@pytest.mark.parametrize(
    ("file", "start", "want", "search"),
    [
        ("gooddrag_primitives", "handles_init", "tracked_l1", 12),
        ("dragdiffusion_loop", "track_in", "track_out", 3),
    ],
)
def test_tracking(file: str, start: str, want: str, search: int) -> None:
    """The second file's second handle is one cell from the border: the search window is cut there."""
    data = golden(file)
    supervision = gooddrag(tuple(Handle(p, (50.0, 5.0)) for p in points(data[start])), search)
    found, done = supervision.track([data["F1"]], [data["F0"]], supervision.init([data["F0"]]))
    assert found.tolist() == [list(p) for p in points(data[want])] and not done


def test_patch_between_cells() -> None:
    data = golden("gooddrag_primitives")
    dy, dx = torch.meshgrid(torch.arange(-4.0, 5), torch.arange(-4.0, 5), indexing="ij")
    at = torch.stack([31.75 + dx, 30.25 + dy], -1)
    assert relative(lookup(data["F1"], HALF, at, padding="border")[None], data["patch"]) < 1e-5


@pytest.mark.parametrize(("gap", "key"), [(1.9, "reach_1_9"), (2.0, "reach_2_0")])
def test_reach(gap: float, key: str) -> None:
    """A still picture: tracking stays, so the answer is about the distance alone."""
    data = golden("gooddrag_primitives")
    supervision = gooddrag((Handle((30.0, 31.0), (30.0, 31.0 + gap)),), search=1)
    _, done = supervision.track([data["F0"]], [data["F0"]], supervision.init([data["F0"]]))
    assert done == bool(data[key])


class ToyUNet:
    """The files' network with features at the latent's own 16x16: the lookup stands in for the upsampling to
    64x64.
    """

    def __init__(self, noise: Tensor, features: Tensor) -> None:
        self.noise, self.feature_weight = noise, features

    def predict(self, z: Tensor, t: float, kv: KV = None) -> Tensor:
        return torch.tanh(F.conv2d(z, self.noise, padding=1)) + 1e-4 * t * z

    def features(
        self, z: Tensor, t: float, taps: tuple[FeatureTap, ...], kv: KV = None, *, stop: bool = True
    ) -> tuple[list[Tensor], Tensor | None]:
        return [torch.tanh(F.conv2d(z, self.feature_weight, padding=1))], None if stop else self.predict(z, t)


def from_681(last: int) -> Schedule:
    """DDIM's 50 levels from t = 681 on, `last` of them cleaner."""
    s = ddim_levels(50)
    i = s.t.index(681.0)
    cut = slice(i, i + last + 1)
    return Schedule(s.t[cut], s.alpha[cut], s.sigma[cut], "noise")


@pytest.mark.parametrize("masked", [True, False])
def test_dragdiffusion_loop(masked: bool) -> None:
    """40 updates at t = 681; then one denoising step, whose input is the file's z_out."""
    data = golden("dragdiffusion_loop")
    suffix = "" if masked else "_nomask"
    editable = F.interpolate(data["mask64"], (16, 16), mode="nearest")
    constraint: Constraint = SoftBackground(editable, 0.1) if masked else FreeBackground()
    supervision = PointSupervision(
        handles(data["handles"], data["targets"]),
        HALF,
        HALF,
        radius=1,
        search=3,
        stride=1.0,
        preserve=False,
        factor=9.0,
    )
    s, backbone = from_681(1), ToyUNet(data["We"], data["Wf"])
    recipe = Recipe(
        schedule=s,
        solver=ddim,
        taps=(FeatureTap("up.2"),),
        supervision=supervision,
        constraint=constraint,
        optimizer=partial(torch.optim.Adam, lr=0.01),
        ramp=((1.0,) * 40,),
        track_every=1,
    )
    seen: list[Tensor] = []
    result = drag(
        backbone,
        Trajectory(s, (data["z0"], data["z0"])),
        recipe,
        on_step=lambda step: seen.append(step.z.clone()) if step.level == 0 else None,
    )
    assert len(seen) == len(result.losses) == 40
    assert relative(seen[-1] - data["z0"], data[f"z_out{suffix}"] - data["z0"]) < 1e-4
    traces = torch.tensor(result.traces).flip(-1)
    assert torch.equal(traces, data[f"handle_trace{suffix}"])
    want, _ = ddim(backbone, data[f"z_out{suffix}"], s, 0, 1, None, None)
    assert relative(result.z, want) < 1e-4
