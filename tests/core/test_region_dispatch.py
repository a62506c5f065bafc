"""Who pulls: windows wherever the fused kernel cannot, and no triton imported to find that out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.pulls import EVEN, EVEN_GRID, TURN, Case, box, motion
from drag_core.kernels import region
from drag_core.kernels.region import fused
from drag_core.kernels.region.poses import firsts, pose
from drag_core.types import Grid

ROOT = Path(__file__).resolve().parents[2]
MOVED = (motion((2.3, -1.6)), box(EVEN_GRID, 5, 7, 7, 9), 0.01)
CASE = Case("", EVEN, EVEN_GRID, (MOVED,))


def test_a_cpu_takes_windows() -> None:
    maps = CASE.maps(1)
    assert not fused.fits(maps, EVEN_GRID)
    then, planned = region.plan(maps, EVEN_GRID, {0.5: [MOVED]})
    assert then is maps and isinstance(planned[0.5][0], region.Window)


class OnCard(torch.Tensor):
    is_cuda = True  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("grid", "dtype", "maps", "fits"),
    [
        (EVEN_GRID, torch.float32, 2, True),
        (EVEN_GRID, torch.bfloat16, 4, True),
        (EVEN_GRID, torch.float64, 2, False),
        (EVEN_GRID, torch.float32, 5, False),
        (Grid(11, 32), torch.float32, 2, False),  # smaller than a map
    ],
)
def test_what_fits_the_kernel(
    grid: Grid, dtype: torch.dtype, maps: int, fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fused, "works", lambda device, kind: True)
    sizes = (EVEN * 3)[:maps]
    assert fused.fits([torch.empty(1, *s, dtype=dtype).as_subclass(OnCard) for s in sizes], grid) == fits


def test_a_kernel_that_fails_its_trial_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for trial, answer in ((lambda *a: 1 / 0, False), (lambda *a: a[2] == 0, False), (lambda *a: True, True)):
        fused.works.cache_clear()
        monkeypatch.setattr(fused, "find_spec", lambda name: object())
        monkeypatch.setattr(fused, "_tried", trial)
        assert fused.works(torch.device("cpu"), torch.float32) == answer
    fused.works.cache_clear()
    monkeypatch.setattr(fused, "find_spec", lambda name: None)
    assert not fused.works(torch.device("cpu"), torch.float32)
    fused.works.cache_clear()


def test_nothing_of_triton_is_imported_without_a_card() -> None:
    text = (
        "import sys, drag_core.kernels.region, drag_core.features.supervise; print('triton' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", text], cwd=ROOT, capture_output=True, text=True, check=True)
    assert said.stdout == "False\n"


def test_a_progress_is_sent_in_little() -> None:
    """64 KB for a region of 256 px of 512, whatever moves it; the rest is made on the device."""
    grid = Grid(256, 256)
    maps = [torch.empty(1, 1280, 16, 16), torch.empty(1, 640, 64, 64)]
    mask = box(grid, 60, 60, 128, 128)
    lines = pose(maps, grid, [(motion((9.3, 4)), mask, 1.0)])
    assert lines is not None and lines.separable
    sent = (lines.meta, lines.ints, lines.floats, lines.inside)
    assert sum(t.numel() * t.element_size() for t in sent) < 2**16
    cells = pose(maps, grid, [(TURN, mask, 1.0)])  # two bytes for a row and for a column
    assert cells is not None and not cells.separable and int(mask.sum()) * 4 <= 2**16


def test_programs_of_maps_follow_each_other() -> None:
    assert firsts([3]) == [3, 3, 3, 3] and firsts([3, 4, 5, 6]) == [3, 7, 12, 18]
    planned = pose([torch.empty(1, 300, 12, 16), torch.empty(1, 5, 6, 8)], EVEN_GRID, [MOVED])
    assert planned is not None and planned.order == (1, 0)  # most cells a quad first
    assert planned.firsts == (int(planned.meta[1, 0]), planned.programs, planned.programs)
