"""What precision a body, our layers and the embedded autoencoder compute in, whatever stands round them; and
a drag that leaves the range of latents.
"""

from __future__ import annotations

import json
import re
from typing import Any

import comfy.model_management as mm
import comfy.ops
import pytest
import tiny
import torch
from bounds import same
from disc import moved_disc
from region_drag_editing.drag_core.ranges import Ranged
from region_drag_editing.drag_core.trajectory.bounds import Diverged
from region_drag_editing.drag_core.types import DragError
from region_drag_editing.nodes import DragInvert, DragOptimize
from region_drag_editing.nodes.host import progress
from region_drag_editing.nodes.host.backbones.grad import first_rows, frozen
from region_drag_editing.nodes.host.loaders import load_embedded
from region_drag_editing.nodes.host.session import SessionNeeds, run
from torch import Tensor, nn

HALVES = [torch.float16, torch.bfloat16]


@pytest.fixture(scope="module", params=["embedded-flux", "embedded-sd"])
def setup(request: pytest.FixtureRequest) -> dict[str, Any]:
    made = moved_disc(request.param)
    given = (made["model"], made["positive"], made["latent"], "auto", 8, 0.5, "auto", 1.0, "auto")
    with torch.inference_mode():
        return {"inversion": DragInvert.execute(*given).args[3]} | made


@pytest.fixture(autouse=True)
def any_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """The node lets no step above 1e5 in; what these tests ask for is a drag that runs away."""
    monkeypatch.setattr(Ranged, "__post_init__", lambda numbers: None)


def dragged(setup: dict[str, Any], step: float, preview: int = 0, model: Any = None) -> tuple[Tensor, Any]:
    """Six updates, no matter what they do to the latent."""
    numbers = {"method": "region", "iterations": 4, "hold": 2, "step": step}
    with torch.inference_mode():
        out = DragOptimize.execute(
            model or setup["model"], setup["positive"], setup["inversion"], setup["regions"], "custom",
            "ours", numbers, "auto", "off", 0, preview,
        ).args  # fmt: skip
    return out[0]["samples"], json.loads(out[4])


@pytest.mark.parametrize("half", HALVES)
def test_a_body_never_sees_the_callers_autocast(setup: dict[str, Any], half: torch.dtype) -> None:
    """As another pack may leave it open: prediction and whole drag are the same bits."""

    device = mm.get_torch_device().type

    def body(backbone: Any, z: Tensor) -> tuple[bool, Tensor]:
        with torch.no_grad():
            return torch.is_autocast_enabled(device), backbone.predict(z, 0.5)

    args = (setup["model"], setup["positive"], setup["latent"]["samples"], body, SessionNeeds())
    plain, edited = run(*args)[1], dragged(setup, 300.0)
    with torch.autocast(device, dtype=half):
        seen, got = run(*args)
        again = dragged(setup, 300.0)
        assert torch.is_autocast_enabled(device)  # the caller's own is left as it was
    assert not seen and same(got, plain) and same(again[0], edited[0])
    assert same(*(torch.tensor(d[1]["losses"]) for d in (again, edited)))


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("kind", ["linear", "rows", "conv"])
def test_frozen_layers_keep_the_precision_they_are_given(kind: str, half: torch.dtype) -> None:
    torch.manual_seed(0)
    ops = comfy.ops.manual_cast
    layer = ops.Conv2d(8, 12, 3, padding=1) if kind == "conv" else ops.Linear(8, 12)
    shape = (12, 8, 3, 3) if kind == "conv" else (12, 8)
    layer.weight, layer.bias = nn.Parameter(torch.randn(shape)), nn.Parameter(torch.randn(12))
    x = torch.randn((1, 8, 6, 6) if kind == "conv" else (5, 8))

    def both() -> tuple[Tensor, Tensor]:
        with frozen(nn.Sequential(layer)):
            z = x.clone().requires_grad_()
            out = first_rows(layer, z, 7) if kind == "rows" else layer(z)
            (gradient,) = torch.autograd.grad(out, z, torch.cos(out.detach()))
        return out.detach(), gradient

    want = both()
    with torch.autocast("cpu", dtype=half):
        got = both()
    assert all(torch.equal(a, b) and a.dtype == torch.float32 for a, b in zip(got, want, strict=True))


def test_the_embedded_autoencoder_is_float32_on_a_card_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A card prefers bfloat16 for the class of autoencoder that it is."""
    monkeypatch.setattr(mm, "should_use_bf16", lambda *args, **kw: True)
    assert mm.vae_dtype(None, [torch.bfloat16, torch.float32]) == torch.bfloat16
    vae = load_embedded("embedded-sd")[2]
    assert vae.vae_dtype == torch.float32
    seen: set[torch.dtype] = set()
    for m in vae.first_stage_model.modules():
        if isinstance(m, nn.Conv2d):
            m.register_forward_hook(lambda m, args, out: seen.update({args[0].dtype, out.dtype}))
    vae.decode(torch.zeros(1, vae.latent_channels, 16, 16))
    assert seen == {torch.float32}  # under dynamic VRAM the weights rest in the file's float16


def test_steps_from_too_large_to_absurd_are_told(setup: dict[str, Any]) -> None:
    source = setup["inversion"].trajectory.z[0]
    large, _ = dragged(setup, 1e4)
    assert torch.isfinite(large).all() and float(large.std() / setup["latent"]["samples"].std()) < 1.5
    for step in (1e6, 1e8, 1e12):
        with pytest.raises(DragError) as error:
            dragged(setup, step)
        said = re.fullmatch(
            r"the drag diverged: after update 1 of 6 the latent is (\S+) away from the picture's own, whose "
            r"largest value is (\S+) \(at most 10 times that is a latent\): use a smaller step",
            str(error.value),
        )
        assert said is not None, error.value
        assert float(said[2]) == pytest.approx(float(source.abs().max()), rel=1e-2)
        assert float(said[1]) > 10 * float(said[2])


def test_a_preview_ends_a_diverged_drag(setup: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """It has waited for the device, so that it may look: of six updates two are made, not all."""
    shown: list[int] = []

    class Previewer:
        def decode_latent_to_preview_image(self, kind: str, z: Tensor) -> None:
            shown.append(1)

    monkeypatch.setattr(progress.latent_preview, "get_previewer", lambda *args: Previewer())
    with pytest.raises(DragError, match="after update 1 of 6"):
        dragged(setup, 1e8, preview=2)
    assert shown == [1]
    shown.clear()
    dragged(setup, 1.0, preview=2)
    assert len(shown) >= 3


def test_only_a_model_in_float16_is_told_of_its_precision(setup: dict[str, Any]) -> None:
    half = tiny.computing_in(setup["model"], torch.float16)
    with pytest.raises(
        DragError, match="use a smaller step, or load the model in bfloat16 or float32: it comp"
    ):
        dragged(setup, 1e8, model=half)
    with pytest.raises(Diverged, match="use a smaller step$"):
        dragged(setup, 1e8)
