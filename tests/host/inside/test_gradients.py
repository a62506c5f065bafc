"""The gradient of a drag's loss through the host's FLUX and UNet, against the same networks written out
(oracle.py) in float64, and against finite differences.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import oracle
import pytest
import tiny
import torch
from bounds import within
from region_drag_editing.drag_core.trajectory.kvcache import KVPlain
from region_drag_editing.drag_core.types import FeatureTap, KVCache, KVInject, KVRecord
from region_drag_editing.nodes.host.backbones.unet import tap_modules
from tiny import FLUX_TAPS, Asked, Got, at, error
from tiny_gradients import float64_throughout, gradient
from torch import Tensor

F64, F32, BF16, F16 = torch.float64, torch.float32, torch.bfloat16, torch.float16
PRECISIONS = ((F64, 1e-8), (F32, 1e-5), (BF16, 3e-2))
UP0, UP1 = tiny.UNET_TAPS
FLUX_CASES: dict[str, tuple[tuple[FeatureTap, ...], bool]] = {
    **{f"{t.block} {t.site}": ((t,), True) for t in FLUX_TAPS},
    "all": (FLUX_TAPS, True),
    "double with penalty": (tiny.DOUBLE_TAPS, False),
    "all with penalty": (FLUX_TAPS, False),
}
UNET_CASES: dict[str, tuple[tuple[FeatureTap, ...], bool]] = {
    "up.0": ((UP0,), True),
    "up.1": ((UP1,), True),
    "both": ((UP0, UP1), True),
    "up.0 with penalty": ((UP0,), False),
    "both with penalty": ((UP0, UP1), False),
}
FLUX_KV = ("double.0", "double.1", "single.0", "single.1")
UNET_KV = ("attn.1", "attn.3", "attn.6")
WEIGHTS = {"flux": tiny.flux_weights(), "unet": tiny.unet_weights()}
FILES: dict[str, Path] = {}


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    FILES["folder"] = tmp_path_factory.mktemp("models")
    yield
    loaded.cache_clear()


@cache
def loaded(kind: str, dtype: torch.dtype) -> Any:
    if kind == "unet":
        patcher = tiny.load_unet(WEIGHTS[kind], dtype)
    else:
        patcher = tiny.load_flux(WEIGHTS[kind], FILES["folder"] / f"{dtype}.safetensors", dtype)
    return patcher if dtype == F64 else tiny.computing_in(patcher, dtype)


def level(kind: str) -> float:
    return tiny.FLOW_T if kind == "flux" else tiny.NOISE_T


def point(kind: str, seed: int, dtype: torch.dtype = F32) -> Tensor:
    z = tiny.noise(1, 16 if kind == "flux" else 4, *tiny.LATENT, seed=seed)
    return z.double() if dtype == F64 else z


def measured(
    kind: str,
    dtype: torch.dtype,
    taps: tuple[FeatureTap, ...],
    stop: bool = True,
    kv: tuple[str, ...] = (),
    checkpoints: tuple[bool, ...] = (False,),
    factor: float = 1.0,
    half: bool | None = None,
    also: Callable[[Any, Asked], Any] = lambda backbone, asked: None,
    patcher: Any = None,
) -> tuple[Asked, KVCache, list[Got], Any]:
    """Gradients through session.run, one per entry of `checkpoints`; what was asked, and the K/V used."""
    t = level(kind)

    def body(backbone: Any, _: Tensor) -> tuple[Asked, KVCache, list[Got], Any]:
        stored, z = KVPlain(), at(backbone, point(kind, 3, dtype))
        assert backbone.call.model.get_dtype_inference() == dtype
        if half is not None:
            backbone.half = half
        other = at(backbone, point(kind, 4, dtype))
        with torch.no_grad():
            reference, prediction = backbone.features(0.3 * z + 0.95 * other, t, taps, stop=stop)
            if kv:
                backbone.predict(other, t, KVRecord(stored, kv))
        asked = Asked(z, reference, prediction, factor)
        got = []
        for checkpoint in checkpoints:
            backbone.checkpoint = checkpoint
            inject = KVInject(stored, kv) if kv else None
            got.append(gradient(backbone, asked, t, taps, inject, stop))
        return asked, stored, got, also(backbone, asked)

    with float64_throughout() if dtype == F64 else nullcontext():
        out: tuple[Asked, KVCache, list[Got], Any] = tiny.in_session(
            patcher or loaded(kind, dtype), body, taps
        )
    return out


def expected(
    kind: str,
    dtype: torch.dtype,
    asked: Asked,
    taps: tuple[FeatureTap, ...],
    stop: bool,
    stored: KVCache | None = None,
    kv: tuple[str, ...] = (),
    signs_of: Got | None = None,
) -> Got:
    """From the oracle, in float64, on the same weights. `signs_of`: with the loss's derivative there, not at
    the oracle's features.
    """
    weights = {k: v.to(dtype).double() for k, v in WEIGHTS[kind].items()}
    z = asked.z.double().requires_grad_()
    text, pooled, t = tiny.TEXT.to(dtype).double(), tiny.POOLED.to(dtype).double(), level(kind)
    pairs = {b: stored.get(t, b) for b in kv} if stored is not None else {}
    if kind == "flux":
        eps = torch.finfo(F64 if dtype == F64 else F32).eps
        given = {f"{b} {n}": x.cpu() for b, two in pairs.items() for n, x in zip("kv", two, strict=True)}
        out = oracle.flux(weights, z, t, text, pooled, tiny.GUIDANCE, eps, given)
    else:
        sigma = loaded(kind, dtype).model.model_sampling.sigmas[round(t)].cpu()
        rounding = float((sigma.double() ** 2 + 1) ** 0.5) / float((sigma**2 + 1) ** 0.5)
        given = {b: two[0].cpu() for b, two in pairs.items()}
        out = oracle.unet(weights, z * rounding, t, text, tiny.HEAD, given)
    maps = [out[t.block if t.site == "out" else f"{t.block} norm1"] for t in taps]
    prediction = None if stop else out["prediction"]
    loss = asked.loss(maps, prediction)
    if signs_of is None:
        (g,) = torch.autograd.grad(loss, z)
    else:
        ends = [*maps, *([] if stop else [prediction])]
        (g,) = torch.autograd.grad(ends, z, [p.double() for p in signs_of.pulls])
    return Got([m.detach() for m in maps], prediction, float(loss.detach()), g, [])


@pytest.mark.parametrize(("dtype", "limit"), PRECISIONS, ids=str)
@pytest.mark.parametrize("case", FLUX_CASES)
def test_flux(case: str, dtype: torch.dtype, limit: float) -> None:
    taps, stop = FLUX_CASES[case]
    check("flux", dtype, limit, taps, stop)


@pytest.mark.parametrize(("dtype", "limit"), PRECISIONS, ids=str)
@pytest.mark.parametrize("case", UNET_CASES)
def test_unet(case: str, dtype: torch.dtype, limit: float) -> None:
    taps, stop = UNET_CASES[case]
    check("unet", dtype, limit, taps, stop)


@pytest.mark.parametrize(("dtype", "limit"), PRECISIONS, ids=str)
@pytest.mark.parametrize("kind", ["flux", "unet"])
def test_with_injected_kv(kind: str, dtype: torch.dtype, limit: float) -> None:
    taps, kv = (FLUX_TAPS, FLUX_KV) if kind == "flux" else (tiny.UNET_TAPS, UNET_KV)
    check(kind, dtype, limit, taps, False, kv)
    plain, injected = (measured(kind, dtype, taps, kv=k)[2][0].gradient for k in ((), kv))
    assert error(injected, plain) > 0.1  # the K/V do matter


def check(
    kind: str,
    dtype: torch.dtype,
    limit: float,
    taps: tuple[FeatureTap, ...],
    stop: bool,
    kv: tuple[str, ...] = (),
) -> None:
    asked, stored, (got,), _ = measured(kind, dtype, taps, stop, kv)
    want = expected(kind, dtype, asked, taps, stop, stored, kv, None if dtype == F64 else got)
    assert len(got.maps) == len(taps) and (got.prediction is None) == stop
    errors = [error(a, b) for a, b in zip(got.maps, want.maps, strict=True)]
    print(f"{kind} {dtype}: features {max(errors):.1e}, gradient {error(got.gradient, want.gradient):.1e}")
    assert got.gradient.shape == asked.z.shape and want.gradient.norm() > 0
    assert max(errors) <= within(limit, dtype)
    assert error(got.gradient, want.gradient) <= within(limit, dtype)
    assert got.loss == pytest.approx(want.loss, rel=within(limit, dtype))


@pytest.mark.parametrize(("kind", "taps"), [("flux", FLUX_TAPS), ("unet", tiny.UNET_TAPS)])
def test_bfloat16_with_its_own_signs(kind: str, taps: tuple[FeatureTap, ...]) -> None:
    """As a drag has it: also the L1 loss is evaluated on rounded features."""
    asked, _, (got,), _ = measured(kind, BF16, taps)
    want = expected(kind, BF16, asked, taps, True)
    print(f"{kind} bfloat16, signs and all: {error(got.gradient, want.gradient):.1e}")
    assert error(got.gradient, want.gradient) <= within(3e-2, BF16)


@pytest.mark.parametrize("kv", [(), FLUX_KV], ids=["alone", "with K/V"])
@pytest.mark.parametrize("stop", [True, False])
def test_checkpoints_change_nothing(stop: bool, kv: tuple[str, ...]) -> None:
    """A checkpoint runs a block again when the host's one dict of options has gone on to later blocks."""
    _, _, (plain, again), _ = measured("flux", F32, FLUX_TAPS, stop, kv, checkpoints=(False, True))
    print("with checkpoints:", error(again.gradient, plain.gradient))
    assert error(again.gradient, plain.gradient) <= within(1e-6)


