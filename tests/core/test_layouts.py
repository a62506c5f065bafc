"""Every benchmark's published layout: a synthetic sample is read back exactly, and counted in its order."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from drag_core.__main__ import main
from drag_core.bench.formats import read_any, read_noted
from drag_core.bench.readers import SDE_SIZE
from drag_core.bench.samples import Entry, Sample, entries, read_sample
from drag_core.bench.writers import write_kjnodes, write_nextbench, write_sde
from drag_core.motion.geometry import apply, motion_matrix
from drag_core.motion.instruction import PointSpec, read_instruction
from drag_core.motion.task import build_task, draw
from drag_core.types import DragError, Grid
from tests.core import layouts
from tests.core.layouts import EDITABLE, HEIGHT, MOVED, TURNED, WIDTH, Mask

SIZE = Grid(HEIGHT, WIDTH)
TWO = (PointSpec((20, 20), (40, 30)), PointSpec((50, 60), (50, 40)))


def sample(place: Path) -> Sample:
    return read_sample(Entry("a", "", place))


def same(a: torch.Tensor | None, b: Mask) -> bool:
    return a is not None and bool((a.numpy() == b).all())


def test_red_bench(tmp_path: Path) -> None:
    layouts.red(tmp_path)
    x = sample(tmp_path)
    assert x.format == "red" and x.notes == (
        "its pair lies within 20 px of the border: DAI of that radius leaves them out",
    )
    move, turn = x.task.regions
    assert same(move.mask, MOVED) and same(turn.mask, TURNED)
    assert move.motion.shift == (20, 10) and turn.motion.anchor == (49.5, 44.5)
    assert turn.motion.angle == pytest.approx(-math.pi / 2)
    assert same(x.task.editable, EDITABLE) and same(x.editable, EDITABLE)
    assert x.instruction.points == (PointSpec((12, 12), (32, 22)),)
    assert (x.instruction.source_prompt, x.instruction.target_prompt) == ("a cat.", "a cat. It jumps.")
    (tmp_path / "mask.png").unlink()  # as in the demonstrations: the box around the ways, D.2
    without = sample(tmp_path)
    assert without.instruction.editable == "adaptive" and without.editable is not None
    assert without.task.editable is not None and without.editable.sum() < without.task.editable.sum()


def test_drag100(tmp_path: Path) -> None:
    layouts.drag100(tmp_path)
    x = sample(tmp_path)
    assert x.format == "drag100" and x.instruction.points == TWO and same(x.editable, EDITABLE)


def test_nextbench_with_its_intention(tmp_path: Path) -> None:
    layouts.nextbench(tmp_path)
    x = sample(tmp_path)
    move, turn = x.task.regions
    assert x.format == "nextbench" and same(move.mask, MOVED) and same(turn.mask, TURNED)
    assert move.motion.shift == (20, 10) and turn.motion.angle == pytest.approx(-math.pi / 2)
    assert same(x.editable, EDITABLE) and x.instruction.target_prompt == "the box goes right"


@pytest.mark.parametrize("protocol", range(6))
def test_dragbench(tmp_path: Path, protocol: int) -> None:
    layouts.dragbench(tmp_path, protocol=protocol)
    x = sample(tmp_path)
    assert x.format == "dragbench" and x.instruction.points == TWO and same(x.editable, EDITABLE)
    assert x.instruction.source_prompt == "a cat" and x.instruction.target_prompt == ""
    layouts.dragbench(tmp_path, np.zeros((HEIGHT, WIDTH), np.float32), protocol=protocol)
    unmasked = sample(tmp_path)
    assert unmasked.editable is None and "no mask was drawn: everything may change" in unmasked.notes


def test_dragbench_with_regions(tmp_path: Path) -> None:
    layouts.dragbench_dr(tmp_path)
    x = sample(tmp_path)
    first, second = x.task.regions
    assert x.format == "dragbench-dr" and [r.task for r in x.instruction.regions] == ["deformation"] * 2
    assert same(first.mask, MOVED) and same(second.mask, TURNED) and same(x.editable, EDITABLE)
    assert first.motion.shift == (20, 10) and second.motion.shift == (0, -5)
    assert any("converted by us" in note for note in x.notes)


def test_sde_drag(tmp_path: Path) -> None:
    layouts.sde(tmp_path)
    x = sample(tmp_path)
    assert x.format == "sde" and x.instruction.points == (PointSpec((120, 130), (300, 250)),)
    mask = np.zeros((512, 512), np.uint8)
    mask[100:301, 50:401] = 1
    assert same(x.editable, mask) and x.instruction.source_prompt == "a lion"
    layouts.picture(tmp_path / "origin_image.png", size=(256, 384))  # its script squeezes any to 512x512
    small = sample(tmp_path)
    assert small.task.handles[0].start == pytest.approx((120.5 / 2 - 0.5, 130.5 * 0.75 - 0.5))


def test_kjnodes(tmp_path: Path) -> None:
    layouts.kjnodes(tmp_path / "cat.json")
    x = sample(tmp_path / "cat.json")
    assert x.format == "kjnodes" and x.instruction.points == TWO
    ends = {"positive": [{"x": 20, "y": 20}], "negative": [{"x": 40, "y": 30}]}
    layouts.write(tmp_path / "store.json", ends)
    assert read_any(tmp_path / "store.json")[0].points == TWO[:1]
    for bad, said in (
        ({"positive": ends["positive"], "negative": []}, "1 positive and 0 negative"),
        ([[{"x": 1, "y": 2}]], "fewer than two points"),
        ([[{"x": 1, "y": 2}, {"x": "1", "y": 2}]], "'1'"),
    ):
        layouts.write(tmp_path / "bad.json", bad)
        with pytest.raises(DragError, match=said):
            read_any(tmp_path / "bad.json")


def test_the_ways_back(tmp_path: Path) -> None:
    layouts.nextbench(tmp_path / "next")
    x = read_any(tmp_path / "next")[0]
    assert write_nextbench(x, tmp_path / "a", SIZE) == ("DragNeXt moves regions: the points were left out",)
    back = sample_task = build_task(read_any(tmp_path / "a")[0], SIZE)[0]
    for region, mask in zip(back.regions, (MOVED, TURNED), strict=True):
        assert same(region.mask, mask)
    assert sample_task.regions[0].motion.shift == (20, 10)
    assert back.regions[1].motion.angle == pytest.approx(-math.pi / 2, abs=1e-3)
    assert read_any(tmp_path / "a")[0].target_prompt == "the box goes right"
    layouts.drag100(tmp_path / "points")
    points = read_any(tmp_path / "points")[0]
    write_kjnodes(points, tmp_path / "points.json", SIZE)
    assert read_any(tmp_path / "points.json")[0].points == TWO
    layouts.sde(tmp_path / "sde")
    there = read_any(tmp_path / "sde")[0]
    assert write_sde(there, tmp_path / "b", Grid(512, 512)) == ()
    again = read_any(tmp_path / "b")[0]
    assert again.points == there.points and again.source_prompt == "a lion"
    square = Grid(SDE_SIZE["height"], SDE_SIZE["width"])
    assert torch.equal(draw(again.painted, square), draw(there.painted, square))


@pytest.mark.parametrize("layout", ["red", "drag100", "nextbench", "dragbench", "dragbench_dr", "sde"])
def test_convert_makes_one_json_of_every_format(tmp_path: Path, layout: str) -> None:
    getattr(layouts, layout)(tmp_path / "in")
    assert main(["convert", str(tmp_path / "in"), str(tmp_path / "drag.json")]) == 0
    x, want = read_instruction(tmp_path / "drag.json"), read_noted(tmp_path / "in").instruction
    assert x == want
    size = Grid(x.height or HEIGHT, x.width or WIDTH)
    for a, b in zip(build_task(x, size)[0].regions, build_task(want, size)[0].regions, strict=True):
        centre = (1.0, 2.0)
        assert torch.equal(a.mask, b.mask)
        assert apply(motion_matrix(a.motion), centre) == apply(motion_matrix(b.motion), centre)


def test_a_folder_of_samples_is_walked_in_numeric_order(tmp_path: Path) -> None:
    for name in ("rot/2", "rot/10", "trans_deform/1", "hybrid/1"):
        layouts.nextbench(tmp_path / name)
    layouts.kjnodes(tmp_path / "tracks" / "a9.json")
    layouts.kjnodes(tmp_path / "tracks" / "a10.json")
    layouts.red(tmp_path / "c1")
    (tmp_path / "notes.txt").write_text("no sample")
    layouts.write(tmp_path / "statistics.json", {"count": 7})
    layouts.nextbench(tmp_path / ".hidden")
    found = entries(str(tmp_path))
    ids = ["c1", "hybrid/1", "rot/2", "rot/10", "tracks/a9", "tracks/a10", "trans_deform/1"]
    assert [e.id for e in found] == ids
    assert [e.category for e in found] == ["", "hybrid", "rot", "rot", "tracks", "tracks", "trans_deform"]
    assert [e.id for e in entries(str(tmp_path), 2)] == ids[:2]
    assert len({read_sample(e).digest for e in found}) < len(found)  # four are the same drag of one picture


def test_scenes_are_samples_whose_answer_is_known() -> None:
    found = entries("scenes:6")
    assert [e.category for e in found] == ["move", "turn", "scale", "part", "move", "turn"]
    turn = read_sample(found[1])
    assert turn.case is not None and turn.format == "scenes"
    (region,), (handle,) = turn.task.regions, turn.task.handles
    assert same(region.mask, turn.case.mask.numpy().astype(np.uint8))
    assert math.dist(apply(motion_matrix(region.motion), handle.start), handle.target) < 0.01
    assert math.dist(handle.start, region.motion.anchor) > 5  # on its anchor it would show no turn


@pytest.mark.parametrize("data", ["scenes:0", "scenes:x", "scenes:", "nowhere"])
def test_data_that_is_none_is_refused(data: str) -> None:
    with pytest.raises(DragError, match="scenes:N"):
        entries(data)


def test_a_folder_without_samples_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(DragError, match="holds no sample"):
        entries(str(tmp_path))


def test_what_lacks_a_file_is_a_sample_with_a_reason(tmp_path: Path) -> None:
    layouts.drag100(tmp_path / "1")
    layouts.drag100(tmp_path / "2")
    (tmp_path / "2" / "points.json").unlink()
    layouts.red(tmp_path / "3")
    (tmp_path / "3" / "operation.png").unlink()
    layouts.dragbench(tmp_path / "4")
    (tmp_path / "4" / "original_image.png").unlink()
    found = entries(str(tmp_path))
    assert [e.id for e in found] == ["1", "2", "3", "4"]
    for entry, said in zip(
        found[1:], ("no drag instruction", "operation.png", "has no picture"), strict=True
    ):
        with pytest.raises(DragError, match=said):
            read_sample(entry)


def test_the_digest_tells_drags_and_pictures_apart(tmp_path: Path) -> None:
    layouts.drag100(tmp_path / "1")
    one = sample(tmp_path / "1").digest
    document = json.loads((tmp_path / "1" / "points.json").read_text())
    document["points"][1][0] += 1
    layouts.write(tmp_path / "1" / "points.json", document)
    two = sample(tmp_path / "1").digest
    layouts.picture(tmp_path / "1" / "original.jpg", "L")
    assert len({one, two, sample(tmp_path / "1").digest}) == 3
