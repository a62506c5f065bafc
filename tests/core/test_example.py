"""The instruction of a generated case asks for what the case knows."""

from __future__ import annotations

import pytest
import torch

from drag_core.bench.cases import Case, held_out
from drag_core.bench.example import instruction_of
from drag_core.bench.lit.cases import LIT_KINDS, lit_case, lit_cases
from drag_core.motion.geometry import motion_matrix
from drag_core.motion.instruction import parse, to_json
from drag_core.motion.task import build_task
from drag_core.types import Grid, Region


def region_of(case: Case) -> Region:
    task, _ = build_task(parse(to_json(instruction_of(case))), Grid(256, 256))
    (region,) = task.regions
    return region


@pytest.mark.parametrize("kind", ["move", "rotate", "deform"])
def test_mask_and_motion_come_back(kind: str) -> None:
    for case in held_out(2, kinds=(kind,)):
        region = region_of(case)
        assert float((region.mask != case.mask).float().sum()) <= 0.02 * float(case.mask.sum())
        assert torch.allclose(motion_matrix(region.motion), motion_matrix(case.motion), atol=0.6)


@pytest.mark.parametrize("kind", LIT_KINDS)
def test_of_lit_scenes_too(kind: str) -> None:
    for case in lit_cases(4, kinds=(kind,)):
        region = region_of(case)
        assert float((region.mask != case.mask).float().sum()) <= 0.02 * float(case.mask.sum())
        exact = 0.6 if kind == "move" else 0.02  # a move says where the middle of the drawn mask goes
        assert torch.allclose(motion_matrix(region.motion), motion_matrix(case.motion), atol=exact)


@pytest.mark.parametrize(("seed", "outlines", "holes"), [(1_600_002, 2, 0), (1_600_022, 1, 1)])
def test_pieces_and_holes_come_back(seed: int, outlines: int, holes: int) -> None:
    case = lit_case(seed, "move")
    assert case is not None
    (spec,) = instruction_of(case).regions
    assert (len(spec.shape.polygons), len(spec.shape.holes)) == (outlines, holes)
    assert torch.equal(region_of(case).mask, case.mask)


def test_a_part_turns_about_its_joint() -> None:
    (case,) = lit_cases(1, kinds=("part",))
    (spec,) = instruction_of(case).regions
    assert spec.task == "rotation" and spec.anchor == case.motion.anchor
    assert spec.angle == pytest.approx(case.motion.angle * 57.29578, abs=0.001)
