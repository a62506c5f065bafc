"""K/V as they are kept: what each storage costs in the result, how levels are paired, what is refused."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

from drag_core.backends.diffusers_flux import DiffusersFlux
from drag_core.drag import drag
from drag_core.recipes.dragflow import KV as FLUX_KV
from drag_core.recipes.dragflow import dragflow
from drag_core.recipes.recipe import Recipe
from drag_core.recipes.released import Cleaner, HalfStepAhead, KVPairing, kv_view
from drag_core.trajectory.invert import invert
from drag_core.trajectory.kvcache import KVPlain
from drag_core.trajectory.kvplan import STORAGES, KVSize
from drag_core.trajectory.kvstore import KVReader, KVStore
from drag_core.trajectory.schedules import flow
from drag_core.trajectory.solvers import fireflow
from drag_core.types import (
    AffineMotion,
    DragError,
    FeatureTap,
    Grid,
    KVCache,
    KVInject,
    KVRecord,
    Region,
    Task,
)
from tests.golden.load import golden

BLOCKS = ("double.0", "double.2", "single.0", "single.1")
IMAGE = Grid(64, 96)


def network(length: int = 3) -> DiffusersFlux:
    from diffusers import FluxTransformer2DModel

    torch.manual_seed(0)
    net = FluxTransformer2DModel(
        in_channels=16, num_layers=3, num_single_layers=2, attention_head_dim=32, num_attention_heads=2,
        joint_attention_dim=8, pooled_projection_dim=8, guidance_embeds=True, axes_dims_rope=(8, 12, 12),
    )  # fmt: skip
    return DiffusersFlux(net, torch.randn(1, length, 8), torch.randn(1, 8))


def latent(seed: int = 1) -> Tensor:
    return torch.randn(1, 4, 8, 12, generator=torch.Generator().manual_seed(seed))


SCHEDULE = flow(5, skip=2, shift=0.6)


def task() -> Task:
    mask = torch.zeros(IMAGE.height, IMAGE.width)
    mask[16:40, 16:40] = 1
    region = Region(mask, AffineMotion(shift=(24.0, 8.0)))
    editable = torch.zeros_like(mask)
    editable[8:56, 8:80] = 1
    return Task(IMAGE, (region,), (), editable)


def recipe(**changes: object) -> Recipe:
    base = dragflow(task())
    taps = (FeatureTap("double.2"), FeatureTap("double.2", "norm1"))
    short = replace(base, schedule=SCHEDULE, taps=taps, ramp=((0.5, 1.0, 1.0),), kv_blocks=BLOCKS, settle=0.0)
    return replace(short, **changes)  # type: ignore[arg-type]


def edited(backbone: DiffusersFlux, store: KVCache | None, r: Recipe) -> tuple[Tensor, KVCache]:
    source = invert(backbone, latent(), r.schedule, fireflow, r.kv_blocks, cache=store, kv_text=r.kv_text)
    assert source.kv is not None
    return drag(backbone, source, r).z, source.kv


@pytest.mark.parametrize("storage", STORAGES)
def test_the_bytes_are_those_of_the_plan(storage: str) -> None:
    backbone, store = network(), KVStore(storage)
    invert(backbone, latent(), SCHEDULE, fireflow, BLOCKS, cache=store)
    width = 64  # the factors are per token here: the outputs of to_k have the heads side by side
    size = KVSize(2 * 24 * width * len(BLOCKS), 4, 4, width, latent=latent().numel() * 4)
    assert store.bytes == size.bytes(storage)
    assert store.blocks == BLOCKS and len(store.levels) == 4


# Of the change from picture to result; measured here 0, 0, 0.009, 0.011 to 0.052 (K stays the edit's own:
# that is another method), 0
COST = {"pinned": 0.0, "pageable": 0.0, "fp8": 1e-2, "v fp8": 0.1, "recompute": 1e-6}


@cache
def whole(pairing: KVPairing) -> Tensor:
    return edited(network(), None, recipe(kv_view=kv_view(pairing)))[0]


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("pairing", ["level", "released"])
def test_what_each_storage_costs_in_the_result(storage: str, pairing: KVPairing) -> None:
    backbone = network()
    r = recipe(kv_view=kv_view(pairing))
    kept, _ = edited(backbone, KVStore(storage), r)
    error = float((kept - whole(pairing)).norm() / (whole(pairing) - latent()).norm())
    print(storage, pairing, error)
    assert error <= COST[storage]
    assert (error > 0) == (storage in ("fp8", "v fp8"))


def test_injecting_what_was_recorded_changes_nothing() -> None:
    """K/V of the very call: identity to 1e-5, on every block, alone and together."""
    backbone, kept, z = network(), KVPlain(), latent()
    with torch.no_grad():
        plain = backbone.predict(z, 0.5, KVRecord(kept, BLOCKS))
        for blocks in (BLOCKS, *((b,) for b in BLOCKS)):
            again = backbone.predict(z, 0.5, KVInject(kept, blocks))
            assert float((again - plain).norm() / plain.norm()) < 1e-5


def test_double_and_single_blocks_of_one_number_never_meet() -> None:
    store = KVPlain()
    for k, block in enumerate(("double.9", "single.9")):
        store.put(0.5, block, torch.full((1, 1), float(k)), torch.full((1, 1), k + 2.0))
    assert [float(x) for b in ("double.9", "single.9") for x in store.get(0.5, b)] == [0, 2, 1, 3]  # type: ignore[arg-type]
    assert len(set(FLUX_KV)) == 13 and {"double.9", "single.9", "double.18", "single.18"} < set(FLUX_KV)


def filled(store: KVCache, levels: list[float]) -> None:
    for t in levels:
        store.put(t, "a", torch.full((1, 2, 4), t), torch.full((1, 2, 4), -t))


def test_released_pairing_is_the_released_codes() -> None:
    """Capture 0 is the call at t = 0, then the inversion's midpoints; the drag and its first denoising call
    take 19, round r's midpoint 18 - r.
    """
    data = golden("dragflow_kv_index")
    assert tuple(f"double.{i}" for i in data["double"].tolist()) == FLUX_KV[:6]
    assert tuple(f"single.{i}" for i in data["single"].tolist()) == FLUX_KV[6:]
    r = dragflow(task(), "released")
    assert (r.kv_view, r.kv_text, r.background) == (Cleaner, True, HalfStepAhead())
    s = r.schedule.t
    middles = [(a + b) / 2 for a, b in zip(s, s[1:], strict=False)]
    captures, store = [0.0, *reversed(middles)], KVPlain()
    filled(store, captures)
    assert captures.index(Cleaner(store).level(s[0], "a")) == int(data["index_drag_round0"]) == 19
    got = [captures.index(Cleaner(store).level(t, "a")) for t in middles]
    assert got == data["index_mid"].tolist()
    aligned = [captures.index(store.level(t, "a")) for t in middles]
    assert aligned == [i + 1 for i in got]


def test_the_next_level_is_sent_for_ahead() -> None:
    store = KVStore()
    filled(store, [0.8, 0.5, 0.2])
    reader = KVReader(store, ahead=True)
    like = torch.zeros(1)
    k, v = reader.get(0.79, "a", like)
    assert k is not None and float(k[0, 0, 0]) == pytest.approx(0.8) and list(reader._coming) == [0.5]
    assert list(reader._here) == [0.8]
    on_its_way = reader._coming[0.5]
    assert float(reader.get(0.5, "a", like)[1][0, 0, 0]) == -0.5
    assert list(reader._here) == [0.5] and list(reader._coming) == [0.2]
    assert on_its_way.blocks is store.packed[0.5]


def test_what_a_run_records_stays_with_it() -> None:
    store = KVStore("fp8")
    filled(store, [0.8, 0.2])
    reader = store.copy()
    reader.put(0.6, "a", torch.ones(1, 2, 4), torch.ones(1, 2, 4))
    assert reader.levels == (0.2, 0.6, 0.8) and store.levels == (0.2, 0.8)
    assert float(reader.get(0.6, "a")[1][0, 0, 0]) == 1.0 and reader.blocks == ("a",)


def test_prompts_of_another_length_are_refused_where_they_are_shared() -> None:
    first, other = network(3), network(5)
    store, image_only = KVPlain(), KVPlain()
    with torch.no_grad():
        plain = first.predict(latent(), 0.5, KVRecord(store, BLOCKS, text=True))
        first.predict(latent(), 0.5, KVRecord(image_only, BLOCKS))
        again = first.predict(latent(), 0.5, KVInject(store, BLOCKS))
        assert float((again - plain).norm() / plain.norm()) < 1e-5
        assert (store.text("single.0"), store.text("double.0"), store.with_text) == (3, 0, True)
        assert store.bytes - image_only.bytes == 2 * 2 * 3 * 64 * 4
        other.predict(latent(), 0.5, KVInject(image_only, BLOCKS))
        with pytest.raises(DragError, match="has 3 prompt tokens and this prompt 5"):
            other.predict(latent(), 0.5, KVInject(store, BLOCKS))


class Spy:
    """Passes on, and keeps the levels that were asked with and without a stop."""

    def __init__(self, inner: DiffusersFlux) -> None:
        self.inner, self.calls = inner, list[tuple[str, float, object]]()

    def predict(self, z: Tensor, t: float, kv: object = None) -> Tensor:
        self.calls.append(("predict", t, kv))
        return self.inner.predict(z, t, kv)  # type: ignore[arg-type]

    def features(self, z: Tensor, t: float, taps: Any, kv: Any = None, *, stop: bool = True) -> Any:
        self.calls.append((f"features {z.requires_grad} {stop}", t, kv))
        return self.inner.features(z, t, taps, kv, stop=stop)


def test_the_released_background_is_half_a_step_ahead() -> None:
    """z + (t' - t)/2 · v(z) outside the mask after every update; afterwards denoised beside the edit."""
    backbone = network()
    r = recipe(kv_view=Cleaner, background=HalfStepAhead(), kv_text=True)
    source = invert(backbone, latent(), r.schedule, fireflow, r.kv_blocks, kv_text=True)
    spy, seen = Spy(backbone), list[Tensor]()
    result = drag(spy, source, r, lambda step: seen.append(step.z.clone()), pause=True)  # type: ignore[arg-type]
    assert source.kv is not None
    with torch.no_grad():
        v = backbone.predict(source.z[0], SCHEDULE.t[0], KVInject(Cleaner(source.kv), BLOCKS))
    ahead = source.z[0] + (SCHEDULE.t[1] - SCHEDULE.t[0]) / 2 * v
    outside = (r.constraint.editable < 0.5).expand_as(v)  # type: ignore[attr-defined]
    for z in seen:
        assert torch.allclose(z[outside], ahead[outside], atol=1e-5)
        assert not torch.allclose(z[outside], source.z[0][outside], atol=1e-3)
    assert [c[0] for c in spy.calls] == ["features False False"] + ["features True True"] * 3
    assert all(isinstance(c[2], KVInject) and isinstance(c[2].cache, Cleaner) for c in spy.calls)
    assert torch.equal(result.handoff.background, source.z[0])
    done = drag(backbone, source, r, resume=result)
    assert torch.equal(done.z[outside], done.reconstruction[outside])
    assert not torch.equal(done.reconstruction, source.z[-1])


@pytest.mark.parametrize("storage", ["recompute", "fp8"])
def test_made_anew_under_the_inversions_own_prompt(storage: str) -> None:
    """`origin` makes the picture's reconstruction and, where none are stored, its K/V: the same result."""
    source_model = network()
    target = DiffusersFlux(source_model.net, torch.randn(1, 4, 8), torch.randn(1, 8))
    r = recipe()
    path = invert(source_model, latent(), r.schedule, fireflow, r.kv_blocks, cache=KVStore(storage))
    full = invert(source_model, latent(), r.schedule, fireflow, r.kv_blocks)
    spy = Spy(source_model)
    got = drag(target, path, r, origin=spy).z  # type: ignore[arg-type]
    want = drag(target, full, r, origin=source_model).z
    assert float((got - want).norm() / want.norm()) < (1e-5 if storage == "recompute" else 1e-2)
    reconstruction = [("features False True", SCHEDULE.t[0])]
    middles = [("predict", (a + b) / 2) for a, b in zip(SCHEDULE.t, SCHEDULE.t[1:], strict=False)]
    assert [c[:2] for c in spy.calls] == reconstruction + (middles if storage == "recompute" else [])


def test_a_missing_block_is_told() -> None:
    with pytest.raises(KeyError, match="no K/V stored for block 'a'"):
        KVStore().get(0.5, "a")


def test_a_plain_read_of_the_recompute_storage_is_refused() -> None:
    store = KVStore("recompute")
    store.note(0.5, latent(), ("a",), False)
    with pytest.raises(DragError, match="made anew at every step"):
        store.get(0.5, "a")
    assert store.bytes == latent().numel() * 4 and store.blocks == ("a",) and store.levels == (0.5,)


def test_a_pairing_by_its_name() -> None:
    assert kv_view("level") is None and kv_view("released") is Cleaner
    with pytest.raises(DragError, match="no K/V pairing 'Level': use level or released"):
        kv_view("Level")  # type: ignore[arg-type]
