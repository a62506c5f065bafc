"""The editor without a host: documents in and out, numbers, files, names."""

from __future__ import annotations

import json
import math
import zipfile
from pathlib import Path

import pytest

from tests.browser.bare import BALL, HOUSE, Open, near

EVIL = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>"\'><svg onload=window.hacked=1>'
OUTSIDE = {
    "version": 1,
    "image": {"width": 512, "height": 512},
    "regions": [{"task": "relocation", "polygons": [[[50, 50], [120, 50], [120, 120]]], "target": [900, 20]}],
}


def test_markup_in_strings_is_text(opened: Open) -> None:
    hands = opened(w=900, h=640)
    region = {
        "label": EVIL,
        "task": "relocation",
        "polygons": [[[50, 50], [120, 50], [120, 120]]],
        "target": [600, 90],
        "color": EVIL,
        "id": EVIL,
        "mask": "a<img onerror=x>.png",
    }
    doc = {
        "version": 1,
        "image": {"width": 512, "height": 512},
        "regions": [region, {**region, "task": "rotation", "angle": 20}],
        "prompts": {"source": EVIL, "target": EVIL},
        EVIL: EVIL,
    }
    hands.load(doc)
    hands.page.evaluate("name => probe.take('{', name)", f"{EVIL}.json")
    hands.page.evaluate(
        'name => probe.take(`{"region_operations": "${name}"}`, name)', "<img onerror=x>.json"
    )
    hands.page.evaluate("t => probe.editor.setError(t)", EVIL)
    hands.focus()
    hands.key("Tab", "ArrowLeft", "Tab", "?")
    hands.settle()
    hands.page.wait_for_timeout(300)
    assert hands.page.evaluate("window.hacked") is None
    assert hands.page.evaluate("probe.root.querySelectorAll('img, script, iframe').length") == 0
    assert hands.page.input_value(".drg-text") == EVIL
    kept = hands.doc()
    assert kept["regions"][0]["label"] == EVIL and kept[EVIL] == EVIL


def test_bad_documents_are_said_and_nothing_is_lost(opened: Open) -> None:
    hands = opened()
    for bad in ("{", "[]", '{"version":2}', '{"regions":[{"polygons":[[[0,0],[1,1],[NaN,2]]]}]}', "[" * 5000):
        hands.load(bad)
        assert hands.state()["error"] and hands.page.evaluate("probe.editor.getText()") == bad
    assert hands.page.evaluate("probe.log.commits.length") == 0
    hands.load("")
    assert hands.state()["error"] == ""


def test_document_of_another_size_is_scaled_and_said(opened: Open) -> None:
    hands = opened()
    doc = {
        "version": 1,
        "image": {"width": 256, "height": 256},
        "regions": [
            {"task": "relocation", "polygons": [[[50, 50], [120, 50], [120, 120]]], "target": [100, 20]}
        ],
        "keep": 1,
    }
    hands.load(doc)
    hands.settle()
    assert hands.state()["doc"]["regions"][0]["target"] == [200.5, 40.5]
    assert "drawn at 256" in hands.page.inner_text(".drg-chips")
    assert hands.page.evaluate("probe.log.commits.length") == 0  # looking changes nothing
    hands.focus()
    hands.key("Tab", "ArrowRight")
    assert hands.doc()["image"] == {"width": 512, "height": 512} and hands.doc()["keep"] == 1


def test_numbers_list_prompts_and_editable_area(opened: Open) -> None:
    hands = opened(w=900, h=640)
    page = hands.page
    hands.polygon(BALL, 46)
    page.fill('[data-field="dx"]', "-80")
    page.keyboard.press("Enter")
    assert hands.region()["target"] == pytest.approx([BALL[0] - 80, BALL[1]], abs=1)
    page.fill('[data-field="weight"]', "2.5")
    page.keyboard.press("Tab")
    assert hands.region()["weight"] == 2.5
    page.select_option('[aria-label="Task"]', "rotation")
    page.fill('[data-field="angle"]', "-35")
    page.keyboard.press("Enter")
    assert (hands.region()["task"], hands.region()["angle"], hands.region().get("auto")) == (
        "rotation",
        -35,
        None,
    )
    page.fill('[aria-label="Name of region 1"]', "ball")
    page.keyboard.press("Enter")
    page.fill('[aria-label="Prompt after"]', "a ball on the roof")
    page.keyboard.press("Tab")
    assert hands.region()["label"] == "ball" and hands.doc()["prompts"]["target"] == "a ball on the roof"
    hands.polygon(HOUSE, 40)
    page.click('[aria-label="Earlier"]')
    assert [r["label"] for r in hands.doc()["regions"]] == ["", "ball"]
    page.click('.drg-on [title="Lock it"]')
    hands.drag(HOUSE, (200, 200))
    assert "target" not in hands.region(0) and hands.region(0)["locked"] is True
    page.select_option('[aria-label="What may change"]', "painted")
    assert hands.doc()["editable"]["mode"] == "painted" and hands.doc()["editable"]["polygons"]
    hands.drag((400, 100), (480, 100))
    assert max(p[0] for poly in hands.doc()["editable"]["polygons"] for p in poly) > 480
    hands.shot("editable")
    page.click("text=Painting what may change: done")
    page.select_option('[aria-label="What may change"]', "none")
    assert hands.doc()["editable"]["mode"] == "none"


