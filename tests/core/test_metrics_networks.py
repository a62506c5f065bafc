"""The lines that need a network: protocols, what is missing, what may stand beside a paper's number."""

from __future__ import annotations

import json
import math
from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest
import torch

from drag_core.features.dift import check_model
from drag_core.metrics.cost import Cost, stage, told
from drag_core.metrics.distance import md, md2
from drag_core.metrics.fidelity import if_bg, if_s2s, if_s2t, part
from drag_core.metrics.lpips import LpipsNet, distance_of, lpips
from drag_core.metrics.lpips_weights import ALEX, lpips_net
from drag_core.metrics.matched import Features, seen_matches
from drag_core.metrics.plain import located
from drag_core.metrics.protocols import (
    EMPTY,
    EMPTY_768,
    OWN,
    PROTOCOLS,
    FeatureRule,
    column_of,
    protocol_of,
)
from drag_core.metrics.report import Looks, Report, as_dict, as_saved, measure, rows, table
from drag_core.types import AffineMotion, DragError, Grid, Region, Task
from tests.core.test_lpips import random_weights
from tests.core.test_metrics import EDITABLE, SIZE, SOURCE, TASK, edit, line, noise

A, B = noise(1), edit(noise(1))
NETWORK = {"lpips", "if", "if_bg", "if_s2t", "if_s2t_released", "if_s2s"} | {
    *("lpips_ue", "lpips_th", "lpips_hh", "if_ed", "if_th", "if_hh"),
    *("md", "m_md", "md_regiondrag", "md_inpaint4drag", "md1", "md2"),
}


@pytest.fixture(scope="module")
def net() -> LpipsNet:
    backbone, heads = random_weights(ALEX)
    return lpips_net(backbone, heads, "7be5be79" + "0" * 56, ALEX.heads)


def features(
    seed: int, rules: tuple[FeatureRule, ...] = (OWN, EMPTY, EMPTY_768), channels: int = 4
) -> Features:
    g = torch.Generator().manual_seed(seed)
    maps = {r: torch.randn(1, channels, *((12, 12) if r.side else (8, 10)), generator=g) for r in rules}
    return Features(maps, SIZE, "SD2.x", "abc", "a box")


def keys(report: Report) -> set[str]:
    return {x.key for x in report.lines}


def test_without_networks_every_line_says_what_it_needs() -> None:
    report = measure(A, B, TASK)
    found = [line(report, key) for key in NETWORK]
    assert all(math.isnan(x.edited) and math.isnan(x.no_edit) for x in found)
    assert all(x.hint == f"n/a: {x.origin.reason}" and "needs" in x.hint for x in found)
    assert {x.origin.comparable for x in found} == {False} and {x.origin.backbone for x in found} == {""}
    assert "Drag Load LPIPS" in line(report, "if_bg").hint and "Drag DIFT" in line(report, "md1").hint
    data = as_dict(report)["metrics"]["md1"]
    assert (
        data["edited"] is None and data["protocol"] == "dragflow/1" and data["comparable_to_paper"] is False
    )
    assert not any("Not comparable" in n for n in report.notes)  # there is no number to compare


def test_fidelities_are_those_functions(net: LpipsNet) -> None:
    report = measure(A, B, TASK, looks=Looks(lpips=net))
    a, b, look = as_saved(A), as_saved(B), distance_of(net)
    want = {
        "lpips": lpips(a, b, net),
        "if": 1 - lpips(a, b, net),
        "if_bg": if_bg(a, b, EDITABLE, look),
        "if_s2t": if_s2t(a, b, TASK.regions, look),
        "if_s2t_released": if_s2t(a, b, TASK.regions, look, "released"),
        "if_s2s": if_s2s(a, b, TASK.regions, look),
        "lpips_ue": part(a, b, 1 - EDITABLE, 1 - EDITABLE, look),
        "if_ed": 1 - part(a, b, EDITABLE, EDITABLE, look),
        "lpips_hh": part(a, b, SOURCE, SOURCE, look, "bbox224"),
    }
    for key, value in want.items():
        assert line(report, key).edited == pytest.approx(value, abs=1e-9), key
    assert line(report, "if_bg").no_edit == line(report, "if_s2s").no_edit == 1
    assert line(report, "lpips_th").edited == pytest.approx(0, abs=1e-6)  # the box arrived whole
    assert line(report, "lpips_th").no_edit > 0.1 and line(report, "lpips_hh").edited > 0.1
    assert line(report, "if_th").edited == 1 - line(report, "lpips_th").edited
    origin = line(report, "if_s2s").origin
    assert origin.protocol == "dragflow/1" and origin.backbone == "LPIPS alex v0.1"
    assert origin.sha256.startswith("7be5be79") and origin.comparable
    assert line(report, "if").origin.protocol == "dragdiffusion/1"


