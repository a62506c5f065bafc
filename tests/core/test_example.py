"""The instruction of a generated case asks for what the case knows."""

from __future__ import annotations

import pytest
import torch

from drag_core.bench.cases import held_out
from drag_core.bench.example import instruction_of
from drag_core.motion.geometry import motion_matrix
from drag_core.motion.instruction import parse, to_json
from drag_core.motion.task import build_task
from drag_core.types import Grid


@pytest.mark.parametrize("kind", ["move", "rotate", "deform"])
def test_mask_and_motion_come_back(kind: str) -> None:
    for case in held_out(2, kinds=(kind,)):
        task, _ = build_task(parse(to_json(instruction_of(case))), Grid(256, 256))
        (region,) = task.regions
        assert float((region.mask != case.mask).float().sum()) <= 0.02 * float(case.mask.sum())
        assert torch.allclose(motion_matrix(region.motion), motion_matrix(case.motion), atol=0.6)