def test_checkpoints_with_a_patch_that_counts_blocks() -> None:
    seen: list[tuple[str, int]] = []

    def patch(q: Tensor, k: Tensor, v: Tensor, pe: Any, attn_mask: Any, extra_options: Any) -> dict[str, Any]:
        seen.append((extra_options["block_type"], extra_options["block_index"]))
        return {"v": v * (1 + 0.5 * extra_options["block_index"])}

    patched = loaded("flux", F32).clone()
    patched.set_model_attn1_patch(patch)
    taps = (FeatureTap("single.1"),)
    _, _, (plain, again), _ = measured("flux", F32, taps, checkpoints=(False, True), patcher=patched)
    blocks = [("double", 0), ("double", 1), ("single", 0), ("single", 1)]
    # the reference, without and with checkpoints, and once more in backward, from the last one on
    assert seen == blocks * 3 + blocks[::-1]
    assert error(again.gradient, plain.gradient) <= within(1e-6)


@pytest.mark.parametrize(("kind", "taps"), [("flux", FLUX_TAPS), ("unet", tiny.UNET_TAPS)])
def test_finite_differences(kind: str, taps: tuple[FeatureTap, ...]) -> None:
    """Central differences of the host's own loss along random directions."""
    h = 1e-7

    def slopes(backbone: Any, asked: Asked) -> list[tuple[float, Tensor]]:
        out = []
        for seed in range(20, 25):
            way = at(backbone, point(kind, seed, F64))
            ends = []
            for s in (-h, h):
                with torch.no_grad():
                    z = asked.z + s * way
                # with a gradient asked for, so that nothing on the way is rounded to float32
                maps, end = backbone.features(z.requires_grad_(), level(kind), taps, stop=False)
                ends.append(float(asked.loss(maps, end).detach()))
            out.append(((ends[1] - ends[0]) / (2 * h), way))
        return out

    _, _, (got,), found = measured(kind, F64, taps, stop=False, also=slopes)
    errors = [abs(slope - float((got.gradient * way).sum())) / abs(slope) for slope, way in found]
    print(f"{kind}: finite differences {max(errors):.1e}")
    assert max(errors) <= 1e-5


