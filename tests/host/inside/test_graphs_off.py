"""Where a UNet's passes are not recorded, or a recording fails, they run as they are; one line says why."""

from __future__ import annotations

import os
import sys
from typing import Any

import comfy.model_management as mm
import pytest
import torch
from comfy.patcher_extension import WrappersMP
from recordings import Seen, as_found, in_session, passes, plain, recorded, same, tiny_unet
from region_drag_editing.drag_core.backends.graphed import Graphs
from region_drag_editing.drag_core.backends.recorders import Rehearsal
from region_drag_editing.nodes.host import graphs, marked
from region_drag_editing.nodes.host.backbones import held
from torch import Tensor


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    return recorded(monkeypatch)


@pytest.fixture
def model() -> Any:
    return tiny_unet()


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


def test_too_little_memory(seen: Seen, model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    want, _, _ = plain(model)
    monkeypatch.setattr(graphs, "SPARE", 2**60)
    got, said, _ = in_session(model)
    assert same(got, want) and "a recording wants" in said and not seen.made[0].warmed


def test_after_a_recording_that_ended_the_process_none_is_made(seen: Seen, model: Any) -> None:
    """CUDA's own allocator aborts where a recording breaks; the file that was there then stays."""
    there: list[bool] = []

    class Asked(Rehearsal):
        def record(self, work: Any) -> Any:
            there.append(seen.mark.is_file())
            return super().record(work)

    marked.Marked(Asked()).record(lambda: (torch.ones(2) + 1,))
    with pytest.raises(KeyboardInterrupt):
        marked.Marked(Asked()).record(_stopped)
    assert there == [True, True] and not seen.mark.exists()
    seen.mark.write_text("left")
    want, _, _ = plain(model)
    got, said, ran = in_session(model)
    assert ran is None and same(got, want)
    assert said == f"off: ComfyUI ended while one was recorded; delete {seen.mark} to allow them again"
    seen.mark.unlink()
    assert "recorded" in in_session(model)[1] and not seen.mark.exists()


def _stopped() -> tuple[Tensor, ...]:
    raise KeyboardInterrupt


@pytest.mark.parametrize("which", range(6))
def test_a_recording_that_fails(model: Any, which: int, monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing(Rehearsal):
        def record(self, work: Any) -> Any:
            if self.recorded == which:
                work()
                raise RuntimeError("CUDA error: operation not permitted when stream is capturing")
            return super().record(work)

    want, _, _ = plain(model)
    recorded(monkeypatch)
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
