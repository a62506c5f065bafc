"""What DragBackgroundHardConstraint gives to DragOptimize: which background a drag keeps."""

from __future__ import annotations

from typing import Any

import pytest
import tiny
import torch
from bounds import within
from disc import SIDE, moved_disc
from region_drag_editing.drag_core.trajectory.invert import denoise
from region_drag_editing.nodes import DragBackgroundHardConstraint, DragInvert, DragOptimize
from region_drag_editing.nodes.host.inversion import SOLVERS
from region_drag_editing.nodes.host.schedule import host_sigmas
from region_drag_editing.nodes.host.session import SessionNeeds
from region_drag_editing.nodes.host.shape import latent_out
from torch import Tensor

CELLS = torch.zeros(1, 1, SIDE // 8, SIDE // 8)
CELLS[..., 4:12, 2:13] = 1
EDITABLE = CELLS[0].repeat_interleave(8, 1).repeat_interleave(8, 2)


@pytest.fixture(scope="module", params=["embedded-flux", "embedded-sd"])
def setup(request: pytest.FixtureRequest) -> dict[str, Any]:
    made = moved_disc(request.param)
    steps = 8 if request.param == "embedded-flux" else 12
    with torch.inference_mode():
        args = (made["model"], made["positive"], made["latent"], "auto", steps, 0.5, "auto", 1.0, "none")
        return {"inversion": DragInvert.execute(*args).args[3]} | made


def dragged(setup: dict[str, Any], source: str) -> Tensor:
    """The finished latent of a drag that has the constraint."""
    method = {"method": "region", "iterations": 2, "hold": 1, "step": 1.0}
    model, inversion = setup["model"], setup["inversion"]
    with torch.inference_mode():
        constraint = DragBackgroundHardConstraint.execute(model, inversion, EDITABLE, source).args[1]
        given = (model, setup["positive"], inversion, setup["regions"], "custom", "ours", method)
        out = DragOptimize.execute(*given, "auto", "off", 0, 0, constraint=constraint).args[0]["samples"]
    return out.clone()


def alone(setup: dict[str, Any]) -> Tensor:
    """The inverted latent denoised by itself."""
    inversion = setup["inversion"]
    path = inversion.moved(setup["model"].load_device)
    sigmas = host_sigmas(path.schedule)

    def body(backbone: Any, _: Tensor) -> Tensor:
        return denoise(backbone, path.z[0], path.schedule, SOLVERS[inversion.solver])

    need = SessionNeeds(sigmas=(0.0, float(sigmas[0])))
    with torch.inference_mode():
        z = tiny.run(setup["model"], setup["positive"], setup["latent"]["samples"], body, need, sigmas=sigmas)
    return latent_out(setup["model"].model, z)


def test_the_constraints_source_is_what_a_drag_keeps(setup: dict[str, Any]) -> None:
    """Outside the mask the picture itself, or what the model makes of its inversion; inside neither."""
    picture, reconstruction = setup["latent"]["samples"].clone(), alone(setup)
    outside = (CELLS < 0.5).expand_as(picture)
    assert float((picture - reconstruction)[outside].abs().max()) > 1e-3
    for source, want in (("trajectory", picture), ("reconstruction", reconstruction)):
        got = dragged(setup, source)
        assert float((got - want)[outside].abs().max()) <= within(1e-5), source
        assert float((got - want)[~outside].abs().max()) > 0.1, source
