"""The gradient is the same whatever the host does with the weights: inference tensors, patches,
buffers that the next layer overwrites, pages that come and go; and with only the blocks that a drag runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import comfy.model_patcher
import comfy.sd
import pytest
import tiny
import torch
from bounds import merged, within
from bounds import same as same_output
from emulate import dynamic_vram, imitated, not_dynamic, shared_buffers, small_card
from region_drag_editing.drag_core.types import DragError, FeatureTap
from region_drag_editing.nodes.host import memory
from region_drag_editing.nodes.host.backbones import grad
from tiny import error
from tiny_gradients import gradients
from torch import Tensor

F32 = torch.float32
LIMIT = 1e-4
KINDS = ("flux", "unet")
WEIGHTS = {"flux": tiny.flux_weights(), "unet": tiny.unet_weights()}


def load(kind: str, folder: Path, inference: bool = True, weights: tiny.Weights | None = None) -> Any:
    weights = weights or WEIGHTS[kind]
    if kind == "unet":
        return tiny.load_unet(weights, F32, inference)
    return tiny.load_flux(weights, folder / "model.safetensors", F32, inference)


def same(found: list[Tensor], want: Tensor, what: str, limit: float = LIMIT) -> None:
    errors = [error(g, want) for g in found]
    print(f"{what}: {max(errors):.1e}")
    assert max(errors) <= limit


@contextmanager
def plain_autograd() -> Iterator[None]:
    """Only norms are ours: linears and convolutions save their weights, as they do in the host."""
    with pytest.MonkeyPatch.context() as m:
        kind = grad._kind
        m.setattr(grad, "_kind", lambda x: grad._norm if kind(x) is grad._norm else None)
        yield


def goes_wrong(patcher: Any) -> str:
    """What plain autograd makes of this: the test above it would see it."""
    try:
        with plain_autograd():
            (got,) = gradients(patcher, checkpoint=(False,))
    except RuntimeError as e:
        return str(e)
    return f"error {error(got, want_of(patcher)):.2f}"


def want_of(patcher: Any) -> Tensor:
    kind = "flux" if hasattr(patcher.model.diffusion_model, "double_blocks") else "unet"
    return NORMAL[kind]


NORMAL: dict[str, Tensor] = {}


@pytest.fixture(scope="module", autouse=True)
def normal(tmp_path_factory: pytest.TempPathFactory) -> None:
    """From ordinary weights and plain autograd."""
    for kind in KINDS:
        patcher = load(kind, tmp_path_factory.mktemp(kind), inference=False)
        assert not any(p.is_inference() for p in patcher.model.parameters())
        with plain_autograd():
            (NORMAL[kind],) = gradients(patcher, checkpoint=(False,), inference=False)


@pytest.mark.parametrize("kind", KINDS)
def test_inference_weights(kind: str, tmp_path: Path) -> None:
    patcher = load(kind, tmp_path)
    assert all(p.is_inference() for p in patcher.model.parameters())
    same(gradients(patcher), NORMAL[kind], f"{kind}, inference weights")
    if not patcher.is_dynamic():  # whose weights are made anew, in the body, at every use
        assert "Inference tensors cannot be saved" in goes_wrong(patcher)
    assert all(p.is_inference() for p in patcher.model.parameters())


LORA_ON = {
    "flux": ("double_blocks.0.img_attn.qkv", "double_blocks.1.txt_mlp.0", "single_blocks.0.linear1"),
    "unet": (
        "input_blocks.1.1.transformer_blocks.0.attn1.to_k",
        "output_blocks.0.1.transformer_blocks.0.ff.net.2",
    ),
}


def lora_of(kind: str) -> tuple[dict[str, Tensor], tiny.Weights]:
    """A LoRA's file, and the model's weights with 0.7 of it added."""
    file, weights = {}, dict(WEIGHTS[kind])
    for i, name in enumerate(LORA_ON[kind]):
        rows, columns = weights[f"{name}.weight"].shape
        up, down = 0.1 * tiny.noise(rows, 4, seed=30 + i), 0.1 * tiny.noise(4, columns, seed=40 + i)
        file |= {f"diffusion_model.{name}.lora_B.weight": up, f"diffusion_model.{name}.lora_A.weight": down}
        weights[f"{name}.weight"] = weights[f"{name}.weight"] + 0.7 * up @ down
    return file, weights


@pytest.mark.parametrize("room", [None, 3e5, 1.0], ids=["merged", "partly loaded", "all outside"])
@pytest.mark.parametrize("kind", KINDS)
def test_lora(kind: str, room: float | None, tmp_path: Path) -> None:
    file, weights = lora_of(kind)
    ordinary = load(kind, tmp_path, inference=False, weights=weights)
    (want,) = gradients(ordinary, checkpoint=(False,), inference=False)
    with torch.inference_mode():
        patched, _ = comfy.sd.load_lora_for_models(load(kind, tmp_path), None, file, 0.7, 0)
    assert len(patched.patches) == len(LORA_ON[kind])
    on_the_fly: list[str] = []

    def see(backbone: Any) -> None:
        for name, m in backbone.net.named_modules():
            given = [*getattr(m, "weight_function", []), getattr(m, "weight_lowvram_function", None)]
            if any(isinstance(f, comfy.model_patcher.LowVramPatch) for f in given):
                on_the_fly.append(name)

    with nullcontext() if room is None else small_card(room):
        found = gradients(patched, see=see)
    where = "merged" if room is None else f"with {room:g} B of room"
    same(found, want, f"{kind}, LoRA {where}", merged(LIMIT))
    assert error(NORMAL[kind], want) > max(100 * LIMIT, 3 * merged(LIMIT))
    assert set(on_the_fly) <= set(LORA_ON[kind]) and bool(on_the_fly) == (
        room is not None or patched.is_dynamic()
    )


@imitated
@pytest.mark.parametrize("earlier", [False, True], ids=["fresh", "after a sampler"])
@pytest.mark.parametrize("kind", KINDS)
def test_shared_cast_buffers(kind: str, earlier: bool, tmp_path: Path) -> None:
    patcher = load(kind, tmp_path)
    with small_card(1.0), shared_buffers() as buffers:
        if earlier:
            tiny.output(patcher)
        same(gradients(patcher), NORMAL[kind], f"{kind}, shared buffers")
        assert len(buffers) == 2
        said = goes_wrong(patcher)
    print("plain autograd:", said)
    assert "modified by an inplace operation" in said or said.startswith("error ") and float(said[6:]) > 0.1


@imitated
@pytest.mark.parametrize("earlier", [False, True], ids=["fresh", "after a sampler"])
@pytest.mark.parametrize("share", [1.0, 0.4], ids=["all resident", "under pressure"])
@pytest.mark.parametrize("kind", KINDS)
def test_dynamic_vram(kind: str, share: float, earlier: bool, tmp_path: Path) -> None:
    patcher = load(kind, tmp_path)
    with dynamic_vram(patcher.model.diffusion_model, 1e9) as probe:
        pass
    with dynamic_vram(patcher.model.diffusion_model, share * probe.used) as vram:
        if earlier:
            tiny.output(patcher)
        same(gradients(patcher), NORMAL[kind], f"{kind}, dynamic VRAM, {share:.0%} of the room")
        assert vram.stayed > 0 and (vram.streamed > 0) == (share < 1)
        said = goes_wrong(patcher)
    print("plain autograd:", said)
    if share < 1 or earlier:
        assert "nference" in said or "inplace" in said or float(said[6:]) > 0.1


@not_dynamic
def test_pruned_clone(tmp_path: Path) -> None:
    """Only the blocks up to the last tap are loaded, and all are back afterwards."""
    taps = (FeatureTap("double.0"),)
    patcher = load("flux", tmp_path)
    net = patcher.model.diffusion_model
    names = [n for n, _ in net.named_parameters()]
    before = tiny.output(patcher)
    whole = patcher.loaded_size()
    (want,) = gradients(patcher, taps, checkpoint=(False,))
    held: list[tuple[int, int, int]] = []
    clone = memory.pruned(patcher, taps)

    def see(backbone: Any) -> None:
        n = backbone.net
        held.append((len(n.double_blocks), len(n.single_blocks), clone.loaded_size()))

    found = gradients(clone, taps, see=see)
    assert max(error(g, want) for g in found) <= within(0.0) and len(found) == 2
    doubles, singles, loaded = held[0]
    print(f"loaded {loaded / 1e6:.1f} of {whole / 1e6:.1f} MB")
    assert (doubles, singles) == (1, 0) and loaded < 0.5 * whole
    assert same_output(tiny.output(patcher), before)
    assert [n for n, _ in net.named_parameters()] == names and patcher.loaded_size() == whole


@not_dynamic
def test_pruned_clone_has_its_modulations_as_constants(tmp_path: Path) -> None:
    """But for the one that a LoRA changes, which is loaded as it is; everything is back afterwards."""
    taps = (FeatureTap("double.1"),)
    patcher = load("flux", tmp_path)
    name = "diffusion_model.double_blocks.0.img_mod.lin.weight"
    before = tiny.output(patcher)
    patched = patcher.clone()
    patched.add_patches({name: ("diff", (torch.full((1536, 256), 0.01),))})
    (want,) = gradients(patched, taps, checkpoint=(False,))
    with_patch = tiny.output(patched)
    clone = memory.pruned(patched, taps)
    held: list[int] = []
    found = gradients(clone, taps, see=lambda backbone: held.append(clone.loaded_size()))
    assert max(error(g, want) for g in found) <= within(0.0) and len(found) == 2
    modulation = 4 * 1536 * (256 + 1)  # bytes of one, in float32
    assert clone.size == memory.drag_bytes(patcher, taps) + modulation and list(clone.patches) == [name]
    print(f"loaded {held[0] / 1e6:.2f} MB")
    assert same_output(tiny.output(patched), with_patch) and same_output(tiny.output(patcher), before)


@not_dynamic
def test_pruned_clone_with_a_lora_on_what_is_gone(tmp_path: Path) -> None:
    file, weights = lora_of("flux")
    taps = (FeatureTap("double.1"),)
    ordinary = load("flux", tmp_path, inference=False, weights=weights)
    (want,) = gradients(ordinary, taps, checkpoint=(False,), inference=False)
    patcher = load("flux", tmp_path)
    before = tiny.output(patcher)
    with torch.inference_mode():
        patched, _ = comfy.sd.load_lora_for_models(patcher, None, file, 0.7, 0)
    with_lora = tiny.output(patched)
    clone = memory.pruned(patched, taps)
    assert len(clone.patches) == 2 and len(patched.patches) == 3
    same(gradients(clone, taps), want, "pruned, with a LoRA", merged(LIMIT))
    assert same_output(tiny.output(patched), with_lora) and same_output(tiny.output(patcher), before)


@pytest.mark.parametrize("times", [1, 2])
def test_out_of_memory(times: int, tmp_path: Path) -> None:
    patcher, tried = load("flux", tmp_path), []

    def body(backbone: Any, z: Tensor) -> str:
        tried.append(backbone.checkpoint)
        if len(tried) <= times:
            raise torch.OutOfMemoryError("no room")
        return "done"

    if times == 1:
        assert tiny.in_session(patcher, body, tiny.FLUX_TAPS) == "done"
    else:
        with pytest.raises(
            DragError, match=r"a drag at 144x96 needs about .* GiB .* picture of about \d+x\d+"
        ):
            tiny.in_session(patcher, body, tiny.FLUX_TAPS)
    assert tried == [False, True]
    assert grad.replaced(patcher.model) == []


def test_out_of_memory_without_checkpoints(tmp_path: Path) -> None:
    def body(backbone: Any, z: Tensor) -> None:
        raise torch.OutOfMemoryError("no room")

    with pytest.raises(DragError, match="GiB"):
        tiny.in_session(load("unet", tmp_path), body, tiny.UNET_TAPS)
