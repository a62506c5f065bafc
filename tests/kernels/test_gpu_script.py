"""benchmarks.gpu_kernels rehearsed: its checks find a wrong kernel, and a failure does not stop the rest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from benchmarks import gpu_kernels
from benchmarks.pulls import odd, real
from drag_core.kernels.region import fused


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> gpu_kernels.Told:
    monkeypatch.setattr(gpu_kernels, "DEVICE", "cpu")
    return gpu_kernels.Told(100, tmp_path / "out.jsonl")


CASE = next(c for c in odd() if c.name == "one cell")


def test_checks_a_case(told: gpu_kernels.Told, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not gpu_kernels.checked(CASE, told)["bad"] and told.failed == 0
    pull = fused.pull
    monkeypatch.setattr(fused, "pull", lambda *a: pull(*a) * 1.001)
    assert gpu_kernels.checked(CASE, told)["bad"] and told.failed == 1


def test_writes_lines_whatever_fails(told: gpu_kernels.Told) -> None:
    told.all("x", {"bad": lambda: {"a": 1 / 0}, "good": lambda: {"a": 0.123456789}})
    told.end = 0
    told.all("x", {"late": lambda: {"a": 1}})
    assert told.file is not None
    bad, good, late = map(json.loads, told.file.read_text().splitlines())
    assert "ZeroDivisionError" in bad["error"] and good["a"] == 0.12346 and "left_out" in late
    assert told.failed == 1


def test_floor_of_the_widest_case() -> None:
    """12288 channels: 17x17 of 64x64 cells of both maps, and the gradient, of two bytes each."""
    case = next(c for c in real() if c.name == "FLUX 4x3072 bf16, 256 px shift")
    assert gpu_kernels.floor(case, 3e12) == pytest.approx(12288 * 2 * (2 * 17 * 17 + 64 * 64) / 3e6, rel=0.05)
    small = gpu_kernels.tiny(case)
    assert small.sizes == ((16, 64, 64),) * 4 and small.dtype == torch.bfloat16
