"""Keys and values of a draft in a drag: what is injected, what the source keeps, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from drag_core.drag import drag
from drag_core.recipes.recipe import Recipe
from drag_core.recipes.released import Cleaner, HalfStepAhead
from drag_core.trajectory.beside import check_beside
from drag_core.trajectory.invert import invert
from drag_core.trajectory.kvcache import KVPlain
from drag_core.trajectory.kvstore import KVStore
from drag_core.trajectory.schedules import flow
from drag_core.trajectory.solvers import euler, fireflow
from drag_core.types import (
    KV as AnyKV,
)
from drag_core.types import (
    DragError,
    FeatureTap,
    KVInject,
    KVRecord,
    Trajectory,
)
from tests.core.analytic import Linear, levels
from tests.core.test_drag import FLOW, picture, recipe, source

DRAFT = {"kv_blocks": ("a",), "kv_of": "draft"}


class Watched(Linear):
    """Notes every pass: its kind, the latent, what it does with K/V."""

    def __init__(self) -> None:
        super().__init__(rate=0.2)
        self.passes: list[tuple[str, float, Tensor, AnyKV]] = []

    def predict(self, z: Tensor, t: float, kv: AnyKV = None) -> Tensor:
        self.passes.append(("predict", t, z.detach().clone(), kv))
        return super().predict(z, t, kv)

    def features(
        self, z: Tensor, t: float, taps: tuple[FeatureTap, ...], kv: AnyKV = None, *, stop: bool = True
    ) -> tuple[list[Tensor], Tensor | None]:
        kind = "update" if z.requires_grad else "reference"
        self.passes.append((kind, t, z.detach().clone(), kv))
        return super().features(z, t, taps, kv, stop=stop)


def sketch(backbone: Linear, **settings: Any) -> Trajectory:
    """Another picture, inverted as the source is."""
    made = {"s": FLOW, "solver": euler, "kv_blocks": ("a",)} | settings
    return invert(backbone, picture().flip(-1), made["s"], made["solver"], made["kv_blocks"])


def short(**choices: Any) -> Recipe:
    return recipe(ramp=((0.5, 1.0), (1.0,)), **choices)


def test_what_is_injected_is_the_drafts_at_each_level() -> None:
    """Linear's K is the latent itself: updates and denoising look at draft.z[i], never at the source's."""
    backbone = Linear(rate=0.2)
    path, draft = source(backbone), sketch(backbone)
    backbone.injected.clear()
    drag(backbone, path, short(**DRAFT), draft=draft)
    assert [t for t, _ in backbone.injected] == [*[FLOW.t[0]] * 3, *[FLOW.t[1]] * 2, FLOW.t[2], FLOW.t[3]]
    for t, key in backbone.injected:
        assert torch.equal(key, draft.z[FLOW.t.index(t)])
        assert not torch.equal(key, path.z[FLOW.t.index(t)])


def test_the_drafts_are_recorded_at_the_very_level_of_the_updates() -> None:
    """FireFlow's inversion records half-way between levels: one more pass over draft.z[i] has the level's."""
    backbone = Watched()
    path, draft = source(backbone, solver=fireflow), sketch(backbone, solver=fireflow)
    assert draft.kv is not None
    before, held = draft.kv.levels, draft.kv
    assert FLOW.t[1] not in before
    backbone.passes.clear()
    drag(backbone, path, short(solver=fireflow, **DRAFT), draft=draft)
    records = [(t, z) for _, t, z, kv in backbone.passes if isinstance(kv, KVRecord)]
    assert [t for t, _ in records] == list(FLOW.t[:2])
    assert all(torch.equal(z, draft.z[i]) for i, (_, z) in enumerate(records))
    assert held.levels == before  # its own is never added to


@pytest.mark.parametrize("released", [False, True])
def test_the_sources_features_are_its_own(released: bool) -> None:
    """No pass over the source records or injects; nor does the background denoised beside the edit."""
    backbone = Watched()
    path, draft = source(backbone), sketch(backbone)
    choices = {"kv_view": Cleaner, "background": HalfStepAhead()} if released else {}
    backbone.passes.clear()
    drag(backbone, path, short(**DRAFT, **choices), draft=draft)
    own = [kv for kind, _, z, kv in backbone.passes if kind != "update" and torch.equal(z, path.z[0])]
    assert own and own == [None] * len(own)
    with_kv = [kv for kind, _, _, kv in backbone.passes if kind == "predict"]
    assert any(isinstance(kv, KVInject) for kv in with_kv)
    if released:  # a background of its own: every level is predicted twice, once without
        assert with_kv.count(None) == len(with_kv) // 2
    backbone.passes.clear()
    drag(backbone, source(backbone, kv_blocks=("a",)), short(kv_blocks=("a",)))
    assert any(isinstance(kv, KVRecord) for _, _, z, kv in backbone.passes if torch.equal(z, path.z[0]))


def test_a_draft_that_is_the_picture_gives_the_pictures_bits() -> None:
    backbone = Linear(rate=0.2)
    path, other = source(backbone, kv_blocks=("a",)), sketch(backbone)
    a = drag(backbone, path, short(kv_blocks=("a",)))
    b = drag(backbone, path, short(**DRAFT), draft=path)
    assert torch.equal(a.z, b.z) and a.losses == b.losses
    seen = len(backbone.injected)
    drag(backbone, path, short(), draft=other)
    assert len(backbone.injected) == seen  # no layers: its K/V are left alone


def test_in_two_parts_and_made_anew() -> None:
    """A paused drag goes on with the draft's K/V; "recompute" runs the model at the draft's latents."""
    backbone, store = Linear(rate=0.2), KVStore("recompute")
    path = source(backbone)
    draft = replace(sketch(backbone, kv_blocks=()), kv=store)
    for t, z in zip(FLOW.t[:-1], draft.z, strict=False):
        store.note(t, z, ("a",), False)
    wanted = [*FLOW.t[:1]] * 3 + [FLOW.t[1]] * 2 + [FLOW.t[2], FLOW.t[3]]
    backbone.injected.clear()
    drag(backbone, path, short(**DRAFT), draft=draft)
    assert [t for t, _ in backbone.injected] == wanted
    assert all(torch.equal(k, draft.z[FLOW.t.index(t)]) for t, k in backbone.injected)
    kept = sketch(backbone)
    whole = drag(backbone, path, short(**DRAFT), draft=kept)
    half = drag(backbone, path, short(**DRAFT), draft=kept, pause=True)
    rest = drag(backbone, path, short(**DRAFT), draft=kept, resume=half)
    assert torch.equal(whole.z, rest.z)


def test_what_is_refused() -> None:
    backbone = Linear(rate=0.2)
    path, bare = source(backbone), sketch(backbone, kv_blocks=())
    backbone.calls.clear()
    for draft, said in (
        (None, "a draft are asked for and there is none"),
        (bare, "draft was inverted without keys and values"),
        (replace(bare, kv=KVPlain()), "the draft holds no keys and values of a, which"),
    ):
        with pytest.raises(DragError, match=said):
            drag(backbone, path, short(**DRAFT), draft=draft)
    other = flow(6, skip=2)
    for s, said in (
        (levels(5, 0.8), "the draft was inverted at 5 levels and the picture at 4: give both"),
        (levels(4, 0.7), r"at other noise levels \(strength or shift\) than the picture: give both"),
        (other, "at other noise levels"),
    ):
        for choices in (DRAFT, {}):  # also where its K/V are not asked for: it is a start
            with pytest.raises(DragError, match=said):
                drag(backbone, path, short(**choices), draft=sketch(backbone, s=s))
    backbone.calls.clear()
    with pytest.raises(DragError, match="with the solver fireflow and the picture with euler: give both"):
        drag(backbone, path, short(**DRAFT), draft=sketch(Linear(rate=0.2), solver=fireflow))
    assert backbone.calls == []
    check_beside(replace(path, solver=""), sketch(backbone, solver=fireflow), "draft")  # not known
    with pytest.raises(DragError, match="kv_of is 'sketch'"):
        short(kv_of="sketch")
