"""Whole edits on tiny networks: how often the model runs, and what the loop never calls."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from benchmarks import models, tiny
from drag_core.drag import drag
from drag_core.recipes.copy_paste import copy_paste
from drag_core.recipes.dragdiffusion import dragdiffusion
from drag_core.recipes.dragflow import dragflow
from drag_core.recipes.dragnext import dragnext
from drag_core.recipes.gooddrag import gooddrag
from drag_core.recipes.recipe import Recipe
from drag_core.trajectory.background import Reconstructed
from drag_core.trajectory.invert import invert
from drag_core.types import Backbone, FeatureTap, Grid, Handle, Task

IMAGE = Grid(128, 128)


class Counted:
    """A backbone that counts: `plain` without a gradient, `updates` with one."""

    def __init__(self, inner: Backbone) -> None:
        self.inner, self.plain, self.updates = inner, 0, 0

    def predict(self, z: Tensor, t: float, kv: Any = None) -> Tensor:
        self.plain += 1
        return self.inner.predict(z, t, kv)

    def features(
        self, z: Tensor, t: float, taps: tuple[FeatureTap, ...], kv: Any = None, *, stop: bool = True
    ) -> Any:
        if z.requires_grad:
            self.updates += 1
        else:
            self.plain += 1
        return self.inner.features(z, t, taps, kv, stop=stop)


def edit(backbone: Counted, recipe: Recipe) -> int:
    """Invert and drag; the number of times that a cache was emptied or garbage collected meanwhile."""
    calls: list[int] = []

    def note(*_: Any, **__: Any) -> int:
        calls.append(1)
        return 0

    names = ("empty_cache", "synchronize", "ipc_collect")
    with (
        mock.patch.multiple(torch.cuda, **dict.fromkeys(names, note)),
        mock.patch.object(gc, "collect", note),
    ):
        z = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0))
        path = invert(backbone, z, recipe.schedule, recipe.solver, recipe.kv_blocks)
        drag(backbone, path, recipe)
    return len(calls)


def cases() -> Iterator[tuple[str, Callable[[Task], Recipe], Any, int]]:
    yield "DragFlow", dragflow, tiny.flux, 41
    yield (
        "DragFlow, reconstruction",
        lambda t: replace(dragflow(t), background=Reconstructed()),
        tiny.flux,
        61,
    )
    yield "DragDiffusion", dragdiffusion, tiny.unet, 76
    yield "DragNeXt", dragnext, tiny.unet, 76
    yield "GoodDrag", gooddrag, tiny.unet, 76
    yield (
        "GoodDrag, reconstruction",
        lambda t: replace(gooddrag(t), background=Reconstructed()),
        tiny.unet,
        114,
    )
    yield "copy-paste", copy_paste, tiny.unet, 76


def lines() -> Iterator[tuple[str, float, str, float]]:
    """Updates are cut to two a level: the calls beside them do not depend on their number.

    A level with updates begins with a pass over the source (features and K/V to compare with), which is told
    apart where there are several such levels: they come on top of the limit.
    """
    handle = Handle((40.0, 50.0), (70.0, 60.0))
    task = Task(IMAGE, models.squares(32, 1, IMAGE), (handle,), models.middle(IMAGE))
    emptied = 0
    for name, make, network, limit in cases():
        backbone = Counted(network())
        recipe = make(task)
        recipe = replace(recipe, ramp=tuple(u[:2] for u in recipe.ramp))
        emptied += edit(backbone, recipe)
        levels = len(recipe.ramp) if len(recipe.ramp) > 1 else 0
        also = f", {levels} source passes" if levels else ""
        yield f"{name}: model calls beside updates{also}", backbone.plain - levels, "<=", limit
        yield (
            f"{name}: model calls an update, too many",
            backbone.updates - sum(map(len, recipe.ramp)),
            "<=",
            0,
        )
    yield "caches emptied, garbage collected", emptied, "==", 0
