"""Adapters on diffusers' FLUX against plain functions over the same files, in every kind of call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from drag_core.adapters.attention import Network, Strength
from drag_core.adapters.files import read
from drag_core.adapters.instant_character import Character, Subject, features, sampling_weights
from drag_core.adapters.ip_adapter import fixed
from drag_core.adapters.use import AdapterUse
from drag_core.backends import adapter as adapter_file
from drag_core.backends.adapter import Adapter, with_adapter
from drag_core.backends.diffusers_flux import DiffusersFlux
from drag_core.backends.load import Model
from drag_core.backends.single_file import flux
from drag_core.backends.worn import Worn
from drag_core.recipes.dragflow import dragflow
from drag_core.recipes.dragnext import dragnext
from drag_core.types import AffineMotion, DragError, FeatureTap, Grid, Region, Task
from tests.core import tiny_flux_file as tiny
from tests.host.inside import adapter_oracle as plain

KINDS = ("xlabs", "instantx", "character")
SCALE, T, EPS = 0.8, 0.5, 1e-6
TAPS = tuple(FeatureTap(b, s) for b in ("double.1", "single.1") for s in ("norm1", "out"))


def noise(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


TEXT, POOLED, Z = noise(1, 5, tiny.TEXT, seed=11), noise(1, tiny.POOLED, seed=12), noise(1, 16, 6, 10, seed=3)
EMBEDS = {"xlabs": noise(1, plain.CLIP, seed=4), "instantx": noise(1, plain.SIGLIP, seed=4)}
SUBJECT = Subject(*(noise(1, n * plain.PATCHES, plain.WIDE, seed=30 + n) for n in (3, 1, 4)))


def square() -> Tensor:
    mask = torch.zeros(64, 64)
    mask[16:32, 16:32] = 1
    return mask


def backbone() -> DiffusersFlux:
    return DiffusersFlux(flux(tiny.weights()), TEXT, POOLED, 4.0)


def network(kind: str) -> Network:
    file = read(getattr(plain, kind)())
    if kind == "character":
        return Character(sampling_weights(file), features(file.weights, SUBJECT))
    return fixed(file, EMBEDS[kind])


def worn(kind: str, scale: float = SCALE, **where: bool) -> Worn:
    return Worn(network(kind), Strength(scale, (0.2, 1.0)), **where)


def wanted(kind: str) -> dict[str, Tensor]:
    """The oracle's features and prediction."""
    w = getattr(plain, kind)()
    if kind == "character":
        read_of = plain.character_features(w, SUBJECT.shallow, SUBJECT.deep, SUBJECT.quarters)
        tokens = plain.character_tokens(w, read_of, T)
    else:
        tokens = getattr(plain, f"{kind}_tokens")(w, EMBEDS[kind])

    def adapter(name: str, raw: Tensor, normed: Tensor) -> Tensor:
        block, index = name.split(".")
        return SCALE * plain.share(kind, w, tokens, int(index) + 2 * (block == "single"), raw, normed)

    args = (tiny.weights(), Z, T, TEXT, POOLED, 4.0, EPS)
    found: dict[str, Tensor] = tiny.oracle().flux(*args, adapter=adapter, behind=kind == "xlabs")
    return found


def gradient(b: DiffusersFlux, way: Tensor) -> Tensor:
    z = Z.clone().requires_grad_()
    maps, prediction = b.features(z, T, TAPS, stop=False)
    assert prediction is not None
    total: Any = sum(m.square().sum() for m in maps) + (prediction * way).sum()
    return torch.autograd.grad(total, z)[0]


def off(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max() / b.abs().max())


@pytest.mark.parametrize("kind", KINDS)
def test_what_an_adapter_adds_is_the_formula(kind: str) -> None:
    bare = backbone()
    dressed, want = bare.wearing(worn(kind)), wanted(kind)
    with torch.no_grad():
        before = bare.predict(Z, T)
        maps, prediction = dressed.features(Z, T, TAPS, stop=False)
        assert prediction is not None
        alone = dressed.predict(Z, T)
        assert torch.equal(bare.predict(Z, T), before)  # nothing is left on the network
    for tap, got in zip(TAPS, maps, strict=True):
        name = f"{tap.block} norm1" if tap.site == "norm1" else tap.block
        assert off(got, want[name]) <= 2e-5, name
    assert off(prediction, want["prediction"]) <= 2e-5 and off(alone, want["prediction"]) <= 2e-5
    assert off(before, want["prediction"]) > 0.05  # and it is not little
    way = noise(1, 16, 6, 10, seed=9)
    plainly = gradient(dressed, way)
    dressed.checkpoint = True
    assert off(gradient(dressed, way), plainly) <= 1e-6
    dressed.checkpoint, dressed.offload = False, True
    assert off(gradient(dressed, way), plainly) <= 1e-6
    assert off(gradient(bare, way), plainly) > 0.05