def test_dragnexts_cut_is_said_to_be_unpublished(net: LpipsNet) -> None:
    report = measure(A, B, TASK, looks=Looks(lpips=net))
    for key in ("lpips_ue", "lpips_th", "lpips_hh", "if_ed", "if_th", "if_hh"):
        x = line(report, key)
        assert x.origin.comparable is False and "not published" in x.origin.reason
        assert x.hint.endswith("is better")
    assert line(report, "lpips_th").origin.protocol == "dragnext/1"
    note = next(n for n in report.notes if "not published" in n)
    assert note.startswith("Not comparable to the paper, LPIPS_ue, LPIPS_th, LPIPS_hh, IF_ed, IF_th, IF_hh:")
    assert "higher is better; not comparable to the paper" in table(report)


@pytest.mark.parametrize("other", [dict(official=False), dict(name="LPIPS vgg v0.1")])
def test_other_weights_are_told_apart(net: LpipsNet, other: dict[str, Any]) -> None:
    """The papers look through AlexNet; VGG's own published weights are others too."""
    report = measure(A, B, TASK, looks=Looks(lpips=replace(net, **other)))
    x = line(report, "if_bg")
    assert math.isfinite(x.edited) and x.origin.comparable is False
    assert "not the papers' weights (alexnet-owt-7be5be79.pth" in x.origin.reason


def test_what_the_drag_lacks_is_said(net: LpipsNet) -> None:
    looks = Looks(net, features(1), features(2))
    points = measure(A, B, Task(SIZE, (), TASK.handles, EDITABLE), looks=looks)
    for key in ("if_s2t", "if_s2s", "lpips_th", "lpips_hh", "md1", "md2"):
        assert line(points, key).hint == "n/a: needs regions"
    assert math.isfinite(line(points, "if_bg").edited)
    free = measure(A, B, Task(SIZE, TASK.regions, TASK.handles), looks=looks)
    for key in ("if_bg", "lpips_ue", "if_ed", "md1", "m_md"):
        assert line(free, key).hint == "n/a: needs a mask, and everything may change"
    out = Region(SOURCE, AffineMotion((500.0, 0.0)))
    left = measure(A, B, replace(TASK, regions=(out,), editable=torch.ones(64, 80)), looks=looks)
    assert line(left, "lpips_th").hint == "n/a: needs a target inside the picture"
    assert line(left, "if_bg").hint == "n/a: needs a mask, and everything may change"
    empty = measure(A, B, replace(TASK, editable=torch.zeros(64, 80)), looks=looks)
    assert line(empty, "m_md").hint == "n/a: the mask is empty"


def sd21(seed: int, **more: Any) -> Features:
    return replace(features(seed, channels=1280), **more)


def test_distances_are_those_functions() -> None:
    before, after = sd21(1), sd21(2)
    report = measure(A, B, TASK, looks=Looks(original=before, edited=after))
    point = ([(15.0, 17.0)], [(45.0, 33.0)])
    centre = ([(15.5, 17.5)], [(45.5, 33.5)])
    maps = {r: (before.maps[r], after.maps[r]) for r in before.maps}
    want = {
        "md": md(*maps[OWN], *point, SIZE),
        "m_md": md(*maps[OWN], *point, SIZE, EDITABLE),
        "md1": md(*maps[EMPTY], *centre, SIZE, EDITABLE),
        "md2": md2(*maps[EMPTY_768], *centre, SIZE),
        "md_inpaint4drag": md2(*maps[EMPTY_768], *point, SIZE) / 100,
    }
    for key, value in want.items():
        assert line(report, key).edited == pytest.approx(float(value.mean()), abs=1e-9), key
    x = line(report, "md1")
    assert x.origin == replace(
        x.origin, protocol="dragflow/1", backbone="SD2.x", sha256="abc", comparable=True
    )
    assert x.hint == "lower is better; 1 of 1 pairs" and x.count == 1 and x.unit == "px"
    assert math.isnan(line(report, "md_regiondrag").edited)  # no such features were made
    assert "for this protocol" in line(report, "md_regiondrag").hint
    still = measure(A, A, TASK, looks=Looks(original=before, edited=before))
    assert line(still, "md").edited == line(still, "md").no_edit == line(report, "md").no_edit
    assert line(still, "md").edited == pytest.approx(34, abs=8)  # found at the start, of cells of 8 px


def test_another_model_never_gives_md() -> None:
    others: tuple[dict[str, Any], ...] = (dict(label="SD1.x"), dict(maps=features(1).maps))
    for other in others:
        looks = Looks(original=sd21(1, **other), edited=sd21(2, **other))
        report = measure(A, B, TASK, looks=looks)
        assert not {"md", "m_md", "md1", "md2"} & keys(report)
        x = line(report, "dift_md1")
        assert x.name.startswith("DIFT distance as MD1 (") and x.origin.comparable is False
        assert "MD is defined by Stable Diffusion 2.1's" in x.origin.reason


