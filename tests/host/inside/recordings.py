"""Passes of a small UNet in a session, recorded by a stand-in that notes the calls of all operators and makes
them again, without Python: what test_graphs.py and test_graphs_off.py ask.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from region_drag_editing.drag_core.backends.recorders import Rehearsal
from region_drag_editing.drag_core.types import FeatureTap
from region_drag_editing.nodes.host import graphs, marked
from region_drag_editing.nodes.host.session import SessionNeeds, run
from torch import Tensor

F32, F16 = torch.float32, torch.float16
WEIGHTS = tiny.unet_weights()
LEVELS = (781.0, 781.0, 781.0, 781.0, 381.0, 381.0, 41.0)
UP = FeatureTap("up.0")


@dataclass
class Seen:
    """What the sessions of a test recorded with, and the file that is there while they record."""

    made: list[Any] = field(default_factory=list)
    mark: Path = Path()


def recorded(monkeypatch: pytest.MonkeyPatch) -> Seen:
    """From now on every session of a UNet records; under dynamic VRAM it stays on the imitated card whole."""
    out = Seen()

    def recorder(device: torch.device) -> Rehearsal:
        out.made.append(Rehearsal())
        return out.made[-1]

    monkeypatch.setattr(graphs, "recorder_for", recorder)
    out.mark = Path(tempfile.mkdtemp()) / "user" / marked.NAME  # not that of the host, which others use too
    monkeypatch.setattr(marked, "place", lambda: out.mark)
    if "rehearsal" in sys.modules:
        monkeypatch.setattr(sys.modules["rehearsal"], "PAGED", 2**40)
    return out


def tiny_unet() -> Any:
    return tiny.load_unet(WEIGHTS, F32)


def passes(backbone: Any, z0: Tensor) -> tuple[list[Tensor], str | None, Any]:
    """Updates at several levels with a loss that changes, and passes without gradient between them."""
    out: list[Tensor] = []
    z = tiny.at(backbone, tiny.noise(1, 4, *tiny.LATENT, seed=3))
    for k, t in enumerate(LEVELS):
        with torch.no_grad():
            wanted, _ = backbone.features(0.9 * z, t, (UP,))
            out += [backbone.predict(z, t), *wanted]
        x = z.clone().requires_grad_()
        maps, end = backbone.features(x, t, tiny.UNET_TAPS, stop=k % 2 == 0)
        loss = sum((k + 1) * (m - m.detach().roll(1, -1)).abs().mean() for m in maps)
        if end is not None:
            loss = loss + end.abs().mean()
        (g,) = torch.autograd.grad(loss, x)
        out += [*(m.detach() for m in maps), g]
        z = z - 0.1 * g
    return out, graphs.said(backbone), backbone.graphs


def in_session(patcher: Any, body: Callable[..., Any] = passes, gradients: bool = True) -> Any:
    with torch.inference_mode():
        need = SessionNeeds(tiny.UNET_TAPS, gradients, whole=True, sigmas=(0.0, 10.0))
        return run(patcher, tiny.positive(), torch.zeros(1, 4, *tiny.LATENT), body, need)


def plain(patcher: Any, body: Callable[..., Any] = passes) -> Any:
    with pytest.MonkeyPatch.context() as m:
        m.setattr(graphs, "WANTED", False)
        return in_session(patcher, body)


def same(a: list[Tensor], b: list[Tensor]) -> bool:
    return len(a) == len(b) and all(map(torch.equal, a, b))


def as_found(patcher: Any) -> None:
    model = patcher.model
    assert tiny.hooks(model.diffusion_model) == 0
    assert not any("forward" in m.__dict__ for m in model.diffusion_model.modules())
    assert "timestep" not in model.model_sampling.__dict__ and "get_free_memory" not in patcher.__dict__
