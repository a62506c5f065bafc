"""What is said of a paper's variant: what remains of it on an embedded model, what comes before its drag."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from drag_core.__main__ import main
from drag_core.backends.load import load_model
from drag_core.edit import ground_of
from drag_core.lora import Training
from drag_core.pictures.files import to_bytes, write_png
from drag_core.preparing import BY_COLOUR, by_superpixels, own_training
from drag_core.recipes.assemble import Choice
from drag_core.recipes.remains import before_it, remains, same
from drag_core.types import DragError, Handle, Task, Variant
from tests.core.test_paper_rows import RAMPS as IMAGE
from tests.core.test_paper_rows import drawn


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ("gooddrag", ": of it remain loss and tracking, when points are looked for; the model's own: taps"),
        ("dragnext", ": of it remain loss and tracking; the model's own: progress of the updates"),
        ("adaptivedrag", ": of it remain loss and tracking; nothing else differs"),
        ("dragdiffusion", " is ours: there is one text"),
    ],
)
def test_what_remains_on_an_embedded_model(recipe: str, said: str) -> None:
    said = f"variant paper of {recipe} on embedded-sd{said}"
    ground = ground_of(load_model("embedded-sd"))
    assert remains(drawn(), ground, Choice(recipe, "paper")) == said
    assert remains(drawn(), ground, Choice(recipe)) is None
    assert remains(drawn(), replace(ground, preset=None), Choice(recipe, "paper")) is None


def test_what_a_paper_does_before_its_drag() -> None:
    def told(recipe: str, trained: bool, task: Task, variant: Variant = "paper") -> list[str]:
        said = before_it(task, Choice(recipe, variant), trained=trained, advice="A", mask_advice="B")
        return [s.rpartition(": ")[2] for s in said]

    task = drawn()
    assert told("adaptivedrag", False, task) == ["A", "B"] and told("adaptivedrag", True, task) == ["B"]
    assert told("adaptivedrag", True, replace(task, automatic=False)) == []
    assert told("gooddrag", False, task) == ["A"] and told("dragflow", False, task) == []
    assert told("gooddrag", False, task, "ours") == []
    (said,) = before_it(task, Choice("gooddrag", "paper"), trained=False, advice="A", mask_advice="B")
    assert (
        said == "gooddrag's paper first trains a LoRA of the picture (70 steps, rank 16) and there is none: A"
    )


def test_the_papers_own_training() -> None:
    """Of points alone too, whose regions dragnext finds by super-pixels."""
    points = replace(drawn(), regions=())
    assert own_training(points, IMAGE, "adaptivedrag", "paper", 7) == Training(steps=80, seed=7)
    assert own_training(points, IMAGE, "dragnext", "paper", 0) == Training()
    for recipe, variant in (("adaptivedrag", "ours"), ("copy_paste", "paper")):
        assert own_training(points, IMAGE, recipe, variant, 0) is None  # type: ignore[arg-type]
    assert own_training(drawn(), IMAGE, "dragflow", "paper", 0) is None


def test_super_pixels_of_a_whole_edit() -> None:
    """adaptivedrag as the paper says: labels and their mask; painted by hand: labels alone; else as asked."""
    task = replace(drawn(), regions=(), handles=(Handle((140.0, 160.0), (204.0, 160.0)),))
    assert task.editable is not None
    found, notes = by_superpixels(task, IMAGE, "adaptivedrag", "paper", False)
    assert notes == (BY_COLOUR,) and found.labels is not None and not found.automatic
    assert found.editable is not None and not torch.equal(found.editable, task.editable)
    painted, _ = by_superpixels(replace(task, automatic=False), IMAGE, "adaptivedrag", "paper", False)
    assert painted.labels is not None and painted.editable is task.editable
    for recipe, variant in (("adaptivedrag", "ours"), ("gooddrag", "paper")):
        kept, said = by_superpixels(task, IMAGE, recipe, variant, False)  # type: ignore[arg-type]
        assert kept is task and said == ()
    asked, _ = by_superpixels(task, IMAGE, "gooddrag", "ours", True)
    assert asked.labels is None and asked.editable is not None and asked.editable.sum() > found.editable.sum()


def test_same_is_deep() -> None:
    a = drawn()
    assert (
        same(a, drawn())
        and not same(a, replace(a, cell=4))
        and not same((1, 2), (1, 3))
        and same({1: a}, {1: a})
    )


def test_the_command_line_asks_for_the_papers_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless steps are named, of which 0 is none; what is asked for is trained in variant paper alone."""
    asked = list[Any]()

    def still(model: Any, image: Any, instruction: Any, **given: Any) -> None:
        asked.append((given["identity"], given["variant"]))
        raise DragError("enough")

    monkeypatch.setattr("drag_core.edit.edit_picture", still)
    monkeypatch.setattr("drag_core.backends.load.load_model", lambda *a, **k: SimpleNamespace(name="none"))
    write_png(tmp_path / "in.png", to_bytes(IMAGE[0, :, :64, :64]))
    points = [{"start": [10, 10], "target": [20, 20]}]
    (tmp_path / "drag.json").write_text(json.dumps({"version": 1, "points": points}))
    call = ["edit", str(tmp_path / "in.png"), "--drag", str(tmp_path / "drag.json"), "--out"]
    for more in ([], ["--identity", "0"], ["--identity", "3", "--seed", "5"]):
        assert main([*call, str(tmp_path / "out.png"), "--variant", "paper", *more]) == 2
    assert asked == [("recipe", "paper"), (None, "paper"), (Training(steps=3, seed=5), "paper")]
