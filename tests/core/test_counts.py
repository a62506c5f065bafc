"""The meter by hand, and the counts of the loop that must not grow, on models without weights."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from benchmarks import counts, edits, models, tiny
from benchmarks.counts import Line
from benchmarks.meter import Meter, Saved, flash
from drag_core.backends.diffusers_flux import DiffusersFlux
from drag_core.backends.diffusers_unet import DiffusersUNet
from drag_core.motion.masks import on_grid
from drag_core.recipes.dragflow import dragflow
from drag_core.recipes.dragnext import dragnext
from drag_core.recipes.gooddrag import gooddrag
from drag_core.trajectory.constrain import HardBackground
from drag_core.types import Grid


@pytest.fixture(autouse=True)
def no_square_attention() -> Iterator[None]:
    with flash():
        yield


def test_the_meter_counts_by_hand() -> None:
    m = Meter()
    with m:
        m.phase = "a"
        a, b = torch.empty(3, 4, device="meta"), torch.empty(4, 5, device="meta")
        assert m.bytes["a"] == 0 and m.ops["a"] == 2 and m.live == 4 * (12 + 20)
        c = a @ b.t().t()  # views are free
        assert m.flops["a"] == 2 * 3 * 4 * 5 and m.bytes["a"] == 4 * (12 + 20 + 15) and m.ops["a"] == 3
        m.phase = "b"
        c.add_(1)
        assert m.bytes["b"] == 4 * 15  # in place: read once
        c.add_(torch.empty(3, 1, device="meta").expand(3, 5))
        assert m.bytes["b"] == 4 * (15 + 15 + 3)  # an expanded operand is read once
        assert m.live == 4 * (12 + 20 + 15) and m.peak == 4 * (12 + 20 + 15 + 3)
        del a, b
        assert m.live == 4 * 15


def test_the_meter_sees_waits_and_uploads() -> None:
    m = Meter()
    with m:
        x = torch.ones(6, device="meta")
        assert x.sum().item() == 0 and x.cpu().shape == (6,) and m.syncs[""] == 2
        torch.ones(5).sum().item()  # the host's own
        assert m.syncs[""] == 2 and m.uploads[""] == 0
        torch.ones(5).to("meta")
        x[:5].copy_(torch.ones(5))
        assert m.uploads[""] == 40 and m.total()["uploads"] == 40


def test_the_meter_knows_weights_and_what_is_saved() -> None:
    net = torch.nn.Linear(7, 3, device="meta")
    m = Meter()
    m.weights(net)
    x = torch.empty(2, 7, device="meta", requires_grad=True)
    with m, Saved(net) as saved:
        net(x)
        assert m.live <= 4 * (14 + 6) and m.used_weight_bytes() == 4 * (21 + 3)
        before = saved.bytes
        (x * x.exp()).sum()
        assert before == 4 * 14 and saved.bytes == 4 * (14 + 14)  # x is there already


def test_exit_status_and_json(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said: list[str] = []
    good, bad = Line("a", 1.0, "<=", 2.0), Line("b", 3.0, "<=", 2.0)
    monkeypatch.setattr(counts, "GROUPS", {"one": lambda: iter([good]), "two": lambda: iter([good, bad])})
    assert counts.main(["one"], said.append) == 0 and "ok" in said[0]
    file = tmp_path / "out.json"
    assert counts.main(["--json", str(file)], said.append) == 1
    found = json.loads(file.read_text())
    assert [(f["group"], f["metric"], f["ok"]) for f in found] == [
        ("one", "a", True),
        ("two", "a", True),
        ("two", "b", False),
    ]
    assert "MISSED" in said[-2] and "1 missed" in said[-1]
    with pytest.raises(SystemExit):
        counts.main(["three"], said.append)


@pytest.mark.parametrize("group", ["dragflow", "exact"])
def test_groups_hold(group: str) -> None:
    assert [line for line in counts.GROUPS[group]() if not line.ok] == []


IMAGE, LATENT = Grid(512, 512), (1, 4, 64, 64)


def test_an_sd_update_is_at_its_floor() -> None:
    net = models.sd15()
    backbone = DiffusersUNet(net, torch.empty(1, 77, 768, device="meta"))
    points = gooddrag(models.task(IMAGE, handles=models.pairs(12)))
    points = models.with_constraint(points, HardBackground(on_grid(models.middle(IMAGE), Grid(64, 64), 0.5)))
    _, seen = models.measure(backbone, net, points, LATENT)
    plain, tracked = seen.counts[1], seen.counts[3]
    assert plain["flops"] < 1335e9 and plain["bytes"] < 15.6e9 and plain["ops"] < 1250
    assert plain["syncs"] == 0 and tracked["syncs"] == 1
    assert plain["uploads"] < 16e3 and tracked["uploads"] < 64e3
    assert seen.live[3] == seen.live[1]

    regions = dragnext(models.task(IMAGE, models.squares(128, 2, IMAGE, angle=0.5)))
    meter, seen = models.measure(backbone, net, regions, LATENT)
    assert all(c["syncs"] == c["uploads"] == 0 for c in seen.counts[1:])
    assert seen.counts[1]["flops"] < 1830e9 and seen.live[3] == seen.live[1]
    assert meter.peak < 1.72e9 and models.gradient_bytes(net) == 0


def test_a_flux_update_is_at_its_floor() -> None:
    net = models.flux_dev(singles=1)
    text, pooled = torch.empty(1, 512, 4096, device="meta"), torch.empty(1, 768, device="meta")
    recipe = dragflow(models.task(Grid(1024, 1024), models.squares(256, 2, Grid(1024, 1024))), "released")
    for checkpoint, work, memory in ((False, 57.5e12, 8.1e9), (True, 82e12, 1.4e9)):
        backbone = DiffusersFlux(net, text.bfloat16(), pooled.bfloat16(), checkpoint=checkpoint)
        meter, seen = models.measure(backbone, net, recipe, (1, 16, 128, 128), torch.bfloat16, updates=3)
        one = seen.counts[2]
        assert one["flops"] < work and meter.peak < memory and one["syncs"] == one["uploads"] == 0
        assert meter.used_weight_bytes() < 8.8e9 and seen.live[2] == seen.live[1]


def test_calls_of_an_edit(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = ("DragFlow", "GoodDrag")
    few = [c for c in edits.cases() if c[0] in wanted]
    monkeypatch.setattr(edits, "cases", lambda: iter(few))
    rows = list(edits.lines())
    assert len(rows) == 5 and all(Line(*r).ok for r in rows)
    backbone = edits.Counted(tiny.unet())
    backbone.predict(torch.zeros(1, 4, 16, 16), 500.0)
    assert (backbone.plain, backbone.updates) == (1, 0)
