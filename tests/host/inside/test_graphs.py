"""A UNet's passes recorded and replayed in a session have the bits of the passes themselves."""

from __future__ import annotations

from typing import Any

import comfy.ops
import pytest
import tiny
import torch
from recordings import (
    F16,
    F32,
    LEVELS,
    UP,
    WEIGHTS,
    Seen,
    as_found,
    in_session,
    passes,
    plain,
    recorded,
    same,
    tiny_unet,
)
from region_drag_editing.drag_core.trajectory.kvcache import KVPlain
from region_drag_editing.drag_core.types import AffineMotion, Grid, KVInject, KVRecord, Region, Task
from region_drag_editing.nodes.host import graphs, inversion
from region_drag_editing.nodes.host.backbones import held
from region_drag_editing.nodes.host.inversion import invert_latent
from region_drag_editing.nodes.host.loaders import load_embedded
from region_drag_editing.nodes.host.optimise import drag_latent
from region_drag_editing.nodes.host.wish import DragChoices
from torch import Tensor


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    return recorded(monkeypatch)


@pytest.fixture
def model() -> Any:
    return tiny_unet()


@pytest.mark.parametrize("dtype", [F32, F16], ids=str)
def test_the_same_bits(seen: Seen, dtype: torch.dtype) -> None:
    patcher = (
        tiny.load_unet(WEIGHTS, F32) if dtype == F32 else tiny.computing_in(tiny.load_unet(WEIGHTS, F16), F16)
    )
    want, none, _ = plain(patcher)
    got, said, ran = in_session(patcher)
    assert none is None and same(got, want)
    (recorder,) = seen.made
    # features without and with a gradient (two ways, with a backward), predictions
    assert said == f"4 recorded, {ran.replays} replayed" and recorder.recorded == 6 and ran.replays > 10
    assert recorder.replayed > ran.replays and not recorder.tapes  # all given back
    as_found(patcher)


def test_calls_are_counted_as_they_were(seen: Seen, model: Any) -> None:
    def body(backbone: Any, z: Tensor) -> int:
        passes(backbone, z)
        return int(backbone.call.calls)

    assert in_session(model, body) == plain(model, body) == 3 * len(LEVELS)


def test_injected_keys_and_values(seen: Seen, model: Any) -> None:
    """Of another level in every pass; recording them runs as it is."""

    def body(backbone: Any, z0: Tensor) -> tuple[list[Tensor], int]:
        store, z, out = KVPlain(), tiny.at(backbone, tiny.noise(1, 4, *tiny.LATENT)), []
        layers = ("attn.1", "attn.3", "attn.6")
        for k, t in enumerate(LEVELS):
            with torch.no_grad():
                out.append(backbone.predict(z, t + k, KVRecord(store, layers)))
        for k, t in enumerate(LEVELS):
            kv = KVInject(store, layers)
            with torch.no_grad():
                out.append(backbone.predict(0.5 * z, t + k, kv))
            x = (z + 0.1 * k).requires_grad_()
            maps, _ = backbone.features(x, t + k, (UP,), kv)
            out += [maps[0].detach(), torch.autograd.grad(maps[0].abs().mean(), x)[0]]
        return out, 0 if backbone.graphs is None else len(backbone.graphs.passes)

    want, _ = plain(model, body)
    got, recorded = in_session(model, body)
    assert same(got, want) and recorded == 2


def test_keys_and_values_at_some_places_run_as_they_are(seen: Seen, model: Any) -> None:
    def body(backbone: Any, z0: Tensor) -> int:
        store, z = KVPlain(), tiny.at(backbone, tiny.noise(1, 4, *tiny.LATENT))
        where = torch.ones(1, 1, *tiny.LATENT)
        with torch.no_grad():
            backbone.predict(z, LEVELS[0], KVRecord(store, ("attn.3",)))
            for t in LEVELS:
                backbone.predict(z, t, KVInject(store, ("attn.3",), where))
        return len(backbone.graphs.passes)

    assert in_session(model, body) == 0


def test_a_pass_asks_the_host_for_no_weight(seen: Seen, model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    own = comfy.ops.cast_bias_weight
    monkeypatch.setattr(
        comfy.ops, "cast_bias_weight", lambda m, *a, **kw: [asked.append(m), own(m, *a, **kw)][1]
    )
    in_session(model)
    layers = [m for m in model.model.diffusion_model.modules() if isinstance(m, comfy.ops.CastWeightBiasOp)]
    assert len(asked) == len(layers)
    assert not held.grad.HELD


def test_a_whole_drag(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an embedded model: the same inversion and result, and the report says what was recorded."""
    side = 128
    mask = torch.zeros(side, side)
    mask[32:64, 32:64] = 1
    task = Task(Grid(side, side), (Region(mask, AffineMotion(shift=(24.0, 8.0), anchor=(48.0, 48.0))),))
    wish = DragChoices("custom", numbers={"iterations": 5, "hold": 2, "step": 0.01})
    made = []
    with torch.inference_mode():
        model, positive, _ = load_embedded("embedded-sd")
        for wanted in (False, True):
            monkeypatch.setattr(graphs, "WANTED", wanted)
            inversion._last.clear()
            path = invert_latent(model, positive, tiny.noise(1, 16, 16, 16), steps=12, strength=0.7)
            made.append((path, drag_latent(model, positive, path, task, wish)))
    (a, without), (b, with_them) = made
    assert same(list(a.trajectory.z), list(b.trajectory.z))
    assert torch.equal(without.result.z, with_them.result.z)
    assert without.report["losses"] == with_them.report["losses"]
    assert without.report["model_calls"] == with_them.report["model_calls"]
    assert without.report["cuda_graph"] is None and "replayed" in with_them.report["cuda_graph"]
    as_found(model)
