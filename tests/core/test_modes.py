"""A name that is none is refused in one sentence where it is given, whatever the type checker was told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from drag_core.adapters.attention import Strength
from drag_core.adapters.instant_character import Character
from drag_core.adapters.ip_adapter import Fixed
from drag_core.backends.text import empty_prompt
from drag_core.features.supervise import RegionSupervision
from drag_core.kernels.lookup import lookup
from drag_core.motion.geometry import sample
from drag_core.motion.instruction import DragInstruction, RegionSpec, Shape
from drag_core.recipes.assemble import Choice, KeepBackground
from drag_core.step import Step
from drag_core.trajectory.kvplan import KVSize, plan_kv
from drag_core.trajectory.kvstore import KVStore
from drag_core.trajectory.start import Paste
from drag_core.types import DragError, FeatureTap, Grid, Schedule

GRID = Grid(8, 8)
MAP, AT = torch.zeros(1, 1, 8, 8), torch.zeros(1, 2)
T = (1.0, 0.0)

TYPOS: dict[str, Callable[[Any], object]] = {
    "background": lambda x: KeepBackground(torch.zeros(8, 8), x),
    "variant": lambda x: Choice("dragflow", x),
    "kv": lambda x: Choice("dragflow", kv=x),
    "kv_of": lambda x: Choice("dragflow", kv_of=x),
    "effort": lambda x: Choice("dragflow", effort=x),
    "pairing": lambda x: Choice("dragflow", kv_pairing=x),
    "method": lambda x: Choice("custom", method=x),
    "mean": lambda x: RegionSupervision((), GRID, GRID, mean=x),
    "fill": lambda x: Paste((), GRID, fill=x),
    "stage": lambda x: Step(1, 1, 0, MAP, stage=x),
    "site": lambda x: FeatureTap("up.1", x),
    "prediction": lambda x: Schedule(T, (0.0, 1.0), T, x),
    "storage": KVStore,
    "kv_memory": lambda x: plan_kv(KVSize(8, 1), 2**20, 0, x),
    "task": lambda x: RegionSpec(Shape(), x),
    "editable": lambda x: DragInstruction(editable=x),
    "mode": lambda x: sample(MAP, AT, mode=x, padding="zeros"),
    "padding": lambda x: sample(MAP, AT, padding=x),
    "padding of lookup": lambda x: lookup(MAP, GRID, AT, padding=x),
    "fade": lambda x: Strength(1.0, fade=x),
    "after of an IP-Adapter": lambda x: Fixed((), x),
    "after of a character": lambda x: Character({}, MAP, x),
    "pad": lambda x: empty_prompt({}, x),
}


@pytest.mark.parametrize("name", TYPOS)
@pytest.mark.parametrize("typo", ["relased", "Map", "", None])
def test_a_typo_is_refused(name: str, typo: Any) -> None:
    with pytest.raises(DragError) as refused:
        TYPOS[name](typo)
    said = str(refused.value)
    assert repr(typo) in said and " or " in said and "\n" not in said