def test_unet_against_plain_autograd() -> None:
    """A float64 copy of the host's own network with ordinary weights, run without anything of ours."""
    asked, _, (got,), _ = measured("unet", F32, (UP0, UP1))
    net = copy.deepcopy(tiny.load_unet(WEIGHTS["unet"], F32, inference=False).model.diffusion_model).double()
    found: list[Tensor] = []
    for tap in (UP0, UP1):
        tap_modules(net)[tap.block].register_forward_hook(lambda m, args, out: found.append(out))
    with torch.inference_mode(False), torch.enable_grad():
        z = asked.z.double().requires_grad_()
        net(z, torch.tensor([tiny.NOISE_T]), context=tiny.TEXT.double())
        (g,) = torch.autograd.grad(asked.loss(found, None), z)
    print("UNet against plain autograd in float64:", error(got.gradient, g))
    assert error(got.gradient, g) <= within(1e-5)


@pytest.mark.parametrize("kind", ["flux", "unet"])
def test_float16_does_not_underflow(kind: str) -> None:
    """A loss as small per cell as a large picture's: lost without the scale, kept with it."""
    taps = FLUX_TAPS if kind == "flux" else tiny.UNET_TAPS
    errors = {}
    for half in (True, False):
        asked, _, (got,), _ = measured(kind, F16, taps, stop=False, factor=1e-4, half=half)
        want = expected(kind, F16, replace(asked, factor=1e-4), taps, False)
        errors[half] = error(got.gradient, want.gradient)
    print(f"{kind} float16: with the scale {errors[True]:.1e}, without {errors[False]:.1e}")
    assert errors[True] <= within(3e-2, F16) < 0.2 < errors[False]
