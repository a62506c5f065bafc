"""The gradient through weights that are stored in 8 bit and less."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import comfy.ops
import folder_paths
import pytest
import tiny
import torch
from bounds import ON_CARD, within
from comfy.quant_ops import QUANT_ALGOS, QuantizedTensor
from region_drag_editing.nodes.host.backbones import grad
from safetensors.torch import save_file
from tiny import error
from tiny_gradients import gradients
from torch import Tensor

import nodes

F32, F8 = torch.float32, torch.float8_e4m3fn
LIMIT = 1e-4
WEIGHTS = tiny.flux_weights()


def of_plain(weights: tiny.Weights, folder: Path) -> Tensor:
    """From a float32 file of what the stored weights mean."""
    plain = tiny.load_flux(weights, folder / "plain.safetensors", F32, False)
    (got,) = gradients(plain, checkpoint=(False,), inference=False)
    return got


def same(found: list[Tensor], want: Tensor, what: str) -> None:
    errors = [error(g, want) for g in found]
    print(f"{what}: {max(errors):.1e}")
    assert max(errors) <= LIMIT


@contextmanager
def listed(folder: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as m:
        held = dict(folder_paths.folder_names_and_paths)
        held["diffusion_models"] = ([str(folder)], {".safetensors"})
        m.setattr(folder_paths, "folder_names_and_paths", held)
        yield


def test_fp8_storage(tmp_path: Path) -> None:
    """UNETLoader with weight_dtype fp8_e4m3fn; against the same rounded weights in float32."""
    save_file(WEIGHTS, tmp_path / "plain.safetensors")
    with torch.inference_mode(), listed(tmp_path):
        (patcher,) = nodes.UNETLoader().load_unet("plain.safetensors", "fp8_e4m3fn")
    dynamic = patcher.is_dynamic()  # rounds a weight when it comes to the card, and not the small ones
    assert dynamic or all(p.dtype == F8 for p in patcher.model.diffusion_model.parameters())
    rounded = {k: v.to(F8).float() for k, v in WEIGHTS.items()}
    want, unrounded = of_plain(rounded, tmp_path), of_plain(WEIGHTS, tmp_path)
    found = gradients(tiny.computing_in(patcher, F32))
    if dynamic:
        assert error(found[0], found[1]) <= within(1e-6) and error(found[0], want) <= 0.05
        return
    same(found, want, "fp8 storage")
    print("fp8 storage against float32:", error(want, unrounded))
    assert error(want, unrounded) > 100 * LIMIT


@pytest.mark.parametrize("fast", [False, True], ids=["dequantised", "8 bit products"])
def test_scaled_fp8(fast: bool, tmp_path: Path) -> None:
    """A file in the host's own quantised layout; `fast`: multiplied in 8 bit, as a card that can does."""
    file, meant = {}, {}
    for k, v in WEIGHTS.items():
        if v.ndim == 2 and "blocks" in k:
            scale, base = v.abs().max() / 448, k.removesuffix("weight")
            file[k] = (v / scale).to(F8)
            file[f"{base}weight_scale"] = scale
            said = json.dumps({"format": "float8_e4m3fn"}).encode()
            file[f"{base}comfy_quant"] = torch.tensor(list(said), dtype=torch.uint8)
            meant[k] = file[k].float() * scale
        else:
            file[k] = v.to(torch.bfloat16)
            meant[k] = file[k].float()
    save_file(file, tmp_path / "scaled.safetensors")
    with torch.inference_mode(), listed(tmp_path):
        (patcher,) = nodes.UNETLoader().load_unet("scaled.safetensors", "default")
    quantised = [m for m in patcher.model.modules() if hasattr(getattr(m, "weight", None), "_qdata")]
    assert len(quantised) == sum(k.endswith("comfy_quant") for k in file)
    want = of_plain(meant, tmp_path)
    for m in quantised:
        assert m._full_precision_mm or ON_CARD  # what the host chooses on a CPU
        m._full_precision_mm = not fast
    if not fast:
        same(gradients(tiny.computing_in(patcher, F32)), want, "scaled fp8")
        return
    patcher = patcher.clone()
    patcher.add_object_patch("manual_cast_dtype", F32)  # only: a forced dtype would also dequantise
    found = gradients(patcher)
    print(f"scaled fp8, 8 bit products: {error(found[0], want):.1e}")
    assert LIMIT < error(found[0], want) <= 0.2  # activations are rounded, too
    assert error(found[1], found[0]) <= within(1e-6)


@pytest.mark.parametrize("smoothed", [False, True])
@pytest.mark.parametrize(
    ("layout", "options"), [*((f, ()) for f in QUANT_ALGOS), ("int8_tensorwise", ("convrot",))]
)
def test_every_quantised_layout(layout: str, options: tuple[str, ...], smoothed: bool) -> None:
    """One layer; what it does to the unit vectors gives its matrix, whatever it stores."""
    n, kind = 256, QUANT_ALGOS[layout]["comfy_tensor_layout"]
    given = {o: True for o in (*options, "per_channel")} if options else {}
    layer = comfy.ops.mixed_precision_ops({}, F32, full_precision_mm=True).Linear(n, n, bias=False)
    stored = QuantizedTensor.from_float(tiny.noise(n, n) / n**0.5, kind, scale="recalculate", **given)
    layer.weight = torch.nn.Parameter(stored, requires_grad=False)
    layer.quant_format, layer.layout_type = layout, kind
    if smoothed:
        scale = 1 + 0.2 * tiny.noise(n, seed=1)
        layer.register_parameter("pre_quant_scale", torch.nn.Parameter(scale, requires_grad=False))
    matrix = layer(torch.eye(n))
    with grad.frozen(torch.nn.Sequential(layer)):
        x, pull = tiny.noise(5, n, seed=2).requires_grad_(), tiny.noise(5, n, seed=3)
        (g,) = torch.autograd.grad(layer(x), x, pull)
    print(f"{layout} {options} {smoothed}: {error(g, pull @ matrix.T):.1e}")
    assert error(g, pull @ matrix.T) <= 1e-5
