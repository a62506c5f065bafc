"""A UNet's passes recorded and replayed in a session: rehearsed with a stand-in that notes the calls of all
operators and makes them again, without Python.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import comfy.model_management as mm
import comfy.ops
import pytest
import tiny
import torch
from comfy.patcher_extension import WrappersMP
from region_drag_editing.drag_core.backends.graphed import Graphs
from region_drag_editing.drag_core.backends.recorders import Rehearsal
from region_drag_editing.drag_core.trajectory.kvcache import KVPlain
from region_drag_editing.drag_core.types import FeatureTap, KVInject, KVRecord
from region_drag_editing.nodes.host import graphs
from region_drag_editing.nodes.host.backbones import held
from region_drag_editing.nodes.host.session import SessionNeeds, run
from torch import Tensor

F32, F16 = torch.float32, torch.float16
WEIGHTS = tiny.unet_weights()
LEVELS = (781.0, 781.0, 781.0, 781.0, 381.0, 381.0, 41.0)
UP = FeatureTap("up.0")


@dataclass
class Seen:
    """What the sessions of a test recorded with."""

    made: list[Any] = field(default_factory=list)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    out = Seen()

    def recorder(device: torch.device) -> Rehearsal:
        out.made.append(Rehearsal())
        return out.made[-1]

    monkeypatch.setattr(graphs, "recorder_for", recorder)
    return out


@pytest.fixture(autouse=True)
def large_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under dynamic VRAM the whole model stays on the imitated card."""
    if "rehearsal" in sys.modules:
        monkeypatch.setattr(sys.modules["rehearsal"], "PAGED", 2**40)


@pytest.fixture
def model() -> Any:
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


def test_keys_and_values_run_as_they_are(seen: Seen, model: Any) -> None:
    def body(backbone: Any, z0: Tensor) -> tuple[list[Tensor], int]:
        store, z, out = KVPlain(), tiny.at(backbone, tiny.noise(1, 4, *tiny.LATENT)), []
        with torch.no_grad():
            for t in LEVELS:
                out.append(backbone.predict(z, t, KVRecord(store, ("attn.3",))))
                out.append(backbone.predict(0.5 * z, t, KVInject(store, ("attn.3",))))
        return out, 0 if backbone.graphs is None else len(backbone.graphs.passes)

    want, _ = plain(model, body)
    got, recorded = in_session(model, body)
    assert same(got, want) and recorded == 0


def wrapped(patcher: Any) -> Any:
    clone = patcher.clone()
    clone.add_wrapper_with_key(WrappersMP.APPLY_MODEL, "theirs", lambda e, *a, **kw: e(*a, **kw))
    return clone


def patched(patcher: Any) -> Any:
    clone = patcher.clone()
    clone.set_model_attn1_patch(lambda q, k, v, extra: (q, k, v))
    return clone


def overridden(patcher: Any) -> Any:
    clone = patcher.clone()
    options = clone.model_options["transformer_options"]
    options["optimized_attention_override"] = lambda f, *a, **kw: f(*a, **kw)
    return clone


def replaced(patcher: Any) -> Any:
    clone = patcher.clone()
    clone.add_object_patch("model_sampling", patcher.model.model_sampling)
    return clone


OTHERS = {
    "apply_model": wrapped,
    "patches": patched,
    "optimized_attention_override": overridden,
    "model_sampling": replaced,
}


@pytest.mark.parametrize("name", OTHERS)
def test_with_parts_of_another_node_nothing_is_recorded(seen: Seen, model: Any, name: str) -> None:
    _, said, ran = in_session(OTHERS[name](model))
    assert ran is None and said is not None
    assert said.startswith(f"off: another node's parts are on the model ({name}"), said


def test_a_hook_of_another_node(seen: Seen, model: Any) -> None:
    handle = model.model.diffusion_model.input_blocks[0].register_forward_hook(lambda *a: None)
    try:
        assert "forward hooks" in in_session(model)[1]
    finally:
        handle.remove()


def test_weights_that_are_not_all_there(seen: Seen, model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "_check", _refuse)
    want, _, _ = plain(model)
    got, said, _ = in_session(model)
    assert same(got, want) and said == "off: some weight is elsewhere" and not held.grad.HELD
    as_found(model)


def _refuse(m: Any, *args: Any) -> None:
    if isinstance(m, torch.nn.LayerNorm):
        raise held.NotHeld("some weight is elsewhere")


@pytest.mark.skipif(os.environ.get("DRAG_MODE") != "dynamic", reason="of dynamic VRAM")
def test_weights_that_are_paged_out(seen: Seen, model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["rehearsal"], "PAGED", 2**20)
    assert in_session(model)[1] == "off: a part of the weights is not on the device"


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


def test_too_little_memory(seen: Seen, model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    want, _, _ = plain(model)
    monkeypatch.setattr(graphs, "SPARE", 2**60)
    got, said, _ = in_session(model)
    assert same(got, want) and "a recording wants" in said and not seen.made[0].warmed


@pytest.mark.parametrize("which", range(6))
def test_a_recording_that_fails(model: Any, which: int, monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing(Rehearsal):
        def record(self, work: Any) -> Any:
            if self.recorded == which:
                work()
                raise RuntimeError("CUDA error: operation not permitted when stream is capturing")
            return super().record(work)

    want, _, _ = plain(model)
    monkeypatch.setattr(graphs, "recorder_for", lambda device: Failing())
    got, said, _ = in_session(model)
    assert same(got, want)
    assert said == "off: RuntimeError: CUDA error: operation not permitted when stream is capturing"
    as_found(model)


def test_an_interrupt_between_replays(seen: Seen, model: Any) -> None:
    def body(backbone: Any, z: Tensor) -> None:
        passes(backbone, z)
        assert backbone.graphs.passes
        raise mm.InterruptProcessingException

    with pytest.raises(mm.InterruptProcessingException):
        in_session(model, body)
    assert not seen.made[0].tapes
    as_found(model)
    assert same(in_session(model)[0], plain(model)[0])


def test_an_interrupt_inside_a_recording(seen: Seen, model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Graphs] = []

    def record(self: Any, work: Any) -> Any:
        mm.interrupt_current_processing()
        work()

    def body(backbone: Any, z: Tensor) -> None:
        kept.append(backbone.graphs)
        passes(backbone, z)

    monkeypatch.setattr(Rehearsal, "record", record)
    with pytest.raises(mm.InterruptProcessingException):
        in_session(model, body)
    assert not kept[0].passes
    as_found(model)


def test_without_a_card_nothing_is_recorded_and_nothing_said(model: Any) -> None:
    _, said, ran = in_session(model)
    assert said is None and ran is None
