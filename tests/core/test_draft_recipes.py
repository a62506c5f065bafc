"""Which recipes look at a draft's keys and values, and what else a start is made of."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
import torch

from drag_core.backends.load import load_model
from drag_core.edit import ground_of, run_task
from drag_core.recipes.assemble import Choice, Given, ModelGround, assemble, draft_layers, without_kv
from drag_core.recipes.dragflow import KV
from drag_core.recipes.placing import layers_at_depth
from drag_core.recipes.recipe import Recipe
from drag_core.step import Step
from drag_core.trajectory.kvcache import KVPlain
from drag_core.trajectory.kvstore import KVStore
from drag_core.trajectory.start import InOrder, Paste, Refill
from drag_core.types import (
    AffineMotion,
    DragError,
    Grid,
    Handle,
    Region,
    Task,
    Trajectory,
)
from tests.core.analytic import levels

model = cache(load_model)
SQUARE = torch.zeros(128, 128)
SQUARE[32:64, 32:64] = 1
TASK = Task(Grid(128, 128), (Region(SQUARE, AffineMotion(shift=(48.0, 0.0))),), editable=torch.ones(128, 128))
ALL = ("double.0", "double.1", "single.0", "single.1")


def path(seed: int, blocks: tuple[str, ...] = ()) -> Trajectory:
    g, kv = torch.Generator().manual_seed(seed), KVPlain()
    for b in blocks:
        kv.put(0.5, b, torch.zeros(1, 1, 1), torch.zeros(1, 1, 1))
    z = tuple(torch.randn(1, 16, 16, 16, generator=g) for _ in range(4))
    return Trajectory(levels(3, 0.9), z, kv if blocks else None)


def test_our_dragflow_looks_at_a_draft_that_it_starts_from() -> None:
    ground, draft = ground_of(model("embedded-flux")), path(1, ALL)
    assert draft_layers(TASK, ground, Choice("dragflow")) == ALL
    made = assemble(TASK, ground, Choice("dragflow"), Given(draft=draft))
    assert (made.kv_of, made.kv_blocks, made.kv_while_dragging) == ("draft", ALL, True)
    for choice, given in (
        (Choice("dragflow"), Given()),
        (Choice("dragflow"), Given(path(2), path(3).z[-1])),
        (Choice("dragflow", "paper"), Given(draft=draft)),
        (Choice("dragflow", "released"), Given(draft=draft)),
        (Choice("custom"), Given(draft=draft)),
        (Choice("copy_paste"), Given(draft=draft)),
        (Choice("dragflow", kv="off"), Given(draft=draft)),
        (Choice("dragflow", kv_of="picture"), Given(draft=draft)),
        (Choice("dragflow"), Given(draft=path(1))),  # inverted without
    ):
        made = assemble(TASK, ground, choice, given)
        assert (made.kv_of, made.kv_blocks) == ("picture", ()), (choice, given)
    assert without_kv(TASK, ground, Choice("dragflow"), path(1))
    assert not without_kv(TASK, ground, Choice("dragflow"), draft)
    assert not without_kv(TASK, ground, Choice("dragflow", "paper"), path(1))


def test_unets_do_not_unless_asked() -> None:
    ground, draft = ground_of(model("embedded-sd")), path(1, ("attn.0",))
    for name in ("dragnext", "gooddrag"):
        drag = replace(TASK, handles=(Handle((48.0, 48.0), (96.0, 48.0)),))
        assert draft_layers(drag, ground, Choice(name)) == ()
    made = assemble(TASK, ground, Choice("dragnext"), Given(draft=draft))
    assert (made.kv_of, made.kv_blocks) == ("picture", ())
    with pytest.raises(DragError, match="dragnext uses no keys and values on embedded-sd: set kv to drag"):
        assemble(TASK, ground, Choice("dragnext", kv_of="draft"), Given(draft=draft))
    asked = replace(ground, inverted=True)
    made = assemble(TASK, asked, Choice("dragnext", kv="denoise", kv_of="draft"), Given(draft=draft))
    assert (made.kv_of, made.kv_blocks, made.kv_while_dragging) == ("draft", ("attn.0",), False)


def test_a_real_transformer_takes_the_papers_layers() -> None:
    blocks = tuple(f"double.{i}" for i in range(19)) + tuple(f"single.{i}" for i in range(38))
    ground = ModelGround(
        family="flux", label="FLUX", blocks=blocks, kv=layers_at_depth(KV, blocks), inverted=True
    )
    picture, draft = path(2, KV), path(1, KV)
    ground = replace(ground, stored=picture.kv)
    assert assemble(TASK, ground, Choice("dragflow")).kv_of == "picture"
    for stored in (picture.kv, None):  # the picture's own need not be there
        made = assemble(TASK, replace(ground, stored=stored), Choice("dragflow"), Given(draft=draft))
        assert made.kv_of == "draft" and made.kv_blocks == ground.kv and set(made.kv_blocks) == set(KV)
    with pytest.raises(DragError, match="K/V of 13 layers are to be injected and the draft holds 1: set"):
        assemble(TASK, ground, Choice("dragflow"), Given(draft=path(1, KV[:1])))
    with pytest.raises(DragError, match="inverted without keys and values"):
        assemble(TASK, ground, Choice("dragflow", kv_of="draft"), Given(draft=path(1)))
    with pytest.raises(DragError, match="there is none"):
        assemble(TASK, ground, Choice("dragflow", kv_of="draft"))
    made = assemble(TASK, ground, Choice("dragflow", "paper", kv_of="draft"), Given(draft=draft))
    assert made.kv_of == "draft"


def test_copy_paste_uses_a_refill_and_a_warped_picture() -> None:
    ground = ground_of(model("embedded-flux"))
    filled, warped = path(2), path(3).z[-1]
    both = assemble(TASK, ground, Choice("copy_paste", seed=3), Given(filled, warped)).start
    assert isinstance(both, InOrder) and isinstance(both.first, Refill) and both.first.background is filled
    paste = both.second
    assert isinstance(paste, Paste)
    assert (paste.levels, paste.fill, paste.split, paste.seed) == (10, "keep", True, 3)
    assert paste.warped is warped
    alone = assemble(TASK, ground, Choice("copy_paste", seed=3), Given(warped=warped)).start
    assert isinstance(alone, Paste) and (alone.fill, alone.levels) == ("noise", 10)
    bare = assemble(TASK, ground, Choice("copy_paste", seed=3)).start
    assert isinstance(bare, Paste) and bare.warped is None and not bare.split and bare.fill == "noise"
    refilled = assemble(TASK, ground, Choice("copy_paste"), Given(filled)).start
    assert isinstance(refilled, InOrder) and isinstance(refilled.second, Paste) and not refilled.second.split


def test_an_edit_records_the_drafts_and_not_the_pictures() -> None:
    """One store is filled, by the draft's inversion; the picture's own would have filled it, too."""
    image = torch.full((1, 3, 128, 128), 0.3)
    image[:, 0, 32:64, 32:64] = 0.9
    flux, cache, stages = model("embedded-flux"), KVStore("pageable"), list[str]()
    made: list[Recipe] = []

    def note(r: Recipe, task: Task) -> Recipe:
        made.append(r)
        return replace(r, ramp=r.ramp[:1])

    def told(step: Step) -> None:
        stages.append(step.stage)

    _, out = run_task(flux, image, TASK, recipe="dragflow", on_step=told, change=note, cache=cache)
    assert [r.kv_of for r in made] == ["picture", "draft"] and cache.blocks == ALL
    steps = len(made[0].schedule.t) - 1
    assert len(cache.levels) <= steps + 1 and stages.count("invert") == 2 * steps
    without = run_task(
        flux, image, TASK, recipe="dragflow",
        change=lambda r, t: replace(r, ramp=r.ramp[:1], kv_of="picture", kv_blocks=()),
    )[1]  # fmt: skip
    assert float((out - without).abs().max()) > 1e-4
