"""DRAG_MODE is the mode that these tests run in, and what a card refuses is refused here."""

from __future__ import annotations

import os
from pathlib import Path

import comfy.model_management as mm
import pytest
import tiny
import torch
from bounds import ON_CARD
from region_drag_editing.nodes.host.loaders import load_embedded
from torch import Tensor

MODE = os.environ.get("DRAG_MODE") or "cpu"
F32 = torch.float32


def test_the_host_is_in_the_mode_that_was_asked_for(tmp_path: Path) -> None:
    with torch.inference_mode():
        embedded = load_embedded("embedded-flux")[0]
    for patcher in (embedded, tiny.load_flux(tiny.flux_weights(), tmp_path / "f.safetensors", F32)):
        assert (MODE != "cpu") == ON_CARD and patcher.load_device == mm.get_torch_device()
        assert patcher.is_dynamic() == (MODE == "dynamic")
    state = {"lowvram": mm.VRAMState.LOW_VRAM, "novram": mm.VRAMState.NO_VRAM}
    state |= {"highvram": mm.VRAMState.HIGH_VRAM, "cpu": mm.VRAMState.DISABLED}
    assert mm.vram_state == state.get(MODE, mm.VRAMState.NORMAL_VRAM)


def test_weights_are_on_the_card_while_a_body_runs(tmp_path: Path) -> None:
    """Under dynamic VRAM they come when a layer runs."""
    patcher = tiny.load_flux(tiny.flux_weights(), tmp_path / "f.safetensors", F32)
    seen: list[Tensor] = []

    def body(backbone: object, z: Tensor) -> str:
        seen.extend(p.detach()[..., :0] for p in patcher.model.diffusion_model.parameters())
        return str(z.device)

    assert tiny.in_session(patcher, body) == str(mm.get_torch_device())
    here = {str(p.device) for p in seen}
    if MODE in ("cpu", "normal", "highvram"):
        assert here == {str(mm.get_torch_device())}
    elif MODE == "dynamic":
        assert "cpu" in here


@pytest.mark.skipif(not ON_CARD, reason="needs DRAG_MODE=normal: on the CPU there is no second device")
def test_tensors_on_two_devices_do_not_mix() -> None:
    on_card, numbers = torch.ones(3, device=mm.get_torch_device()), torch.ones(3)
    with pytest.raises(RuntimeError, match="Expected all tensors to be on the same device"):
        on_card + numbers
    assert float((on_card + torch.tensor(1.0)).sum()) == 6.0  # a number may come from anywhere