@pytest.mark.parametrize("kind", ("xlabs", "character"))
def test_where_and_when_it_acts(kind: str) -> None:
    bare = backbone()
    with torch.no_grad():
        plainly, predicted = bare.features(Z, T, TAPS)[0], bare.predict(Z, T)

        def changed(b: DiffusersFlux, t: float = T) -> tuple[bool, bool]:
            f, p = (plainly, predicted) if t == T else (bare.features(Z, t, TAPS)[0], bare.predict(Z, t))
            return not torch.equal(b.features(Z, t, TAPS)[0][1], f[1]), not torch.equal(b.predict(Z, t), p)

        assert changed(bare.wearing(worn(kind))) == (True, True)
        assert changed(bare.wearing(worn(kind, denoising=False))) == (True, False)
        assert changed(bare.wearing(worn(kind, features=False))) == (False, True)
        assert changed(bare.wearing(worn(kind, scale=0.0))) == (False, False)
        assert changed(bare.wearing(worn(kind)), t=0.1) == (False, False)  # out of its levels


def test_the_released_codes_time_is_another() -> None:
    file = read(plain.character())
    seen = features(file.weights, SUBJECT)
    usual, released = (Character(sampling_weights(file), seen, top=top) for top in (1000.0, 1.0))
    like = noise(1, 2, 3, 128, seed=2)
    assert torch.equal(usual.tokens(0.0, like), released.tokens(0.0, like))
    assert torch.equal(usual.tokens(0.0005, like), released.tokens(0.5, like))
    assert off(usual.tokens(0.5, like), released.tokens(0.5, like)) > 0.01


def test_dragflow_has_a_place_for_one_as_data() -> None:
    region = Region(square(), AffineMotion(shift=(16.0, 0.0)))
    task = Task(Grid(64, 64), regions=(region,))
    uses = {v: dragflow(task, v).adapter for v in ("ours", "paper", "released")}
    for variant, use in uses.items():
        assert use is not None and (use.inversion, use.features, use.denoising) == (True, True, True)
        assert use.scale("character") == 1.5 and use.scale("xlabs") == use.scale("instantx") == 0.7
        assert use.top == (1.0 if variant == "released" else 1000.0)
    assert dragnext(task).adapter is None


def test_an_adapter_that_acts_nowhere_or_without_a_number_is_refused() -> None:
    with pytest.raises(DragError, match="acts nowhere"):
        AdapterUse(inversion=False, features=False, denoising=False)
    with pytest.raises(DragError, match="strength is nan"):
        AdapterUse(character=float("nan"))
    with pytest.raises(DragError, match="top time 0"):
        AdapterUse(top=0)
    assert str(AdapterUse(features=False)) == "inverting, denoising"


def test_each_stage_of_an_edit_goes_by_the_recipes_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """with_adapter() puts it on for the inversion, the features and the steps that the recipe says, and on a
    copy: the model given stays bare.
    """
    bare = backbone()
    model = Model("tiny", "flux", bare, None, 256, 16)  # type: ignore[arg-type]
    monkeypatch.setattr(adapter_file, "embeddings", lambda *_: EMBEDS["xlabs"])
    adapter = Adapter(read(plain.xlabs()), (Path("clip"),))
    image = torch.zeros(1, 3, 32, 32)

    def acting(use: AdapterUse) -> tuple[bool, bool, bool]:
        (dressed, said) = with_adapter(model, adapter, use, "dragflow", image)
        assert said[0].startswith("XLabs IP-Adapter at scale 0.7 while ")
        inverts, edits = dressed.backbone, dressed.target
        with torch.no_grad():
            plainly = [bare.predict(Z, T), bare.features(Z, T, TAPS)[0][1]]
            assert edits is not None
            return (
                not torch.equal(inverts.predict(Z, T), plainly[0]),
                not torch.equal(edits.features(Z, T, TAPS)[0][1], plainly[1]),
                not torch.equal(edits.predict(Z, T), plainly[0]),
            )

    for wanted_at in ((True, True, True), (True, False, False), (False, True, False), (False, False, True)):
        inversion, compared, steps = wanted_at
        assert acting(AdapterUse(inversion=inversion, features=compared, denoising=steps)) == wanted_at
    assert bare.worn is None
    (note,) = with_adapter(model, None, AdapterUse(), "dragflow", image)[1]
    assert note.startswith("dragflow's paper has an adapter on") and note.endswith("given with --adapter")
    assert with_adapter(model, None, None, "copy_paste", image) == (model, ())