def test_problems_are_shown_with_a_fix(opened: Open) -> None:
    hands = opened()
    hands.load(OUTSIDE)
    hands.page.wait_for_selector(".drg-warn")
    assert "outside" in hands.page.inner_text(".drg-warn")
    hands.page.click(".drg-chip-fix")
    hands.page.wait_for_function("!document.querySelector('.drg-chips').textContent.includes('outside')")
    assert hands.region()["target"] == [511, 20]


def test_view_state_survives_a_new_editor(opened: Open) -> None:
    """The host makes the node anew on its own undo: zoom, tool, selection and undo go along."""
    hands = opened()
    hands.polygon(BALL, 46)
    hands.drag(BALL, (200, 250), hold="Control")
    hands.page.mouse.wheel(0, -300)
    hands.settle()
    before = hands.state()
    hands.page.evaluate("probe.again()")
    hands.settle()
    after = hands.state()
    for key in ("view", "tool", "sel", "text"):
        assert after[key] == before[key], key
    hands.focus()
    hands.key("Control+z")
    assert "target" not in hands.region()


def test_drop_and_paste(opened: Open) -> None:
    hands = opened()
    hands.page.evaluate("probe.drop('cat.png')")
    assert hands.page.evaluate("probe.log.uploads") == ["cat.png"]
    doc = json.dumps(
        {
            "version": 1,
            "image": {"width": 512, "height": 512},
            "points": [{"start": [1, 2], "target": [30, 40]}],
        }
    )
    hands.focus()
    hands.page.evaluate("t => probe.paste(t)", doc)
    hands.settle()
    assert hands.doc()["points"] == [{"start": [1, 2], "target": [30, 40]}]


@pytest.mark.parametrize("kind", ["Drag document (JSON)", "ReD Bench / DragFlow"])
def test_export_then_import(opened: Open, kind: str, tmp_path: Path) -> None:
    hands = opened()
    hands.tool("rectangle")
    hands.drag((60, 240), (200, 390))
    hands.drag((130, 300), (330, 150), hold="Control")
    before = hands.region()
    hands.page.click('[title="Import, export, help"]')
    with hands.page.expect_download() as download:
        hands.page.click(f'.drg-menu >> text="{kind}"')
    file = tmp_path / download.value.suggested_filename
    download.value.save_as(file)
    hands.page.click('[title="Import, export, help"]')
    hands.page.click('.drg-menu >> text="Start again"')
    assert hands.state()["text"] == ""
    files = [file]
    if file.suffix == ".zip":
        with zipfile.ZipFile(file) as z:
            z.extractall(tmp_path)
        files = [tmp_path / name for name in ("instruction.json", "operation.png", "original_image.png")]
    hands.page.click('[title="Import, export, help"]')
    with hands.page.expect_file_chooser() as chooser:
        hands.page.click('.drg-menu >> text="Files of a drag …"')
    chooser.value.set_files(files)
    hands.page.wait_for_function("probe.editor.getText() !== ''")
    after = hands.region()
    assert after["task"] == before["task"] and near(after["target"], before["target"], 1.01)
    for corner in before["polygons"][0]:
        assert min(math.dist(corner, p) for p in after["polygons"][0]) <= 1.5


def test_problems_of_an_editor_that_is_shown_later(opened: Open) -> None:
    """The host reads the document before it puts the widget into the page."""
    hands = opened()
    hands.page.evaluate(
        """async text => {
          const { createEditor } = await import('/web/lib/editor.js')
          const late = document.createElement('div')
          late.id = 'late'
          late.style.cssText = 'width: 420px; height: 480px'
          createEditor(late).setText(text)
          await new Promise(done => setTimeout(done, 300))
          document.body.append(late)
        }""",
        json.dumps(OUTSIDE),
    )
    hands.page.wait_for_selector("#late .drg-warn")


def test_a_run_leaves_the_number_that_one_types(opened: Open) -> None:
    hands = opened(w=900, h=640)
    hands.polygon(BALL, 46)
    hands.page.fill('[data-field="tx"]', "123")
    hands.page.evaluate("probe.editor.setRun({ phase: 'dragging', part: 0.4 })")
    hands.settle()
    assert hands.page.input_value('[data-field="tx"]') == "123"
    hands.page.keyboard.press("Enter")
    assert hands.region()["target"][0] == 123


def test_the_press_that_ends_typing_is_a_click(opened: Open) -> None:
    hands = opened(w=900, h=640)
    hands.polygon(BALL, 46)
    hands.polygon(HOUSE, 40)
    hands.page.fill('[aria-label="Name of region 2"]', "house")
    hands.page.click('[aria-label="Select region 1"]')
    assert hands.region(1)["label"] == "house"
    assert hands.state()["sel"] == {"kind": "region", "index": 0}
    hands.page.wait_for_selector('.drg-on [aria-label="Name of region 1"]')
