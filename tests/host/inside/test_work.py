"""What an update asks of the host's model: nothing twice, and no answer that has to be waited for."""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import node_helpers
import pytest
import tiny
import torch
from bounds import within
from comfy.conds import CONDRegular
from region_drag_editing.drag_core.drag import drag
from region_drag_editing.drag_core.recipes.recipe import Recipe
from region_drag_editing.drag_core.step import Step
from region_drag_editing.drag_core.trajectory.constrain import FreeBackground
from region_drag_editing.drag_core.trajectory.invert import invert
from region_drag_editing.drag_core.trajectory.kvcache import KVPlain
from region_drag_editing.drag_core.trajectory.schedules import ddim, flow
from region_drag_editing.drag_core.trajectory.solvers import ddim as ddim_step
from region_drag_editing.drag_core.trajectory.solvers import fireflow
from region_drag_editing.drag_core.types import KVInject, KVRecord
from region_drag_editing.nodes.host.backbones.call import plain_conds
from region_drag_editing.nodes.host.backbones.flux import modulations
from region_drag_editing.nodes.host.session import SessionNeeds, run
from tiny_gradients import gradient
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

WAITS = {"_local_scalar_dense", "nonzero", "is_nonzero", "equal", "masked_select", "_unique2"}
KV = ("double.1",)


class Watch(TorchDispatchMode):
    """What waits for the device, which memory is read, and the shapes of matrix products."""

    def __init__(self) -> None:
        super().__init__()
        self.forget()

    def forget(self) -> None:
        self.waits: Counter[str] = Counter()
        self.read: set[int] = set()
        self.products: Counter[tuple[int, ...]] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        out = func(*args, **(kwargs or {}))
        self.waits[name] += name in WAITS
        if name in ("mm", "addmm"):
            self.read.update(a.untyped_storage().data_ptr() for a in args if isinstance(a, Tensor))
            self.products[tuple(out.shape)] += 1
        return out


def load(kind: str, tmp_path: Path) -> Any:
    if kind == "flux":
        return tiny.load_flux(tiny.flux_weights(), tmp_path / "flux.safetensors", torch.float32)
    return tiny.load_unet(tiny.unet_weights(), torch.float32)


@pytest.mark.parametrize("checkpoint", [False, True])
def test_what_is_known_is_not_computed_again(checkpoint: bool, tmp_path: Path) -> None:
    """From the second update on: no modulation; no K and V where they are injected; the same gradient."""
    cells, width = tiny.LATENT[0] * tiny.LATENT[1] // 4, 256

    def body(backbone: Any, _: Tensor) -> tuple[Counter[tuple[int, ...]], int, float]:
        backbone.checkpoint = checkpoint
        z, cache = tiny.at(backbone, tiny.noise(1, 16, *tiny.LATENT, seed=3)), KVPlain()
        with torch.no_grad():
            reference, _ = backbone.features(z, tiny.FLOW_T, tiny.DOUBLE_TAPS, KVRecord(cache, KV))
        point = tiny.at(backbone, tiny.noise(1, 16, *tiny.LATENT, seed=4))
        asked = tiny.Asked(point, reference)
        update = partial(gradient, backbone, asked, tiny.FLOW_T, tiny.DOUBLE_TAPS, KVInject(cache, KV))
        update()
        with Watch() as watch:
            spared = update().gradient
        backbone.alone = False  # as if another pack's patches were there
        layers = [m for b in backbone.net.double_blocks for m in modulations(b)]
        weights = {m.weight.untyped_storage().data_ptr() for m in layers}
        with Watch() as all_of_it:
            whole = update().gradient
        anew = backbone.call.model.current_patcher.is_dynamic()  # at every use, elsewhere
        assert len(layers) == 4 and (anew or weights <= all_of_it.read)
        wide = (cells, 3 * width)
        blocks = 2 + checkpoint  # a checkpoint runs the first block again; backward ends in the second's norm
        assert all_of_it.products[wide] >= blocks and watch.products[wide] == all_of_it.products[wide] // 2
        return watch.products, len(weights & watch.read), tiny.error(spared, whole)

    products, read, apart = tiny.in_session(load("flux", tmp_path), body, tiny.DOUBLE_TAPS)
    assert read == 0 and products[cells, width] > 0
    assert apart < within(1e-6)


def test_the_conditioning_is_moved_to_the_device_once() -> None:
    """A text encoder leaves it on the CPU, and the host copies it at every call."""
    cond = {"model_conds": {"c_crossattn": CONDRegular(tiny.TEXT)}, "timestep_end": 0.1, "uuid": 1}
    moved = plain_conds(cond, torch.device("meta"))
    assert moved["model_conds"]["c_crossattn"].cond.device.type == "meta"
    assert moved.keys() == {"model_conds", "uuid"} and "timestep_end" in cond


@pytest.mark.parametrize("kind", ["flux", "unet"])
def test_no_update_waits_for_the_device(kind: str, tmp_path: Path) -> None:
    """Also not under a conditioning with a range of its own, which the host compares at every call."""
    patcher = load(kind, tmp_path)
    taps = tiny.FLUX_TAPS if kind == "flux" else tiny.UNET_TAPS
    schedule, solver = (flow(2), fireflow) if kind == "flux" else (ddim(4, 0.5), ddim_step)
    recipe = Recipe(
        schedule=schedule,
        solver=solver,
        taps=taps,
        supervision=tiny.supervision(),
        constraint=FreeBackground(),
        optimizer=partial(torch.optim.SGD, lr=0.01),
        ramp=((0.3, 0.6, 1.0, 1.0),),
    )
    waited: list[dict[str, int]] = []

    def body(backbone: Any, z: Tensor) -> None:
        path = invert(backbone, z, schedule, solver)
        with Watch() as watch:

            def told(_: Step) -> None:
                waited.append(dict(+watch.waits))
                watch.forget()

            drag(backbone, path, recipe, told, pause=True)

    positive = node_helpers.conditioning_set_values(
        tiny.positive(), {"start_percent": 0.0, "end_percent": 1.0}
    )
    with torch.inference_mode():
        latent = torch.zeros(1, 16 if kind == "flux" else 4, *tiny.LATENT)
        run(patcher, positive, latent, body, SessionNeeds(taps, True, sigmas=(0.0, 0.5)))
    assert len(waited) == 4 and waited[1:] == [{}, {}, {}]
