"""K/V within a budget: the bytes of each storage, which one is taken, and a driver that refuses to pin."""

from __future__ import annotations

import gc
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from drag_core.trajectory.kvplan import KVSize, plan_kv
from drag_core.trajectory.kvstore import KVStore
from drag_core.trajectory.packed import pack
from drag_core.types import DragError

GIB = 2**30


def test_sizes_of_flux_at_1024() -> None:
    """624 MiB an evaluation, 12.2 GiB for 20, half of it and a little in 8 bit."""
    size = KVSize(2 * 4096 * 3072 * 13, 20, latent=4 * 16 * 128 * 128)
    assert size.bytes("pinned") == size.bytes("pageable") == 20 * 624 * 2**20
    assert size.bytes("fp8") / size.bytes("pageable") == pytest.approx(0.5 + 1 / 128)
    assert size.bytes("v fp8") * 2 == size.bytes("fp8")
    assert size.bytes("recompute") == 20 * 2**20
    assert replace(size, shared=True).bytes("v fp8") == size.bytes("fp8")


@pytest.mark.parametrize(
    ("gib", "pin", "storage"),
    [(16, 16, "pinned"), (16, 4, "pageable"), (8, 16, "fp8"), (4, 16, "v fp8"), (1, 16, "recompute")],
)
def test_the_first_storage_that_fits(gib: int, pin: int, storage: str) -> None:
    size = KVSize(2 * 4096 * 3072 * 13, 20, latent=4 * 16 * 128 * 128)
    plan = plan_kv(size, gib * GIB, pin * GIB)
    assert plan.storage == storage and plan.bytes <= gib * GIB and f"kept {storage}" in str(plan)
    assert "12.19 GiB whole" in str(plan)


def test_what_does_not_fit_is_refused() -> None:
    size = KVSize(2 * 4096 * 3072 * 13, 20, latent=4 * 16 * 128 * 128)
    assert plan_kv(size, 16 * GIB, 0, "pinned").storage == "pinned"  # asked for
    with pytest.raises(DragError, match=r"kept fp8 take 6.19 GiB and the budget is 4.00 GiB"):
        plan_kv(size, 4 * GIB, 0, "fp8")
    with pytest.raises(DragError, match="kept recompute"):
        plan_kv(size, 2**20, 0)
    with pytest.raises(DragError, match="kv_memory is 'disk'; it must be auto, .* or recompute"):
        plan_kv(size, GIB, 0, "disk")  # type: ignore[arg-type]


def test_eight_bits_lose_a_fortieth() -> None:
    x = torch.randn(1, 3, 50, 64) * torch.logspace(-3, 3, 50)[:, None]
    x[0, 0, 0] = 0
    opened = pack(x, True).open(x)
    error = (opened - x).abs() / x.abs().clamp_min(1e-12)
    ordinary = x.abs() > 0.02 * x.abs().amax(-1, keepdim=True)  # smaller ones are subnormal
    assert float(error[ordinary].max()) <= 2**-4 + 0.005 and torch.equal(opened[0, 0, 0], x[0, 0, 0])
    assert 0.015 < float((opened - x).norm() / x.norm()) < 0.03
    assert pack(x, False).open(x) is x


class Driver:
    """Stands for torch.cuda.cudart(): refuses from the `allowed`-th registration on, and keeps its last error
    for the next kernel, as CUDA does.
    """

    def __init__(self, allowed: int) -> None:
        self.allowed, self.asked, self.last, self.released = allowed, 0, 0, list[int]()

    def cudaHostRegister(self, place: int, size: int, flags: int) -> int:  # noqa: N802
        self.asked += 1
        self.last = 0 if self.asked <= self.allowed else 712  # cudaErrorHostMemoryAlreadyRegistered
        return self.last

    def cudaHostUnregister(self, place: int) -> int:  # noqa: N802
        self.released.append(place)
        return 0


class WithLastError(Driver):
    """As PyTorch exports it in some versions."""

    def cudaGetLastError(self) -> int:  # noqa: N802
        was, self.last = self.last, 0
        return was


@pytest.mark.parametrize("kind", [Driver, WithLastError])
def test_a_refused_pin_is_told_once_and_leaves_nothing(
    kind: type[Driver], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    driver, zeros, kernels = kind(allowed=1), torch.zeros, list[str]()

    def kernel(*args: Any, **kwargs: Any) -> Tensor:
        kernels.append("trial")
        if driver.last:
            driver.last = 0
            raise RuntimeError("CUDA error: part or all of the requested memory range is already mapped")
        return zeros(*args, **kwargs)

    monkeypatch.setattr(torch.cuda, "cudart", lambda: driver)
    monkeypatch.setattr(torch, "zeros", kernel)
    store = KVStore("pinned")
    like = torch.ones(256, 1024)
    monkeypatch.setattr(
        KVStore, "_to_host", lambda self, x: self._pinned(x) if self.storage == "pinned" else x
    )
    for t in (0.8, 0.5):
        store.put(t, "a", like, like + 1)
    assert driver.last == 0 and kernels == ([] if kind is WithLastError else ["trial"])
    assert driver.asked == 2 and store.storage == "pageable"  # one that went, one refused, none after it
    told = [r.getMessage() for r in caplog.records]
    assert told == ["drag: the driver refused to pin 1.0 MiB; K/V are kept pageable"]
    plan = plan_kv(KVSize(2 * like.numel(), 2, 4), GIB, GIB)
    assert (plan.storage, store.as_kept(plan).storage) == ("pinned", "pageable")
    assert str(store.as_kept(plan)).endswith(
        "kept pageable in 4.0 MiB, budget 1.00 GiB; the driver refused to pin 1.0 MiB"
    )
    del store
    gc.collect()
    assert len(driver.released) == 1


def test_a_plan_that_held_stays() -> None:
    plan = plan_kv(KVSize(1024, 2), GIB, GIB)
    assert KVStore("pinned").as_kept(plan) is plan
    assert "refused" not in str(plan)