def test_features_must_be_of_this_picture_and_alike() -> None:
    with pytest.raises(
        DragError, match="features of the edited picture are of 40x64 and the picture is 80x64"
    ):
        measure(A, B, TASK, looks=Looks(original=features(1), edited=replace(features(2), size=Grid(64, 40))))
    for other in (dict(seed=3), dict(prompt="x"), dict(sha256="d"), dict(maps={OWN: features(1).maps[OWN]})):
        with pytest.raises(DragError, match="made with other settings"):
            measure(A, B, TASK, looks=Looks(original=features(1), edited=replace(features(2), **other)))
    half = measure(A, B, TASK, looks=Looks(original=features(1)))
    assert "of the edited picture too" in line(half, "md").hint


def test_a_start_outside_is_left_out_and_counted() -> None:
    far = replace(TASK.handles[0], start=(500.0, 17.0))
    task = replace(TASK, handles=(*TASK.handles, far))
    report = measure(A, B, task, looks=Looks(original=sd21(1), edited=sd21(2)))
    x = line(report, "md")
    assert x.hint == "lower is better; 1 of 2 pairs, the others start outside the picture" and x.count == 1
    alone = measure(A, B, TASK, looks=Looks(original=sd21(1), edited=sd21(2)))
    assert x.edited == line(alone, "md").edited
    gone = replace(TASK, handles=(far,))
    x = line(measure(A, B, gone, looks=Looks(original=sd21(1), edited=sd21(2))), "md")
    assert math.isnan(x.edited) and x.count == 0


def test_protocols_are_frozen_whole_and_apart() -> None:
    for p in PROTOCOLS.values():
        assert p.version >= 1 and p.stamp == f"{p.name}/{p.version}" and p.source and p.columns
        with pytest.raises(FrozenInstanceError):
            p.version = 2  # type: ignore[misc]
    lines = keys(measure(A, B, TASK))
    asked = {c.key for p in PROTOCOLS.values() for c in p.columns}
    assert asked <= lines  # every column of a paper's table is a line of a report
    matches = [m.key for p in PROTOCOLS.values() for m in p.matches]
    assert len(matches) == len(set(matches))
    for p in PROTOCOLS.values():  # no match stands in another protocol's table
        for m in p.matches:
            assert [q.name for q in PROTOCOLS.values() if m.key in {c.key for c in q.columns}] == [p.name]
    assert PROTOCOLS["dragflow"].features == (EMPTY, EMPTY_768)
    heads = [c.head for c in PROTOCOLS["dragflow"].columns]
    assert heads == ["IF_bg ↑", "IF_s2t ↑", "IF_s2s ↓", "MD1 ↓", "MD2 ↓"]
    dragflow, md_column = protocol_of("md1"), column_of("md")
    assert dragflow is PROTOCOLS["dragflow"] and protocol_of("left_behind") is None
    assert md_column is not None and md_column.pooling == "points" and column_of("none") is None


def test_models_that_cannot_look() -> None:
    check_model("SD2.x")
    check_model("SD1.x")
    with pytest.raises(DragError, match="DIFT looks through a Stable Diffusion 2.1 and this is a FLUX model"):
        check_model("FLUX")


def test_matches_to_be_drawn() -> None:
    seen = dict(seen_matches(TASK, features(1), features(2)))
    assert list(seen) == ["MD", "m-MD", "MD of Inpaint4Drag", "MD1", "MD2"]
    (one,) = seen["m-MD"]
    assert EDITABLE[int(one.found[1]), int(one.found[0])] == 1 and one.start == (15.0, 17.0)
    assert seen_matches(TASK, None, features(2)) == []
    (moved,) = located(A, B, TASK)
    assert moved.start == (15.5, 17.5) and moved.found == moved.target == (45.5, 33.5)
    (gone,) = located(A, torch.zeros_like(A), TASK)
    assert math.isnan(gone.found[0])
    (point,) = located(A, B, Task(SIZE, (), TASK.handles))
    assert point.start == (15.0, 17.0) and math.isnan(point.found[0])


def test_the_cost_of_an_edit() -> None:
    cost = Cost()
    with stage(cost, "invert"):
        pass
    with stage(cost, "drag"):
        torch.zeros(1000).sum()
    with stage(cost, "drag"):
        pass
    assert list(cost.seconds) == ["invert", "drag"] and 0 < cost.total < 60 and cost.peak_mb > 10
    report = measure(A, B, TASK, cost=cost)
    assert line(report, "seconds").edited == cost.total and "drag" in line(report, "seconds").hint
    assert line(report, "peak_memory").edited == cost.peak_mb
    read = told(json.dumps({"seconds": 12.5, "peak_memory_mb": 900.0}))
    assert (read.total, read.peak_mb) == (12.5, 900.0)
    assert math.isnan(told('{"seconds": 1}').peak_mb)
    unknown = line(measure(A, B, TASK, cost=told('{"seconds": 1}')), "peak_memory")
    assert unknown.hint == "n/a: the system does not tell"
    for text in ("", "[]", '{"seconds": "x"}', "{"):
        with pytest.raises(DragError, match="no JSON with seconds"):
            told(text)


def test_rows_are_the_tables() -> None:
    report = measure(A, B, TASK)
    cells = rows(report)
    assert len(cells) == len(report.lines) + 1 and cells[0] == ("metric", "edited", "no edit", "")
    assert all(row[0] in table(report) for row in cells)
